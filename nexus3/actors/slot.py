"""What outlives incarnations: a provider's name, mailbox, ledger and counters. Handles point at slots.

The slot is plain synchronous state. The incarnation takes tickets from it; the supervisor tells it, through
:meth:`Slot.on_state`, how its child fares; neither knows the other.
"""

import math
from collections import Counter
from typing import Literal

import trio

from nexus3.actors.mailbox import Mailbox
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.route import wants_stream
from nexus3.actors.ticket import Ticket
from nexus3.observe import catalog
from nexus3.observe.genai import ESTABLISHED, GenAI
from nexus3.observe.log import Line, Log
from nexus3.observe.settled import settled_attributes
from nexus3.wire.events import MAYBE_BILLED_TWICE, Notice, StreamComplete, StreamFailed, Terminal
from nexus3.wire.failures import Failure, fail

ChildState = Literal["starting", "ready", "restarting", "parked", "stopped"]
"""As the supervisor words it; spelled again here because neither side imports the other."""


BACKSTOP_GRACE = 1.0
"""Seconds past its deadline after which a request that nobody has settled is. Reaching it is a bug, and counted."""


class Slot:
    """One configured provider. Lives as long as its supervisor."""

    def __init__(self, provider: ResolvedProvider, log: Log, names: GenAI = ESTABLISHED) -> None:
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
        self.fault: trio.Event = trio.Event()
        """Set to make the present incarnation crash (``nexus3.testing.crash``)."""
        self._closed: Failure | None = None
        self._log = log
        self._names = names
        self._said_full = False
        self.is_paused = False
        self._retired = trio.Event()
        self._work = trio.Event()
        self._idle = trio.Event()
        self._rest = trio.Event()
        self._timekeeping = trio.CancelScope()
        self._alarm = trio.CancelScope()
        self._alarm_at = math.inf

    # -- the caller's side

    def admit(self, ticket: Ticket) -> None:
        """Accept the ticket, or settle it with the reason why not. Synchronous: there is no state in between."""
        ticket.on_settled = self._settled
        self.tickets[ticket.id] = ticket
        if ticket.deadline < self._alarm_at:
            self._wake_at(ticket.deadline)
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
        if self._closed is not None:
            ticket.fail(self._closed)
        elif self.state == "parked":
            ticket.fail(_PARKED)
        elif (refusal := self.mailbox.put(ticket)) is not None:
            if refusal.reason == "mailbox_full" and not self._said_full:
                self._said_full = True
                self._log(catalog.MAILBOX_FULL, {"actor": self.name, "waiting": len(self.mailbox)})
            ticket.fail(refusal)
        else:
            self._said_full = False
            self._work.set()

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
            and (not self.mailbox.is_full or self.provider.limits.on_full == "wait")
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
            self._idle = trio.Event()
            await self._idle.wait()

    # -- deadlines

    @trio.lowlevel.enable_ki_protection
    async def keep_time(self) -> None:
        """The two enforcers of deadlines that need no incarnation: the mailbox's reaper, and the backstop.

        The reaper ends what is queued at its deadline. The backstop ends what should have been ended by its work's own
        scope, so that no reader ever hangs; it has to act only where we have a bug, and counts it.

        One alarm for all, at the earliest deadline: a scope around each reader's wait would cost more than the rest of
        the wait. It is not set while no request is in flight, so that virtual clocks can jump. Outlives incarnations;
        runs until :meth:`stop_time`.
        """
        with self._timekeeping:
            while True:
                with trio.CancelScope(deadline=self._alarm_at) as self._alarm:
                    await trio.sleep_forever()
                now = trio.current_time()
                self.mailbox.expire(now)
                for ticket in list(self.tickets.values()):
                    if ticket.deadline + BACKSTOP_GRACE <= now:
                        ticket.fail(fail("internal", "backstop", "The deadline passed, and nothing settled it."))
                ends = (ticket.deadline + BACKSTOP_GRACE for ticket in self.tickets.values())
                self._alarm_at = min(self.mailbox.earliest(), *ends, math.inf)

    def _wake_at(self, time: float) -> None:
        self._alarm_at = self._alarm.deadline = time

    def stop_time(self) -> None:
        """End :meth:`keep_time`. Every ticket must have been settled."""
        self._timekeeping.cancel(reason="the slot is closed")

    # -- the operator's side

    @trio.lowlevel.enable_ki_protection
    def pause(self) -> None:
        """Take no more tickets from the mailbox; what runs goes on, new requests queue (their deadlines run)."""
        self.is_paused = True
        self._log(catalog.ACTOR_PAUSED, {"actor": self.name})

    async def at_rest(self) -> None:
        """Wait until no ticket holds a place. Bounded where the slot is paused: each has a deadline."""
        while self.running:
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
                ticket = self.mailbox.take()
                if ticket is not None:
                    ticket.state = "running"
                    ticket.started_at = ticket.started_at or trio.current_time()
                    self.running.add(ticket)
                    return ticket
            self._work = trio.Event()
            await self._work.wait()
        return None

    def release(self, ticket: Ticket) -> None:
        """The ticket's work has ended, whatever became of it: its place is free."""
        self.running.discard(ticket)
        if self.mailbox:
            self._work.set()
        if not self.running:
            self._rest.set()

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
            case "parked":
                self._log(catalog.ACTOR_PARKED, which)
                self._recover()
                for ticket in self.mailbox.waiting():
                    ticket.fail(_PARKED)
            case "stopped":
                self._log(catalog.ACTOR_STOPPED, which)

    def _recover(self) -> None:
        """Decide the fate of what ran on the dead incarnation (the decision table's row "actor fault").

        Queued tickets are kept. A ticket that was present at two crashes is poison. One that had emitted fails with
        what was received. The others go back to the front of the queue, in their order; one that may have reached the
        provider says that it may be billed twice, or fails where ``retry_unsafe`` is off.
        """
        running = [ticket for ticket in self.tickets.values() if ticket.state == "running"]
        running.sort(key=lambda ticket: ticket.accepted_at)
        for ticket in reversed(running):
            ticket.crashes += 1
            if ticket.crashes >= 2:
                ticket.fail(
                    fail("actor_crashed", "poison_request", "The actor crashed twice with it.", retryable=False)
                )
            elif ticket.emitted:
                ticket.fail(fail("actor_crashed", "mid_stream", "The actor crashed in mid-stream.", retryable=True))
            elif ticket.sent and not self.provider.retry_unsafe:
                ticket.fail(
                    fail("actor_crashed", "sent", "The actor crashed after the request was sent.", retryable=True)
                )
            else:
                if ticket.sent:
                    ticket.pending_notices.append(
                        Notice(MAYBE_BILLED_TWICE, "The actor crashed after the request was sent; it is sent again.")
                    )
                ticket.sent = False
                ticket.decoder = None
                ticket.scope = None
                ticket.state = "queued"
                self.mailbox.put_back(ticket)
                self._wake_at(min(self._alarm_at, ticket.deadline))
                self.counters["requeued"] += 1
                ticket.context.run(
                    self._log,
                    catalog.REQUEST_REQUEUED,
                    {"request": ticket.id, "actor": self.name, "crashes": ticket.crashes},
                )
        self.running.clear()

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
        if not self.tickets:
            self._idle.set()
            if self._alarm_at != math.inf:
                self._wake_at(math.inf)
        if isinstance(terminal, StreamFailed):
            self._tell_what_ended_it(ticket, terminal.error.reason)
        ticket.context.run(self._log, catalog.REQUEST_SETTLED, lambda: self._wide_line(ticket, terminal, now))

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


_PARKED = fail("unavailable", "parked", "The provider's actor crashed too often and is parked for a while.")
