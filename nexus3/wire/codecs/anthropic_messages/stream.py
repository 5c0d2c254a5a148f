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

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec

from nexus3.wire.classify import in_stream_failure
from nexus3.wire.codecs.anthropic_messages.answer import Answer, bad_sequence, over_limit
from nexus3.wire.codecs.anthropic_messages.payload import parse_object
from nexus3.wire.codecs.anthropic_messages.usage import merge_counters, usage_of
from nexus3.wire.events import ContentDelta, ResponseStarted, StopReason, StreamEvent, UsageUpdated
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


class MessageStream(msgspec.Struct, eq=False):
    """Reads events of the wire into events of ours, appended to ``out``.

    A method returns the failure that ends the answer, or ``None``.
    """

    answer: Answer
    _request_id: str | None
    _limits: DecodeLimits
    is_over: bool = False
    """``message_stop`` was read."""
    is_proven: bool = False
    """The answer is complete: its stop reason, or ``message_stop``, was read."""
    usage: Usage | None = None
    stop_reason: str | None = None
    """The provider's own word."""
    events: int = 0
    _is_started: bool = False
    _counters: dict[str, int] = {}

    def take(self, frames: Sequence[ServerSentEvent], out: list[StreamEvent]) -> Failure | None:
        """Read the next events, no further than to the one that ends the answer."""
        allowed = self._limits.max_events - self.events
        self.events += len(frames)
        answer, open_parts = self.answer, self.answer.open
        for name, data in frames[:allowed]:
            try:
                event = _read_delta(data) if name in ("content_block_delta", "message") else None
            except _UNREADABLE:
                event = None
            if event is None:
                failure = self._take_any(name, data, out)
                if self.is_over:
                    return failure
            elif (part := open_parts.get(event.index)) is None:
                return self._not_open("content_block_delta", event.index)
            else:
                delta = event.delta
                if isinstance(delta, _Text):
                    failure = answer.text(part, delta.text, out)
                elif isinstance(delta, _Input):
                    failure = answer.input(part, delta.partial_json, out)
                else:
                    failure = answer.thinking(part, delta.thinking, out)
            if failure is not None:
                return failure
        return over_limit("max_events", self._limits.max_events, "events") if len(frames) > allowed else None

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

    def _take_any(self, name: str, data: bytes, out: list[StreamEvent]) -> Failure | None:
        said = parse_object(data, max_depth=self._limits.max_json_depth, reason="malformed_event")
        if isinstance(said, Failure):
            if data.strip().startswith(b"[DONE]"):  # an end marker of the other dialect, which gateways add
                return None
            return self._error({"error": data[:500].decode("utf-8", "replace")}) if name == "error" else said
        kind = said.get("type")
        if isinstance(kind, str) and kind:
            name = kind
        read = self._readers.get(name)
        if read is None:
            return self._take_other(name, said, out)
        if not self._is_started and name != "message_start":
            return bad_sequence(f"{name} came before message_start")
        return read(self, said, out)

    def _take_other(self, name: str, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        if name == "error" or said.get("error"):
            return self._error(said)
        if name != "ping":
            self.answer.note(f"event of type {name[:64]!r}", out)
        return None

    def _message_start(self, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        message = said.get("message")
        if not isinstance(message, dict):  # Bedrock's metrics come as such events, without a message
            return None
        if self._is_started:
            return bad_sequence("a second message_start")
        self._is_started = True
        answer = self.answer
        answer.response_id, answer.model = _word(message.get("id")), _word(message.get("model"))
        out.append(ResponseStarted(answer.response_id, answer.model, self._request_id))
        self._count(message.get("usage"), out)
        content = message.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            if failure := answer.begin(index, block, out) or answer.finish(index):
                return failure
        self._read_stop(message, out)
        return None

    def _block_start(self, said: dict[str, object], out: list[StreamEvent]) -> Failure | None:
        return self.answer.begin(_index(said), said.get("content_block"), out)

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

    _readers: ClassVar[dict[str, Callable[["MessageStream", dict[str, object], list[StreamEvent]], Failure | None]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
    }

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
    if type(index) is int:  # a bool is an int, too
        return index
    return int(index) if isinstance(index, float) and index.is_integer() else -1
