"""What a vector is, and the chunks that many of them share."""

from typing import NamedTuple

from nexus3.wire.catalog import ProviderTypeName
from nexus3.wire.events import ContentDelta, ResponseStarted, StopReason, StreamEvent, ToolCallCompleted
from nexus3.wire.failures import Kind
from nexus3.wire.messages import ToolCall, Usage
from tests.wire.openai_chat.build import chunk


class Ends(NamedTuple):
    """A reply."""

    stop_reason: StopReason
    raw: str | None
    usage: Usage | None = None


class Fails(NamedTuple):
    """A failure."""

    kind: Kind
    reason: str
    retryable: bool


class Vector(NamedTuple):
    name: str
    body: bytes
    events: list[StreamEvent]
    outcome: Ends | Fails
    provider: ProviderTypeName = "vllm"


START = ResponseStarted("c1", "m1", "req-1")
STOP = chunk(finish="stop")
CALLS = chunk(finish="tool_calls")


def done(index: int, call_id: str, name: str, arguments: str) -> ToolCallCompleted:
    return ToolCallCompleted(index, ToolCall(id=call_id, name=name, raw_arguments=arguments))


def usage(prompt: int = 5, completion: int = 7) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


HELLO: list[StreamEvent] = [START, ContentDelta("Hel"), ContentDelta("lo")]
SAID = (chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}))

OVERLOADED = {"code": 503, "message": "Provider overloaded", "metadata": {"error_type": "provider_overloaded"}}

AZURE_BLOCK = {
    "id": "",
    "model": "",
    "choices": [{"index": 0, "finish_reason": "content_filter", "content_filter_results": {}}],
}
