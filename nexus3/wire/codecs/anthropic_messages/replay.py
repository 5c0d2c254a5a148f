"""An assistant turn as content blocks: how a reply is told from its canonical fields, and when its own blocks go back.

The decoder asks here whether a reply needs its blocks kept; the encoder asks here what to send. So what is not kept is
exactly what can be rebuilt.
"""

from collections.abc import Iterable, Sequence

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.anthropic_messages.models import model_line
from nexus3.wire.messages import JsonObject, Message, Origin, ReasoningBlock, ToolCall

DIALECT = "anthropic_messages"

OUTPUT_TOOL = "nexus3_output"
"""The reserved tool by which a model without structured outputs is made to fill a schema. The encoder offers it, the
decoder reads its input as text; the caller never sees a call of it."""

Block = dict[str, object]
"""A content block as it stands on the wire."""


def is_blank(text: str) -> bool:
    """The API answers 400 to text blocks that are empty or only white space."""
    return not text.strip()


def turn_blocks(reasoning: Iterable[ReasoningBlock], text: str, calls: Iterable[ToolCall]) -> list[Block]:
    """A turn from its canonical fields, in the order that the API demands: thinking, text, tool calls."""
    blocks: list[Block] = []
    for block in reasoning:
        if block.data is not None:
            blocks.append({"type": "redacted_thinking", "data": block.data})
        else:
            signed: Block = {"signature": block.signature} if block.signature else {}
            blocks.append({"type": "thinking", "thinking": block.text, **signed})
    if not is_blank(text):
        blocks.append({"type": "text", "text": text})
    for call in calls:
        call_block = {"type": "tool_use", "id": call.id, "name": call.name}
        blocks.append({**call_block, "input": call_input(call.arguments, call.raw_arguments)})
    return blocks


def call_input(arguments: JsonObject | None, raw_arguments: str) -> JsonObject:
    """The input of a call: it must be an object, so text that is none is wrapped in one."""
    return {"_raw": raw_arguments} if arguments is None else arguments


def is_rebuildable(blocks: Sequence[Block], message: Message) -> bool:
    """Whether ``message`` alone gives ``blocks`` again, so that they need not be kept."""
    rebuilt = turn_blocks(message.reasoning, message.text, message.tool_calls)
    return [_essence(block) for block in blocks if not _is_nothing(block)] == rebuilt


def _is_nothing(block: Block) -> bool:
    """Blank text, or thinking that has neither text nor signature."""
    match block.get("type"):
        case "text":
            text = block.get("text")
            return isinstance(text, str) and is_blank(text)
        case "thinking":
            return not (block.get("thinking") or block.get("signature"))
        case _:
            return False


_EMPTY: dict[str, object] = {"citations": [], "caller": {"type": "direct"}, "signature": ""}


def _essence(block: Block) -> Block:
    """The block without what says nothing: nulls, no citations, no signature, a caller that is the model itself."""
    return {
        key: value for key, value in block.items() if value is not None and not (key in _EMPTY and value == _EMPTY[key])
    }


def is_ours(origin: Origin | None, target: Target) -> bool:
    """Whether what ``origin`` made may go to ``target``: the same dialect, provider type and line of models."""
    return (
        origin is not None
        and origin.dialect == DIALECT
        and origin.provider == target.type.name
        and (origin.model == target.model or model_line(origin.model) == model_line(target.family))
    )


def kept_blocks(message: Message, target: Target) -> list[Block] | None:
    """The turn's own blocks, if they may go to ``target`` and still say what the message says (the caller may have
    edited it); else ``None``. Each is unchanged but for the id of a call, which is the message's; blank text and
    unsigned thinking, which the API refuses, are left out.
    """
    if not message.blocks or not is_ours(message.origin, target):
        return None
    blocks: list[Block] = [dict(block) for block in message.blocks]
    text = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    said = [(call.name, call_input(call.arguments, call.raw_arguments)) for call in message.tool_calls]
    if text != message.text or [(block.get("name"), block.get("input")) for block in calls] != said:
        return None
    for block, call in zip(calls, message.tool_calls, strict=True):
        block["id"] = call.id
    return [block for block in blocks if not (_is_nothing(block) or _is_unsigned(block))]


def _is_unsigned(block: Block) -> bool:
    return block.get("type") == "thinking" and not block.get("signature")
