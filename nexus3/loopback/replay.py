"""Recorded transcripts as answers: status, headers and body byte for byte, cut into segments by a seed. Pure.

A request chooses its record by a header ``x-nexus3-transcript: ID`` or a model id ``transcript:ID``. Further headers:

``x-nexus3-segments: N``
    no segment has more than N bytes (1: byte by byte; default 256). Each is one chunk and one send.
``x-nexus3-cut: K``
    stop after K bytes of the body.
``x-nexus3-cut-how: end | eof | reset | truncate``
    how: the body ends properly as HTTP (the default), or as :class:`nexus3.loopback.faults.Cut` says.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from nexus3.loopback.answers import Answer
from nexus3.loopback.faults import Cut
from nexus3.loopback.received import Received

DEFAULT_SEGMENT_BYTES = 256

# They describe the recorded connection, not the answer; the server's own connection has its own.
_HOP_BY_HOP = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}


_HOW: dict[str, Literal["eof", "reset", "truncate", "end"]] = {
    "eof": "eof",
    "reset": "reset",
    "truncate": "truncate",
    "end": "end",
}


class RecordedResponse(msgspec.Struct, frozen=True):
    """What was recorded. The body is the first of ``sse``, ``body_text``, ``body_json`` that is there."""

    status: int
    headers: dict[str, str | list[str]] = {}
    sse: str | None = None
    body_text: str | None = None
    body_json: object = None

    @property
    def body(self) -> bytes:
        """The bytes; JSON that was stored parsed is written compactly."""
        for text in (self.sse, self.body_text):
            if text is not None:
                return text.encode()
        return msgspec.json.encode(self.body_json)


class Record(msgspec.Struct, frozen=True):
    """One exchange; what else a record has is not read."""

    id: str
    response: RecordedResponse


def load(source: str | Path | Iterable[Mapping[str, object]]) -> dict[str, Record]:
    """The records of a folder (``*.json``, one a file) or of a list of dicts, by id. Reads files.

    Raises:
        msgspec.ValidationError: something is no record.
        OSError: the folder cannot be read.
    """
    if isinstance(source, str | Path):
        folder = Path(source)
        if not folder.is_dir():
            raise NotADirectoryError(f"no folder of transcripts: {folder}")
        found = [msgspec.json.decode(path.read_bytes(), type=Record) for path in sorted(folder.glob("*.json"))]
    else:
        found = [msgspec.convert(item, Record) for item in source]
    return {record.id: record for record in found}


class Replayer:
    """Serves records. Equal seeds cut the n-th serving of a record at the same places."""

    def __init__(self, records: Mapping[str, Record], seed: int) -> None:
        self._records = records
        self._seed = seed
        self._served: dict[str, int] = {}

    def answer(self, received: Received) -> Answer | None:
        """The recorded answer; 404 for an unknown id; ``None`` where the request names no record."""
        name = received.headers.get("x-nexus3-transcript")
        if name is None and received.model.startswith("transcript:"):
            name = received.model.removeprefix("transcript:")
        if name is None:
            return None
        record = self._records.get(name)
        if record is None:
            return Answer(status=404, error=f"no transcript {name!r} among {len(self._records)}")
        count = self._served[name] = self._served.get(name, 0) + 1
        rng = random.Random(f"{self._seed}:{name}:{count}")  # noqa: S311 - repeatable cuts
        return recorded_answer(record.response, received.headers, rng)


def recorded_answer(response: RecordedResponse, wishes: Mapping[str, str], rng: random.Random) -> Answer:
    """The response as an answer, cut as the request's headers wish."""
    longest = max(_int(wishes.get("x-nexus3-segments"), DEFAULT_SEGMENT_BYTES), 1)
    body, stop = response.body, _int(wishes.get("x-nexus3-cut"), -1)
    whole = Answer(
        status=response.status,
        headers=list(_fields(response.headers)),
        default_headers=False,
        body=_segments(body, longest, rng),
        framing="chunked",
    )
    if stop < 0:
        return whole
    before, rest = _segments(body[:stop], longest, rng), body[stop:]
    # A truncated chunk brings half of the segment it announces: of one byte, nothing.
    pieces = [*before, rest[:1], rest[1:]]
    cut = Cut(len(before) or "head", _HOW.get(wishes.get("x-nexus3-cut-how", "end"), "end"))
    return replace(whole, body=pieces, fault=cut)


def _fields(headers: Mapping[str, str | list[str]]) -> Iterable[tuple[str, str]]:
    for name, value in headers.items():
        if name.lower() not in _HOP_BY_HOP and not name.startswith(":"):
            for item in [value] if isinstance(value, str) else value:
                yield name, " ".join(item.split())


def _segments(body: bytes, longest: int, rng: random.Random) -> list[bytes]:
    found, at = [], 0
    while at < len(body):
        size = rng.randint(1, longest)
        found.append(body[at : at + size])
        at += size
    return found


def _int(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default
