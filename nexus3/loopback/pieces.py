"""An answer taken apart: the pieces of its stream, and its usage. Pure, and the same for every dialect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nexus3.loopback.answers import Answer
from nexus3.wire.messages import Usage

PieceKind = Literal["reasoning", "text", "refusal", "call", "arguments"]


@dataclass(frozen=True)
class Piece:
    """One step of an answer. ``call`` starts the tool call number ``index``; ``arguments`` is a fragment for it."""

    kind: PieceKind
    text: str = ""
    index: int = 0


def pieces_of(answer: Answer) -> list[Piece]:
    """The answer in the order of its stream: reasoning, text, refusal, tool calls. No piece of text is empty."""
    said: list[tuple[PieceKind, str | Sequence[str]]] = [
        ("reasoning", answer.reasoning),
        ("text", answer.text),
        ("refusal", answer.refusal),
    ]
    pieces = [Piece(kind, part) for kind, text in said for part in _cut(text, answer.piece_size)]
    for index, call in enumerate(answer.tool_calls):
        pieces.append(Piece("call", index=index))
        pieces += [Piece("arguments", part, index) for part in _cut(call.arguments, answer.piece_size)]
    return pieces


def usage_of(answer: Answer, prompt_words: int) -> Usage | None:
    """What the answer reports as usage, words taken for tokens unless it says otherwise."""
    if not isinstance(answer.usage, str):
        return answer.usage
    thought = len("".join(answer.reasoning).split())
    said = "".join([*answer.text, *answer.refusal])
    called = " ".join(f"{call.name} {call.arguments_text}" for call in answer.tool_calls)
    return Usage(
        input_tokens=prompt_words,
        output_tokens=thought + len(said.split()) + len(called.split()),
        cache_read_tokens=0,
        reasoning_tokens=thought,
    )


def _cut(text: str | Sequence[str], size: int) -> list[str]:
    if not isinstance(text, str):
        return [part for part in text if part]
    step = size or max(len(text), 1)
    return [text[at : at + step] for at in range(0, len(text), step)]
