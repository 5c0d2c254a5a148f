"""Reasoning text, which every server sends in a field of its own, and its way back.

Text comes in ``reasoning``, ``reasoning_content``, ``reasoning_text``, or as thinking parts of the content. OpenRouter
adds ``reasoning_details``: the same text once more, with the signatures and encrypted blocks that the model wants back
unmodified and in order.
"""

from collections.abc import Iterable, Sequence

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.openai_chat.families import same_family
from nexus3.wire.messages import JsonObject, Origin, ReasoningBlock

DETAILS = "reasoning_details"
THINKING_PARTS = "content"
TEXT_FIELDS = ("reasoning", "reasoning_content", "reasoning_text")

# What grows by pieces; everything else of a detail is said once, or repeated.
_GROWING = ("text", "summary")


class _Detail:
    """One entry of ``reasoning_details`` while it arrives."""

    __slots__ = ("fields", "pieces")

    def __init__(self) -> None:
        self.fields: JsonObject = {}
        self.pieces: dict[str, list[str]] = {}

    def add(self, item: JsonObject) -> None:
        for key, value in item.items():
            if key in _GROWING and isinstance(value, str):
                self.pieces.setdefault(key, []).append(value)
                self.fields.setdefault(key, "")  # keeps its place
            elif key not in self.fields or value not in (None, ""):
                self.fields[key] = value

    def whole(self) -> JsonObject:
        return self.fields | {key: "".join(pieces) for key, pieces in self.pieces.items()}


class ReasoningLog:
    """The reasoning of one answer."""

    def __init__(self, target: Target) -> None:
        self.shown: list[str] = []
        """Pieces of the text, in order."""
        self.field: str | None = None
        """Where the text came first: it goes back there."""
        self._target = target
        self._details: list[_Detail] = []
        self._slots: dict[tuple[object, object], _Detail] = {}

    def __bool__(self) -> bool:
        return bool(self.shown or self._details)

    def merge_details(self, items: Iterable[JsonObject]) -> None:
        """Take the entries of one chunk.

        Entries of the same type and index are pieces of one. The type counts, since Gemini gives text and encrypted
        data the same index; and so does an id, since it gives the data of several calls the same index too.
        """
        for position, item in enumerate(items):
            kind, index, own_id = item.get("type"), item.get("index"), item.get("id")
            slot = (kind, f"position {position}" if index is None else index)
            detail = self._slots.get(slot)
            if detail is None or (own_id and detail.fields.get("id") not in (None, own_id)):
                detail = self._slots[slot] = self._append(_Detail())
            detail.add(item)

    def add_details(self, items: Iterable[JsonObject]) -> None:
        """Take the entries of a whole body: each is one, whatever its index says."""
        for item in items:
            self._append(_Detail()).add(item)

    def _append(self, detail: _Detail) -> _Detail:
        self._details.append(detail)
        return detail

    def blocks(self) -> tuple[ReasoningBlock, ...]:
        """The blocks so far. Their texts joined are the text shown."""
        shown = "".join(self.shown)
        if not self._details:
            return (self._block(shown, self.field, None),) if shown else ()
        details = [detail.whole() for detail in self._details]
        texts = [_text_of(detail) for detail in details]
        if "".join(texts) != shown:
            texts = [shown] + [""] * (len(details) - 1)
        return tuple(self._block(text, DETAILS, detail) for text, detail in zip(texts, details, strict=True))

    def _block(self, text: str, field: str | None, raw: JsonObject | None) -> ReasoningBlock:
        origin = Origin(dialect="openai_chat", provider=self._target.type.name, model=self._target.model, field=field)
        signature, data = (raw.get("signature"), raw.get("data")) if raw is not None else (None, None)
        # Built, not validated: pydantic refuses depths of ``raw`` that the limits may allow.
        return ReasoningBlock.model_construct(
            text=text,
            signature=signature if isinstance(signature, str) else None,
            data=data if isinstance(data, str) else None,
            origin=origin,
            raw=raw,
        )


def _text_of(detail: JsonObject) -> str:
    return next((value for key in _GROWING if isinstance(value := detail.get(key), str)), "")


def is_ours(origin: Origin | None, target: Target) -> bool:
    """Whether what came from ``origin`` may go back to ``target``: the same kind of server, the same model."""
    return (
        origin is not None
        and origin.dialect == "openai_chat"
        and origin.provider == target.type.name
        and same_family(origin.model, target.model)
    )


def replayed(blocks: Sequence[ReasoningBlock]) -> dict[str, object]:
    """The keys of an assistant message that carry ``blocks`` back: each in the field that it came in.

    ``content`` among them is a list of thinking parts, to be put before the message's own content.
    """
    details: list[object] = []
    thinking: list[object] = []
    fields: dict[str, object] = {}
    for block in blocks:
        field = block.origin.field if block.origin is not None else None
        if field == DETAILS and block.raw is not None:
            details.append(block.raw)
        elif field == THINKING_PARTS:
            thinking.append({"type": "thinking", "thinking": [{"type": "text", "text": block.text}]})
        elif block.text:
            name = field if field in TEXT_FIELDS else TEXT_FIELDS[0]
            fields[name] = f"{fields.get(name, '')}{block.text}"
    if details:
        fields[DETAILS] = details
    if thinking:
        fields[THINKING_PARTS] = thinking
    return fields
