"""The vocabulary under the path that users of the original know; everything is defined in :mod:`nexus3.wire`."""

from nexus3.wire.events import (
    AttemptStarted,
    ContentDelta,
    FallbackSelected,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    RetryScheduled,
    StopReason,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import ProviderError
from nexus3.wire.messages import FilePart, ImagePart, Message, ReasoningBlock, Role, TextPart, ToolCall, Usage
from nexus3.wire.requests import CompletionRequest, Reasoning, Tool

__all__ = [
    "AttemptStarted",
    "CompletionRequest",
    "ContentDelta",
    "FallbackSelected",
    "FilePart",
    "ImagePart",
    "Message",
    "Notice",
    "ProviderError",
    "Reasoning",
    "ReasoningBlock",
    "ReasoningDelta",
    "ResponseStarted",
    "RetryScheduled",
    "Role",
    "StopReason",
    "StreamComplete",
    "StreamEvent",
    "StreamFailed",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolCallCompleted",
    "ToolCallDelta",
    "ToolCallStarted",
    "Usage",
    "UsageUpdated",
]
