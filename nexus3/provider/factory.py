"""``create_provider``: one model of one provider, ready to talk to."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from nexus3.actors.client import BoundProvider
from nexus3.actors.reply import ReplyStream
from nexus3.actors.route import Route
from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.actors.ticket import Ticket
from nexus3.provider.shared import SharedSupervisor, shared_supervisor
from nexus3.wire.failures import error_of, fail
from nexus3.wire.messages import Message
from nexus3.wire.requests import Tool


class Provider:
    """An ``AsyncProvider`` that starts its actor at first use, and gives it back on :meth:`aclose`.

    Best used as ``async with create_provider(...) as provider``; without that, its actor ends with the trio run. It
    may be used again after it was closed, and in a later run.
    """

    def __init__(self, config: ProviderConfig, model_id: str, model: ModelConfig | None = None) -> None:
        self.config = config
        self.model_id = model_id
        self._model = model
        self._bound = BoundProvider(self._admit, None)
        self._taken: tuple[SharedSupervisor, str] | None = None

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

    async def aclose(self) -> None:
        """End what runs on this provider and close its connections, where no other provider shares them."""
        if self._taken is not None:
            (shared, name), self._taken = self._taken, None
            if shared is shared_supervisor():
                shared.give_back(name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _admit(self, ticket: Ticket) -> None:
        shared = shared_supervisor()
        if self._taken is None or self._taken[0] is not shared:
            self._taken = shared, shared.take(self.config.type, self.config)
        shared.admission.admit_here(ticket, Route(self._taken[1], self.model_id, self._model))


def create_provider(config: ProviderConfig, model_id: str) -> Provider:
    """A provider for ``model_id`` by ``config``. Opens nothing until it is used.

    Raises:
        ProviderError: ``bad_request``, for an empty model id.
    """
    if not model_id:
        raise error_of(fail("bad_request", "no_model", "create_provider needs a model id."))
    return Provider(config, model_id)
