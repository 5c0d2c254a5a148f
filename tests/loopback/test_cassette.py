"""The one reader and the one writer of cassettes: what comes back, what is refused, who may read the file."""

import os
import sys
from pathlib import Path

import pytest

from nexus3.loopback.cassette import CassetteError, open_cassette, read_cassette
from nexus3.loopback.recordings import Encoded, Piece
from tests.loopback.tapes import recording

TITLE = b'{"cassette":"nexus3","version":1}\n'


def as_it_is(text: str) -> str:
    return text


def test_what_was_written_is_read_in_the_order_in_which_it_arrived(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    first = recording({"model": "m"}, "data: Grüße \u2028\n\n", "data: [DONE]\n\n", number=0)
    second = recording({"model": "m", "n": [1.5, None, True]}, status=429, end="cut", number=1)
    with open_cassette(path, as_it_is) as writer:
        assert [writer.next_number(), writer.next_number()] == [0, 1]
        writer.append(second)
        writer.append(first)
        assert writer.recorded == 2
    assert read_cassette(path) == [first, second]
    assert path.read_bytes().startswith(TITLE)
    assert "Grüße" in path.read_text("utf-8"), "a person can read it"


def test_a_character_that_two_pieces_share_keeps_its_bytes(tmp_path: Path) -> None:
    whole = "data: 雨\n\n".encode()
    pieces = [Piece.of(0.1, whole[:7]), Piece.of(0.2, whole[7:]), Piece.of(0.3, b"\n")]
    assert [type(piece.data) for piece in pieces] == [Encoded, Encoded, str]
    with open_cassette(tmp_path / "tape.jsonl", as_it_is) as writer:
        writer.append(recording({}, *pieces))
    (read,) = read_cassette(tmp_path / "tape.jsonl")
    assert [piece.content for piece in read.answer.pieces] == [whole[:7], whole[7:], b"\n"]
    assert read.answer.body == whole + b"\n"


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes there")
@pytest.mark.parametrize("was", [None, 0o644])
def test_only_its_owner_may_read_it(was: int | None, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    if was is not None:
        path.write_bytes(TITLE)
        path.chmod(was)
    before = os.umask(0)
    try:
        with open_cassette(path, as_it_is) as writer:
            writer.append(recording({}))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_recording_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with open_cassette(path, as_it_is) as writer:
        writer.append(recording({"turn": 1}, number=6))
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))  # as an editor may leave it
    with open_cassette(path, as_it_is) as writer:
        assert writer.next_number() == 7
        writer.append(recording({"turn": 2}, number=7))
    assert [tape.request.body for tape in read_cassette(path)] == [{"turn": 1}, {"turn": 2}]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"my diary\n", "{path} is no cassette: its first line does not say so"),
        (b'{"cassette": "other", "version": 1}\n', "{path} is no cassette: its first line does not say so"),
        (b'{"cassette": "nexus3", "version": 2}\n', "{path} is a cassette of version 2; this is nexus3 for version 1"),
        (TITLE + b"\n{}\n", "{path}, line 3: Object missing required field `number`"),
        (TITLE + b'{"number": 0, "requst": {}}\n', "{path}, line 2: Object contains unknown field `requst`"),
        (TITLE + b"\xff\n", "{path}, line 2: JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_what_is_no_cassette_is_said_and_never_touched(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(CassetteError) as refused:
        read_cassette(path)
    assert str(refused.value) == problem.format(path=path)
    with pytest.raises(CassetteError), open_cassette(path, as_it_is):
        raise AssertionError("it was opened")
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o644 or sys.platform == "win32"


def test_base64_that_is_none_is_told_when_the_cassette_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with open_cassette(path, as_it_is) as writer:
        writer.append(recording({}, Piece.of(0.0, b"\xff")))
    path.write_text(path.read_text().replace('{"base64":"/w=="}', '{"base64":"/w"}'))
    with pytest.raises(CassetteError, match="line 2: Incorrect padding"):
        read_cassette(path)


def test_the_writer_redacts_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    with open_cassette(path, lambda text: text.replace("canary", "[redacted]")) as writer:
        writer.append(recording({"text": "a canary"}, "a can", "ary", path="/canary/v1/x?key=canary"))
    assert "canary" not in path.read_text()
