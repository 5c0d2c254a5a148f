"""What outlives incarnations: a provider's name, mailbox, ledger and counters. Handles point at slots.

The slot is plain synchronous state. The incarnation takes tickets from it; the supervisor tells it, through
:meth:`Slot.on_state`, how its child fares; neither knows the other.
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable
from copy import copy
from random import Random
from typing import Literal

import trio

from nexus3.actors.alarm import Alarm
from nexus3.actors.billing import Billing
from nexus3.actors.fate import fate_of
from nexus3.actors.gatekeeper import Gatekeeper
from nexus3.actors.gates.retry import MIN_ATTEMPT
from nexus3.actors.gates.verdict import PASS, Pass, Refuse, Verdict, Wait, within
from nexus3.actors.mailbox import Mailbox
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.route import wants_stream
from nexus3.actors.tap import Tap
from nexus3.actors.ticket import Ticket
from nexus3.observe import catalog
from nexus3.observe.genai import ESTABLISHED, GenAI
from nexus3.observe.log import Line, Log
from nexus3.observe.settled import settled_attributes
from nexus3.wire.events import MAYBE_BILLED_TWICE, UNKNOWN_PRICE, Notice, StreamComplete, StreamFailed, Terminal
from nexus3.wire.failures import Failure, fail
from nexus3.wire.messages import Usage

ChildState = Literal["starting", "ready", "restarting", "parked", "stopped"]
"""As the supervisor words it; spelled again here because neither side imports the other."""


CANCEL_GRACE = 5.0
"""Seconds after which the work of a settled request that still holds its place is reported as stuck."""

SUSPECT_WITHIN = 60.0
"""Seconds between two crashes within which the retry state that outlived the first one is made anew."""

BACKSTOP_GRACE = 1.0
"""Seconds past its deadline after which a request that nobody has settled is. Reaching it is a bug, and counted."""


class Slot:
    """One configured provider. Lives as long as its supervisor."""

    def __init__(
        self,
        provider: ResolvedProvider,
        log: Log,
        names: GenAI = ESTABLISHED,
        rng: Random | None = None,
        billing: Billing | None = None,
    ) -> None:
        """``rng`` and ``billing`` are the supervisor's; without them the slot has its own."""
        self.name = provider.name
        self.provider = provider
        limits = provider.limits
        self.mailbox = Mailbox(
            limits.mailbox_capacity,
            per_caller=limits.mailbox_per_caller,
            on_full=limits.on_full,
            promote_after=limits.promote_after,
            weights=limits.caller_weights,
        )
        self.tickets: dict[str, Ticket] = {}
        """The ledger: every accepted ticket that is not settled."""
        self.running: set[Ticket] = set()
        """Tickets that hold a place on the incarnation; a settled one holds it until its work has really ended."""
        self.state: ChildState = "starting"
        self.generation = 0
        self.restarts = 0
        self.counters: Counter[str] = Counter()
        dice = rng or Random()  # noqa: S311 - jitter, no secret
        self.gates = Gatekeeper(provider, trio.current_time(), dice, log, self.counters, billing, self._wake)
        self.move_on: Callable[[Ticket, Failure], bool] = lambda _ticket, _failure: False
        """Finds another slot for a ticket that failed here before any content; the front desk's. True where it did."""
        self.tap: Tap | None = None
        """Listens to every attempt made here, but for those of tickets with a tap of their own."""
        self.fault: trio.Event = trio.Event()
        """Set to make the present incarnation crash (``nexus3.testing.crash``)."""
        self._closed: Failure | None = None
        self._log = log
        self._names = names
        self._said_full = False
        self.is_paused = False
        self._retired = trio.Event()
        self.start: Callable[[Ticket], None] | None = None
        """Begins a registered ticket's work on the present generation; its own. ``None`` where there is none."""
        self._work = trio.Event()
        self._idle = trio.Event()
        self._rest = trio.Event()
        self._alarm = Alarm()
        self._opens_at = math.inf
        """When the gates will let through what they keep waiting, or what was postponed is due."""
        self._crashed_at = -math.inf
        self._leaving: dict[Ticket, float] = {}
        """Settled tickets whose work was told to end and holds its place, and when it will be called stuck."""

    # -- the caller's side

    def admit(self, ticket: Ticket) -> None:
        """Accept the ticket, or settle it with the reason why not. Synchronous: there is no state in between."""
        ticket.on_settled = self._settled
        self.tickets[ticket.id] = ticket
        self._alarm.by(ticket.deadline)
        self.counters["accepted"] += 1
        ticket.state = "queued"
        ticket.context.run(
            self._log,
            catalog.REQUEST_ACCEPTED,
            lambda: {
                "request": ticket.id,
                "caller": ticket.caller,
                "actor": self.name,
                "model": ticket.model,
                "deadline": ticket.deadline - ticket.accepted_at,
            },
        )
        self._queue(ticket)

    @trio.lowlevel.enable_ki_protection
    def take_over(self, ticket: Ticket) -> None:
        """Take a ticket that another slot has accepted, and given up: its number, deadline and reader stay."""
        ticket.on_settled = self._settled
        self.tickets[ticket.id] = ticket
        self._alarm.by(ticket.deadline)
        ticket.state = "queued"
        self._queue(ticket)

    def _queue(self, ticket: Ticket) -> None:
        """Where nobody waits and a place is free, the ticket goes straight to it: the way through the mailbox and its
        loop would cost a short request a tenth of all its time."""
        if self._closed is not None:
            self.give_up(ticket, self._closed)
            return
        if self.state == "parked":
            self.give_up(ticket, _PARKED)
            return
        now = trio.current_time()
        verdict = self._may_start(ticket, now)
        if isinstance(verdict, Refuse):
            self.counters[f"refused.{verdict.failure.reason}"] += 1
            self.give_up(ticket, verdict.failure)
            return
        free = self._free_places()
        if free and self.start is not None and verdict is PASS and not self.mailbox:
            self._begin(ticket, now)
            self.start(ticket)
        elif (refusal := self.mailbox.put(ticket, free)) is not None:
            if refusal.reason == "mailbox_full" and not self._said_full:
                self._said_full = True
                self._log(catalog.MAILBOX_FULL, {"actor": self.name, "waiting": len(self.mailbox)})
            self.give_up(ticket, refusal)
        else:
            self._said_full = False
            self._work.set()

    def _free_places(self) -> int:
        """Places that nobody holds, and that somebody would be given now."""
        if self.is_paused or self.state != "ready":
            return 0
        return max(0, self.provider.limits.max_connections - len(self.running))

    def give_up(self, ticket: Ticket, failure: Failure) -> None:
        """End a ticket here: it goes on at its next fallback where it may, else it is settled with ``failure``."""
        if ticket.terminal is None and not self.move_on(ticket, failure):
            ticket.fail(failure)

    def let_go(self, ticket: Ticket) -> None:
        """Forget a ticket that another slot takes over. Its place, if it has one, it gives back when its work ends;
        its stake in the gates here and now, while it is known how the attempt ended."""
        self.take_stake(ticket)
        self.tickets.pop(ticket.id, None)
        self.mailbox.remove(ticket)
        if not self.tickets:
            self._idle.set()
            self._became_idle()

    @trio.lowlevel.enable_ki_protection
    def close(self, reason: Failure) -> None:
        """Refuse new tickets from here on, with ``reason``."""
        self._closed = reason

    @property
    def is_able(self) -> bool:
        """A request sent here now would be served soon, as far as the slot can tell."""
        return (
            self.state in ("starting", "ready", "restarting")
            and not self.is_paused
            and self._closed is None
            and (not self.mailbox.is_full(self._free_places()) or self.provider.limits.on_full == "wait")
            and self.gates.breaker.state != "open"
            and self.provider.unconfigured is None
        )

    @property
    def is_closed(self) -> bool:
        """New tickets are refused."""
        return self._closed is not None

    @trio.lowlevel.enable_ki_protection
    def settle_all(self, reason: Failure) -> None:
        """End every live ticket now."""
        for ticket in list(self.tickets.values()):
            ticket.fail(reason)

    async def drained(self) -> None:
        """Wait until the ledger is empty. Bounded where no new tickets come: each has a deadline."""
        while self.tickets:
            if self._idle.is_set():  # others may be waiting for this one
                self._idle = trio.Event()
            await self._idle.wait()

    def _wake(self) -> None:
        if self.mailbox:
            self._work.set()

    # -- deadlines

    @trio.lowlevel.enable_ki_protection
    async def keep_time(self) -> None:
        """The two enforcers of deadlines that need no incarnation: the mailbox's reaper, and the backstop.

        The reaper ends what is queued at its deadline. The backstop ends what should have been ended by its work's own
        scope, so that no reader ever hangs; it has to act only where we have a bug, and counts it. Outlives
        incarnations; runs until :meth:`stop_time`.
        """
        await self._alarm.run(self._ring)

    def _ring(self, now: float) -> float:
        if self._opens_at <= now:
            self._opens_at = math.inf
            self._work.set()
        self.mailbox.expire(now)
        for ticket in list(self.tickets.values()):
            if ticket.deadline + BACKSTOP_GRACE <= now:
                ticket.fail(fail("internal", "backstop", "The deadline passed, and nothing settled it."))
        self._tell_stuck(now)
        ends = (ticket.deadline + BACKSTOP_GRACE for ticket in self.tickets.values())
        return min(self.mailbox.earliest(), self._opens_at, *ends, *self._leaving.values(), math.inf)

    def _tell_stuck(self, now: float) -> None:
        """No task can be killed: whoever ignores its cancellation holds its place, and all that can be done is to say
        where it stands."""
        for ticket, at in list(self._leaving.items()):
            if at <= now:
                del self._leaving[ticket]
                frames = ticket.task.iter_await_frames() if ticket.task is not None else ()
                stack = "".join(traceback.StackSummary.extract(frames).format())
                which = {"actor": self.name, "generation": self.generation, "stack": stack}
                ticket.context.run(self._log, catalog.ACTOR_STUCK, which)

    def stop_time(self) -> None:
        """End :meth:`keep_time`. Every ticket must have been settled."""
        self._alarm.stop()

    # -- the operator's side

    @trio.lowlevel.enable_ki_protection
    def pause(self) -> None:
        """Take no more tickets from the mailbox; what runs goes on, new requests queue (their deadlines run)."""
        self.is_paused = True
        self._log(catalog.ACTOR_PAUSED, {"actor": self.name})

    async def at_rest(self) -> None:
        """Wait until no ticket holds a place. Bounded where the slot is paused: each has a deadline."""
        while self.running:
            if self._rest.is_set():
                self._rest = trio.Event()
            await self._rest.wait()

    @trio.lowlevel.enable_ki_protection
    def resume(self) -> None:
        """Undo :meth:`pause`, and :meth:`close`."""
        self._closed = None
        self.unpause()

    def unpause(self) -> None:
        """Undo :meth:`pause` alone."""
        self.is_paused = False
        self._log(catalog.ACTOR_RESUMED, {"actor": self.name})
        self._work.set()

    @trio.lowlevel.enable_ki_protection
    def reconfigure(self, provider: ResolvedProvider) -> None:
        """New settings and connections for every ticket that has not started; the old ones drain beside them."""
        self.provider = provider
        self.gates.reconfigure(provider, trio.current_time())
        self.start = None
        self._retired.set()
        self._work.set()

    # -- the incarnation's side

    def new_generation(self) -> trio.Event:
        """A generation of settings and connections begins; the event is set when the next one shall take over."""
        self.generation += 1
        self._retired = trio.Event()
        return self._retired

    async def next_ticket(self, retired: trio.Event) -> Ticket | None:
        """Wait for mail and a free place; the ticket is registered as running when this returns.

        ``None`` when the generation that asks is ``retired``.
        """
        while not retired.is_set():
            if not self.is_paused and len(self.running) < self.provider.limits.max_connections:
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

        while (ticket := self.mailbox.take(may_go)) is not None:
            if (failure := refused.pop(ticket, None)) is None:
                self._begin(ticket, now)
                return ticket
            self.counters[f"refused.{failure.reason}"] += 1
            # What really went wrong says more than that it cannot be tried again.
            self.give_up(ticket, ticket.attempt_failure or failure)
        self._open_at(min(opens_at, self.mailbox.next_due()))
        return None

    def _begin(self, ticket: Ticket, now: float) -> None:
        ticket.stake = self.gates.begin(ticket.ask, now, is_first=not ticket.attempts)
        if ticket.stake.bill is not None and ticket.stake.bill.lacks_price and not ticket.attempts_here:
            ticket.pending_notices.append(_UNKNOWN_PRICE)
        ticket.state = "running"
        ticket.sent = False  # what an earlier attempt sent has had its answer
        ticket.started_at = ticket.started_at or now
        self.running.add(ticket)

    def _may_start(self, ticket: Ticket, now: float) -> Verdict:
        verdict = self.gates.ask(ticket.ask, now)
        return within(verdict, min(ticket.deadline, ticket.patience) - MIN_ATTEMPT)

    def _open_at(self, time: float) -> None:
        self._opens_at = time
        self._alarm.by(time)

    def postpone(self, ticket: Ticket, due: float) -> None:
        """Back into the mailbox until ``due``: the next attempt holds no place before. Nothing where it is settled."""
        if ticket.terminal is not None:
            return
        ticket.state = "queued"
        ticket.scope = ticket.decoder = None
        self.mailbox.put_back(ticket, due)
        self._open_at(min(self._opens_at, due))

    def release(self, ticket: Ticket) -> None:
        """The ticket's work has ended, whatever became of it: its place is free."""
        self.free_place(ticket)
        self.take_stake(ticket)
        if ticket.state == "running" and ticket.id in self.tickets:
            self.start = None  # it was cancelled, and so is the whole generation: what comes now waits for the next

    def free_place(self, ticket: Ticket) -> None:
        """Give back a place; nothing happens where it has none."""
        self.running.discard(ticket)
        if self.mailbox:
            self._work.set()
        self._leaving.pop(ticket, None)
        if not self.running:
            self._rest.set()
            if not self.tickets:
                self._became_idle()

    def hedge_delay(self, ticket: Ticket) -> float | None:
        """Seconds after which an attempt that begins now is sent a second time; ``None`` where it is not."""
        return self.gates.hedge_delay(ticket.ask, queued=len(self.mailbox), now=trio.current_time())

    def begin_hedge(self, ticket: Ticket) -> Ticket | None:
        """A copy of a running ticket, for a second attempt beside the first, with a place and a stake of its own to be
        given back; ``None`` where none may begin now. Nobody who waits is made to wait longer by it."""
        now = trio.current_time()
        if not self._free_places():
            return None
        stake = self.gates.begin_hedge(ticket.ask, queued=len(self.mailbox), now=now)
        if stake is None:
            return None
        second = copy(ticket)
        second.stake = stake
        second.sent = False
        second.decoder = None
        second.untold, second.pending_notices = [], []
        self.running.add(second)
        return second

    def take_stake(self, ticket: Ticket) -> None:
        """What the attempt had taken from the gates goes back to them, with what came of it. Once."""
        stake, ticket.stake = ticket.stake, None
        if stake is None:
            return
        terminal, failure = ticket.terminal, ticket.attempt_failure
        if failure is None and not isinstance(terminal, StreamComplete):
            failure = terminal.error.failure if isinstance(terminal, StreamFailed) else _INTERRUPTED
        begins_to_cool = self.gates.ended(
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
        for ticket in self.mailbox.waiting():
            if ticket.model == model and isinstance(verdict := self._may_start(ticket, now), Refuse):
                self.mailbox.remove(ticket)
                self.give_up(ticket, ticket.attempt_failure or verdict.failure)

    # -- the supervisor's side

    def on_state(self, state: ChildState, _: int, error: BaseException | None) -> None:
        """How the child fares. ``error`` is the crash that ended the last incarnation, where one did.

        The supervisor counts incarnations; the slot's own count has those that a reconfiguration began as well.
        """
        self.state = state
        which = {"actor": self.name, "generation": self.generation}
        if error is not None:
            self._log(catalog.ACTOR_CRASHED, {**which, "error": f"{type(error).__name__}: {error}"})
        match state:
            case "starting":
                self.fault = trio.Event()
            case "ready":
                self._log(catalog.ACTOR_STARTED, which)
            case "restarting":
                self._log(catalog.ACTOR_RESTARTING, which)
                self.restarts += 1
                self._recover()
                now = trio.current_time()
                if now - self._crashed_at < SUSPECT_WITHIN:
                    self.gates.forget(self.provider, now)
                self._crashed_at = now
            case "parked":
                self._log(catalog.ACTOR_PARKED, which)
                self._recover()
                for ticket in self.mailbox.waiting():
                    self.give_up(ticket, _PARKED)
            case "stopped":
                self._log(catalog.ACTOR_STOPPED, which)

    def _recover(self) -> None:
        """Decide the fate of what ran on the dead incarnation. Queued tickets are kept; those that are put back come
        before them, in their order."""
        running = [ticket for ticket in self.tickets.values() if ticket.state == "running"]
        running.sort(key=lambda ticket: ticket.accepted_at)
        for ticket in reversed(running):
            ticket.crashes += 1
            failure = fate_of(ticket, retry_unsafe=self.provider.retry_unsafe)
            if failure is None:
                self._requeue(ticket)
            else:
                ticket.fail(failure)
        self.running.clear()

    def _requeue(self, ticket: Ticket) -> None:
        if ticket.sent:
            ticket.pending_notices.append(
                Notice(MAYBE_BILLED_TWICE, "The actor crashed after the request was sent; it is sent again.")
            )
        ticket.sent = False
        ticket.decoder = None
        ticket.scope = None
        ticket.state = "queued"
        self.mailbox.put_back(ticket)
        self._alarm.by(ticket.deadline)
        self.counters["requeued"] += 1
        ticket.context.run(
            self._log,
            catalog.REQUEST_REQUEUED,
            {"request": ticket.id, "actor": self.name, "crashes": ticket.crashes},
        )

    # -- the ledger

    def _settled(self, ticket: Ticket) -> None:
        """The one end of every ticket: out of the ledger and the mailbox, counted; told last, when all of it holds."""
        self.tickets.pop(ticket.id, None)
        self.mailbox.remove(ticket)
        now = trio.current_time()
        terminal = ticket.terminal
        assert terminal is not None
        outcome = "completed" if isinstance(terminal, StreamComplete) else terminal.error.kind
        self.counters["settled"] += 1
        self.counters[f"outcome.{outcome}"] += 1
        if isinstance(terminal, StreamComplete) and ticket.stake is not None and ticket.stake.bill is not None:
            # At once, not when the connection is drained: who goes on from this answer is asked by what it cost.
            ticket.stake.bill.settle(terminal.usage, served=True, whole=True)
        if not self.tickets:
            self._idle.set()
        if ticket in self.running and ticket.scope is not None:
            self._leaving[ticket] = now + CANCEL_GRACE
            self._alarm.by(now + CANCEL_GRACE)
        elif not self.tickets:
            self._became_idle()
        if isinstance(terminal, StreamFailed):
            self._tell_what_ended_it(ticket, terminal.error.reason)
        ticket.context.run(self._log, catalog.REQUEST_SETTLED, lambda: self._wide_line(ticket, terminal, now))

    def _became_idle(self) -> None:
        self._opens_at = math.inf
        if not self._leaving:
            self._alarm.off()

    def _wide_line(self, ticket: Ticket, terminal: Terminal, now: float) -> Line:
        return settled_attributes(
            terminal,
            names=self._names,
            id=ticket.id,
            caller=ticket.caller,
            actor=self.name,
            generation=self.generation,
            provider=self.provider.type,
            base_url=self.provider.base_url,
            model=ticket.model,
            request=ticket.request,
            stream=wants_stream(self.provider, ticket.route.settings if ticket.route else None),
            attempts=ticket.attempts,
            crashes=ticket.crashes,
            emitted=ticket.emitted,
            queue_s=(ticket.started_at or now) - ticket.accepted_at,
            first_event_s=ticket.first_event_at and ticket.first_event_at - ticket.accepted_at,
            total_s=now - ticket.accepted_at,
        )

    def _tell_what_ended_it(self, ticket: Ticket, reason: str) -> None:
        """What an operator wants to see beside the request's own line: a full mailbox, a bug of ours."""
        match reason:
            case "backstop":
                self.counters["backstop"] += 1
                self._log(catalog.BACKSTOP, {"request": ticket.id, "actor": self.name})
            case "shed":
                ticket.context.run(self._log, catalog.MAILBOX_SHED, {"request": ticket.id, "actor": self.name})
            case "deadline_queued":
                seconds = ticket.deadline - ticket.accepted_at
                which = {"request": ticket.id, "actor": self.name, "seconds": seconds}
                ticket.context.run(self._log, catalog.MAILBOX_EXPIRED, which)
            case _:
                pass


def _usage_of(ticket: Ticket) -> Usage | None:
    """What the provider has stated of the last attempt."""
    if isinstance(ticket.terminal, StreamComplete):
        return ticket.terminal.usage
    return None if ticket.decoder is None else ticket.decoder.usage


_PARKED = fail("unavailable", "parked", "The provider's actor crashed too often and is parked for a while.")

_UNKNOWN_PRICE = Notice(
    UNKNOWN_PRICE, "The price of this model is not known: what the request costs counts in no cap on money."
)

_INTERRUPTED = fail("actor_crashed", "interrupted", "The incarnation ended.", retryable=True)
