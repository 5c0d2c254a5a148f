"""What all providers are, whatever made them: one model of one provider, ready to talk to."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Self, get_args

from nexus3.actors.reply.stream import ReplyStream
from nexus3.actors.reply.submission import BoundProvider
from nexus3.actors.route import Route
from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.actors.tap import Tap
from nexus3.actors.ticket import Ticket
from nexus3.errors import ConfigError
from nexus3.observe.log import host_log
from nexus3.provider.shared import SharedSupervisor, shared_supervisor
from nexus3.rawlog import RawLogCallback, RawLogSwitch
from nexus3.wire.catalog import ProviderTypeName
from nexus3.wire.failures import error_of, fail
from nexus3.wire.messages import Message
from nexus3.wire.requests import Effort, Reasoning, Tool

ReasoningLevel = bool | Effort
"""``True`` is effort high, as with the original; ``False`` leaves it to the model's settings, and then the provider."""


class Provider:
    """An ``AsyncProvider`` that starts its actor at first use, and gives it back on :meth:`aclose`.

    Best used as ``async with create_provider(...) as provider``; without that, its actor ends with the trio run. It
    may be used again after it was closed, and in a later run.
    """

    types: ClassVar[tuple[ProviderTypeName, ...]] = get_args(ProviderTypeName)
    """Its configuration must be of one of these; where that names no type, it is of the first."""

    def __init__(
        self,
        config: ProviderConfig,
        model_id: str,
        raw_log: RawLogCallback | None = None,
        reasoning: ReasoningLevel = False,
        *,
        model: ModelConfig | None = None,
    ) -> None:
        """``model`` is an alias's settings. See :func:`nexus3.provider.create_provider` for the others.

        Raises:
            ConfigError: ``config`` is of a type that is not this class's.
            ProviderError: ``bad_request``, for an empty model id.
            TypeError: ``raw_log`` has no hook, or one that is not a plain function.
        """
        config = self._of_a_type(config)
        if not model_id:
            raise error_of(fail("bad_request", "no_model", "create_provider needs a model id."))
        self.config = config
        self.model_id = model_id
        self._model = _with_reasoning(config, model_id, model, reasoning)
        self._bound = BoundProvider(self._admit, None)
        self._taken: tuple[SharedSupervisor, str] | None = None
        self._tap: Tap | None = None
        self._raw_log = RawLogSwitch(host_log, on_change=self.listen)
        self._raw_log.set(raw_log)

    @classmethod
    def _of_a_type(cls, config: ProviderConfig) -> ProviderConfig:
        if config.type in cls.types:
            return config
        if "type" in config.model_fields_set:
            raise ConfigError(
                f"{cls.__name__} is for {', '.join(cls.types)}, and not for {config.type}; use create_provider"
            )
        return config.model_copy(update={"type": cls.types[0]})

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[Tool | Mapping[str, object]] | None = None
    ) -> Message:
        """The whole answer.

        Raises:
            ProviderError: the request failed.
            ConfigError: the settings cannot be used.
        """
        return await self._bound.complete(messages, tools)

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool | Mapping[str, object]] | None = None
    ) -> ReplyStream:
        """The answer as events; see :class:`nexus3.AsyncProvider`."""
        return self._bound.stream(messages, tools)

    def set_raw_log_callback(self, callback: RawLogCallback | None, *, bodies: bool = True) -> None:
        """Let ``callback`` hear what goes over the wire for this provider object, redacted, from its next request on.

        Others that share its connections are not heard. ``None`` ends it; ``bodies`` false shows lengths in place of
        payloads. See :class:`nexus3.rawlog.RawLogCallback`.

        Raises:
            TypeError: it has no hook, or one that is not a plain function.
        """
        self._raw_log.set(callback, bodies=bodies)

    def listen(self, tap: Tap | None) -> None:
        """Let ``tap``, which stays its owner's, hear the attempts of requests made from now on; for registries."""
        self._tap = tap

    async def aclose(self) -> None:
        """End what runs on this provider and close its connections, where no other provider shares them; wait up to a
        second until the hooks of its raw log have heard all."""
        if self._taken is not None:
            (shared, name), self._taken = self._taken, None
            if shared is shared_supervisor():
                shared.give_back(name)
        await self._raw_log.flush()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _admit(self, ticket: Ticket) -> None:
        ticket.tap = self._tap
        shared = shared_supervisor()
        if self._taken is None or self._taken[0] is not shared:
            self._taken = shared, shared.take(self.config.type, self.config)
        shared.admission.admit_here(ticket, Route(self._taken[1], self.model_id, self._model))


def _with_reasoning(
    config: ProviderConfig, model_id: str, model: ModelConfig | None, reasoning: ReasoningLevel
) -> ModelConfig | None:
    if reasoning is False:
        return model
    asked = Reasoning(effort="high" if reasoning is True else reasoning)
    settings = model or ModelConfig(provider=config.type, model_id=model_id)
    return settings.model_copy(update={"reasoning": asked})
