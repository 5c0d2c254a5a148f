"""A slow request is sent a second time beside the first. Whichever brings an event first is the answer.

Each of the two attempts runs on a copy of the ticket, its *lane*. What an attempt notes of itself (whether it was sent,
its decoder, its stake in the gates) is noted there, so that neither disturbs the other. The first lane that has
anything for the reader claims the ticket: from then on it is served as an attempt without a rival is, and the other
lane is cancelled, which closes its connection. So the events of one attempt only ever reach the reader.
"""

from collections.abc import Awaitable
from copy import copy
from functools import partial
from typing import Protocol

import trio

from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.events import HEDGED, Notice
from nexus3.wire.failures import Failure


class Send(Protocol):
    """Makes one attempt on a lane; see :func:`nexus3.actors.attempt.attempt.attempt`."""

    def __call__(self, lane: Ticket, /, *, is_hedge: bool = False) -> Awaitable[Failure | None]: ...


async def hedged(slot: Slot, ticket: Ticket, send: Send, *, delay: float, log: Log) -> Failure | None:
    """Make an attempt, and after ``delay`` seconds without an event a second one beside it.

    Returns and raises what the attempt does that decides: the one that spoke first; where neither said anything, the
    one that failed last. The ticket then stands as if that had been its only attempt, and the other one's stake in the
    gates has been given back. Cancelling, and settling the ticket, end both at once.
    """
    race = _Race(slot, ticket, send, log)
    try:
        # Whoever settles the ticket ends both; but the end of the answer leaves its drain alone.
        with trio.CancelScope() as ticket.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(race.run_second, delay)
                await race.run_first()
    finally:
        race.decide()
    error, race.error = race.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error  # this frame is in its traceback
    return race.failure


class _Outrun(Exception):  # noqa: N818 - a control-flow signal from a claim to its lane
    """The other attempt has spoken first."""


class _Race:
    """Two lanes, the second of which may never begin."""

    def __init__(self, slot: Slot, ticket: Ticket, send: Send, log: Log) -> None:
        self.failure: Failure | None = None
        """Of the lane that decides."""
        self.error: Exception | None = None
        """What a lane raised, kept out of the nursery: it would come out of there in a group."""
        self._slot = slot
        self._ticket = ticket
        self._send = send
        self._log = log
        self._first, ticket.stake, ticket.untold = copy(ticket), None, []
        self._second: Ticket | None = None
        self._first_scope = trio.CancelScope()
        self._second_scope = trio.CancelScope()
        """Has the wait for its time in it."""
        self._decider = self._first
        """The lane that spoke; before that the one that ended last, or the first."""
        self._has_spoken = False

    @trio.lowlevel.enable_ki_protection
    async def run_first(self) -> None:
        """The attempt that there would be without hedging."""
        with self._first_scope:
            await self._run(self._first, is_hedge=False)
        if self._second is None:
            self._second_scope.cancel(reason="the first attempt has ended")

    @trio.lowlevel.enable_ki_protection
    async def run_second(self, delay: float) -> None:
        """Wait for what the first one brings; then send the request again, where that is allowed."""
        with self._second_scope:
            await trio.sleep(delay)
            self._second = self._begin_second(delay)
            if self._second is not None:
                await self._run(self._second, is_hedge=True)

    def _begin_second(self, delay: float) -> Ticket | None:
        ticket = self._ticket
        # Nothing is sent twice for a reader that is behind: it has to be told first.
        if not (self._first.announced and ticket.has_room):
            return None
        second = self._slot.dispatch.begin_hedge(ticket)
        if second is not None:
            ticket.offer([Notice(HEDGED, f"Nothing came within {delay:.3g} s; the request is sent a second time.")])
            told = {"request": ticket.id, "actor": self._slot.name, "attempt": ticket.attempts, "delay": delay}
            self._log(catalog.REQUEST_HEDGED, told)
        return second

    async def _run(self, lane: Ticket, *, is_hedge: bool) -> None:
        lane.claim = partial(self._claim, lane)
        try:
            failure = await self._send(lane, is_hedge=is_hedge)
        except _Outrun:
            pass
        except Exception as error:  # noqa: BLE001 - raised by hedged()
            self.error = error
            self._first_scope.cancel()
            self._second_scope.cancel()
        else:
            lane.attempt_failure = failure
            if self._decider is lane or not self._has_spoken:
                self._decider, self.failure = lane, failure
        finally:
            if self._second is not None:  # one of the two connections is gone
                self._slot.free_place(self._second)

    def _claim(self, lane: Ticket) -> Ticket:
        """The lane has something to hand over. Synchronous: of two that have it in one turn of the loop, one is first.

        Raises:
            _Outrun: the other one was.
        """
        if not self._has_spoken:
            self._has_spoken, self._decider = True, lane
            self._ticket.sent, self._ticket.decoder = True, lane.decoder
            loser = self._second_scope if lane is self._first else self._first_scope
            loser.cancel(reason="the other attempt has answered")
            if lane is self._second:
                self._slot.counters["hedges.won"] += 1
        if self._decider is not lane:
            raise _Outrun
        return self._ticket

    def decide(self) -> None:
        """Both have ended: one of them was the ticket's attempt, the other gives back what it took."""
        ticket, decider = self._ticket, self._decider
        ticket.stake, decider.stake = decider.stake, None
        ticket.decoder, ticket.lag = decider.decoder, decider.lag
        for lane in (self._first, self._second):
            if lane is not None:
                ticket.sent = ticket.sent or lane.sent
                lane.claim = None  # or each would keep the other, and itself
                self._slot.dispatch.take_stake(lane)
        if self._second is not None:
            self._slot.free_place(self._second)
