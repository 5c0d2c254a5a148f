"""Which fragment belongs to which tool call.

The dialect numbers calls by ``index`` and names them by ``id``, and servers keep to neither: ollama sent every call as
index 0, some send no index, or an id on every fragment, or a new id on every fragment, or the name late, or the whole
arguments once more at the end. The rules of :meth:`ToolCalls.feed` were chosen so that each of these comes out right.

A call is never taken for finished because its text parses: a text that parses can still grow.
"""

from hashlib import blake2b

import msgspec
from msgspec import Raw

from nexus3.wire.codecs.openai_chat.chunks import ABSENT, CallDelta
from nexus3.wire.codecs.openai_chat.reading import Malformed, OverLimit, load
from nexus3.wire.events import (
    DUPLICATE_DROPPED,
    UNKNOWN_CONTENT,
    Notice,
    StreamEvent,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
)
from nexus3.wire.limits import CALL_ID, DecodeLimits
from nexus3.wire.messages import JsonObject, ToolCall, parse_arguments


class _Call:
    """One call while it arrives."""

    __slots__ = ("extra", "fragments", "id", "index", "name", "size", "wire_id")

    def __init__(self, wire_id: str) -> None:
        self.wire_id = wire_id
        self.id = ""
        self.name = ""
        self.index = -1
        """Ours, given when the call is started; -1 until then."""
        self.fragments: list[str] = []
        self.size = 0
        """UTF-8 bytes of the fragments."""
        self.extra: JsonObject = {}

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)

    def ends_like_an_object(self) -> bool:
        """A cheap look before the text is parsed."""
        return bool(self.fragments) and self.fragments[-1].rstrip().endswith("}")


class ToolCalls:
    """The calls of one answer, in the order in which their names became known: that is their index."""

    def __init__(self, limits: DecodeLimits, *, id_seed: str) -> None:
        """``id_seed`` differs by answer: ids of ours are made of it, beside position and name."""
        self._id_seed = id_seed
        self._limits = limits
        self._calls: list[_Call] = []
        self._started: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._started)

    def feed(self, delta: CallDelta) -> list[StreamEvent]:
        """Take one fragment of a stream.

        Raises:
            OverLimit: too many calls, or too long arguments.
        """
        name, arguments = _header(delta)
        if not (name or arguments or delta.id or delta.extra_content != ABSENT):
            return []
        return self._extend(self._call_of(delta, name, arguments), delta, name, arguments)

    def add(self, delta: CallDelta) -> list[StreamEvent]:
        """Take one whole call of an unstreamed body.

        Raises:
            OverLimit: too many calls, or too long arguments.
        """
        name, arguments = _header(delta)
        if not (name or arguments):
            return []
        return self._extend(self._open(delta.id or "", None), delta, name, arguments)

    def complete(self) -> list[StreamEvent]:
        """The answer is over: every call's end, in order."""
        events: list[StreamEvent] = [
            Notice(UNKNOWN_CONTENT, "a tool call without a name was left out") for call in self._calls if call.index < 0
        ]
        events += [ToolCallCompleted(call.index, self._tool_call(call)) for call in self._started]
        return events

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """All calls as they are now, finished or not."""
        return tuple(self._tool_call(call) for call in self._started)

    def _call_of(self, delta: CallDelta, name: str, arguments: str) -> _Call:
        index, wire_id = delta.index, delta.id
        held = None if index is None else self._by_index.get(index)
        if wire_id:
            if (known := self._by_id.get(wire_id)) is not None:
                return known
            if held is None or (name and (held.name or held.wire_id)):
                return self._open(wire_id, index)  # ollama: every call is index 0, each with an id and a name
            return held  # a fresh id on every fragment: the first one counts
        if index is not None:
            if held is None or (name and held.name and self._begins_anew(held, name, arguments)):
                return self._open("", index)
            return held
        if name or not self._calls:
            return self._open("", None)
        return self._calls[-1]

    def _begins_anew(self, held: _Call, name: str, arguments: str) -> bool:
        """Whether a fragment with a name but no id is another call on an index that is taken."""
        if name == held.name and not arguments.lstrip().startswith("{"):
            return False
        return held.ends_like_an_object() and _object_in(held.arguments) is not None

    def _open(self, wire_id: str, index: int | None) -> _Call:
        if len(self._calls) >= self._limits.max_tool_calls:
            raise OverLimit("max_tool_calls")
        call = _Call(wire_id)
        self._calls.append(call)
        if wire_id:
            self._by_id[wire_id] = call
        if index is not None:
            self._by_index[index] = call
        return call

    def _extend(self, call: _Call, delta: CallDelta, name: str, arguments: str) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if delta.extra_content != ABSENT:
            call.extra = {"extra_content": self._extra(delta.extra_content)}
        if delta.id and not call.wire_id:
            call.wire_id = delta.id
            self._by_id[delta.id] = call
        if name and not call.name:
            call.name = name
            call.index = len(self._started)
            call.id = self._id_of(call)
            self._started.append(call)
            events.append(ToolCallStarted(call.index, call.id, name))
            if held_back := call.arguments:
                events.append(ToolCallDelta(call.index, held_back))
        if arguments:
            if _repeats(call, arguments):
                return [*events, Notice(DUPLICATE_DROPPED, f"tool call {call.name}: the arguments came twice")]
            self._account(call, arguments)
            call.fragments.append(arguments)
            if call.index >= 0:
                events.append(ToolCallDelta(call.index, arguments))
        return events

    def _id_of(self, call: _Call) -> str:
        """The provider's id; where it gave none, an odd one, or the same to two calls, one that is the same at every
        reading."""
        if CALL_ID.fullmatch(call.wire_id) and all(other.id != call.wire_id for other in self._started):
            return call.wire_id
        seed = f"{self._id_seed}\n{call.index}\n{call.name}".encode("utf-8", "replace")
        return f"call_{blake2b(seed, digest_size=12).hexdigest()}"

    def _account(self, call: _Call, arguments: str) -> None:
        size = len(arguments) if arguments.isascii() else len(arguments.encode("utf-8", "surrogatepass"))
        call.size += size
        self._size += size
        if call.size > self._limits.max_tool_arguments_bytes:
            raise OverLimit("max_tool_arguments_bytes")
        if self._size > self._limits.max_all_tool_arguments_bytes:
            raise OverLimit("max_all_tool_arguments_bytes")

    def _extra(self, raw: Raw) -> JsonObject:
        value = load(raw, self._limits.max_json_depth)
        return value if isinstance(value, dict) else {}

    def _tool_call(self, call: _Call) -> ToolCall:
        # Built, not validated: it is JSON by construction, and pydantic refuses depths that the limits may allow.
        text = call.arguments
        return ToolCall.model_construct(
            id=call.id,
            name=call.name,
            arguments=self._parsed(text),
            raw_arguments=text,
            extra=call.extra,
        )

    def _parsed(self, text: str) -> JsonObject | None:
        if not text.strip():
            return {}
        try:
            value = load(text.encode("utf-8", "replace"), self._limits.max_json_depth)
        except (Malformed, OverLimit):
            return None
        return value if isinstance(value, dict) else None


def _header(delta: CallDelta) -> tuple[str, str]:
    function = delta.function
    return (function.name or "", function.arguments or "") if function is not None else ("", "")


def _object_in(text: str) -> JsonObject | None:
    """The object that ``text`` wholly is."""
    return parse_arguments(text) if text.lstrip().startswith("{") else None


def _repeats(call: _Call, arguments: str) -> bool:
    """Whether ``arguments`` says all over again what has arrived already, perhaps as JSON text of JSON text.

    Only a whole object is compared: nothing but blanks may follow one, so a call that goes on loses nothing. A much
    shorter text cannot say the same: that bounds the work.
    """
    begins = arguments.lstrip()[:1]
    if begins not in ("{", '"') or not call.ends_like_an_object() or 8 * len(arguments) < call.size:
        return False
    if (held := _object_in(call.arguments)) is None:
        return False
    if begins == '"':
        try:
            arguments = msgspec.json.decode(arguments, type=str)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return False
    return _object_in(arguments) == held
