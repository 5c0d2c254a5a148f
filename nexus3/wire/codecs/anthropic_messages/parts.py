"""A content block of an answer while it grows.

Which types of blocks there are, what each is to us, and how a block that came in pieces is made whole again.
"""

import hashlib
from typing import Literal

import msgspec

from nexus3.wire.codecs.anthropic_messages.replay import OUTPUT_TOOL, Block, call_input
from nexus3.wire.messages import parse_arguments

Kind = Literal["text", "thinking", "call", "output", "raw"]
"""What a block is to us. ``output`` is a call of the reserved tool, read as text; ``raw`` is all that is only kept."""

_RAW_TYPES = frozenset(
    {
        "redacted_thinking",
        "server_tool_use",
        "mcp_tool_use",
        "mcp_tool_listing",
        "container_upload",
        "compaction",
        "fallback",
    }
)


_PLAIN_TEXT = frozenset({"type", "text"})


class Part(msgspec.Struct, eq=False):
    """One content block: as it began, and the pieces that came for it since."""

    kind: Kind
    began: Block
    pieces: list[str] = []
    """Of the text, the thinking, or the JSON text of the input; none is empty."""
    other_pieces: dict[str, list[str]] = {}
    """Of its other fields that grow, what they began with included: a signature, whatever unknown blocks have."""
    index: int = -1
    """Of a ``call``: its place among the calls."""
    is_whole: bool = False
    """Its input came at once, with the block's beginning."""
    input_bytes: int = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def signature(self) -> str | None:
        """Of thinking; ``None`` where it is unsigned."""
        began = self.began.get("signature")
        return "".join(self.other_pieces.get("signature", ())) or (began if isinstance(began, str) and began else None)

    def grow(self, field: str, text: str) -> None:
        """Text for a field other than the block's own. Pieces are joined once, in the end: there may be many."""
        if field not in self.other_pieces:
            before = self.began.get(field)
            self.other_pieces[field] = [before] if isinstance(before, str) else []
        self.other_pieces[field].append(text)

    def merge(self, delta: Block) -> None:
        """Lay a delta over a block that is only kept: text grows, anything else replaces, null changes nothing."""
        for field, value in delta.items():
            if field == "type" or value is None:
                continue
            if isinstance(value, str):
                self.grow(field, value)
            else:
                self.other_pieces.pop(field, None)
                self.began[field] = value

    def cite(self, citation: object) -> None:
        """One more citation of a text block."""
        before = self.began.get("citations")
        if isinstance(before, list):
            before.append(citation)
        else:
            self.began["citations"] = [citation]

    @property
    def is_plain_text(self) -> bool:
        """A text block that has nothing but its text: no field but that one grows in it."""
        return self.kind == "text" and self.began.keys() == _PLAIN_TEXT

    def block(self) -> Block:
        """The whole block, as an unstreamed answer would have had it."""
        grown = self.began | {field: "".join(pieces) for field, pieces in self.other_pieces.items()}
        match self.kind:
            case "text":
                return {**grown, "text": self.text}
            case "thinking":
                return {**grown, "thinking": self.text}
            case "output":
                return {"type": "text", "text": self.text}
            case "call" | "raw":
                if self.is_whole or not self.pieces:
                    return grown
                return {**grown, "input": call_input(parse_arguments(self.text), self.text)}


def part_of(block: Block) -> Part:
    """The part that begins with ``block``, with what the block already holds."""
    match block.get("type"):
        case "text":
            return Part("text", block, _pieces(block.get("text")))
        case "thinking":
            return Part("thinking", block, _pieces(block.get("thinking")))
        case "tool_use":
            given = block.get("input")
            is_whole = isinstance(given, dict) and bool(given)
            pieces = [msgspec.json.encode(given).decode()] if is_whole else []
            return Part("output" if block.get("name") == OUTPUT_TOOL else "call", block, pieces, is_whole=is_whole)
        case _:
            return Part("raw", block, is_whole=bool(block.get("input")))


def _pieces(text: object) -> list[str]:
    return [text] if isinstance(text, str) and text else []


def is_known(block_type: object) -> bool:
    """Whether the API documents blocks of this type."""
    return isinstance(block_type, str) and (block_type in _RAW_TYPES or block_type.endswith("_tool_result"))


def made_up_id(response_id: str | None, index: int) -> str:
    """The id of a call that came without one: the same whenever the same answer is read."""
    return "call_" + hashlib.sha256(f"{response_id}/{index}".encode()).hexdigest()[:24]
