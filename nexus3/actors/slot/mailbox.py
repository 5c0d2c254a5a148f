"""The admission queue of one slot: bounded, fair over callers, expiring by deadline.

It is owned by the slot and outlives incarnations, so mail is never lost in a restart. A trio channel would not do: it
throws away what was sent when its receiver closes, nothing can be taken out of its middle, nothing in it expires, and
one caller with a thousand waiting sends keeps all others waiting behind them.

Who is served next is :mod:`nexus3.actors.slot.fair_queue`'s matter; here is who gets in, and when one must leave.
"""

import heapq
import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import assert_never

import trio

from nexus3.actors.limits import OnFull
from nexus3.actors.slot.fair_queue import PRIORITIES, FairQueue
from nexus3.actors.ticket import Ticket, out_of_time
from nexus3.wire.failures import Failure, fail

_SPARE_DEADLINES = 64
"""Dead entries of the deadline heap that are always kept; beyond them, as many as tickets are queued."""


class Mailbox:
    """Holds queued tickets only. All methods are synchronous, and all but :meth:`waiting` cost the same, up to a
    logarithm, however much is queued."""

    def __init__(
        self,
        capacity: int,
        *,
        per_caller: int | None = None,
        on_full: OnFull = "reject",
        promote_after: float = 30.0,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """As the settings ``mailbox_capacity``, ``mailbox_per_caller``, ``on_full``, ``promote_after`` (seconds) and
        ``caller_weights`` say. ``per_caller`` ``None`` is no cap."""
        # These may be changed at any time: they hold for the next put.
        self.capacity = capacity
        self.per_caller = per_caller
        self.on_full: OnFull = on_full
        self._queue = FairQueue[Ticket](promote_after=promote_after, weights=weights)
        self._returned: OrderedDict[Ticket, None] = OrderedDict()
        """Those that were put back: before all others, whatever their priority. They had their turn."""
        self._postponed: dict[Ticket, int] = {}
        """Those that were put back for later, each with the number of its entry in the heap of their times."""
        self._due: list[tuple[float, int, Ticket]] = []
        self._by_caller: Counter[str | None] = Counter()
        self._deadlines: list[tuple[float, int, Ticket]] = []
        """A heap with an entry, at least, for each ticket; entries of those that have left go when they come up."""
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._returned) + len(self._postponed) + len(self._queue)

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._returned or ticket in self._postponed or ticket in self._queue

    def is_full(self, free_places: int = 0) -> bool:
        """There is no room but by the policy for that case. Who waits for one of ``free_places`` needs no room."""
        return len(self) >= self.capacity + free_places

    def put(self, ticket: Ticket, free_places: int = 0) -> Failure | None:
        """Queue a new ticket at the end of its caller's line; or return why not, and leave it as it is.

        ``free_places`` are those of the incarnation that nobody holds: as many tickets are on their way out.

        Where the mailbox is full, the policy decides:

        * ``reject`` refuses.
        * ``shed_oldest`` makes room: of the lowest priority that has any, the longest waiting ticket is settled as
          ``unavailable``, ``shed``. A ticket of a still lower priority is refused, and what was put back is spared.
        * ``wait`` takes it all the same. A ticket waits under its deadline and takes its turn by the same rules,
          whether it waits for room or in it, so a second queue in front of this one would only make both less fair.
          What bounds the length is ``per_caller`` times the callers, and the deadlines.

        ``per_caller`` refuses under every policy.
        """
        if self.per_caller is not None and self._by_caller[ticket.caller] >= self.per_caller:
            who = "callers without a name" if ticket.caller is None else "this caller"
            return fail(
                "unavailable",
                "caller_full",
                f"{self.per_caller} requests of {who} wait already (mailbox_per_caller); try again later.",
            )
        if self.is_full(free_places) and not self._make_room(ticket):
            return fail(
                "unavailable",
                "mailbox_full",
                f"{len(self)} requests wait already (mailbox_capacity is {self.capacity}); try again later.",
            )
        self._queue.put(ticket, ticket.caller, ticket.request.priority, trio.current_time(), ticket.model)
        self._entered(ticket)
        return None

    def put_back(self, ticket: Ticket, not_before: float | None = None) -> None:
        """Queue a ticket that has been out before, in front of all others; from ``not_before`` on, where that is given.
        It is never refused, so the depth may exceed the capacity by as many; new tickets then find the mailbox full for
        longer.

        To keep the order of several, put the last one back first.
        """
        if not_before is None:
            self._returned[ticket] = None
            self._returned.move_to_end(ticket, last=False)
        else:
            number = self._postponed[ticket] = next(self._numbers)
            heapq.heappush(self._due, (not_before, number, ticket))
        self._entered(ticket)

    def next_due(self) -> float:
        """When the first of those that were put back for later is due; infinite where none was."""
        while self._due and self._postponed.get(self._due[0][2]) != self._due[0][1]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else math.inf

    def take(self, may_go: Callable[[Ticket], bool] = lambda _: True) -> Ticket | None:
        """The next ticket of those that may go, or ``None``. Whoever takes it must register it before the next
        checkpoint.

        One whose deadline has come, though the reaper has not, is settled instead. ``may_go`` is asked about the first
        of each line; it must not change the mailbox.
        """
        now = trio.current_time()
        if self._postponed:
            self._bring_back(now)
        while (ticket := self._pop(now, lambda each: each.deadline <= now or may_go(each))) is not None:
            self._left(ticket)
            if ticket.deadline > now:
                return ticket
            ticket.fail(out_of_time(ticket))
        return None

    def remove(self, ticket: Ticket) -> None:
        """Take out a ticket that was settled; its room is free at once. Nothing happens where it is not in."""
        if ticket in self._returned:
            del self._returned[ticket]
        elif ticket in self._postponed:
            del self._postponed[ticket]
        elif not self._queue.remove(ticket):
            return
        self._left(ticket)

    def waiting(self) -> list[Ticket]:
        """All tickets: those put back, then by priority, and in each the longest waiting first."""
        return [*self._returned, *self._postponed, *self._queue]

    def earliest(self) -> float:
        """The deadline that comes first of those that are queued; infinite where nothing is."""
        while self._deadlines and self._deadlines[0][2] not in self:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else math.inf

    def expire(self, now: float) -> None:
        """Settle each queued ticket whose deadline has come."""
        while self.earliest() <= now:
            ticket = heapq.heappop(self._deadlines)[2]
            self.remove(ticket)
            ticket.fail(out_of_time(ticket))

    def _make_room(self, newcomer: Ticket) -> bool:
        match self.on_full:
            case "reject":
                return False
            case "wait":
                return True
            case "shed_oldest":
                least = self._queue.least()
                if least is None:
                    return False
                priority, shed = least
                if PRIORITIES.index(newcomer.request.priority) > PRIORITIES.index(priority):
                    return False
                depth = len(self)
                self.remove(shed)
                shed.fail(_SHED)
                # Whoever learnt of its end may have used the room.
                return len(self) < depth
            case _:
                assert_never(self.on_full)

    def _pop(self, now: float, may_go: Callable[[Ticket], bool]) -> Ticket | None:
        for ticket in self._returned:
            if may_go(ticket):
                del self._returned[ticket]
                return ticket
        return self._queue.take(now, may_go)

    def _bring_back(self, now: float) -> None:
        while self.next_due() <= now:
            ticket = heapq.heappop(self._due)[2]
            del self._postponed[ticket]
            self._returned[ticket] = None

    def _entered(self, ticket: Ticket) -> None:
        self._by_caller[ticket.caller] += 1
        heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))

    def _left(self, ticket: Ticket) -> None:
        left = self._by_caller[ticket.caller] - 1
        if left:
            self._by_caller[ticket.caller] = left
        else:
            del self._by_caller[ticket.caller]
        if len(self._deadlines) > _SPARE_DEADLINES + 2 * len(self):
            self._deadlines = [(ticket.deadline, next(self._numbers), ticket) for ticket in self.waiting()]
            heapq.heapify(self._deadlines)


_SHED = fail("unavailable", "shed", "The mailbox was full, and this request made room for a newer one.")
