"""Recorded answers of real providers: which of a folder the demo replays, and whether they came out as recorded.

A recording is one JSON file: what was said on the wire (``response``), and what a reader must have understood
(``expected``). None are bundled; a checkout finds them in ``../shared/transcripts``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

import nexus3
from nexus3.cli.demo.follow import Told
from nexus3.wire.catalog import CATALOG

Kind = Literal["tool calls", "reasoning", "error"]

WANTED: tuple[tuple[Kind, str | None], ...] = (
    ("tool calls", "openai-chat"),
    ("tool calls", "anthropic-messages"),
    ("reasoning", "openai-chat"),
    ("reasoning", "anthropic-messages"),
    ("error", None),
)
"""One of each, by kind and dialect; ``None`` is any dialect."""

MAX_BODY_CHARACTERS = 40_000
"""Longer ones would hold up the demo."""


class ExpectedCall(msgspec.Struct, frozen=True):
    """A tool call as it must be understood."""

    name: str
    arguments: object = None


class Expected(msgspec.Struct, frozen=True):
    """What a reader must have understood."""

    text: str | None = None
    reasoning: str | None = None
    tool_calls: list[ExpectedCall] | None = None
    disputed: object = None
    partial: bool = False


class Response(msgspec.Struct, frozen=True):
    """The part of the answer that choosing needs; the server reads it whole."""

    status: int
    sse: str | None = None


class Recording(msgspec.Struct, frozen=True):
    """One recorded exchange."""

    id: str
    provider_type: str
    dialect: str
    fidelity: str
    response: Response
    expected: Expected

    @property
    def provider(self) -> str:
        """The provider to replay it with; other compatible servers have no type of their own."""
        return self.provider_type if self.provider_type in CATALOG else "vllm"

    @property
    def kinds(self) -> set[Kind]:
        """What it is an example of; nothing where it was edited, or where its readers disagree."""
        expected, status = self.expected, self.response.status
        if self.fidelity != "recorded-verbatim" or expected.disputed or expected.partial:
            return set()
        if status in (400, 401, 403, 404):  # none that a second attempt could help
            return {"error"}
        if status != 200 or self.response.sse is None or len(self.response.sse) > MAX_BODY_CHARACTERS:
            return set()
        kinds: set[Kind] = set()
        if expected.tool_calls and all(isinstance(call.arguments, dict) for call in expected.tool_calls):
            kinds.add("tool calls")
        if expected.reasoning and expected.text:
            kinds.add("reasoning")
        return kinds


class Chosen(msgspec.Struct, frozen=True):
    """A recording for the demo: what it shows, and the record itself for the server."""

    kind: Kind
    recording: Recording
    record: Mapping[str, object]


def find_folder(named: str | None) -> Path | None:
    """The folder that was named, else that beside a checkout of the project; ``None`` where there is none."""
    beside = Path(nexus3.__file__).parents[2] / "shared" / "transcripts"
    folder = Path(named) if named else beside
    return folder if folder.is_dir() else None


def choose(folder: Path | None) -> list[Chosen]:
    """One recording of each wanted kind, from as many provider types as possible. Reads the folder; same each time."""
    if folder is None:
        return []
    found = [read for path in sorted(folder.glob("*.json")) if (read := _read(path)) is not None]
    chosen: list[Chosen] = []
    for kind, dialect in WANTED:
        fitting = [
            (recording, record)
            for recording, record in found
            if kind in recording.kinds and dialect in (None, recording.dialect)
        ]
        used = {item.recording.provider_type for item in chosen}
        fitting.sort(key=lambda pair: pair[0].provider_type in used)
        chosen += [Chosen(kind, *pair) for pair in fitting[:1]]
    return chosen


def _read(path: Path) -> tuple[Recording, Mapping[str, object]] | None:
    """The record; ``None`` for a file that is none."""
    try:
        data = path.read_bytes()
        record: Mapping[str, object] = msgspec.json.decode(data, type=dict[str, object])
        return msgspec.convert(record, Recording), record
    except (OSError, msgspec.MsgspecError):
        return None


def came_out_as_recorded(recording: Recording, told: Told) -> bool:
    """What the caller saw is what the recording's own reader understood."""
    if recording.response.status != 200:
        return told.error is not None and told.error.status == recording.response.status
    expected = recording.expected
    calls: Sequence[tuple[str, object]] = [(call.name, call.arguments) for call in told.tool_calls]
    return (
        told.done is not None
        and told.text == (expected.text or "")
        and told.reasoning == (expected.reasoning or "")
        and calls == [(call.name, call.arguments) for call in expected.tool_calls or ()]
    )


def in_one_line(kind: Kind, told: Told) -> str:
    """What came out, for a person."""
    if told.error is not None:
        return f"{told.error.kind}, status {told.error.status}: {told.error.message}"
    if kind == "tool calls":
        return ", ".join(f"{call.name}({call.raw_arguments})" for call in told.tool_calls)
    return f"{len(told.reasoning.split())} words of reasoning, then: {told.text}"
