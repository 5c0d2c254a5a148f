"""Every accepted ticket that is not settled: how it comes in, and the one way out.

The ledger outlives incarnations. What a crash leaves behind is decided here, and what nobody else has ended is ended
here. The line that says everything about a finished request is written as it leaves.
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable

import trio

from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.route import wants_stream
from nexus3.actors.slot.alarm import Alarm
from nexus3.actors.slot.fate import fate_of
from nexus3.actors.slot.mailbox import Mailbox
from nexus3.actors.slot.places import Places
from nexus3.actors.ticket import Ticket
from nexus3.observe import catalog
from nexus3.observe.genai import GenAI
from nexus3.observe.log import Line, Log
from nexus3.observe.settled import settled_attributes
from nexus3.wire.events import MAYBE_BILLED_TWICE, Notice, StreamComplete, StreamFailed, Terminal
from nexus3.wire.failures import Failure, fail

BACKSTOP_GRACE = 1.0
"""Seconds past its deadline after which a request that nobody has settled is. Reaching it is a bug, and counted."""


class Ledger:
    """One slot's. Whoever leaves it has left the mailbox too; its place it gives back when its work ends."""

    def __init__(
        self,
        provider: ResolvedProvider,
        mailbox: Mailbox,
        places: Places,
        alarm: Alarm,
        counters: Counter[str],
        log: Log,
        names: GenAI,
        on_idle: Callable[[], None],
    ) -> None:
        """``on_idle`` is called when the last ticket has left, unless its work was told to end and has not. The alarm
        must ring at :meth:`next_end` or before."""
        self.provider = provider
        """The settings as they are now; the slot's to keep, as is the generation."""
        self.generation = 0
        self.tickets: dict[str, Ticket] = {}
        self._mailbox = mailbox
        self._places = places
        self._alarm = alarm
        self._counters = counters
        self._log = log
        self._names = names
        self._on_idle = on_idle
        self._idle = trio.Event()

    # -- who comes and goes

    def admit(self, ticket: Ticket) -> None:
        """Enter a new ticket: it is accepted."""
        ticket.on_settled = self._settled
        self.tickets[ticket.id] = ticket
        self._alarm.by(ticket.deadline)
        self._counters["accepted"] += 1
        ticket.state = "queued"
        ticket.context.run(
            self._log,
            catalog.REQUEST_ACCEPTED,
            lambda: {
                "request": ticket.id,
                "caller": ticket.caller,
                "actor": self.provider.name,
                "model": ticket.model,
                "deadline": ticket.deadline - ticket.accepted_at,
            },
        )

    def take_over(self, ticket: Ticket) -> None:
        """Enter a ticket that another ledger has let go."""
        ticket.on_settled = self._settled
        self.tickets[ticket.id] = ticket
        self._alarm.by(ticket.deadline)
        ticket.state = "queued"

    def let_go(self, ticket: Ticket) -> None:
        """Forget a ticket that another one takes over."""
        self.tickets.pop(ticket.id, None)
        self._mailbox.remove(ticket)
        if not self.tickets:
            self._idle.set()
            self._on_idle()

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

    # -- what nobody has ended

    def stop_hanging(self, now: float) -> None:
        """The backstop ends what should have been ended by its work's own scope, so that no reader ever hangs; it has
        to act only where we have a bug, and counts it. Work that ignores its end is told with where it stands."""
        for ticket in list(self.tickets.values()):
            if ticket.deadline + BACKSTOP_GRACE <= now:
                ticket.fail(fail("internal", "backstop", "The deadline passed, and nothing settled it."))
        for ticket in self._places.stuck(now):
            frames = ticket.task.iter_await_frames() if ticket.task is not None else ()
            stack = "".join(traceback.StackSummary.extract(frames).format())
            which = {"actor": self.provider.name, "generation": self.generation, "stack": stack}
            ticket.context.run(self._log, catalog.ACTOR_STUCK, which)

    def next_end(self) -> float:
        """When :meth:`stop_hanging` is due; infinite where it is not."""
        ends = (ticket.deadline + BACKSTOP_GRACE for ticket in self.tickets.values())
        return min(self._places.next_stuck(), *ends, math.inf)

    # -- crashes

    def recover(self) -> None:
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
        self._places.holders.clear()

    def _requeue(self, ticket: Ticket) -> None:
        if ticket.sent:
            ticket.pending_notices.append(
                Notice(MAYBE_BILLED_TWICE, "The actor crashed after the request was sent; it is sent again.")
            )
        ticket.sent = False
        ticket.decoder = None
        ticket.scope = None
        ticket.state = "queued"
        self._mailbox.put_back(ticket)
        self._alarm.by(ticket.deadline)
        self._counters["requeued"] += 1
        ticket.context.run(
            self._log,
            catalog.REQUEST_REQUEUED,
            {"request": ticket.id, "actor": self.provider.name, "crashes": ticket.crashes},
        )

    # -- the way out

    def _settled(self, ticket: Ticket) -> None:
        """The one end of every ticket: out of the ledger and the mailbox, counted; told last, when all of it holds."""
        self.tickets.pop(ticket.id, None)
        self._mailbox.remove(ticket)
        now = trio.current_time()
        terminal = ticket.terminal
        assert terminal is not None
        outcome = "completed" if isinstance(terminal, StreamComplete) else terminal.error.kind
        self._counters["settled"] += 1
        self._counters[f"outcome.{outcome}"] += 1
        if isinstance(terminal, StreamComplete) and ticket.stake is not None and ticket.stake.bill is not None:
            # At once, not when the connection is drained: who goes on from this answer is asked by what it cost.
            ticket.stake.bill.settle(terminal.usage, served=True, whole=True)
        if not self.tickets:
            self._idle.set()
        if ticket in self._places.holders and ticket.scope is not None:
            self._alarm.by(self._places.told_to_leave(ticket, now))
        elif not self.tickets:
            self._on_idle()
        if isinstance(terminal, StreamFailed):
            self._tell_what_ended_it(ticket, terminal.error.reason)
        ticket.context.run(self._log, catalog.REQUEST_SETTLED, lambda: self._wide_line(ticket, terminal, now))

    def _wide_line(self, ticket: Ticket, terminal: Terminal, now: float) -> Line:
        return settled_attributes(
            terminal,
            names=self._names,
            id=ticket.id,
            caller=ticket.caller,
            actor=self.provider.name,
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
        which = {"request": ticket.id, "actor": self.provider.name}
        match reason:
            case "backstop":
                self._counters["backstop"] += 1
                self._log(catalog.BACKSTOP, which)
            case "shed":
                ticket.context.run(self._log, catalog.MAILBOX_SHED, which)
            case "deadline_queued":
                seconds = ticket.deadline - ticket.accepted_at
                ticket.context.run(self._log, catalog.MAILBOX_EXPIRED, {**which, "seconds": seconds})
            case _:
                pass
