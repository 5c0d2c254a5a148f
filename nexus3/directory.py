"""What is configured now: the providers of one supervisor, their slots, and what model strings mean."""

import os
from functools import partial
from random import Random

from nexus3.actors.attempt.credentials import secrets_of
from nexus3.actors.gates.billing import Billing
from nexus3.actors.provider import run_provider
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.route import Route, choose
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.slot.slot import Slot
from nexus3.actors.tap import Tap
from nexus3.actors.transport import OpenTransport
from nexus3.config.models import resolve_model, unknown_model
from nexus3.config.reach import opt_outs
from nexus3.config.resolve import require_keys, resolve
from nexus3.config.schema import Config
from nexus3.errors import ConfigError
from nexus3.observe import catalog
from nexus3.observe.genai import genai_names
from nexus3.observe.log import Log
from nexus3.observe.redact import Redactor
from nexus3.supervisor.settings import SupervisorSettings
from nexus3.supervisor.spec import ChildSpec
from nexus3.wire.failures import Failure, fail
from nexus3.wire.requests import CompletionRequest


class Directory:
    """Owns the slots. Changing it changes no running actor: that is the supervisor's to do."""

    def __init__(
        self, config: Config, open_transport: OpenTransport, rng: Random, log: Log, redact: Redactor, *, strict: bool
    ) -> None:
        self.config = config
        self.slots: dict[str, Slot] = {}
        self.billing = Billing(config.supervisor, log)
        self._open_transport = open_transport
        self._rng = rng
        self._log = log
        self._redact = redact
        self._strict = strict
        self._tap: Tap | None = None
        for name, settings in config.providers.items():
            self.slots[name] = self._open_slot(name, settings)

    def find(self, request: CompletionRequest) -> Route | Failure:
        """What the request's model string means."""
        if not self.config.providers:
            return fail("not_found", "no_provider", "No provider is configured: give one, or add_provider().")
        text = request.model or self.config.default_model
        if text is None:
            return fail("not_found", "no_model", "The request names no model, and no default_model is configured.")
        resolved = resolve_model(text, self.config)
        if resolved is None:
            return fail("not_found", "unknown_model", f"{text!r} is {unknown_model(text, self.config)}.")
        provider, model_id, settings = resolved
        if settings is not None and settings.targets:
            place = choose(settings.targets, self._is_able, self._rng)
            provider, model_id = place.provider, place.model_id
        if provider not in self.slots:
            return fail("not_found", "removed_provider", f"The provider {provider!r} was removed.")
        return Route(provider, model_id, settings)

    def _is_able(self, name: str) -> bool:
        slot = self.slots.get(name)
        return slot is not None and slot.is_able

    def listen(self, tap: Tap | None) -> None:
        """Let ``tap`` hear every attempt from the next one on, at the providers of now and of later."""
        self._tap = tap
        for slot in self.slots.values():
            slot.tap = tap

    def spec(self, slot: Slot) -> ChildSpec:
        """How the slot's actor is supervised."""
        return child_spec(slot, self._open_transport, self.config.supervisor, self._rng, self._log)

    def add(self, name: str, settings: ProviderConfig) -> Slot:
        """One more provider.

        Raises:
            ConfigError: the name is taken, or the settings cannot be used.
        """
        if name in self.slots:
            raise ConfigError(f"providers.{name}: there is one already; use reconfigure")
        self.slots[name] = slot = self._open_slot(name, settings)
        slot.tap = self._tap
        self._put(name, settings)
        return slot

    def reconfigure(self, name: str, settings: ProviderConfig) -> None:
        """New settings for a provider, from its next generation on.

        Raises:
            KeyError: no provider of that name is configured.
            ConfigError: the settings cannot be used; the old ones stay.
        """
        slot = self.slots[name]
        slot.reconfigure(self._resolve(name, settings))
        self._put(name, settings)

    def remove(self, name: str) -> Slot:
        """Forget a provider; requests for it are ``not_found`` from here on.

        Raises:
            KeyError: no provider of that name is configured.
        """
        return self.slots.pop(name)

    def _open_slot(self, name: str, settings: ProviderConfig) -> Slot:
        return Slot(self._resolve(name, settings), self._log, genai_names(os.environ), self._rng, self.billing)

    def _put(self, name: str, settings: ProviderConfig) -> None:
        self.config = self.config.model_copy(update={"providers": {**self.config.providers, name: settings}})

    def _resolve(self, name: str, settings: ProviderConfig) -> ResolvedProvider:
        provider = resolve(name, settings, os.environ)
        self._redact.learn(secrets_of(provider))
        if self._strict:
            require_keys(provider)
        elif provider.unconfigured is not None:
            self._log(catalog.ACTOR_UNCONFIGURED, {"actor": name, "problem": provider.unconfigured})
        for setting, allowed in opt_outs(settings, provider):
            self._log(catalog.ACTOR_OPTED_OUT, {"actor": name, "setting": setting, "allows": allowed})
        return provider


def child_spec(
    slot: Slot, open_transport: OpenTransport, settings: SupervisorSettings, rng: Random, log: Log
) -> ChildSpec:
    """How a provider's actor is supervised."""
    policy = settings.policy()
    return ChildSpec(
        name=slot.name,
        run=partial(run_provider, slot, open_transport, rng, log),
        on_state=slot.on_state,
        backoff=policy.backoff,
        intensity=policy.intensity,
        on_exhausted=policy.on_exhausted,
        park_for=policy.park_for,
        start_timeout=policy.start_timeout,
        stages=policy.stages,
    )
