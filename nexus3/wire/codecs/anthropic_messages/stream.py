"""The Messages stream, event by event.

::

    message_start
    ( content_block_start(i)  content_block_delta(i)*  content_block_stop(i) )*
    message_delta+            stop reason, cumulative usage
    message_stop
    ping and unknown events anywhere; error anywhere, and then nothing more

What breaks this order is a failure of kind ``protocol``, reason ``bad_sequence``. A block without its stop does not:
output that is cut off by ``max_tokens`` ends so. An unstreamed body is read as a ``message_start`` that already holds
everything.
"""

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.classify import in_stream_failure
from nexus3.wire.codecs.anthropic_messages.answer import Answer, bad_sequence, over_limit
from nexus3.wire.codecs.anthropic_messages.payload import parse_object
from nexus3.wire.codecs.anthropic_messages.usage import merge_counters, usage_of
from nexus3.wire.events import (
    MODEL_CHANGED,
    ContentDelta,
    Notice,
    ResponseStarted,
    StopReason,
    StreamEvent,
    UsageUpdated,
)
from nexus3.wire.failures import Failure, Phase, fail
from nexus3.wire.limits import DecodeLimits
from nexus3.wire.messages import Usage
from nexus3.wire.sse import ServerSentEvent

_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}

_HANDLED = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)

PHASE_OPEN: Phase = "queued"
"""The phase of a failure from here: whoever hands out the events knows whether content went out before it."""


class _Text(msgspec.Struct, tag="text_delta", gc=False):
    text: str


class _Thinking(msgspec.Struct, tag="thinking_delta", gc=False):
    thinking: str


class _Input(msgspec.Struct, tag="input_json_delta", gc=False):
    partial_json: str


class _BlockDelta(msgspec.Struct, tag="content_block_delta", gc=False):
    index: int
    delta: _Text | _Thinking | _Input


# Nearly every event of a stream is one of three deltas, spelled as documented: those are read by type, for about a
# microsecond. Whatever this decoder refuses is read again as plain data, with the same meaning.
_read_delta = msgspec.json.Decoder(_BlockDelta).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MessageStream:
    """Reads events of the wire into events of ours, appended to ``out``.

    A method returns the failure that ends the answer, or ``None``.
    """

    def __init__(self, target: Target, *, request_id: str | None, limits: DecodeLimits) -> None:
        self.answer = Answer(target, limits)
        self.is_over = False
        """``message_stop`` was read."""
        self.is_proven = False
        """The answer is complete: its stop reason, or ``message_stop``, was read."""
        self.usage: Usage | None = None
        self.model: str | None = None
        self.stop_reason: str | None = None
        """The provider's own word."""
        self.events = 0
        self._is_started = False
        self._request_id = request_id
        self._limits = limits
        self._counters: dict[str, int] = {}

    def take(self, frame: ServerSentEvent, out: list[StreamEvent]) -> Failure | None:
        """Read the next event."""
        self.events += 1
        if self.events > self._limits.max_events:
            return over_limit("max_events", self._limits.max_events, "events")
        if frame.event not in ("content_block_delta", "message"):
            return self._take_any(frame, out)
        try:
            event = _read_delta(frame.data)
        except _UNREADABLE:
            return self._take_any(frame, out)
        part = self.answer.open.get(event.index)
        if part is None:
            return self._not_open("content_block_delta", event.index)
        delta = event.delta
        if isinstance(delta, _Text):
            return self.answer.text(part, delta.text, out)
        if isinstance(delta, _Input):
            return self.answer.input(part, delta.partial_json, out)
        return self.answer.thinking(part, delta.thinking, out)

    def take_whole(self, body: bytes, out: list[StreamEvent]) -> Failure | None:
        """Read an unstreamed body instead of events."""
        said = parse_object(body, max_depth=self._limits.max_json_depth, reason="malformed_body")
        if isinstance(said, Failure):
            return said
        if said.get("error") or said.get("type") == "error":
            return self._error(said)
        if not isinstance(said.get("content"), list):
            return fail("protocol", "malformed_body", "The provider's answer has no list of content.")
        return self._message_start({"message": said}, out) or self._message_stop({}, out)

    def _take_any(self, frame: ServerSentEvent, out: list[StreamEvent]) -> Failure | None:
        if frame.data.strip().startswith(b"[DONE]"):  # an end marker of the other dialect, which gateways add
            return None
        said = parse_object(frame.data, max_depth=self._limits.max_json_depth, reason="malformed_event")
        if isinstance(said, Failure):
            if frame.event == "error":
                return self._error({"error": frame.data[:500].decode("utf-8", "replace")})
            return said
        name = _word(said.get("type")) or frame.event
        if name == "error" or (name not in _HANDLED and said.get("error")):
            return self._error(said)
        if name not in _HANDLED:
            if name != "ping":
                self.answer.note(f"event of type {name[:64]!r}", out)
            return None
        if not self._is_started and name != "message_start":
            return bad_sequence(f"{name} came before message_start")
        match name:
            case "message_start":
                return self._message_start(said, out)
            case "content_block_start":
                return self._block_start(said, out)
            case "content_block_delta":
                return self._block_delta(said, out)
            case "content_block_stop":
                return self._block_stop(said, out)
            case "message_delta":
                return self._message_delta(said, out)
            case _:
                return self._message_stop(said, out)

    def _message_start(self, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        message = said.get("message")
        if not isinstance(message, dict):  # Bedrock's metrics come as such events, without a message
            return None
        if self._is_started:
            return bad_sequence("a second message_start")
        self._is_started = True
        self.answer.response_id, self.model = _word(message.get("id")), _word(message.get("model"))
        out.append(ResponseStarted(self.answer.response_id, self.model, self._request_id))
        self._count(message.get("usage"), out)
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            failure = self._block_start({"index": index, "content_block": block}, out) or self.answer.finish(index)
            if failure is not None:
                return failure
        self._read_stop(message, out)
        return None

    def _block_start(self, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        block = said.get("content_block")
        failure = self.answer.begin(_index(said), block, out)
        match block:
            case {"type": "fallback", "to": {"model": str(model)}} if failure is None:
                self.model = model
                out.append(Notice(MODEL_CHANGED, f"The provider went on with {model[:128]}."))
        return failure

    def _block_delta(self, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        part = self.answer.open.get(_index(said))
        if part is None:
            return self._not_open("content_block_delta", _index(said))
        match said.get("delta"):
            case {"type": "text_delta", "text": str(text)}:
                return self.answer.text(part, text, out)
            case {"type": "thinking_delta", "thinking": str(text)}:
                return self.answer.thinking(part, text, out)
            case {"type": "input_json_delta", "partial_json": str(text)}:
                return self.answer.input(part, text, out)
            case dict(delta):
                self.answer.other(part, delta, out)
                return None
            case _:
                return fail("protocol", "malformed_event", "A content_block_delta has no delta.")

    def _block_stop(self, said: dict[str, object], _out: list[StreamEvent]) -> Failure | None:
        index = _index(said)
        if index not in self.answer.open:
            return self._not_open("content_block_stop", index)
        return self.answer.finish(index)

    def _message_delta(self, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        self._count(said.get("usage"), out)
        delta = said.get("delta")
        if isinstance(delta, dict) and _word(delta.get("stop_reason")):
            if failure := self.answer.finish_all():
                return failure
            self._read_stop(delta, out)
            self.is_proven = True
        return None

    def _message_stop(self, _said: dict[str, object], _out: list[StreamEvent]) -> Failure | None:
        if failure := self.answer.finish_all():
            return failure
        self.is_proven = self.is_over = True
        return None

    def _error(self, said: dict[str, object]) -> Failure:
        return in_stream_failure(said, phase=PHASE_OPEN, request_id=self._request_id)

    def _count(self, said: object, out: list[StreamEvent]) -> None:
        merge_counters(self._counters, said)
        usage = usage_of(self._counters)
        if usage is not None and usage != self.usage:
            self.usage = usage
            out.append(UsageUpdated(usage))

    def _read_stop(self, said: dict[str, object], out: list[StreamEvent]) -> None:
        """The stop reason, and what a refusal says for itself, where ``said`` has them."""
        self.stop_reason = _word(said.get("stop_reason")) or self.stop_reason
        details = said.get("stop_details")
        if self.stop_reason == "refusal" and isinstance(details, dict) and self.answer.refusal is None:
            words = (_word(details.get("category")), _word(details.get("explanation")))
            if refusal := ": ".join(word for word in words if word):
                self.answer.refusal = refusal
                out.append(ContentDelta(refusal, refusal=True))

    def _not_open(self, name: str, index: int) -> Failure:
        if not self._is_started:
            return bad_sequence(f"{name} came before message_start")
        return bad_sequence(f"{name} for content block {index}, which is not open")

    def canonical_stop(self) -> tuple[StopReason, str | None]:
        """The stop reason in our words, and what is odd about the provider's."""
        has_calls = bool(self.answer.calls)
        if self.stop_reason is None:
            return "tool_calls" if has_calls else "stop", "The provider ended its answer without a stop reason."
        if self.stop_reason == "tool_use" and not has_calls:
            odd = None if self.answer.has_output else "The provider stopped for a tool call, but made none."
            return "stop", odd
        return _STOP_REASONS.get(self.stop_reason, "unknown"), None


def _word(value: object) -> str | None:
    """A string that says something, else ``None``."""
    return value if isinstance(value, str) and value else None


def _index(said: dict[str, object]) -> int:
    """The block's index; -1 where there is none."""
    index = said.get("index")
    if isinstance(index, float) and index.is_integer():
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else -1
