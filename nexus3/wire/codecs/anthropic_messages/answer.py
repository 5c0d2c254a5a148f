"""One answer as it grows: takes blocks and their deltas, gives content events, and in the end the message.

Knows which block is open and what may be said of it; the order of the stream's other events is :mod:`.stream`'s. A
method returns the failure that ends the answer, or ``None``; events go to ``out``.
"""

from functools import lru_cache

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.anthropic_messages.parts import Part, is_known, made_up_id, part_of
from nexus3.wire.codecs.anthropic_messages.payload import is_too_deep
from nexus3.wire.codecs.anthropic_messages.replay import DIALECT, is_rebuildable
from nexus3.wire.events import (
    DUPLICATE_DROPPED,
    MODEL_CHANGED,
    UNKNOWN_CONTENT,
    ContentDelta,
    Notice,
    ReasoningDelta,
    StreamEvent,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
)
from nexus3.wire.failures import Failure, fail
from nexus3.wire.limits import CALL_ID, DecodeLimits
from nexus3.wire.messages import Message, Origin, ReasoningBlock, Role, ToolCall


class Answer(msgspec.Struct, eq=False):
    """The blocks so far, and what they say together."""

    _target: Target
    _limits: DecodeLimits
    open: dict[int, Part] = {}
    """The blocks that may still grow, by their index on the wire."""
    calls: list[Part] = []
    refusal: str | None = None
    response_id: str | None = None
    model: str | None = None
    """In the provider's words: the one that began it, or the last that it fell back to."""
    _parts: list[Part] = []
    _input_bytes: int = 0
    _noticed: set[str] = set()

    @property
    def _origin(self) -> Origin:
        return _origin(self._target.type.name, self._target.model)

    @property
    def has_output(self) -> bool:
        """The reserved tool was called: the answer is its input."""
        return any(part.kind == "output" for part in self._parts)

    def begin(self, index: int, block: object, out: list[StreamEvent]) -> Failure | None:
        """A block opens, perhaps with content already in it."""
        if not isinstance(block, dict):
            return fail("protocol", "malformed_event", "A content_block_start has no content_block.")
        if index in self.open:
            return bad_sequence(f"content block {index} began twice")
        part = part_of(block)
        if part.kind == "call" and (failure := self._admit(part)):
            return failure
        self._parts.append(part)
        self.open[index] = part
        match part.kind:
            case "text" | "output":
                out += [ContentDelta(piece) for piece in part.pieces]
            case "thinking":
                out += [ReasoningDelta(piece) for piece in part.pieces]
            case "call":
                out.append(ToolCallStarted(part.index, str(block["id"]), str(block["name"])))
                if part.is_whole:
                    out.append(ToolCallDelta(part.index, part.text))
                    return self._measure(part, part.text)
            case "raw":
                if not is_known(block.get("type")):
                    self.note(f"content block of type {str(block.get('type'))[:64]!r}", out)
                match block:
                    case {"type": "fallback", "to": {"model": str(model)}}:
                        self.model = model
                        out.append(Notice(MODEL_CHANGED, f"The provider went on with {model[:128]}."))
                    case _:
                        pass
        return None

    def _admit(self, part: Part) -> Failure | None:
        """Give the call its index, and an id where it has none, or an odd one."""
        block, index = part.began, len(self.calls)
        if index >= self._limits.max_tool_calls:
            return over_limit("max_tool_calls", self._limits.max_tool_calls, "tool calls")
        if not (isinstance(block.get("name"), str) and block["name"]):
            return fail("protocol", "malformed_event", "A tool_use block has no name.")
        if not (isinstance(call_id := block.get("id"), str) and CALL_ID.fullmatch(call_id)):
            block["id"] = made_up_id(self.response_id, index)
        part.index = index
        self.calls.append(part)
        return None

    def text(self, part: Part, text: str, out: list[StreamEvent]) -> Failure | None:
        """``text_delta``."""
        if not text:
            return None
        if part.kind == "text":
            part.pieces.append(text)
            out.append(ContentDelta(text))
        else:
            self._misplaced(part, {"type": "text_delta", "text": text}, out)
        return None

    def thinking(self, part: Part, text: str, out: list[StreamEvent]) -> Failure | None:
        """``thinking_delta``."""
        if not text:
            return None
        if part.kind == "thinking":
            part.pieces.append(text)
            out.append(ReasoningDelta(text))
        else:
            self._misplaced(part, {"type": "thinking_delta", "thinking": text}, out)
        return None

    def input(self, part: Part, text: str, out: list[StreamEvent]) -> Failure | None:
        """``input_json_delta``: of a call, of the reserved tool, or of a server's tool, which is only kept."""
        if not text:
            return None
        if part.kind in ("text", "thinking"):
            self._misplaced(part, {"type": "input_json_delta", "partial_json": text}, out)
            return None
        if part.is_whole:
            self.note("tool input again that had come whole", out, code=DUPLICATE_DROPPED)
            return None
        part.pieces.append(text)
        if part.kind == "call":
            out.append(ToolCallDelta(part.index, text))
        elif part.kind == "output":
            out.append(ContentDelta(text))
        return self._measure(part, text)

    def other(self, part: Part, delta: dict[str, object], out: list[StreamEvent]) -> None:
        """Any other delta, or one whose content is not the text that it should be."""
        match delta:
            case {"type": "signature_delta", "signature": str(signature)} if part.kind == "thinking":
                part.grow("signature", signature)
            case {"type": "citations_delta", "citation": citation} if part.kind == "text":
                part.cite(citation)
            case _:
                if any(value is not None for key, value in delta.items() if key != "type"):
                    self._misplaced(part, delta, out)

    def _misplaced(self, part: Part, delta: dict[str, object], out: list[StreamEvent]) -> None:
        """A delta that its block is not made for: merged where the block is only kept, else left out."""
        if part.kind == "raw":
            part.merge(delta)
        else:
            self.note(f"delta of type {str(delta.get('type'))[:64]!r} in a block of type {part.began['type']!r}", out)

    def _measure(self, part: Part, text: str) -> Failure | None:
        """Count tool input against its limits."""
        limits = self._limits
        size = len(text) if text.isascii() else len(text.encode())
        part.input_bytes += size
        self._input_bytes += size
        if part.input_bytes > limits.max_tool_arguments_bytes:
            return over_limit("max_tool_arguments_bytes", limits.max_tool_arguments_bytes)
        if self._input_bytes > limits.max_all_tool_arguments_bytes:
            return over_limit("max_all_tool_arguments_bytes", limits.max_all_tool_arguments_bytes)
        return None

    def finish(self, index: int) -> Failure | None:
        """An open block is whole, or as whole as it will be."""
        part = self.open.pop(index)
        max_depth = self._limits.max_json_depth
        if part.kind in ("call", "raw") and is_too_deep(part.text.encode(), max_depth):
            return over_limit("max_json_depth", max_depth, "levels of nested JSON")
        return None

    def finish_all(self) -> Failure | None:
        """Output that is cut off leaves its last block open."""
        for index in list(self.open):
            if failure := self.finish(index):
                return failure
        return None

    def note(self, what: str, out: list[StreamEvent], code: str = UNKNOWN_CONTENT) -> None:
        """Say once that the provider sent something which we keep raw or leave out."""
        if what not in self._noticed:
            self._noticed.add(what)
            out.append(Notice(code, f"The provider sent {what}."))

    def completions(self) -> list[StreamEvent]:
        return [ToolCallCompleted(part.index, self._tool_call(part)) for part in self.calls]

    def message(self) -> Message:
        """The answer as a turn. Its blocks are kept only where the turn cannot be rebuilt without them."""
        message = self.partial() or _NOTHING_SAID
        if len(self._parts) == 1 and self._parts[0].is_plain_text:  # what nearly every answer is
            return message
        blocks = [part.block() for part in self._parts]
        if is_rebuildable(blocks, message):
            return message
        return message.model_copy(update={"blocks": tuple(blocks), "origin": self._origin})

    def partial(self) -> Message | None:
        """What has come, in canonical fields alone; ``None`` where that is nothing."""
        content = "".join([part.text for part in self._parts if part.kind in ("text", "output")])
        reasoning = tuple([block for part in self._parts if (block := self._reasoning(part)) is not None])
        calls = tuple([self._tool_call(part) for part in self.calls])
        if not (content or reasoning or calls or self.refusal):
            return None
        # Copied, not validated: what it is made of was validated, or was read as JSON text.
        return _NOTHING_SAID.model_copy(
            update={"content": content, "reasoning": reasoning, "tool_calls": calls, "refusal": self.refusal}
        )

    def _tool_call(self, part: Part) -> ToolCall:
        """The call as far as it has come; ``arguments`` is ``None`` where it was cut off."""
        call_id, name, text = str(part.began["id"]), str(part.began["name"]), part.text
        if is_too_deep(text.encode(), self._limits.max_json_depth):  # nothing is to be built of it, validation included
            return ToolCall.model_construct(id=call_id, name=name, arguments=None, raw_arguments=text)
        return ToolCall(id=call_id, name=name, raw_arguments=text)

    def _reasoning(self, part: Part) -> ReasoningBlock | None:
        if part.kind == "thinking":
            if part.pieces or part.signature:
                return ReasoningBlock(text=part.text, signature=part.signature, origin=self._origin)
        elif part.began.get("type") == "redacted_thinking" and isinstance(data := part.began.get("data"), str):
            return ReasoningBlock(data=data, origin=self._origin)
        return None


_NOTHING_SAID = Message(role=Role.ASSISTANT)


@lru_cache(maxsize=256)
def _origin(provider: str, model: str) -> Origin:
    return Origin(dialect=DIALECT, provider=provider, model=model)


def bad_sequence(what: str) -> Failure:
    return fail("protocol", "bad_sequence", f"The provider broke the grammar of its stream: {what}.")


def over_limit(limit: str, allowed: int, unit: str = "bytes") -> Failure:
    return fail("limit", limit, f"The provider's answer has more than {allowed} {unit} ({limit}).")
