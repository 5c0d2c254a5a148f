"""The places of one actor: how many there are, who holds one, and who was told to leave and has not left.

A place is one request's work on one connection. No task can be killed: a settled ticket whose work ignores its
cancellation still holds its place, and all that can be done is to say so.
"""

import math

import trio

from nexus3.actors.ticket import Ticket

CANCEL_GRACE = 5.0
"""Seconds after which the work of a settled request that still holds its place is reported as stuck."""


class Places:
    """Plain synchronous state, the same through all incarnations."""

    def __init__(self, count: int) -> None:
        self.count = count
        """May be changed at any time: it holds for whoever comes next."""
        self.holders: set[Ticket] = set()
        """A settled one is among them until its work has really ended. Written by whoever lets a ticket begin."""
        self.is_paused = False
        """The operator lets nobody begin."""
        self.is_served = False
        """An incarnation is ready."""
        self.is_ending = False
        """It was cancelled: work that it began now would end at once."""
        self.leaving: dict[Ticket, float] = {}
        """Settled tickets whose work was told to end and holds its place, and when it will be called stuck; none that
        was."""
        self._rest = trio.Event()

    @property
    def free(self) -> int:
        """How many nobody holds, and somebody would be given now."""
        if self.is_paused or self.is_ending or not self.is_served:
            return 0
        return max(0, self.count - len(self.holders))

    def give_back(self, ticket: Ticket) -> None:
        """The ticket's place is free; nothing happens where it has none."""
        self.holders.discard(ticket)
        self.leaving.pop(ticket, None)
        if not self.holders:
            self._rest.set()

    async def at_rest(self) -> None:
        """Wait until no ticket holds a place. Bounded where the actor is paused: each has a deadline."""
        while self.holders:
            if self._rest.is_set():  # others may be waiting for this one
                self._rest = trio.Event()
            await self._rest.wait()

    # -- who was told to leave

    def told_to_leave(self, ticket: Ticket, now: float) -> float:
        """The work of one who holds a place was told to end. Returns when it will be called stuck."""
        self.leaving[ticket] = end = now + CANCEL_GRACE
        return end

    def stuck(self, now: float) -> list[Ticket]:
        """Those whose grace is over, each told once."""
        found = [ticket for ticket, end in self.leaving.items() if end <= now]
        for ticket in found:
            del self.leaving[ticket]
        return found

    def next_stuck(self) -> float:
        """When the first of those that leave will be called stuck; infinite where nobody leaves."""
        return min(self.leaving.values(), default=math.inf)
