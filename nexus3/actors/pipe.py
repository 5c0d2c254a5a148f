"""The bounded way of events from one request's work to its reader: one task puts, one task takes, in batches.

A trio memory channel would do the same. It is made for many tasks at both ends, and to make one, to park on it and to
close it costs a third of a short request; what a pair of tasks needs is a queue, a bound, and whom to wake.
"""

from collections import deque
from collections.abc import Awaitable
from typing import NamedTuple

import trio

from nexus3.wire.events import StreamEvent

Batch = list[StreamEvent]
"""What one network read brought; it changes owner when it is put."""


class PipeStatistics(NamedTuple):
    """As a trio memory channel's, as far as they apply."""

    batches: int
    """Put and not yet taken."""
    open_send_channels: int
    open_receive_channels: int


class Pipe:
    """Closing either end is synchronous and idempotent. Cancelling a wait at either end loses and repeats nothing.

    One task at each end: a second one that waits there gets ``trio.BusyResourceError``.
    """

    __slots__ = ("_batches", "_closed", "_left", "_putter", "_taker", "_unread", "capacity")

    def __init__(self, capacity: int) -> None:
        """``capacity`` in batches: how far the reader may be behind before :meth:`put` waits."""
        self._batches = deque[Batch]()
        self.capacity = capacity
        self._closed = False
        """No more will be put."""
        self._left = False
        """Nobody will take any more."""
        self._unread = False
        self._putter: trio.lowlevel.Task | None = None
        self._taker: trio.lowlevel.Task | None = None

    def statistics(self) -> PipeStatistics:
        """For tests and inspection."""
        return PipeStatistics(len(self._batches), not self._closed, not self._left)

    # -- the work's end

    @property
    def has_room(self) -> bool:
        """An :meth:`offer` made now would be taken."""
        return not self._closed and not self._left and len(self._batches) < self.capacity

    def offer(self, batch: Batch) -> bool:
        """Put a batch without waiting; false where there is no room, or an end is closed."""
        if self._closed or self._left or len(self._batches) >= self.capacity:
            return False
        if not self._unread:
            self._batches.append(batch)
            self._wake_taker()
        return True

    async def put(self, batch: Batch) -> None:
        """Put a batch as soon as there is room: all of it, or on cancellation nothing. No checkpoint where it has room.

        Raises:
            trio.BrokenResourceError: an end is closed.
        """
        while not self.offer(batch):
            if self._closed or self._left:
                raise trio.BrokenResourceError
            if self._putter is not None:
                raise trio.BusyResourceError("another task puts into this pipe")
            self._putter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_putting)

    def close(self) -> None:
        """Put no more. The reader gets what is in, then the end."""
        self._closed = True
        self._wake_taker()
        self._wake_putter()

    # -- the reader's end

    def poll(self) -> Batch | None:
        """The next batch, or ``None`` where there is none yet.

        Raises:
            trio.EndOfChannel: there will be none.
        """
        if self._batches:
            batch = self._batches.popleft()
            if self._putter is not None:
                self._wake_putter()
            return batch
        if self._closed:
            raise trio.EndOfChannel
        return None

    async def take(self) -> Batch:
        """The next batch, as soon as there is one. No checkpoint where there is one already.

        Raises:
            trio.EndOfChannel: there will be none.
            trio.ClosedResourceError: the reader's end was closed meanwhile.
        """
        while (batch := self.poll()) is None:
            await self.change()
        return batch

    def change(self) -> Awaitable[object]:
        """Await it at once: it is over when :meth:`poll` may say something else than that there is none yet.

        Not a coroutine, for the sake of streams that wait: each keeps all that it waits in.

        Raises:
            trio.ClosedResourceError: the reader's end is closed.
        """
        if self._left:
            raise trio.ClosedResourceError
        if self._taker is not None:
            raise trio.BusyResourceError("another task reads this stream")
        self._taker = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._stop_taking)  # noqa: ASYNC105 - by the caller, at once

    def pass_over(self) -> None:
        """The reader wants to know the end only: what is in, and what comes, is thrown away as if it were read."""
        self._unread = True
        self._batches.clear()
        self._wake_putter()

    def leave(self) -> None:
        """Take no more; what is in is thrown away."""
        self._left = True
        self._batches.clear()
        self._wake_putter()
        self._wake_taker()

    # A task is woken once: whoever wakes it forgets it, and so does trio, by these, when it is cancelled.

    def _wake_taker(self) -> None:
        if self._taker is not None:
            task, self._taker = self._taker, None
            trio.lowlevel.reschedule(task)

    def _wake_putter(self) -> None:
        if self._putter is not None:
            task, self._putter = self._putter, None
            trio.lowlevel.reschedule(task)

    def _stop_taking(self, _: object) -> trio.lowlevel.Abort:
        self._taker = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _stop_putting(self, _: object) -> trio.lowlevel.Abort:
        self._putter = None
        return trio.lowlevel.Abort.SUCCEEDED
