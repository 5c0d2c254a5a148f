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

from nexus3.actors.pipe import Batch, Pipe
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
        pipe: Pipe,
        *,
        raises: bool,
        begin: Callable[[Ticket], None] | None = None,
    ) -> None:
        self._ticket = ticket
        self._pipe = pipe
        self._raises = raises
        self._begin = begin
        self._batch: Batch = []
        self._next = 0
        """Of the batch, the event that is next ..."""
        self._free = 0
        """... and the first one that is not handed out before the scheduler had its turn."""
        self._turn = YIELD_EVERY
        """Events that may follow the free ones in this turn."""
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
        self._next = self._free = 0
        self._pipe.leave()
        if self._ticket.terminal is None:
            self._ticket.fail(_CALLER_LEFT)

    async def aclose(self) -> None:
        """As :meth:`close`; there is nothing to wait for."""
        self.close()

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> StreamEvent:
        # What receive() does, without its coroutine: this is once per event.
        at = self._next
        if at < self._free:
            self._next = at + 1
            return self._batch[at]
        try:
            return await self._receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> StreamEvent:
        """The next event.

        Raises:
            trio.EndOfChannel: after the terminal.
            ProviderError: instead of a ``StreamFailed``, on streams of ``sup.stream``.
            trio.ClosedResourceError: the stream was closed on this side.
            trio.BusyResourceError: another task is waiting for this stream's next event.
        """
        return await self._receive()

    @trio.lowlevel.enable_ki_protection
    async def _receive(self) -> StreamEvent:
        if self._next == self._free:
            if self._free < len(self._batch):
                await trio.lowlevel.checkpoint()
                self._turn = YIELD_EVERY
            else:
                # Not in a coroutine of its own: a stream that waits keeps each that it waits in.
                if self._begin is not None:
                    self._start()
                if self._closed:
                    raise trio.ClosedResourceError
                if self._over:
                    raise trio.EndOfChannel
                if not self._turn:
                    await trio.lowlevel.checkpoint()
                    self._turn = YIELD_EVERY
                try:
                    while (batch := self._pipe.poll()) is None:
                        await self._pipe.change()
                        self._turn = YIELD_EVERY
                except trio.EndOfChannel:
                    return self._terminal()
                self._batch = batch
                self._next = 0
            self._free = min(len(self._batch), self._next + self._turn)
            self._turn -= self._free - self._next
        event = self._batch[self._next]
        self._next += 1
        return event

    def rest(self) -> list[StreamEvent]:
        """What can be had without waiting: buffered events, and the terminal where the request is settled."""
        events = self._batch[self._next :]
        try:
            while (batch := self._pipe.poll()) is not None:
                events += batch
        except trio.EndOfChannel:
            events.append(self._terminal())
        return events

    @trio.lowlevel.enable_ki_protection
    async def complete(self) -> StreamComplete:
        """Wait for the end, unread: the terminal of success. Closes the stream, whatever happens.

        Raises:
            ProviderError: the request failed.
        """
        try:
            self._start()
            self._pipe.pass_over()
            with suppress(trio.EndOfChannel):
                await self._pipe.take()
            terminal = self._ticket.terminal
            assert terminal is not None, "the pipe is closed by settle() only"
            if isinstance(terminal, StreamFailed):
                raise error_of(terminal.error.failure)
            return terminal
        finally:
            self.close()

    def _terminal(self) -> StreamEvent:
        self._over = True
        terminal = self._ticket.terminal
        assert terminal is not None, "the pipe is closed by settle() only"
        if self._raises and isinstance(terminal, StreamFailed):
            raise error_of(terminal.error.failure)
        return terminal

    def __del__(self) -> None:
        ticket = self.__dict__.get("_ticket")
        if ticket is None or ticket.terminal is not None or ticket.token is None:
            return
        with suppress(trio.RunFinishedError):  # the run is over, and with it the request
            ticket.token.run_sync_soon(_abandon, ticket, self._pipe)
        # Last: where warnings are errors, this raises.
        warnings.warn(
            f"a stream of {ticket.provider}/{ticket.model} was dropped before its end; use `async with`",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )


def _abandon(ticket: Ticket, pipe: Pipe) -> None:
    pipe.leave()
    ticket.fail(fail("cancelled", "stream_dropped", "The stream was dropped before its end.", retryable=False))


_CALLER_LEFT = fail("cancelled", "caller_left", "The caller closed the stream.", retryable=False)


def open_reply(
    request: CompletionRequest, *, raises: bool, begin: Callable[[Ticket], None] | None = None
) -> tuple[Ticket, ReplyStream]:
    """A new ticket and its reader's end."""
    pipe = Pipe(REPLY_BATCHES)
    ticket = Ticket(request, pipe)
    return ticket, ReplyStream(ticket, pipe, raises=raises, begin=begin)
