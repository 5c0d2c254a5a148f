"""Recorded transcripts come back byte for byte, however they are cut. Cuts are seeded; the seed is printed."""

import json
import os
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.loopback import Answer, Cut, open_loopback
from nexus3.loopback.replay import Record, RecordedResponse, Replayer, load
from tests.loopback.raw import CHAT, ask, body_of, chat, chat_body, connect, read_to_end, received

SEED = 20260101

STREAM = 'data: {"id":"1"}\n\ndata: {"text":"Grüße \\u2028"}\r\n\r\ndata: [DONE]\n\n'
RECORDS = [
    {
        "id": "streamed",
        "provider_type": "openai",
        "request": {"body": {}},
        "response": {
            "status": 200,
            "headers": {
                "Content-Type": "text/event-stream",
                "transfer-encoding": "chunked",
                "connection": "close",
                "x-request-id": "req_1",
                "set-cookie": ["a=1", "b=2"],
            },
            "sse": STREAM,
        },
    },
    {
        "id": "limited",
        "response": {"status": 429, "headers": {"retry-after": "39"}, "body_json": {"error": {"message": "näh"}}},
    },
    {"id": "padded", "response": {"status": 200, "headers": {}, "body_json": {"a": 1}, "body_text": '\n\n {"a": 1} '}},
    {"id": "empty", "response": {"status": 204, "headers": {}, "sse": ""}},
]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("streamed", STREAM.encode()),
        ("limited", '{"error":{"message":"näh"}}'.encode()),
        ("padded", b'\n\n {"a": 1} '),
        ("empty", b""),
    ],
)
async def test_a_record_comes_back_byte_for_byte(name: str, body: bytes) -> None:
    print(f"seed {SEED}")
    async with open_loopback(transcripts=RECORDS, seed=SEED) as server:
        by_header = await ask(server.port, chat(headers={"x-nexus3-transcript": name, "connection": "close"}))
        by_model = await ask(server.port, chat(f"transcript:{name}", headers={"connection": "close"}))
    assert body_of(by_header) == body_of(by_model) == body


async def test_status_and_headers_are_the_recorded_ones_but_for_the_framing() -> None:
    async with open_loopback(transcripts=RECORDS, seed=SEED) as server:
        data = await ask(server.port, chat("transcript:streamed", headers={"connection": "close"}))
    assert data.partition(b"\r\n\r\n")[0].split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"transfer-encoding: chunked",
        b"connection: close",
        b"Content-Type: text/event-stream",
        b"x-request-id: req_1",
        b"set-cookie: a=1",
        b"set-cookie: b=2",
    ]


def segments(record: str, headers: dict[str, str], seed: int = SEED, times: int = 1) -> list[bytes]:
    replayer = Replayer(load(RECORDS), seed)
    for _ in range(times):
        answer = replayer.answer(received(headers={"x-nexus3-transcript": record, **headers}))
    assert isinstance(answer, Answer)
    assert answer.body is not None
    assert not isinstance(answer.body, bytes)
    return list(answer.body)


def test_segments_are_as_short_as_wished() -> None:
    assert segments("streamed", {"x-nexus3-segments": "1"}) == [bytes([byte]) for byte in STREAM.encode()]
    short = segments("streamed", {"x-nexus3-segments": "5"})
    assert {len(part) for part in short} <= {1, 2, 3, 4, 5}
    assert b"".join(short) == STREAM.encode()


def test_the_seed_and_the_count_of_servings_choose_the_cuts() -> None:
    wish = {"x-nexus3-segments": "9"}
    assert segments("streamed", wish) == segments("streamed", wish)
    assert segments("streamed", wish, seed=1) != segments("streamed", wish, seed=2)
    assert segments("streamed", wish, times=1) != segments("streamed", wish, times=2)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(stop=st.integers(0, len(STREAM.encode()) + 5), longest=st.integers(1, 50))
def test_a_cut_stops_after_exactly_so_many_bytes(stop: int, longest: int) -> None:
    answer = Replayer(load(RECORDS), SEED).answer(
        received(
            headers={
                "x-nexus3-transcript": "streamed",
                "x-nexus3-segments": str(longest),
                "x-nexus3-cut": str(stop),
                "x-nexus3-cut-how": "eof",
            }
        )
    )
    assert isinstance(answer, Answer)
    assert isinstance(answer.body, list)
    assert isinstance(answer.fault, Cut)
    sent = 0 if answer.fault.after == "head" else answer.fault.after
    assert isinstance(sent, int)
    assert b"".join(answer.body[:sent]) == STREAM.encode()[:stop]


async def test_cuts_on_the_wire() -> None:
    whole = STREAM.encode()
    async with open_loopback(transcripts=RECORDS, seed=SEED) as server:

        async def cut(how: str | None, at: int) -> bytes:
            wish = {"x-nexus3-cut": str(at), **({} if how is None else {"x-nexus3-cut-how": how})}
            async with await connect(server.port) as stream:
                await stream.send_all(chat("transcript:streamed", headers={"connection": "close", **wish}))
                return await read_to_end(stream)

        for at in (0, 7, len(whole)):
            assert body_of(await cut(None, at)) == whole[:at]
            for how in ("eof", "truncate"):
                head, _, rest = (await cut(how, at)).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK")
                assert _dechunked(rest) == whole[:at]
            with pytest.raises(trio.BrokenResourceError):
                await cut("reset", at)


def _dechunked(rest: bytes) -> bytes:
    """The bytes of the chunks that came, whole or not."""
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        assert int(size, 16) > 0, "the body ended properly"
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


async def test_an_unknown_record_is_not_found_and_without_one_the_script_answers() -> None:
    async with open_loopback(transcripts=RECORDS, script=[Answer("scripted")]) as server:
        missing = await ask(server.port, chat("transcript:nothing", headers={"connection": "close"}))
        assert missing.startswith(b"HTTP/1.1 404 ")
        assert b"no transcript 'nothing' among 4" in missing
        assert b"scripted" in await ask(server.port, chat(headers={"connection": "close"}))


def test_records_are_read_from_a_folder(tmp_path: Path) -> None:
    for record in RECORDS:
        (tmp_path / f"{record['id']}.json").write_text(json.dumps(record), "utf-8")
    (tmp_path / "README.md").write_text("not a record")
    assert load(tmp_path) == load(RECORDS)
    assert load(RECORDS)["empty"] == Record("empty", RecordedResponse(204, sse=""))


def test_what_is_no_folder_or_no_record_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no folder of transcripts"):
        load(tmp_path / "missing")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(msgspec.ValidationError):
        load(tmp_path)


FOLDER = Path(os.environ.get("NEXUS3_TRANSCRIPTS") or Path(__file__).parents[2].parent / "shared" / "transcripts")


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded transcripts at {FOLDER}")
async def test_every_recorded_transcript_comes_back() -> None:
    """Stock httpx is the judge of the framing, the recording of the bytes."""
    records = load(FOLDER)
    assert records
    async with open_loopback(transcripts=FOLDER, seed=SEED) as server, httpx.AsyncClient(trust_env=False) as client:
        for name, record in records.items():
            response = await client.post(server.url + CHAT, json=chat_body(f"transcript:{name}"))
            assert (response.status_code, response.content) == (record.response.status, record.response.body), name
            for header, value in record.response.headers.items():
                if header.lower() not in ("connection", "transfer-encoding", "keep-alive"):
                    assert response.headers[header].split() == str(value).split(), (name, header)
        assert {exchange.connection for exchange in server.exchanges} == {0}
