"""What a request says back, and in which order.

**The grammar of a stream.** Whatever happens, a caller that reads sees::

    stream   := Notice* (attempt RetryScheduled? | attempt? FallbackSelected)* attempt? answer? terminal
    attempt  := AttemptStarted Notice*
    answer   := ResponseStarted ( content | UsageUpdated | Notice )*
    content  := ContentDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta | ToolCallCompleted
    terminal := StreamComplete | StreamFailed

* An attempt that is followed by the next one without ``RetryScheduled`` died with its actor; the request was put back.
* Exactly one terminal, always last, whatever the provider, the network, an actor or the supervisor does.
* ``ResponseStarted`` comes at most once. It is held back until the first content (or the end of an empty answer), so
  that an attempt that dies before saying anything can be repeated without a trace but its notices.
* After the first content event nothing is retried, repeated or taken back.
* Text is never empty. Deltas carry the new piece only; concatenated in order they are the answer.
* Each ``ToolCallStarted(index)`` is followed by deltas of that index, and by exactly one ``ToolCallCompleted`` unless
  the stream fails. Indexes count 0, 1, 2 in order of first appearance, whatever the wire said; deltas of different
  indexes may interleave; completions come at the end, in index order.
* ``StreamComplete.message`` equals the fold of the events before it.
* ``UsageUpdated`` carries totals so far: the last one counts, never the sum.

Events are frozen and positional: ``case ContentDelta(text)`` works. They are msgspec structs because a frozen
dataclass costs four times as much to make, once per delta.
"""

from typing import Literal

import msgspec

from nexus3.wire.failures import ProviderError
from nexus3.wire.messages import Message, ToolCall, Usage

StopReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause", "context_window", "unknown"]
"""Why a model stopped. ``pause``: the provider wants the turn sent back as it is, to go on."""


class AttemptStarted(msgspec.Struct, frozen=True):
    """An HTTP attempt begins. ``attempt`` counts from 1 over all retries of the request."""

    attempt: int
    provider: str
    model: str


class ResponseStarted(msgspec.Struct, frozen=True):
    """The provider answers. Ids and model are the provider's own words; ``None`` where it said nothing."""

    response_id: str | None
    model: str | None
    request_id: str | None


class RetryScheduled(msgspec.Struct, frozen=True):
    """Attempt ``attempt`` failed with ``error``; the next one begins in ``delay`` seconds."""

    attempt: int
    delay: float
    error: ProviderError


class FallbackSelected(msgspec.Struct, frozen=True):
    """The request goes on at another provider or model, because of ``error``."""

    provider: str
    model: str
    error: ProviderError


class ContentDelta(msgspec.Struct, frozen=True, gc=False):
    """Visible text. ``refusal`` is true where the provider says that the model declines."""

    text: str
    refusal: bool = False


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """Reasoning text that the provider shows."""

    text: str


class ToolCallStarted(msgspec.Struct, frozen=True, gc=False):
    """A tool call whose name is known. ``id`` is ours where the provider gave none."""

    index: int
    id: str
    name: str


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """The next piece of the call's JSON text, never empty."""

    index: int
    arguments: str


class ToolCallCompleted(msgspec.Struct, frozen=True):
    """The call is whole, or cut off by the provider (then ``tool_call.arguments`` is ``None``)."""

    index: int
    tool_call: ToolCall


class UsageUpdated(msgspec.Struct, frozen=True):
    """Usage so far."""

    usage: Usage


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Something the caller may want to know and need not act on. ``code`` is one of the constants below."""

    code: str
    text: str


DROPPED_PARAMETER = "dropped_parameter"
"""A setting that this provider or model does not take was left out; the request means the same without it."""
CHANGED_PARAMETER = "changed_parameter"
"""A setting was sent in another form or value than given."""
HISTORY_CHANGED = "history_changed"
"""The history was sent with a repair: an orphaned call answered, an empty turn left out, foreign reasoning dropped."""
INFERRED_FINISH = "inferred_finish"
"""The provider ended properly but named no reason, or one that does not fit what it sent."""
UNKNOWN_CONTENT = "unknown_content"
"""A block or event of a type unknown here: kept raw where it is content, else ignored."""
DUPLICATE_DROPPED = "duplicate_dropped"
"""The provider repeated content that had arrived already."""
TAIL_LOST = "tail_lost"
"""The answer was complete; what followed it (usage, an end marker) was cut off or broken."""
MODEL_CHANGED = "model_changed"
"""The provider answered with another model than the one asked."""
MAYBE_BILLED_TWICE = "maybe_billed_twice"
"""The request was sent again after it may have reached the provider."""
UNDECLARED_TOOL = "undeclared_tool"
"""The model calls a tool that the request, which has tools, does not have."""
HEDGED = "hedged"
"""No answer came in the usual time: the request was sent a second time beside the first. The first to say anything
counts; what the other one costs is not known."""
UNKNOWN_PRICE = "unknown_price"
"""What this costs is not known, and so not in the balance of a cap on money. (As a reason: it was refused for that.)"""


class StreamComplete(msgspec.Struct, frozen=True):
    """The one terminal of success."""

    message: Message
    stop_reason: StopReason = "stop"
    usage: Usage | None = None
    """``None`` where the provider said nothing about usage."""
    provider: str = ""
    """The configured name of the provider that answered."""
    model: str = ""
    """The model that answered, in the provider's words; the one asked for where it said nothing."""
    response_id: str | None = None
    request_id: str | None = None
    """The provider's id of the HTTP exchange, for its support."""
    attempts: int = 1
    raw_stop_reason: str | None = None
    """The provider's own word for the stop reason."""


class StreamFailed(msgspec.Struct, frozen=True):
    """The one terminal of failure. ``error`` was never raised: raise it, or read it as data."""

    error: ProviderError
    partial: Message | None = None
    """What was received before the failure; ``None`` where nothing was."""


StreamEvent = (
    AttemptStarted
    | ResponseStarted
    | RetryScheduled
    | FallbackSelected
    | ContentDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallCompleted
    | UsageUpdated
    | Notice
    | StreamComplete
    | StreamFailed
)

Terminal = StreamComplete | StreamFailed
