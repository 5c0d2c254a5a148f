"""From the mailbox through the gates to a place: whose turn it is, what its attempt takes, and what is given back."""

import math
from collections import Counter
from collections.abc import Callable
from copy import copy

import trio

from nexus3.actors.gates.gatekeeper import Gatekeeper
from nexus3.actors.gates.retry import MIN_ATTEMPT
from nexus3.actors.gates.verdict import PASS, Pass, Refuse, Verdict, Wait, within
from nexus3.actors.slot.alarm import Alarm
from nexus3.actors.slot.mailbox import Mailbox
from nexus3.actors.slot.places import Places
from nexus3.actors.ticket import Ticket
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.events import UNKNOWN_PRICE, Notice, StreamComplete, StreamFailed
from nexus3.wire.failures import Failure, fail
from nexus3.wire.messages import Usage


class Dispatch:
    """One slot's; outlives the incarnations that take tickets from it."""

    def __init__(
        self,
        actor: str,
        mailbox: Mailbox,
        gates: Gatekeeper,
        places: Places,
        alarm: Alarm,
        counters: Counter[str],
        log: Log,
        give_up: Callable[[Ticket, Failure], None],
    ) -> None:
        """``give_up`` ends a ticket here that may not begin. The alarm must ring at ``opens_at`` and at the mailbox's
        earliest deadline, or before."""
        self.start: Callable[[Ticket], None] | None = None
        """Begins a registered ticket's work on the present generation; its own. ``None`` where there is none."""
        self.opens_at = math.inf
        """When the gates will let through what they keep waiting, or what was postponed is due."""
        self._actor = actor
        self._mailbox = mailbox
        self._gates = gates
        self._places = places
        self._alarm = alarm
        self._counters = counters
        self._log = log
        self._give_up = give_up
        self._said_full = False
        self._work = trio.Event()

    # -- in

    def queue(self, ticket: Ticket, now: float, *, at_once: bool) -> None:
        """Where nobody waits and a place is free, a ticket that may begin ``at_once`` goes straight to it: the way
        through the mailbox and its loop would cost a short request a tenth of all its time."""
        verdict = self._may_start(ticket, now)
        if isinstance(verdict, Refuse):
            self._counters[f"refused.{verdict.failure.reason}"] += 1
            self._give_up(ticket, verdict.failure)
            return
        free = self._places.free
        if at_once and free and self.start is not None and verdict is PASS and not self._mailbox:
            self._begin(ticket, now)
            self.start(ticket)
        elif (refusal := self._mailbox.put(ticket, free)) is not None:
            if refusal.reason == "mailbox_full" and not self._said_full:
                self._said_full = True
                self._log(catalog.MAILBOX_FULL, {"actor": self._actor, "waiting": len(self._mailbox)})
            self._give_up(ticket, refusal)
        else:
            self._said_full = False
            self._work.set()

    def postpone(self, ticket: Ticket, due: float) -> None:
        """Back into the mailbox until ``due``: the next attempt holds no place before. Nothing where it is settled."""
        if ticket.terminal is not None:
            return
        ticket.state = "queued"
        ticket.scope = ticket.decoder = None
        self._mailbox.put_back(ticket, due)
        self._open_at(min(self.opens_at, due))

    # -- out

    def wake(self) -> None:
        """Whoever waits in :meth:`next_ticket` looks again: there is mail, a place, or no more to wait for."""
        self._work.set()

    def ring(self, now: float) -> None:
        """Some time has come: what the gates kept waiting may go, and what is queued is ended at its deadline."""
        if self.opens_at <= now:
            self.opens_at = math.inf
            self._work.set()
        self._mailbox.expire(now)

    async def next_ticket(self, retired: trio.Event) -> Ticket | None:
        """Wait for mail and a free place; the ticket is registered as running when this returns.

        ``None`` when the generation that asks is ``retired``.
        """
        places = self._places
        while not retired.is_set():
            if not (places.is_paused or places.is_ending) and len(places.holders) < places.count:
                ticket = self._next_able()
                if ticket is not None:
                    return ticket
            self._work = trio.Event()
            await self._work.wait()
        return None

    def _next_able(self) -> Ticket | None:
        """The next ticket that the gates let through, registered as running, with its stake in them.

        Those that they refuse are given up on the way. What keeps one request of a model waiting keeps all others of
        that model waiting behind it: a smaller one that slipped through would take what the larger one waits for.
        """
        now = trio.current_time()
        waiting = set[str]()
        waiting_callers = set[str | None]()
        refused = dict[Ticket, Failure]()
        opens_at = math.inf

        def may_go(ticket: Ticket) -> bool:
            nonlocal opens_at
            if ticket.model in waiting or ticket.caller in waiting_callers:
                return False
            match self._may_start(ticket, now):
                case Pass():
                    return True
                case Refuse(failure):
                    refused[ticket] = failure
                    return True
                case Wait(until=until, is_callers=is_callers):
                    if is_callers:
                        waiting_callers.add(ticket.caller)
                    else:
                        waiting.add(ticket.model)
                    if until is not None:
                        opens_at = min(opens_at, until)
                    return False

        while (ticket := self._mailbox.take(may_go)) is not None:
            if (failure := refused.pop(ticket, None)) is None:
                self._begin(ticket, now)
                return ticket
            self._counters[f"refused.{failure.reason}"] += 1
            # What really went wrong says more than that it cannot be tried again.
            self._give_up(ticket, ticket.attempt_failure or failure)
        self._open_at(min(opens_at, self._mailbox.next_due()))
        return None

    def _may_start(self, ticket: Ticket, now: float) -> Verdict:
        verdict = self._gates.ask(ticket.ask, now)
        return within(verdict, min(ticket.deadline, ticket.patience) - MIN_ATTEMPT)

    def _begin(self, ticket: Ticket, now: float) -> None:
        ticket.stake = self._gates.begin(ticket.ask, now, is_first=not ticket.attempts)
        if ticket.stake.bill is not None and ticket.stake.bill.lacks_price and not ticket.attempts_here:
            ticket.pending_notices.append(_UNKNOWN_PRICE)
        ticket.state = "running"
        ticket.sent = False  # what an earlier attempt sent has had its answer
        ticket.started_at = ticket.started_at or now
        self._places.holders.add(ticket)

    def _open_at(self, time: float) -> None:
        self.opens_at = time
        self._alarm.by(time)

    # -- a second attempt beside the first

    def hedge_delay(self, ticket: Ticket) -> float | None:
        """Seconds after which an attempt that begins now is sent a second time; ``None`` where it is not."""
        return self._gates.hedge_delay(ticket.ask, queued=len(self._mailbox), now=trio.current_time())

    def begin_hedge(self, ticket: Ticket) -> Ticket | None:
        """A copy of a running ticket, for a second attempt beside the first, with a place and a stake of its own to be
        given back; ``None`` where none may begin now. Nobody who waits is made to wait longer by it."""
        now = trio.current_time()
        if not self._places.free:
            return None
        stake = self._gates.begin_hedge(ticket.ask, queued=len(self._mailbox), now=now)
        if stake is None:
            return None
        second = copy(ticket)
        second.stake = stake
        second.sent = False
        second.decoder = None
        second.untold, second.pending_notices = [], []
        self._places.holders.add(second)
        return second

    # -- what the attempt had taken

    def take_stake(self, ticket: Ticket) -> None:
        """What the attempt had taken from the gates goes back to them, with what came of it. Once."""
        stake, ticket.stake = ticket.stake, None
        if stake is None:
            return
        terminal, failure = ticket.terminal, ticket.attempt_failure
        if failure is None and not isinstance(terminal, StreamComplete):
            failure = terminal.error.failure if isinstance(terminal, StreamFailed) else _INTERRUPTED
        begins_to_cool = self._gates.ended(
            stake,
            failure,
            _usage_of(ticket),
            sent=ticket.sent,
            time_given=ticket.deadline - ticket.accepted_at,
            now=trio.current_time(),
            lag=ticket.lag,
        )
        if begins_to_cool:
            self._turn_away(stake.model)

    def _turn_away(self, model: str) -> None:
        """A cooldown began: who cannot wait for its end is told now."""
        now = trio.current_time()
        for ticket in self._mailbox.waiting():
            if ticket.model == model and isinstance(verdict := self._may_start(ticket, now), Refuse):
                self._mailbox.remove(ticket)
                self._give_up(ticket, ticket.attempt_failure or verdict.failure)


def _usage_of(ticket: Ticket) -> Usage | None:
    """What the provider has stated of the last attempt."""
    if isinstance(ticket.terminal, StreamComplete):
        return ticket.terminal.usage
    return None if ticket.decoder is None else ticket.decoder.usage


_UNKNOWN_PRICE = Notice(
    UNKNOWN_PRICE, "The price of this model is not known: what the request costs counts in no cap on money."
)

_INTERRUPTED = fail("actor_crashed", "interrupted", "The incarnation ended.", retryable=True)
