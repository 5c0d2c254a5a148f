"""What never gets into a cassette, and that everything else stays as it was."""

import json
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.loopback.cleaned import cleaned
from nexus3.loopback.recordings import Piece, Recording
from tests.loopback.tapes import recording

SECRET = "canary-0123456789"


def redact(text: str) -> str:
    return text.replace(SECRET, "[redacted]")


def clean(tape: Recording) -> Recording:
    return cleaned(tape, redact)


def test_headers_are_stored_by_name_and_the_query_never() -> None:
    tape = recording(
        {},
        path=f"/{SECRET}/v1/messages?key={SECRET}&beta=true",
        headers={
            "Content-Type": f"text/plain; {SECRET}",
            "x-request-id": "req_1",
            "x-ratelimit-remaining-tokens": "7",
            "anthropic-ratelimit-requests-limit": "8",
            "retry-after": "1",
            "set-cookie": "a=b",
            "authorization": "x",
            "x-anything": "x",
        },
    )
    asked = {"Anthropic-Version": "2023-06-01", "authorization": "x", "x-api-key": "x", "api-key": "x", "cookie": "x"}
    stored = clean(msgspec.structs.replace(tape, request=msgspec.structs.replace(tape.request, headers=asked)))
    assert stored.request.headers == {"anthropic-version": "2023-06-01"}
    assert stored.request.path == "/[redacted]/v1/messages"
    assert stored.answer.headers == {
        "content-type": "text/plain; [redacted]",
        "x-request-id": "req_1",
        "x-ratelimit-remaining-tokens": "7",
        "anthropic-ratelimit-requests-limit": "8",
        "retry-after": "1",
    }


def test_in_a_request_names_tell_secrets_too() -> None:
    body = {
        "mcp_servers": [{"url": "https://tools.example", "authorization_token": "opaque", "Set-Cookie": "opaque"}],
        "tools": [{"type": "mcp", "headers": {"Authorization": "opaque", "X-Api-Key": "opaque", "Accept": "*/*"}}],
        "schema": {"properties": {"password": {"type": "string"}}},
        "text": f"my key is {SECRET}",
        f"name {SECRET}": 1.5,
    }
    assert clean(recording(body)).request.body == {
        "mcp_servers": [
            {"url": "https://tools.example", "authorization_token": "[redacted]", "Set-Cookie": "[redacted]"}
        ],
        "tools": [
            {"type": "mcp", "headers": {"Authorization": "[redacted]", "X-Api-Key": "[redacted]", "Accept": "*/*"}}
        ],
        "schema": {"properties": {"password": {"type": "string"}}},
        "text": "my key is [redacted]",
        "name [redacted]": 1.5,
    }


def test_a_secret_across_pieces_is_found_and_the_pieces_around_it_stay() -> None:
    tape = recording(
        {}, "data: one\n\n", f"data: it is {SECRET[:4]}", SECRET[4:9], f"{SECRET[9:]}!\n\n", "data: two\n\n"
    )
    assert clean(tape).answer.pieces == (
        Piece(0.2, "data: one\n\n"),
        Piece(0.5, "data: it is [redacted]!\n\n"),
        Piece(0.6, "data: two\n\n"),
    )


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 1 << 32), body=st.lists(st.sampled_from(["é", "雨", "a", "\n", "data: ", SECRET]), max_size=12)
)
def test_wherever_the_pieces_were_cut(seed: int, body: list[str]) -> None:
    rng, whole = random.Random(seed), "".join(body).encode()
    cuts = sorted({0, len(whole), *(rng.randint(0, len(whole)) for _ in range(4))})
    pieces = [Piece.of(float(at), whole[at:end]) for at, end in pairwise(cuts)]
    stored = clean(recording({}, *pieces)).answer
    assert stored.body == whole.replace(SECRET.encode(), b"[redacted]"), f"seed {seed}"
    assert [piece.at for piece in stored.pieces] == sorted(piece.at for piece in stored.pieces)
    if SECRET.encode() not in whole:
        assert stored.pieces == tuple(pieces)


def greedy(text: str) -> str:
    """As a pattern does that knows nothing of JSON: it takes quotes and brackets along."""
    head, found, _ = text.partition("-----BEGIN")
    return head + ("[redacted]" if found else "")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_json_around_a_secret_stays_json(end: str) -> None:
    def event(text: str) -> str:
        return f"data: {json.dumps({'delta': {'content': text}})}{end}"

    body = event("before") + end + event('said "-----BEGIN X" and more') + end + event("after") + end
    stored = cleaned(recording({}, body), greedy).answer.body.decode()
    lines = [line for line in stored.split("\n") if line.strip()]
    assert [json.loads(line.removeprefix("data: "))["delta"]["content"] for line in lines] == [
        "before",
        'said "[redacted]',
        "after",
    ]
    assert stored.count(end) == body.count(end)
    document = json.dumps({"text": "-----BEGIN X", "usage": {"total": 3}}, indent=1)
    stored = cleaned(recording({}, document), greedy).answer.body.decode()
    assert json.loads(stored) == {"text": "[redacted]", "usage": {"total": 3}}


def test_bytes_that_are_no_text_are_searched_as_well() -> None:
    stored = clean(recording({}, Piece.of(0.0, b"\xff\xfe" + SECRET.encode() + b"\x80"))).answer
    assert stored.body == b"\xff\xfe[redacted]\x80"


def test_a_secret_of_several_lines_is_found_as_well() -> None:
    stored = cleaned(recording({}, "a two\n", "lines b"), lambda text: text.replace("two\nlines", "[redacted]")).answer
    assert stored.body == b"a [redacted] b"
