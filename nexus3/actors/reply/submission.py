"""The caller's side: a submission, and a provider bound to a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import trio

from nexus3.actors.reply.stream import ReplyStream, open_reply
from nexus3.actors.ticket import Ticket
from nexus3.wire.events import StreamEvent
from nexus3.wire.messages import Message
from nexus3.wire.requests import CompletionRequest, Tool

Admit = Callable[[Ticket], None]
"""Accepts a ticket, or settles it with the reason why not."""


class Submission:
    """One request on its way to the supervisor. Send it once.

    Without ``reply_to`` it brings its own reply stream, :attr:`events`: the fast way, whose terminal cannot be lost.
    With it, events go to that channel, which is handed over: nexus3 closes it after the terminal. Made in the context
    (structlog's included) in which the exchange will run.
    """

    def __init__(self, request: CompletionRequest, reply_to: trio.MemorySendChannel[StreamEvent] | None = None) -> None:
        self.request = request
        self.reply_to = reply_to
        self._ticket, self._events = open_reply(request, raises=False)

    @property
    def events(self) -> ReplyStream:
        """The reply: ends after exactly one ``StreamComplete`` or ``StreamFailed``, as data.

        Raises:
            ValueError: the submission was made with ``reply_to``.
        """
        if self.reply_to is not None:
            raise ValueError("this submission replies to the channel it was given; read that one")
        return self._events

    def hand_over(self) -> tuple[Ticket, ReplyStream]:
        """The ticket and its stream, for whoever admits it."""
        return self._ticket, self._events


class AsyncProvider(Protocol):
    """A model to talk to: the original's interface."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[Tool | Mapping[str, object]] | None = None
    ) -> Message:
        """The whole answer.

        Raises:
            ProviderError: the request failed.
        """
        ...

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool | Mapping[str, object]] | None = None
    ) -> ReplyStream:
        """The answer as events; the request starts when the first one is asked for.

        Iterate it, best inside ``async with``: a bare ``break`` cancels the request when the stream is collected, with
        a ``ResourceWarning``. Failures are raised as ``ProviderError``.
        """
        ...


class BoundProvider:
    """An :class:`AsyncProvider` of one model, on the actor behind ``admit``."""

    def __init__(self, admit: Admit, model: str | None) -> None:
        self._admit = admit
        self._model = model

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[Tool | Mapping[str, object]] | None = None
    ) -> Message:
        """See :class:`AsyncProvider`."""
        return (await self.stream(messages, tools).complete()).message

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Tool | Mapping[str, object]] | None = None
    ) -> ReplyStream:
        """See :class:`AsyncProvider`."""
        request = CompletionRequest.model_validate(
            {"model": self._model, "messages": tuple(messages), "tools": tuple(tools or ())}
        )
        return open_reply(request, raises=True, begin=self._admit)[1]
