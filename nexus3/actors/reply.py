"""The caller's end of a request: a receive channel of events that ends after exactly one terminal.

Inside, one list of events per network read crosses the task border; the stream unpacks it. A channel item per event
would cost a task switch each.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import trio

from nexus3.actors.ticket import REPLY_BATCHES, Ticket
from nexus3.wire.events import StreamComplete, StreamEvent, StreamFailed
from nexus3.wire.failures import error_of, fail
from nexus3.wire.requests import CompletionRequest

YIELD_EVERY = 32
"""Events handed out without a checkpoint before the scheduler gets a turn."""


class ReplyStream(trio.abc.ReceiveChannel[StreamEvent]):
    """Events of one request, in order, for one reader; then the terminal, once; then the end.

    Use it as ``async with``. Leaving the block, at any time and by any way, ends the request and closes its HTTP
    exchange; there is no checkpoint in leaving. A stream that is dropped instead is cancelled by its finaliser, with a
    ``ResourceWarning``. Cancelling ``receive`` loses nothing.
    """

    def __init__(
        self,
        ticket: Ticket,
        inlet: trio.MemoryReceiveChannel[list[StreamEvent]],
        *,
        raises: bool,
        begin: Callable[[Ticket], None] | None = None,
    ) -> None:
        self._ticket = ticket
        self._inlet = inlet
        self._raises = raises
        self._begin = begin
        self._batch: list[StreamEvent] = []
        self._next = 0
        self._handed_out = 0
        self._over = False
        """The terminal was handed out."""
        self._closed = False

    @trio.lowlevel.enable_ki_protection
    def _start(self) -> None:
        """Submit the request, where that is this stream's business and was not done yet."""
        if self._begin is not None:
            begin, self._begin = self._begin, None
            begin(self._ticket)

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Leave: ends the request if it still runs. Synchronous, idempotent."""
        self._closed = True
        self._batch = []
        self._inlet.close()
        self._ticket.fail(fail("cancelled", "caller_left", "The caller closed the stream.", retryable=False))

    async def aclose(self) -> None:
        """As :meth:`close`; there is nothing to wait for."""
        self.close()

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> StreamEvent:
        """The next event.

        Raises:
            trio.EndOfChannel: after the terminal.
            ProviderError: instead of a ``StreamFailed``, on streams of ``sup.stream``.
            trio.ClosedResourceError: the stream was closed on this side.
        """
        if self._begin is not None:
            self._start()
        if self._next < len(self._batch):
            if self._handed_out % YIELD_EVERY == 0:
                await trio.lowlevel.checkpoint()
        else:
            if self._closed:
                raise trio.ClosedResourceError
            if self._over:
                raise trio.EndOfChannel
            try:
                self._batch = self._inlet.receive_nowait()
            except trio.WouldBlock:
                try:
                    self._batch = await self._inlet.receive()
                except trio.EndOfChannel:
                    return self._terminal()
            except trio.EndOfChannel:
                return self._terminal()
            self._next = 0
        event = self._batch[self._next]
        self._next += 1
        self._handed_out += 1
        return event

    def rest(self) -> list[StreamEvent]:
        """What can be had without waiting: buffered events, and the terminal where the request is settled."""
        events = self._batch[self._next :]
        while True:
            try:
                events += self._inlet.receive_nowait()
            except trio.WouldBlock:
                break
            except trio.EndOfChannel:
                events.append(self._terminal())
                break
        return events

    def _terminal(self) -> StreamEvent:
        self._over = True
        terminal = self._ticket.terminal
        assert terminal is not None, "the event channel is closed by settle() only"
        if self._raises and isinstance(terminal, StreamFailed):
            raise error_of(terminal.error.failure)
        return terminal

    def __del__(self) -> None:
        ticket = self.__dict__.get("_ticket")
        if ticket is None or ticket.terminal is not None or ticket.token is None:
            return
        with suppress(trio.RunFinishedError):  # the run is over, and with it the request
            ticket.token.run_sync_soon(_abandon, ticket, self._inlet)
        # Last: where warnings are errors, this raises.
        warnings.warn(
            f"a stream of {ticket.provider}/{ticket.model} was dropped before its end; use `async with`",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )


def _abandon(ticket: Ticket, inlet: trio.MemoryReceiveChannel[list[StreamEvent]]) -> None:
    inlet.close()
    ticket.fail(fail("cancelled", "stream_dropped", "The stream was dropped before its end.", retryable=False))


def open_reply(
    request: CompletionRequest, *, raises: bool, begin: Callable[[Ticket], None] | None = None
) -> tuple[Ticket, ReplyStream]:
    """A new ticket and its reader's end."""
    outlet, inlet = trio.open_memory_channel[list[StreamEvent]](REPLY_BATCHES)
    ticket = Ticket(request, outlet)
    return ticket, ReplyStream(ticket, inlet, raises=raises, begin=begin)


async def read_to_end(stream: ReplyStream) -> StreamComplete:
    """The terminal of success; everything before it is passed over. Closes the stream.

    Raises:
        ProviderError: the request failed.
    """
    async with stream:
        while True:
            event = await stream.receive()
            if isinstance(event, StreamComplete):
                return event
