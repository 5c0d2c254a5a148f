"""The front desk: gives a ticket its number, names and deadline, and hands it to its slot, or says why not."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import trio

from nexus3.actors.gates.ask import Ask
from nexus3.actors.reply.forward import forward
from nexus3.actors.reply.stream import ReplyStream
from nexus3.actors.reply.submission import Submission
from nexus3.actors.route import Route, may_fall_back, with_defaults
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket, failed
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.events import FallbackSelected, StreamEvent
from nexus3.wire.failures import Failure, fail
from nexus3.wire.requests import CompletionRequest

CLOSED = fail("unavailable", "closed", "The supervisor is closed.")
DRAINING = fail("unavailable", "draining", "The supervisor is closing and takes no new requests.")

Spawn = Callable[[Callable[[], Awaitable[None]]], None]
"""Starts a task that lives as long as the supervisor's block."""


Find = Callable[[CompletionRequest], Route | Failure]
"""What a request's model string means."""


class Admission:
    """One per supervisor. Accepting is synchronous: there is no state between offered and accepted."""

    def __init__(
        self,
        slots: Mapping[str, Slot],
        find: Find,
        spawn: Spawn,
        log: Log,
        counters: Counter[str],
    ) -> None:
        self._slots = slots
        self._find = find
        self._spawn = spawn
        self._log = log
        self._numbers = itertools.count(1)
        self._refusal: Failure | None = None
        self._nameless: trio.MemorySendChannel[Submission] | None = None
        self._forwarding: set[Ticket] = set()
        self._forwarded = trio.Event()
        self.counters = counters
        """``dead_letter.<reason>``: terminal events that found no reader."""

    @property
    def is_open(self) -> bool:
        """New requests are taken."""
        return self._refusal is None

    @trio.lowlevel.enable_ki_protection
    def admit_here(self, ticket: Ticket, route: Route | None = None) -> None:
        """:meth:`admit` from the task that will read the answer: its own deadline is taken as a hint."""
        ticket.patience = trio.current_effective_deadline()
        self.admit(ticket, route)

    @trio.lowlevel.enable_ki_protection
    def admit(self, ticket: Ticket, route: Route | None = None) -> None:
        """Accept the ticket, or settle it. ``route`` decides before the request's model string.

        A ticket that was admitted before becomes a dead letter.
        """
        if ticket.token is not None:
            self._dead_letter(ticket, "submitted_twice")
            return
        if ticket.terminal is not None:
            return  # its reader had left before it was sent
        ticket.token = trio.lowlevel.current_trio_token()
        ticket.id = f"r{next(self._numbers)}"
        ticket.accepted_at = trio.current_time()
        if self._refusal is not None:
            ticket.fail(self._refusal)
            return
        found = route or self._find(ticket.request)
        if isinstance(found, Failure):
            ticket.fail(found)
            return
        self._address(ticket, found)

    def _address(self, ticket: Ticket, route: Route) -> None:
        slot = self._slots[route.provider]
        ticket.deadline = ticket.accepted_at + (ticket.request.timeout or slot.provider.request_timeout)
        if ticket.asked.fallbacks is not None:
            ticket.fallbacks = list(ticket.asked.fallbacks)
        elif route.settings is not None:
            ticket.fallbacks = list(route.settings.fallbacks)
        _send_to(ticket, route)
        ticket.set_buffer(slot.provider.limits.reply_buffer)
        slot.move_on = self._move_on
        slot.admit(ticket)

    def _move_on(self, ticket: Ticket, failure: Failure) -> bool:
        """Take a ticket that failed to the slot of its next fallback; false where there is none.

        Its number, deadline and reader stay; attempts count on, and those allowed at one place begin anew. What the
        reader was told so far is notices only.
        """
        if not ticket.fallbacks or self._refusal is not None or not may_fall_back(failure, emitted=ticket.emitted):
            return False
        here = self._slots.get(ticket.provider)
        while ticket.fallbacks:
            route = self._find(ticket.asked.model_copy(update={"model": ticket.fallbacks.pop(0)}))
            if isinstance(route, Failure) or trio.current_time() >= ticket.deadline:
                continue
            there = self._slots[route.provider]
            if not there.is_able and ticket.fallbacks:
                continue  # a later one may be
            moved = {"request": ticket.id, "actor": ticket.provider, "to": route.provider, "model": route.model_id}
            why = {"kind": failure.kind, "reason": failure.reason}
            ticket.context.run(self._log, catalog.REQUEST_MOVED, {**moved, **why})
            error = failed(ticket, failure).error
            ticket.untold.append(FallbackSelected(route.provider, route.model_id, error))
            ticket.before = (*ticket.before, msgspec.structs.replace(error.failure, before=()))
            if here is not None:
                here.let_go(ticket)
            _send_to(ticket, route)
            ticket.attempts_here = ticket.timeouts_here = 0
            ticket.attempt_failure = ticket.decoder = ticket.scope = None
            there.move_on = self._move_on
            there.take_over(ticket)
            return True
        return False

    def open_channel(self, caller: str | None) -> trio.MemorySendChannel[Submission]:
        """A channel of capacity 0 on which submissions are accepted; the caller closes it. Those of callers without a
        name share one receiving task: to start one for each would cost as much as a queue and a place."""
        if caller is None and self._nameless is not None:
            return self._nameless.clone()
        send, receive = trio.open_memory_channel[Submission](0)

        async def take_in() -> None:
            await self._take_in(receive, caller)

        self._spawn(take_in)
        if caller is None:
            self._nameless = send
            return send.clone()
        return send

    @trio.lowlevel.enable_ki_protection
    async def _take_in(self, submissions: trio.MemoryReceiveChannel[Submission], caller: str | None) -> None:
        """Admit whatever is sent, until the channel is closed. Owns the receiving end."""
        with submissions:
            async for submission in submissions:
                # No checkpoint from here to the ledger: what was sent is accepted.
                ticket, stream = submission.hand_over()
                ticket.caller = ticket.caller or caller
                self.admit(ticket)
                if submission.reply_to is not None:
                    self._forwarding.add(ticket)
                    self._spawn(self._forwarder(ticket, stream, submission.reply_to))

    def _forwarder(
        self, ticket: Ticket, stream: ReplyStream, reply_to: trio.MemorySendChannel[StreamEvent]
    ) -> Callable[[], Awaitable[None]]:
        slot = self._slots.get(ticket.provider)
        stall_timeout = slot.provider.limits.stall_timeout if slot else 60.0

        async def task() -> None:
            try:
                await forward(ticket, stream, reply_to, stall_timeout=stall_timeout, on_dead_letter=self._dead_letter)
            finally:
                self._forwarding.discard(ticket)
                self._forwarded.set()

        return task

    @trio.lowlevel.enable_ki_protection
    async def drain(self) -> None:
        """Refuse new requests; wait until accepted ones are settled and the reply channels that callers brought are
        filled. Bounded: each request has a deadline, each full channel its stall timeout."""
        # A submission whose send() has returned is in the hands of a task that may not have run yet. Tasks run in
        # batches, in any order within one: after two turns it has.
        for _ in range(2):
            await trio.lowlevel.checkpoint()
        self._refuse(DRAINING)
        for slot in list(self._slots.values()):
            await slot.ledger.drained()
        while self._forwarding:
            self._forwarded = trio.Event()
            await self._forwarded.wait()

    @trio.lowlevel.enable_ki_protection
    def abandon(self) -> None:
        """Refuse new requests and settle all that are left, now."""
        self._refuse(CLOSED)
        for slot in self._slots.values():
            slot.ledger.settle_all(CLOSED)

    def _dead_letter(self, ticket: Ticket, reason: str) -> None:
        self.counters[f"dead_letter.{reason}"] += 1
        # In its own caller's context: whoever forwards it may run in that of another one.
        ticket.context.run(self._log, catalog.DEAD_LETTER, {"request": ticket.id, "reason": reason})

    def _refuse(self, reason: Failure) -> None:
        self._refusal = reason
        for slot in self._slots.values():
            slot.close(reason)


def _send_to(ticket: Ticket, route: Route) -> None:
    """Write the address on it, and what the alias's settings add to the request."""
    ticket.provider, ticket.model, ticket.route = route.provider, route.model_id, route
    ticket.request = with_defaults(ticket.asked, route.settings)
    ticket.ask = Ask(ticket.request, route.model_id, route.settings, ticket.caller)
