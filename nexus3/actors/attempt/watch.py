"""The limits of one attempt's steps: what is awaited, and until when.

One timer around the whole attempt, moved along: a scope for each read would cost more than the read. It does not run
while our own loop stands still (:mod:`nexus3.actors.lag`). The request's total deadline does: it is the scope's own.
"""

from typing import Literal

import trio

from nexus3.actors.lag import Timer
from nexus3.actors.limits import Limits
from nexus3.wire.failures import Failure, Phase, fail

Step = Literal["preparing", "headers", "first_event", "progress", "tail"]

TAIL_GRACE = 2.0
"""Seconds after the provider said that the answer is complete in which usage and the end marker may still come."""


class Watch:
    """Enter :attr:`timer` around the attempt; tell the watch what came."""

    def __init__(self, limits: Limits, *, until: float, stream: bool, reasoning: bool) -> None:
        """``until`` is the request's total deadline, in the time of the run."""
        self._limits = limits
        # An unstreamed answer says nothing until it is whole: only the request's own deadline can tell it is late.
        self._header_timeout = limits.header_timeout if stream else float("inf")
        first_event = limits.reasoning_first_event_timeout if reasoning else limits.first_event_timeout
        self._first_event_timeout = first_event if stream else float("inf")
        self._step: Step = "preparing"
        self._step_by = float("inf")
        """When the present step must be done, whatever bytes come. In the loop clock's time, as all here."""
        # Nothing but the pool's own limits and the request's until the request is sent.
        self.timer = Timer(deadline=until)
        self._clock = self.timer.clock
        self._lost_before = self._clock.lost

    def _expect(self, step: Step, seconds: float) -> None:
        self._step = step
        self._step_by = self._clock.now() + seconds
        self._lost_before = self._clock.lost
        self.timer.set(self._step_by)

    def sent(self) -> None:
        """The request is on its way."""
        self._expect("headers", self._header_timeout)

    def head_came(self) -> None:
        """The response head is complete; content is next."""
        self._expect("first_event", self._first_event_timeout)

    def bytes_came(self, *, content: bool) -> None:
        """Bytes renew the idle limit; only content renews the progress limit: pings keep no dead stream alive."""
        if not content and self._step != "progress":
            return
        now = self._clock.now()
        if content:
            self._step = "progress"
            self._step_by = now + self._limits.progress_timeout
            self._lost_before = self._clock.lost
        self.timer.set(min(self._step_by, now + self._limits.idle_timeout))

    def answer_is_complete(self) -> None:
        """Only the tail is awaited: usage and the end marker."""
        if self._step != "tail":
            self._expect("tail", TAIL_GRACE)

    def drain(self) -> None:
        """The answer is over; what follows may only make the connection reusable."""
        self.timer.set(float("inf"))
        self.timer.scope.deadline = trio.current_time() + self._limits.drain_timeout

    def pause(self) -> None:
        """The caller's turn: what it takes is not the server's time."""
        self.timer.set(float("inf"))

    def resume(self) -> None:
        """The server's turn again, with its limits anew."""
        match self._step:
            case "preparing" | "headers" | "first_event":
                self._expect(self._step, self._first_event_timeout)
            case "progress":
                self._expect(self._step, self._limits.progress_timeout)
            case "tail":
                self._expect(self._step, TAIL_GRACE)

    def lag(self) -> float:
        """Seconds that our own loop stood still in what is awaited now: since the step began, or content came."""
        self._clock.now()
        return self._clock.lost - self._lost_before

    def failure(self) -> Failure:
        """What was late, where :attr:`timer` has rung."""
        limits = self._limits
        phase: Phase
        match self._step:
            case "preparing":
                raise AssertionError("until the request is sent, only its own deadline is in the scope")
            case "headers":
                phase, limit, what = "headers", self._header_timeout, "no response head"
            case "first_event":
                phase, limit, what = "first_event", self._first_event_timeout, "no content"
            case "progress" if self._clock.now() < self._step_by:
                return fail(
                    "timeout", "idle", f"The server sent nothing for {limits.idle_timeout:g} s.", phase="stream"
                )
            case "progress":
                phase, limit, what = "stream", limits.progress_timeout, "no further content"
            case "tail":
                phase, limit, what = "stream", TAIL_GRACE, "no end of the answer"
        return fail("timeout", self._step, f"The server gave {what} within {limit:g} s.", phase=phase)
