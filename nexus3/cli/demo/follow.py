"""One request as its caller saw it, from the first event to the last."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

import trio

from nexus3.runtime import Supervisor
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
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import ProviderError
from nexus3.wire.messages import ToolCall, Usage
from nexus3.wire.requests import CompletionRequest


@dataclass
class Told:
    """What became of one request. ``None`` is what did not happen; times are of trio's clock."""

    act: int
    """The act of the demo that sent it."""
    provider: str
    model: str
    sent_at: float
    started_at: float | None = None
    """The first HTTP attempt began."""
    first_at: float | None = None
    """The answer began: text, reasoning or a tool call."""
    ended_at: float = 0.0
    attempts: int = 0
    retries: list[RetryScheduled] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    argument_pieces: int = 0
    usage: Usage | None = None
    done: StreamComplete | None = None
    error: ProviderError | None = None

    @property
    def outcome(self) -> str:
        """The stop reason, the kind of failure, or ``cancelled``."""
        if self.done is not None:
            return self.done.stop_reason
        return "cancelled" if self.error is None else self.error.kind


Listener = Callable[[StreamEvent], None]


def ignore(_event: StreamEvent) -> None:
    """The listener that does nothing."""


async def follow(
    supervisor: Supervisor,
    request: CompletionRequest,
    *,
    act: int,
    on_event: Listener = ignore,
    leave_after: int | None = None,
) -> Told:
    """Stream ``request`` to its end, or leave after so many pieces of text. A failure is returned, not raised.

    ``on_event`` is called with each event as it arrives. The model must be given as ``provider:model``.
    """
    provider, _, model = (request.model or "").partition(":")
    told = Told(act, provider, model, sent_at=trio.current_time())
    pieces = 0
    try:
        async with supervisor.stream(request) as events:
            async for event in events:
                note(told, event, trio.current_time())
                on_event(event)
                pieces += isinstance(event, ContentDelta)
                if pieces == leave_after:
                    break
    except ProviderError as error:
        told.error, told.attempts, told.usage = error, error.attempts, error.failure.usage
    told.ended_at = trio.current_time()
    return told


def note(told: Told, event: StreamEvent, now: float) -> None:
    """Fold one event into what is known."""
    match event:
        case AttemptStarted(attempt=attempt):
            told.attempts = attempt
            told.started_at = told.started_at or now
        case RetryScheduled():
            told.retries.append(event)
        case ResponseStarted():
            # Held back until there is content, so this is when the caller first saw something.
            told.first_at = now
        case ContentDelta(text=text):
            told.text += text
        case ReasoningDelta(text=text):
            told.reasoning += text
        case ToolCallDelta():
            told.argument_pieces += 1
        case ToolCallCompleted(tool_call=call):
            told.tool_calls.append(call)
        case UsageUpdated(usage=usage):
            told.usage = usage
        case StreamComplete():
            told.done, told.attempts, told.usage = event, event.attempts, event.usage
            told.model = event.model
        case StreamFailed() | FallbackSelected() | ToolCallStarted() | Notice():
            pass
        case _:
            assert_never(event)
