"""The promise as checks: what a test may hold against any run, whatever happened in it.

Each raises :class:`BrokenPromise`, an ``AssertionError``, which says what was wrong.
"""

from collections.abc import Sequence

from nexus3.actors.slot.snapshot import Snapshot
from nexus3.wire.events import (
    AttemptStarted,
    ContentDelta,
    FallbackSelected,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    RetryScheduled,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Terminal,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)


class BrokenPromise(AssertionError):  # noqa: N818 - it says what was broken
    """Something that nexus3 promises did not hold."""


def check_events(events: Sequence[StreamEvent], *, to_the_end: bool = True) -> Terminal | None:
    """The events of one request obey the grammar of :mod:`nexus3.wire.events`; the terminal is given back.

    With ``to_the_end`` false the reader left early: a beginning of a stream is enough, and ``None`` may be returned.
    """
    checked = _Grammar()
    for event in events:
        checked.step(event)
    if checked.terminal is None and to_the_end:
        raise BrokenPromise(f"no terminal event in {list(events)}")
    return checked.terminal


def check_at_rest(snapshot: Snapshot) -> None:
    """Nothing goes on, and nothing was lost: to be taken when every reader has its terminal and all work has ended."""
    counters = snapshot.counters
    if counters.get("accepted", 0) != counters.get("settled", 0):
        raise BrokenPromise(f"accepted and settled differ: {counters}")
    if counters.get("backstop", 0) or counters.get("outcome.internal", 0):
        raise BrokenPromise(f"a reader had to rescue itself, or a bug was met: {counters}")
    if sum(count for name, count in counters.items() if name.startswith("outcome.")) != counters.get("settled", 0):
        raise BrokenPromise(f"settled is not the sum of the outcomes: {counters}")
    for name, child in snapshot.children.items():
        if child.queued or child.in_flight:
            raise BrokenPromise(f"{name} is not at rest: {child}")


class _Grammar:
    """Accepts one event after the other."""

    def __init__(self) -> None:
        self.terminal: Terminal | None = None
        self._attempt = 0
        self._attempt_is_open = False
        self._answering = False
        self._has_content = False
        self._text = ""
        self._calls: dict[int, str] = {}
        self._completed: list[int] = []

    def _require(self, held: object, event: StreamEvent, why: str) -> None:
        if not held:
            raise BrokenPromise(f"{event}: {why}")

    def step(self, event: StreamEvent) -> None:
        self._require(self.terminal is None, event, f"comes after the terminal {self.terminal}")
        match event:
            case AttemptStarted(attempt):
                self._require(not self._answering, event, "a new attempt after the answer began")
                # An actor that crashed may begin anew without a RetryScheduled.
                self._require(attempt > self._attempt, event, f"attempt {self._attempt} was before it")
                self._attempt, self._attempt_is_open = attempt, True
            case RetryScheduled(attempt):
                self._require(self._attempt_is_open, event, "no attempt is open")
                self._require(attempt == self._attempt, event, f"the open attempt is {self._attempt}")
                self._require(not self._answering, event, "a retry after the answer began")
                self._attempt_is_open = False
            case FallbackSelected():
                self._require(not self._answering, event, "a fallback after the answer began")
                self._attempt_is_open = False
            case ResponseStarted():
                self._require(self._attempt_is_open, event, "no attempt is open")
                self._require(not self._answering, event, "the answer has begun already")
                self._answering = True
            case Notice():
                pass
            case UsageUpdated():
                self._require(self._answering, event, "no answer has begun")
            case ContentDelta(text) | ReasoningDelta(text):
                self._content(event)
                self._require(text, event, "empty text")
                self._text += text if isinstance(event, ContentDelta) else ""
            case ToolCallStarted(index):
                self._content(event)
                self._require(index == len(self._calls), event, "calls are numbered in order of first appearance")
                self._calls[index] = ""
            case ToolCallDelta(index, arguments):
                self._content(event)
                self._require(index in self._calls and index not in self._completed, event, "this call is not open")
                self._require(arguments, event, "empty arguments")
                self._calls[index] += arguments
            case ToolCallCompleted(index):
                self._content(event)
                self._require(index == len(self._completed) < len(self._calls), event, "completed out of order")
                self._completed.append(index)
            case StreamComplete(message):
                self._require(self._attempt_is_open, event, "completed without an attempt")
                self._require((message.content or "") == self._text, event, f"the deltas were {self._text!r}")
                self._require(len(message.tool_calls) == len(self._completed), event, "other calls than completed")
                self.terminal = event
            case StreamFailed(error, partial):
                self._require(error.emitted or not self._has_content, event, "content was seen, but not emitted")
                if partial is not None:
                    # A reader that was too slow has not seen all of it.
                    whole = str(partial.content or "")
                    self._require(whole.startswith(self._text), event, f"the deltas were {self._text!r}")
                self.terminal = event

    def _content(self, event: StreamEvent) -> None:
        self._require(self._answering, event, "content before ResponseStarted")
        self._has_content = True
