"""How these tests say a stream, read it, and fold its events without the codec's help."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from nexus3.wire.catalog import CATALOG, Target
from nexus3.wire.codecs import Codec, Encoded, Reply, anthropic_messages
from nexus3.wire.events import (
    ContentDelta,
    ReasoningDelta,
    ResponseStarted,
    StreamEvent,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DEFAULT_LIMITS, DecodeLimits
from nexus3.wire.messages import Message, Origin, Role, ToolCall, Usage
from nexus3.wire.requests import CompletionRequest

ROW = CATALOG["anthropic"]
CODEC: Codec = anthropic_messages


def a_target(model: str = "claude-sonnet-5", **changes: object) -> Target:
    """The vendor's own provider, named ``claude``."""
    quirks = msgspec.structs.replace(ROW.quirks, **changes.pop("quirks", {}))  # type: ignore[arg-type] # a test's dict
    url = "https://api.anthropic.com/v1/messages"
    target = Target(provider="claude", type=ROW, model=model, url=url, quirks=quirks)
    return msgspec.structs.replace(target, **changes)


def sse(*payloads: object) -> bytes:
    """Each payload as one event, named for its type."""
    frames = []
    for payload in payloads:
        name = payload["type"] if isinstance(payload, dict) and "type" in payload else "message"
        frames.append(f"event: {name}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n")
    return "".join(frames).encode()


def start(**changes: object) -> dict[str, object]:
    message: dict[str, object] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1},
    }
    return {"type": "message_start", "message": {**message, **changes}}


def block_start(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(index: int, **delta: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def block_stop(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def text_block(index: int, *pieces: str) -> list[dict[str, object]]:
    deltas = (block_delta(index, type="text_delta", text=piece) for piece in pieces)
    return [block_start(index, type="text", text=""), *deltas, block_stop(index)]


def tool_block(index: int, call_id: str, name: str, *pieces: str) -> list[dict[str, object]]:
    deltas = (block_delta(index, type="input_json_delta", partial_json=piece) for piece in pieces)
    return [block_start(index, type="tool_use", id=call_id, name=name, input={}), *deltas, block_stop(index)]


def thinking_block(index: int, signature: str | None, *pieces: str) -> list[dict[str, object]]:
    deltas = [block_delta(index, type="thinking_delta", thinking=piece) for piece in pieces]
    if signature is not None:
        deltas.append(block_delta(index, type="signature_delta", signature=signature))
    return [block_start(index, type="thinking", thinking="", signature=""), *deltas, block_stop(index)]


def finish(stop_reason: str | None = "end_turn", output_tokens: int = 6, **delta: object) -> list[dict[str, object]]:
    said = {"stop_reason": stop_reason, "stop_sequence": None, **delta}
    return [
        {"type": "message_delta", "delta": said, "usage": {"output_tokens": output_tokens}},
        {"type": "message_stop"},
    ]


class Read(NamedTuple):
    """What one answer gave."""

    events: list[StreamEvent]
    outcome: Reply | Failure

    @property
    def reply(self) -> Reply:
        assert isinstance(self.outcome, Reply), self.outcome
        return self.outcome

    @property
    def failure(self) -> Failure:
        assert isinstance(self.outcome, Failure), self.outcome
        return self.outcome


def read(
    *pieces: bytes, target: Target | None = None, cut: Failure | None = None, limits: DecodeLimits = DEFAULT_LIMITS
) -> Read:
    """Feed the pieces, end the body, and check what holds for every answer."""
    decoder = CODEC.open_decoder(target or a_target(), request_id="req_9", limits=limits)
    events: list[StreamEvent] = []
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.end(cut)
    assert decoder.outcome is not None
    assert decoder.feed(b"event: message_stop\n\n") == []
    assert decoder.end() == []
    assert decoder.emitted == any(
        isinstance(event, ContentDelta | ReasoningDelta | ToolCallStarted) for event in events
    )
    assert decoder.proven or isinstance(decoder.outcome, Failure)
    if isinstance(decoder.outcome, Reply):
        assert fold(events) == Folded.of_reply(decoder.outcome)
    return Read(events, decoder.outcome)


class Folded(NamedTuple):
    """What the events of an answer say together."""

    text: str
    refusal: str
    reasoning: str
    calls: list[ToolCall]
    usage: Usage | None

    @classmethod
    def of_reply(cls, reply: Reply) -> "Folded":
        message = reply.message
        reasoning = "".join(block.text for block in message.reasoning)
        return cls(message.text, message.refusal or "", reasoning, list(message.tool_calls), reply.usage)


def fold(events: Iterable[StreamEvent]) -> Folded:
    """The fold of the events, written from the grammar in ``nexus3.wire.events`` alone, which it checks on the way."""
    text = refusal = reasoning = ""
    started: list[tuple[str, str]] = []
    arguments: dict[int, str] = {}
    completed: list[ToolCall] = []
    usage: Usage | None = None
    for event in events:
        match event:
            case ContentDelta(piece, is_refusal):
                assert piece
                text, refusal = (text, refusal + piece) if is_refusal else (text + piece, refusal)
            case ReasoningDelta(piece):
                assert piece
                reasoning += piece
            case ToolCallStarted(index, call_id, name):
                assert index == len(started)
                started.append((call_id, name))
                arguments[index] = ""
            case ToolCallDelta(index, piece):
                assert piece
                arguments[index] += piece
            case ToolCallCompleted(index, call):
                assert index == len(completed)
                assert (call.id, call.name, call.raw_arguments) == (*started[index], arguments[index])
                completed.append(call)
            case UsageUpdated(so_far):
                assert so_far != usage
                usage = so_far
            case _:
                pass  # says nothing of the message
    assert not completed or len(completed) == len(started)
    return Folded(text, refusal, reasoning, completed, usage)


def spelled(request: CompletionRequest, target: Target | None = None, *, stream: bool = True) -> Encoded:
    return CODEC.encode(request, target or a_target(), stream=stream)


def body_of(encoded: Encoded) -> dict[str, object]:
    body = json.loads(encoded.body)
    assert isinstance(body, dict)
    return body


def body(messages: Sequence[object] = ("hi",), target: Target | None = None, **request: object) -> dict[str, object]:
    """The body that a request is spelled as, prompt caching off unless asked for. A bare string is a user's text."""
    return body_of(spelled(a_request(messages, **request), target))


def codes(encoded: Encoded) -> list[str]:
    return [notice.code for notice in encoded.notices]


def a_request(messages: Sequence[object] = ("hi",), **fields: object) -> CompletionRequest:
    read_as = [{"role": "user", "content": item} if isinstance(item, str) else item for item in messages]
    return CompletionRequest.model_validate({"prompt_caching": False, "messages": read_as, **fields})


BEGAN = [ResponseStarted("msg_1", "claude-x", "req_9"), UsageUpdated(Usage(input_tokens=11, output_tokens=1))]
"""What any answer of ours begins with: see ``start``."""
ENDED = UsageUpdated(Usage(input_tokens=11, output_tokens=6))
OURS = Origin(dialect="anthropic_messages", provider="anthropic", model="claude-sonnet-5")
PING = {"type": "ping"}


def read_at_every_cut(data: bytes, **options: Any) -> Read:
    """Read the stream whole, byte by byte, and cut in two at every place: all must be the same."""
    whole = read(data, **options)
    assert read(*(data[at : at + 1] for at in range(len(data))), **options) == whole
    for at in range(len(data) + 1):
        assert read(data[:at], data[at:], **options) == whole, f"cut at byte {at}"
    return whole


def assistant(content: str = "", **fields: Any) -> Message:
    return Message(role=Role.ASSISTANT, content=content, **fields)


def content_of(events: list[StreamEvent]) -> list[StreamEvent]:
    return [event for event in events if not isinstance(event, ResponseStarted | UsageUpdated)]
