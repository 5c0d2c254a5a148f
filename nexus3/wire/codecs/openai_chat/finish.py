"""The provider's word for why it stopped, in ours."""

from nexus3.wire.events import StopReason
from nexus3.wire.failures import Kind

# The union of what servers of this dialect were seen to send, lower case.
_REASONS: dict[str, StopReason] = {
    "stop": "stop",
    "eos": "stop",
    "end": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "tool": "tool_calls",
    "content_filter": "content_filter",
    "content-filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}

_FAILURES: dict[str, tuple[Kind, str]] = {
    "error": ("server", "finish_error"),
    "insufficient_system_resource": ("overloaded", "insufficient_system_resource"),
    "abort": ("server", "aborted"),
    "cancelled": ("server", "aborted"),
}


def failed_finish(raw: str) -> tuple[Kind, str] | None:
    """Kind and reason of the failure, where the word says that the answer came to nothing."""
    return _FAILURES.get(raw.lower())


def is_filtered(raw: str) -> bool:
    """Whether the word overrides one that came before: Azure filters as late as after its ``stop``."""
    return _REASONS.get(raw.lower()) == "content_filter"


def stop_reason(raw: str | None, *, has_calls: bool, refused: bool) -> tuple[StopReason, str | None]:
    """Our reason, and what to tell the caller where it had to be inferred."""
    said = None if raw is None else _REASONS.get(raw.lower(), "unknown")
    if refused and said != "content_filter":
        return "refusal", None
    match said:
        case None:
            inferred: StopReason = "tool_calls" if has_calls else "stop"
            return inferred, f"the provider ended its answer without a reason: taken as {inferred}"
        case "stop" if has_calls:  # what OpenAI itself says after a call that tool_choice named
            return "tool_calls", None
        case "tool_calls" if not has_calls:
            return "stop", f"the provider ended with {raw!r}, but sent no tool call: taken as stop"
        case _:
            return said, None
