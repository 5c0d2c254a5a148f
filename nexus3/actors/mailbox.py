"""The admission queue of one slot: bounded, first come first served, expiring by deadline.

It is owned by the slot and outlives incarnations, so mail is never lost in a restart. A trio channel would not do: it
throws away what was sent when its receiver closes, nothing can be taken out of its middle, and nothing in it expires.
"""

from collections import OrderedDict

import trio

from nexus3.actors.ticket import Ticket
from nexus3.wire.failures import fail


class Mailbox:
    """Holds queued tickets only. All methods but :meth:`expire` are synchronous."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: OrderedDict[str, Ticket] = OrderedDict()
        self._alarm = trio.CancelScope()
        self._reaper = trio.CancelScope()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= self._capacity

    def put(self, ticket: Ticket) -> None:
        """Queue a new ticket at the end. The caller has asked :attr:`is_full`."""
        self._queue[ticket.id] = ticket
        self._watch(ticket)

    def put_back(self, ticket: Ticket) -> None:
        """Queue a ticket at the front that has been out before; there is always room for it."""
        self._queue[ticket.id] = ticket
        self._queue.move_to_end(ticket.id, last=False)
        self._watch(ticket)

    def take(self) -> Ticket | None:
        """The next ticket, or ``None``. Whoever takes it must register it before the next checkpoint."""
        return self._queue.popitem(last=False)[1] if self._queue else None

    def remove(self, ticket: Ticket) -> None:
        """Take out a ticket that was settled; its room is free at once. Nothing happens where it is not in."""
        self._queue.pop(ticket.id, None)

    def waiting(self) -> list[Ticket]:
        """All tickets, next one first."""
        return list(self._queue.values())

    def _watch(self, ticket: Ticket) -> None:
        # Moving a deadline is free; the task below wakes only when one has really passed.
        self._alarm.deadline = min(self._alarm.deadline, ticket.deadline)

    async def expire(self) -> None:
        """The reaper: settles each queued ticket at its deadline, also while no incarnation is alive. Runs until
        :meth:`close`.

        It sleeps without a timer while the mailbox is empty, so that virtual clocks can jump.
        """
        with self._reaper:
            while True:
                earliest = min((ticket.deadline for ticket in self._queue.values()), default=float("inf"))
                with trio.CancelScope(deadline=earliest) as self._alarm:
                    await trio.sleep_forever()
                now = trio.current_time()
                for ticket in self.waiting():
                    if ticket.deadline <= now:
                        seconds = ticket.deadline - ticket.accepted_at
                        ticket.fail(
                            fail("timeout", "deadline_queued", f"No actor was free within the {seconds:g} s deadline.")
                        )

    def close(self) -> None:
        """End the reaper. What is queued must have been settled."""
        self._reaper.cancel(reason="the mailbox is closed")
