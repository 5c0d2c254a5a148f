"""The step deadline of one attempt: what is awaited, and until when.

One cancel scope around the whole attempt, its deadline moved along: a scope for each read would cost more than the
read. The request's total deadline is around all of it, in the ticket's scope.
"""

from typing import Literal

import trio

from nexus3.actors.limits import Limits
from nexus3.wire.failures import Failure, Phase, fail

Step = Literal["headers", "first_event", "progress", "tail"]

TAIL_GRACE = 2.0
"""Seconds after the provider said that the answer is complete in which usage and the end marker may still come."""


class Watch:
    """Enter :attr:`scope` around the attempt; tell the watch what came."""

    def __init__(self, limits: Limits, *, stream: bool, reasoning: bool) -> None:
        self._limits = limits
        # An unstreamed answer says nothing until it is whole: only the request's own deadline can tell it is late.
        self._header_timeout = limits.header_timeout if stream else float("inf")
        first_event = limits.reasoning_first_event_timeout if reasoning else limits.first_event_timeout
        self._first_event_timeout = first_event if stream else float("inf")
        self.scope = trio.CancelScope()
        self._step: Step = "headers"
        self._step_by = 0.0
        """When the present step must be done, whatever bytes come."""
        # The pool has its own connect timeout; this one is behind it.
        self._expect("headers", limits.connect_timeout + self._header_timeout)

    def _expect(self, step: Step, seconds: float) -> None:
        self._step = step
        self._step_by = self.scope.deadline = trio.current_time() + seconds

    def sent(self) -> None:
        """The request is on its way."""
        self._expect("headers", self._header_timeout)

    def head_came(self) -> None:
        """The response head is complete; content is next."""
        self._expect("first_event", self._first_event_timeout)

    def bytes_came(self, *, content: bool) -> None:
        """Bytes renew the idle limit; only content renews the progress limit: pings keep no dead stream alive."""
        now = trio.current_time()
        if content:
            self._step = "progress"
            self._step_by = now + self._limits.progress_timeout
        if self._step == "progress":
            self.scope.deadline = min(self._step_by, now + self._limits.idle_timeout)

    def answer_is_complete(self) -> None:
        """Only the tail is awaited: usage and the end marker."""
        if self._step != "tail":
            self._expect("tail", TAIL_GRACE)

    def drain(self) -> None:
        """The answer is over; what follows may only make the connection reusable."""
        self.scope.deadline = trio.current_time() + self._limits.drain_timeout

    def pause(self) -> None:
        """The caller's turn: what it takes is not the server's time."""
        self.scope.deadline = float("inf")

    def resume(self) -> None:
        """The server's turn again, with its limits anew."""
        self._expect(self._step, self._limits.progress_timeout if self._step == "progress" else TAIL_GRACE)

    def failure(self) -> Failure:
        """What was late, where the deadline has been reached."""
        limits = self._limits
        phase: Phase
        match self._step:
            case "headers":
                phase, limit, what = "headers", self._header_timeout, "no response head"
            case "first_event":
                phase, limit, what = "first_event", self._first_event_timeout, "no content"
            case "progress" if self.scope.deadline < self._step_by:
                return fail(
                    "timeout", "idle", f"The server sent nothing for {limits.idle_timeout:g} s.", phase="stream"
                )
            case "progress":
                phase, limit, what = "stream", limits.progress_timeout, "no further content"
            case "tail":
                phase, limit, what = "stream", TAIL_GRACE, "no end of the answer"
        return fail("timeout", self._step, f"The server gave {what} within {limit:g} s.", phase=phase)
