"""Cassettes: recorded exchanges with a provider in a file that a person can read, and that holds no key.

JSON Lines in UTF-8. The first line says what the file is; every other line is one :class:`Recording`, in the order in
which they ended. A body is cut into the pieces that the network brought, each with its time; a piece that is not UTF-8
by itself is base64::

    {"cassette": "nexus3", "version": 1}
    {"number": 0, "request": {"method": "POST", "path": "/v1/messages", "headers": {...}, "body": {...}},
     "answer": {"status": 200, "after": 0.31, "headers": {...}, "pieces": [[0.31, "event: ..."], ...], "end": "end"}}

This is the one reader and the one writer. What the writer never stores, says :mod:`nexus3.loopback.cleaned`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from nexus3.loopback.cleaned import cleaned
from nexus3.loopback.recordings import Recording

VERSION = 1

_MODE = 0o600
"""Prompts and answers are for their owner to read, and to share."""


class CassetteError(ValueError):
    """The file is no cassette that can be read here, or takes no more. Names the file, the line, and what is wrong."""


class _Title(msgspec.Struct, frozen=True):
    """The first line."""

    cassette: Literal["nexus3"]
    version: int


def read_cassette(path: str | os.PathLike[str]) -> list[Recording]:
    """All exchanges, in the order in which their requests arrived; exchanges of a later recording come later.

    Raises:
        CassetteError: a line is not what it should be, or the cassette is of another version.
        OSError: the file cannot be read.
    """
    title, *lines = Path(path).read_bytes().split(b"\n")
    _check_title(path, title)
    found = [_parse(path, number, line) for number, line in enumerate(lines, start=2) if line.strip()]
    return sorted(found, key=lambda recording: recording.number)


class CassetteWriter:
    """Appends to an open file. Made by :func:`open_cassette`."""

    def __init__(self, file: int, *, begun: int, redact: Callable[[str], str]) -> None:
        self.recorded = 0
        """Exchanges appended so far."""
        self._file = file
        self._next_number = begun
        self._redact = redact

    def next_number(self) -> int:
        """The number of the request that has just arrived; each is given once."""
        self._next_number += 1
        return self._next_number - 1

    def append(self, recording: Recording) -> None:
        """Write one exchange, cleaned, as one line. Does not wait: lines of concurrent exchanges never mix.

        Raises:
            OSError: the disk is full, or worse. Of this exchange nothing is left in the file, which is as it was.
        """
        line = msgspec.json.encode(cleaned(recording, self._redact)) + b"\n"
        before = os.fstat(self._file).st_size
        try:
            _write(self._file, line)
        except OSError:
            # A disk that fills up takes the beginning of a line, and one torn line makes a cassette unreadable.
            os.ftruncate(self._file, before)
            raise
        self.recorded += 1


@contextmanager
def open_cassette(path: str | os.PathLike[str], redact: Callable[[str], str]) -> Iterator[CassetteWriter]:
    """Open a cassette to append to, a new one where there is none; nobody but its owner may read it.

    ``redact`` takes the secrets out of a text: what it finds is replaced in paths, headers and bodies.

    Raises:
        CassetteError: there is such a file, and it is no cassette.
        OSError: it cannot be written.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
    try:
        # Only what is a cassette, or becomes one, may be touched.
        size = os.fstat(file).st_size
        recordings = read_cassette(path) if size else []
        os.chmod(path, _MODE)
        if not size:
            _write(file, msgspec.json.encode(_Title("nexus3", VERSION)) + b"\n")
        elif not Path(path).read_bytes().endswith(b"\n"):
            _write(file, b"\n")  # somebody's editor took it away
        begun = max((recording.number + 1 for recording in recordings), default=0)
        yield CassetteWriter(file, begun=begun, redact=redact)
    finally:
        os.close(file)


def _check_title(path: str | os.PathLike[str], line: bytes) -> None:
    try:
        title = msgspec.json.decode(line, type=_Title)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CassetteError(f"{os.fspath(path)} is no cassette: its first line does not say so") from None
    if title.version != VERSION:
        raise CassetteError(
            f"{os.fspath(path)} is a cassette of version {title.version}; this is nexus3 for version {VERSION}"
        )


def _parse(path: str | os.PathLike[str], number: int, line: bytes) -> Recording:
    try:
        return msgspec.json.decode(line, type=Recording)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = str(error)
    raise CassetteError(f"{os.fspath(path)}, line {number}: {problem}")


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
