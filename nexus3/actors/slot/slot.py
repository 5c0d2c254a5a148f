"""What outlives incarnations: a provider's name, mailbox, ledger and counters. Handles point at slots.

The slot is plain synchronous state. The incarnation takes tickets from it; the supervisor tells it, through
:meth:`Slot.on_state`, how its child fares; neither knows the other.

Which tickets there are is the matter of its :mod:`.ledger`, who holds a place that of its :mod:`.places`, whose turn it
is that of its :mod:`.dispatch`. Here is what concerns more than one of them.
"""

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal

import trio

from nexus3.actors.gates.billing import Billing
from nexus3.actors.gates.gatekeeper import Gatekeeper
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.slot.alarm import Alarm
from nexus3.actors.slot.dispatch import Dispatch
from nexus3.actors.slot.ledger import Ledger
from nexus3.actors.slot.mailbox import Mailbox
from nexus3.actors.slot.places import Places
from nexus3.actors.tap import Tap
from nexus3.actors.ticket import Ticket
from nexus3.observe import catalog
from nexus3.observe.genai import ESTABLISHED, GenAI
from nexus3.observe.log import Log
from nexus3.wire.failures import Failure, fail

ChildState = Literal["starting", "ready", "restarting", "parked", "stopped"]
"""As the supervisor words it; spelled again here because neither side imports the other."""


SUSPECT_WITHIN = 60.0
"""Seconds between two crashes within which the retry state that outlived the first one is made anew."""


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
        self.state: ChildState = "starting"
        self.generation = 0
        self.restarts = 0
        self.counters: Counter[str] = Counter()
        self.move_on: Callable[[Ticket, Failure], bool] = lambda _ticket, _failure: False
        """Finds another slot for a ticket that failed here before any content; the front desk's. True where it did."""
        self.tap: Tap | None = None
        """Listens to every attempt made here, but for those of tickets with a tap of their own."""
        self.fault: trio.Event = trio.Event()
        """Set to make the present incarnation crash (``nexus3.testing.crash``)."""
        self._closed: Failure | None = None
        self._log = log
        self._retired = trio.Event()
        self._crashed_at = -math.inf
        self._alarm = Alarm()
        self.mailbox = Mailbox(
            limits.mailbox_capacity,
            per_caller=limits.mailbox_per_caller,
            on_full=limits.on_full,
            promote_after=limits.promote_after,
            weights=limits.caller_weights,
        )
        self.places = Places(limits.max_connections)
        dice = rng or Random()  # noqa: S311 - jitter, no secret
        self.gates = Gatekeeper(provider, trio.current_time(), dice, log, self.counters, billing, self._wake)
        self.ledger = Ledger(
            provider, self.mailbox, self.places, self._alarm, self.counters, log, names, on_idle=self._became_idle
        )
        self.dispatch = Dispatch(
            self.name, self.mailbox, self.gates, self.places, self._alarm, self.counters, log, give_up=self.give_up
        )

    # -- the caller's side

    def admit(self, ticket: Ticket) -> None:
        """Accept the ticket, or settle it with the reason why not. Synchronous: there is no state in between."""
        self.ledger.admit(ticket)
        self._queue(ticket, ticket.accepted_at, at_once=True)

    @trio.lowlevel.enable_ki_protection
    def take_over(self, ticket: Ticket) -> None:
        """Take a ticket that another slot has accepted, and given up: its number, deadline and reader stay."""
        self.ledger.take_over(ticket)
        # Not at once: until this step is over its last attempt has not ended, which may have been here, too.
        self._queue(ticket, trio.current_time(), at_once=False)

    def _queue(self, ticket: Ticket, now: float, *, at_once: bool) -> None:
        if self._closed is not None:
            self.give_up(ticket, self._closed)
        elif self.state == "parked":
            self.give_up(ticket, _PARKED)
        elif self.provider.unconfigured is not None:
            self.give_up(ticket, fail("auth", "missing_key", self.provider.unconfigured))
        else:
            self.dispatch.queue(ticket, now, at_once=at_once)

    def give_up(self, ticket: Ticket, failure: Failure) -> None:
        """End a ticket here: it goes on at its next fallback where it may, else it is settled with ``failure``."""
        if ticket.terminal is None and not self.move_on(ticket, failure):
            ticket.fail(failure)

    def let_go(self, ticket: Ticket) -> None:
        """Forget a ticket that another slot takes over. Its place, if it has one, it gives back when its work ends;
        its stake in the gates here and now, while it is known how the attempt ended."""
        self.dispatch.take_stake(ticket)
        self.ledger.let_go(ticket)

    @property
    def is_able(self) -> bool:
        """A request sent here now would be served soon, as far as the slot can tell."""
        return (
            self.state in ("starting", "ready", "restarting")
            and not self.places.is_paused
            and self._closed is None
            and (not self.mailbox.is_full(self.places.free) or self.provider.limits.on_full == "wait")
            and self.gates.breaker.state != "open"
            and self.provider.unconfigured is None
        )

    # -- deadlines

    @trio.lowlevel.enable_ki_protection
    async def keep_time(self) -> None:
        """The two enforcers of deadlines that need no incarnation: the mailbox's reaper, and the ledger's backstop.

        Outlives incarnations; runs until :meth:`stop_time`.
        """
        await self._alarm.run(self._ring)

    def _ring(self, now: float) -> float:
        self.dispatch.ring(now)
        self.ledger.stop_hanging(now)
        return min(self.mailbox.earliest(), self.dispatch.opens_at, self.ledger.next_end())

    def _became_idle(self) -> None:
        self.dispatch.opens_at = math.inf
        if not self.places.leaving:
            self._alarm.off()

    def stop_time(self) -> None:
        """End :meth:`keep_time`. Every ticket must have been settled."""
        self._alarm.stop()

    # -- the operator's side

    @trio.lowlevel.enable_ki_protection
    def close(self, reason: Failure) -> None:
        """Refuse new tickets from here on, with ``reason``."""
        self._closed = reason

    @property
    def is_closed(self) -> bool:
        """New tickets are refused."""
        return self._closed is not None

    @trio.lowlevel.enable_ki_protection
    def pause(self) -> None:
        """Take no more tickets from the mailbox; what runs goes on, new requests queue (their deadlines run)."""
        self.places.is_paused = True
        self._log(catalog.ACTOR_PAUSED, {"actor": self.name})

    @trio.lowlevel.enable_ki_protection
    def resume(self) -> None:
        """Undo :meth:`pause`, and :meth:`close`."""
        self._closed = None
        self.unpause()

    def unpause(self) -> None:
        """Undo :meth:`pause` alone."""
        self.places.is_paused = False
        self._log(catalog.ACTOR_RESUMED, {"actor": self.name})
        self.dispatch.wake()

    @trio.lowlevel.enable_ki_protection
    def reconfigure(self, provider: ResolvedProvider) -> None:
        """New settings and connections for every ticket that has not started; the old ones drain beside them."""
        self.provider = self.ledger.provider = provider
        self.places.count = provider.limits.max_connections
        self.gates.reconfigure(provider, trio.current_time())
        self.dispatch.start = None
        self._retired.set()
        self.dispatch.wake()

    # -- the incarnation's side

    def new_generation(self) -> trio.Event:
        """A generation of settings and connections begins; the event is set when the next one shall take over."""
        self.generation = self.ledger.generation = self.generation + 1
        self.places.is_ending = False
        self._retired = trio.Event()
        return self._retired

    def release(self, ticket: Ticket) -> None:
        """The ticket's work has ended, whatever became of it: its place is free."""
        self.free_place(ticket)
        self.dispatch.take_stake(ticket)
        if ticket.state == "running":
            # It was cancelled, and so is the whole generation: what comes now waits for the next one.
            self.places.is_ending = True

    def free_place(self, ticket: Ticket) -> None:
        """Give back a place; nothing happens where it has none."""
        self.places.give_back(ticket)
        if self.mailbox:
            self.dispatch.wake()
        if not (self.places.holders or self.ledger.tickets):
            self._became_idle()

    def _wake(self) -> None:
        if self.mailbox:
            self.dispatch.wake()

    # -- the supervisor's side

    def on_state(self, state: ChildState, _: int, error: BaseException | None) -> None:
        """How the child fares. ``error`` is the crash that ended the last incarnation, where one did.

        The supervisor counts incarnations; the slot's own count has those that a reconfiguration began as well.
        """
        self.state = state
        self.places.is_served = state == "ready"
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
                self.ledger.recover()
                now = trio.current_time()
                if now - self._crashed_at < SUSPECT_WITHIN:
                    self.gates.forget(self.provider, now)
                self._crashed_at = now
            case "parked":
                self._log(catalog.ACTOR_PARKED, which)
                self.ledger.recover()
                for ticket in self.mailbox.waiting():
                    self.give_up(ticket, _PARKED)
            case "stopped":
                self._log(catalog.ACTOR_STOPPED, which)


_PARKED = fail("unavailable", "parked", "The provider's actor crashed too often and is parked for a while.")
