"""One accepted request's identity: where it stands, who may end it, and its one terminal event.

The terminal travels *out of band*: :meth:`Ticket.settle` stores it in the ticket and closes the event channel, without
a checkpoint. A full buffer, a crash or a cancelled scope can neither block it nor lose it, and because the first call
wins, whoever comes first (worker, reaper, caller, supervisor) decides, once.
"""

import contextvars
from collections.abc import Callable
from typing import Literal

import msgspec
import trio

from nexus3.actors.gates.ask import Ask
from nexus3.actors.gates.gatekeeper import Stake
from nexus3.actors.pipe import Batch, Pipe
from nexus3.actors.route import Route
from nexus3.actors.tap import Tap
from nexus3.wire.codecs import Decoder
from nexus3.wire.events import AttemptStarted, Notice, StreamEvent, StreamFailed, Terminal
from nexus3.wire.failures import Failure, error_of, fail
from nexus3.wire.requests import CompletionRequest

REPLY_BATCHES = 64
"""Batches of events (one per network read) that wait for a slow reader; its provider's settings may say otherwise."""

State = Literal["new", "queued", "running", "settled"]


class Ticket:
    """Owned by the slot whose ledger holds it; its fields are written by that slot's actor and read by everyone.

    A ticket is *new* until a slot admits it, *queued* in a mailbox, *running* on an incarnation, *settled* for ever.
    A crash of the incarnation may bring it back from running to queued.
    """

    __slots__ = (
        "_pipe",
        "accepted_at",
        "announced",
        "ask",
        "asked",
        "attempt_failure",
        "attempts",
        "attempts_here",
        "before",
        "caller",
        "claim",
        "context",
        "crashes",
        "deadline",
        "decoder",
        "emitted",
        "fallbacks",
        "first_event_at",
        "id",
        "lag",
        "model",
        "on_settled",
        "patience",
        "pending_notices",
        "provider",
        "request",
        "route",
        "scope",
        "sent",
        "stake",
        "started_at",
        "state",
        "tap",
        "task",
        "terminal",
        "timeouts_here",
        "token",
        "untold",
    )

    def __init__(self, request: CompletionRequest, pipe: Pipe) -> None:
        self.request = request
        """As it is sent: with what its model's settings add."""
        self.asked = request
        """As the caller made it."""
        self.caller = request.caller
        self.context = contextvars.copy_context()
        """Of whoever made the request: the exchange runs in it, so that their log context is on our lines."""
        self.id = ""
        self.provider = ""
        self.model = request.model or ""
        self.route: Route | None = None
        """What its model string means; set at admission."""
        self.state: State = "new"
        self.token: trio.lowlevel.TrioToken | None = None
        """Of the run in which it was admitted: the way back for finalisers."""
        self.accepted_at = 0.0
        self.started_at: float | None = None
        self.first_event_at: float | None = None
        self.deadline = float("inf")
        self.patience = float("inf")
        """The caller's own deadline, as a hint: no wait is begun that cannot end before it."""
        self.attempts = 0
        self.attempts_here = 0
        """Of these, at the present provider and model; of which ..."""
        self.timeouts_here = 0
        """... so many ran into a limit of ours."""
        self.attempt_failure: Failure | None = None
        """How the last attempt failed; ``None`` while there was none, or it has not."""
        self.ask = Ask(request, "", None)
        """What the gates of its slot are asked; written with its address."""
        self.lag = 0.0
        """Seconds in which this process itself stood still during the last attempt."""
        self.stake: Stake | None = None
        """What the attempt that runs has taken from its slot's gates."""
        self.fallbacks: list[str] = []
        """Models to go on with where this one fails before any content."""
        self.before: tuple[Failure, ...] = ()
        """How it failed at those that it fell back from."""
        self.untold: list[StreamEvent] = []
        """Moves and beginnings of attempts that the reader was not told of yet."""
        self.crashes = 0
        self.announced = False
        """The reader was told that the current attempt began."""
        self.sent = False
        """The current attempt may have reached the provider."""
        self.claim: Callable[[], Ticket] | None = None
        """Where two attempts of one request run side by side, each on a copy of its ticket, they call this before they
        hand anything to the reader: it returns the ticket itself to the first, and raises in the other."""
        self.emitted = False
        """Content has been handed to the caller: nothing may be repeated from here on."""
        self.decoder: Decoder | None = None
        """Of the current attempt: what a crash can still say about partial content and usage."""
        self.pending_notices: list[Notice] = []
        self.scope: trio.CancelScope | None = None
        """Around the work, while it runs."""
        self.task: trio.lowlevel.Task | None = None
        """Of the work, while it runs: where it stands when it ignores that it was cancelled."""
        self.tap: Tap | None = None
        """Listens to this request's attempts, in place of its slot's tap."""
        self.terminal: Terminal | None = None
        self.on_settled: Callable[[Ticket], None] | None = None
        """The slot's, to clear its ledger; called once."""
        self._pipe = pipe

    @trio.lowlevel.enable_ki_protection
    def settle(self, terminal: Terminal) -> bool:
        """End the request, once: store the terminal, close the event channel, stop the work.

        Synchronous and idempotent; the first call wins and returns true. Legal in a cancelled context, in ``finally``,
        and from any task of the run.
        """
        if self.terminal is not None:
            return False
        self.terminal = terminal
        self.state = "settled"
        self._pipe.close()
        if self.scope is not None:
            self.scope.cancel(reason="the request is settled")
        if self.on_settled is not None:
            self.on_settled(self)
        return True

    def fail(self, failure: Failure) -> bool:
        """Settle with ``failure``, completed by what the ticket knows: provider, attempts, partial content, usage."""
        if self.terminal is not None:
            return False
        return self.settle(failed(self, failure))

    def set_buffer(self, batches: int) -> None:
        """How far the reader may be behind from now on."""
        self._pipe.capacity = batches

    def begin_attempt(self) -> None:
        """Count it and tell the reader, if there is room: before the work's first step, so that a reader who waits for
        it wakes in the same turn of the scheduler, not in one of its own."""
        self.attempts += 1
        self.attempts_here += 1
        self.untold.append(AttemptStarted(self.attempts, self.provider, self.model))
        if self._pipe.offer(self.untold):
            self.untold = []

    @property
    def has_room(self) -> bool:
        """The reader is not behind: :meth:`offer` would take something now."""
        return self._pipe.has_room

    def offer(self, events: Batch) -> bool:
        """Hand events to the reader if there is room: the fast way, without a checkpoint. The list changes owner."""
        return self._pipe.offer(events)

    async def deliver(self, events: Batch, stall_timeout: float) -> None:
        """Hand events to the reader; waits while its buffer is full, which leaves the provider's socket unread.

        Hands over all of them or none. Where the ticket is settled, or its reader has left, this only waits for the
        cancellation that is on its way.

        Raises:
            SlowConsumer: the reader took nothing for ``stall_timeout`` seconds.
        """
        if self._pipe.offer(events):
            return
        with trio.move_on_after(stall_timeout):
            try:
                await self._pipe.put(events)
            except trio.BrokenResourceError:
                await trio.sleep_forever()
            return
        raise SlowConsumer


class SlowConsumer(Exception):  # noqa: N818 - a control-flow signal between deliver and the exchange, never public
    """The reader of this ticket did not read for its stall timeout."""


def failed(ticket: Ticket, failure: Failure) -> StreamFailed:
    """``failure`` as this ticket's terminal, with everything that is known about the request."""
    decoder = ticket.decoder
    partial = failure.partial
    usage = failure.usage
    if decoder is not None:
        partial = partial or (decoder.partial() if ticket.emitted else None)
        usage = usage or decoder.usage
    complete = msgspec.structs.replace(
        failure,
        emitted=ticket.emitted,
        provider=ticket.provider or failure.provider,
        model=ticket.model or failure.model,
        attempts=ticket.attempts,
        partial=partial,
        usage=usage,
        before=ticket.before,
    )
    return StreamFailed(error_of(complete), partial)


def out_of_time(ticket: Ticket) -> Failure:
    """The ticket's own deadline has passed: while it waited for its first attempt, at work, or between two attempts."""
    seconds = ticket.deadline - ticket.accepted_at
    if not ticket.attempts:
        return fail("timeout", "deadline_queued", f"No actor was free within the {seconds:g} s deadline.")
    return fail(
        "timeout",
        "deadline",
        f"The request's deadline of {seconds:g} s has passed.",
        phase="stream" if ticket.emitted else "first_event" if ticket.sent else "connect",
    )
