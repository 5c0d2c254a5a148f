"""``ProviderRegistry``: the providers of a configuration, made once each."""

from types import TracebackType
from typing import Self

from nexus3.actors.tap import Tap
from nexus3.config.models import resolve_model, unknown_model
from nexus3.config.schema import Config, ModelConfig
from nexus3.errors import ConfigError
from nexus3.observe.log import host_log
from nexus3.provider.factory import class_for
from nexus3.provider.provider import Provider, ReasoningLevel
from nexus3.rawlog import RawLogCallback, RawLogSwitch


class ProviderRegistry:
    """A lazy cache of providers. :meth:`aclose` (or leaving ``async with``) closes them all."""

    def __init__(self, config: Config, raw_log: RawLogCallback | None = None) -> None:
        """``raw_log`` is as for :meth:`set_raw_log_callback`.

        Raises:
            TypeError: it has no hook, or one that is not a plain function.
        """
        self._config = config
        self._providers: dict[tuple[str, str, ReasoningLevel, str], Provider] = {}
        self._dropped: list[Provider] = []
        self._raw_log = RawLogSwitch(host_log, on_change=self._listen)
        self._raw_log.set(raw_log)

    def get(self, provider_name: str, model_id: str, reasoning: ReasoningLevel = False) -> Provider:
        """The provider for ``model_id`` at a configured provider; one that asks for other reasoning is another one.

        Raises:
            ConfigError: no such provider is configured.
        """
        return self._get(provider_name, model_id, None, reasoning)

    def get_for_model(self, alias: str | None = None) -> Provider:
        """The provider for an alias or model string; ``None`` is the default model.

        Raises:
            ConfigError: it means nothing under this configuration.
        """
        text = alias or self._config.default_model
        if text is None:
            raise ConfigError("default_model is not set; name a model")
        resolved = resolve_model(text, self._config)
        if resolved is None:
            raise ConfigError(f"{text!r} is {unknown_model(text, self._config)}")
        return self._get(resolved.provider, resolved.model_id, resolved.settings)

    def set_raw_log_callback(self, callback: RawLogCallback | None, *, bodies: bool = True) -> None:
        """Let one callback hear what goes over the wire for all of these providers, those included that are made later.

        It takes the place of what was set on a provider itself. See :meth:`Provider.set_raw_log_callback
        <nexus3.provider.provider.Provider.set_raw_log_callback>`.

        Raises:
            TypeError: it has no hook, or one that is not a plain function.
        """
        self._raw_log.set(callback, bodies=bodies)

    @property
    def cached_providers(self) -> tuple[str, ...]:
        """Keys of the providers made so far, ``provider:model_id``."""
        return tuple(dict.fromkeys(f"{provider}:{model}" for provider, model, *_ in self._providers))

    def clear_cache(self) -> None:
        """Make each provider anew when it is asked for next. Those made so far go on until :meth:`aclose`: somebody may
        be using them."""
        self._dropped += self._providers.values()
        self._providers = {}

    async def aclose(self) -> None:
        """Close all, those dropped from the cache included; the registry may be used again."""
        providers = [*self._dropped, *self._providers.values()]
        self._dropped, self._providers = [], {}
        for provider in providers:
            await provider.aclose()
        await self._raw_log.flush()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _listen(self, tap: Tap | None) -> None:
        for provider in (*self._dropped, *self._providers.values()):
            provider.listen(tap)

    def _get(
        self, provider_name: str, model_id: str, model: ModelConfig | None, reasoning: ReasoningLevel = False
    ) -> Provider:
        settings = self._config.providers.get(provider_name)
        if settings is None:
            raise ConfigError(f"no provider {provider_name!r} is configured")
        # Two aliases of one model may differ in their settings; each has an entry of its own.
        key = provider_name, model_id, reasoning, model.model_dump_json() if model else ""
        if key not in self._providers:
            provider = class_for(settings.type)(settings, model_id, reasoning=reasoning, model=model)
            self._providers[key] = provider
            if self._raw_log.tap is not None:
                provider.listen(self._raw_log.tap)
        return self._providers[key]
