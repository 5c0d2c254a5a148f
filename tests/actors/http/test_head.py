"""Heads: what is sent, what is read, what is refused, and that no refusal says more than it should."""

import time
import traceback

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.actors.http.body import BadHttp, ChunkedBody, LengthBody, UntilCloseBody
from nexus3.actors.http.head import Head, HeadLimits, HeadReader, Unsendable, request_head
from tests.actors.http.responses import (
    CHUNKED,
    FIVE,
    HELLO,
    LIMITS,
    OK,
    Outcome,
    accepted,
    cut,
    cut_at,
    read,
    refused,
    truncated,
)

PROPERTY = settings(max_examples=300, derandomize=True, deadline=None)

LENGTH = b"Content-Length: 5\r\n\r\nhello"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

HEADS: dict[str, tuple[bytes, Outcome]] = {
    "reason phrase empty": (b"HTTP/1.1 200 \r\n" + LENGTH, accepted()),
    "reason phrase missing": (b"HTTP/1.1 200\r\n" + LENGTH, accepted()),
    "reason phrase of many kinds": (b"HTTP/1.1 200 O\tK, \xe9\r\n" + LENGTH, accepted()),
    "value empty": (OK + b"X-A:\r\n" + LENGTH, accepted()),
    "value above ASCII": (OK + b"X-A: \xc3\xa9\r\n" + LENGTH, accepted()),
    "value with blanks around": (OK + b"Content-Length: \t 5\t \r\n\r\nhello", accepted()),
    "status 500": (b"HTTP/1.1 500 No\r\n" + LENGTH, accepted(status=500)),
    "status 599": (b"HTTP/1.1 599 No\r\n" + LENGTH, accepted(status=599)),
    "100 before": (CONTINUE + CHUNKED + HELLO, accepted()),
    "103 with a length": (b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n" + FIVE + b"hello", accepted()),
    "103 with a length that is none": (b"HTTP/1.1 103 X\r\nContent-Length: x\r\n\r\n" + FIVE, refused("bad_head")),
    "103 with headers before": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CHUNKED + HELLO, accepted()),
    "100 that says close": (b"HTTP/1.1 100 X\r\nConnection: close\r\n\r\n" + FIVE + b"hello", accepted()),
    "100 of HTTP/1.0": (b"HTTP/1.0 100 Continue\r\n\r\n" + FIVE + b"hello", accepted()),
    "100, 8 times": (CONTINUE * 8 + CHUNKED + HELLO, accepted()),
    "100, 9 times": (CONTINUE * 9 + CHUNKED + HELLO, refused("limit", limit="max_informational_responses")),
    "100, 1000 times": (CONTINUE * 1000 + CHUNKED + HELLO, refused("limit", limit="max_informational_responses")),
    "100 alone": (CONTINUE, truncated(status=None)),
    "101": (b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello", refused("upgrade")),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", accepted(b"", status=204)),
    "204 with length 0": (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", accepted(b"", status=204)),
    "204 with a length": (b"HTTP/1.1 204 No\r\n" + LENGTH, accepted(b"", status=204, reusable=False)),
    "204 with a length, no body": (
        b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
        accepted(b"", status=204, reusable=False),
    ),
    "204 chunked": (
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
        accepted(b"", status=204, reusable=False),
    ),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", accepted(b"", status=304)),
    "close": (OK + b"Connection: close\r\n" + LENGTH, accepted(reusable=False)),
    "close, in a list": (OK + b"Connection: x ,\tCLOSE\r\n" + LENGTH, accepted(reusable=False)),
    "close, in a second line": (OK + b"Connection: x\r\nConnection: close\r\n" + LENGTH, accepted(reusable=False)),
    "keep-alive": (OK + b"Connection: keep-alive\r\n" + LENGTH, accepted()),
    "closed, not close": (OK + b"Connection: closed\r\n" + LENGTH, accepted()),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + LENGTH, accepted(reusable=False)),
    "HTTP/1.0, keep-alive": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH, accepted(reusable=False)),
    "HTTP/1.0 until close": (b"HTTP/1.0 200 OK\r\n\r\nhello", accepted(at_end=True)),
    "HTTP/1.0 chunked": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO, refused("bad_framing")),
    "chunked in capitals": (OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n" + HELLO, accepted()),
    "chunked, a tab behind": (OK + b"Transfer-Encoding: chunked\t\r\n\r\n" + HELLO, accepted()),
    "chunked, and a length": (OK + b"Transfer-Encoding: chunked\r\n" + LENGTH, refused("bad_framing")),
    "length, and chunked": (
        OK + b"content-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
        refused("bad_framing"),
    ),
    "lengths differ": (OK + b"Content-Length: 6\r\n" + LENGTH, refused("bad_head")),
    "lengths differ in digits": (OK + b"Content-Length: 05\r\n" + LENGTH, refused("bad_head")),
    "lengths are equal": (OK + b"Content-Length: 5\r\ncontent-length:5 \r\n\r\nhello", accepted()),
    "length, a list": (OK + b"Content-Length: 5, 5\r\n\r\nhello", refused("bad_framing")),
    "length, a list of one": (OK + b"Content-Length: 5,\r\n\r\nhello", refused("bad_head")),
    "length, then a list": (OK + b"Content-Length: 5, 5\r\n" + LENGTH, refused("bad_framing")),
    "length with leading zeros": (OK + b"Content-Length: 0005\r\n\r\nhello", accepted()),
    "length -5": (OK + b"Content-Length: -5\r\n\r\nhello", refused("bad_head")),
    "length +5": (OK + b"Content-Length: +5\r\n\r\nhello", refused("bad_head")),
    "length 0x5": (OK + b"Content-Length: 0x5\r\n\r\nhello", refused("bad_head")),
    "length 5_0": (OK + b"Content-Length: 5_0\r\n\r\nhello", refused("bad_head")),
    "length '5 5'": (OK + b"Content-Length: 5 5\r\n\r\nhello", refused("bad_head")),
    "length of other digits": (OK + "Content-Length: ٥\r\n\r\nhello".encode(), refused("bad_head")),
    "length empty": (OK + b"Content-Length:\r\n\r\nhello", refused("bad_head")),
    "length 10^30": (OK + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\nhello", refused("bad_head")),
    "length of 19 digits": (OK + b"Content-Length: " + b"0" * 18 + b"5\r\n\r\nhello", refused("bad_framing")),
    "length 10^18": (OK + b"Content-Length: 1" + b"0" * 18 + b"\r\n\r\nhello", refused("bad_framing")),
    "gzip, chunked": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + HELLO, refused("bad_head")),
    "chunked twice": (
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
        refused("bad_head"),
    ),
    "chunked, chunked": (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + HELLO, refused("bad_head")),
    "transfer coding identity": (OK + b"Transfer-Encoding: identity\r\n\r\nhello", refused("bad_head")),
    "transfer coding empty": (OK + b"Transfer-Encoding:\r\n\r\nhello", refused("bad_head")),
    "transfer coding xchunked": (OK + b"Transfer-Encoding: xchunked\r\n\r\n" + HELLO, refused("bad_head")),
    "transfer coding \\x0bchunked": (OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + HELLO, refused("bad_head")),
    "content coding gzip": (OK + b"Content-Encoding: gzip\r\n" + LENGTH, refused("content_encoding")),
    "content coding identity, gzip": (
        OK + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n" + LENGTH,
        refused("content_encoding"),
    ),
    "content coding identity": (OK + b"Content-Encoding: Identity\r\n" + LENGTH, accepted()),
    "content coding identity, a blank that is none": (
        OK + b"Content-Encoding: identity\xa0\r\n" + LENGTH,
        refused("content_encoding"),
    ),
    "content coding gzip of an error": (
        b"HTTP/1.1 429 No\r\nContent-Encoding: gzip\r\n" + LENGTH,
        accepted(status=429),
    ),
    "folded": (OK + b"X-A: b\r\n c\r\n" + LENGTH, refused("bad_head")),
    "folded, by a tab": (OK + b"X-A: b\r\n\tc\r\n" + LENGTH, refused("bad_head")),
    "folded, first line": (OK + b" X-A: b\r\n" + LENGTH, refused("bad_head")),
    "blank before the colon": (OK + b"Content-Length : 5\r\n\r\nhello", refused("bad_head")),
    "no colon": (OK + b"X-A\r\n" + LENGTH, refused("bad_head")),
    "name empty": (OK + b": b\r\n" + LENGTH, refused("bad_head")),
    "name with NUL": (OK + b"X\0A: b\r\n" + LENGTH, refused("bad_head")),
    "name above ASCII": (OK + b"X\xe9: b\r\n" + LENGTH, refused("bad_head")),
    "value with NUL": (OK + b"X-A: b\0c\r\n" + LENGTH, refused("bad_head")),
    "value with \\x01": (OK + b"X-A: b\x01c\r\n" + LENGTH, refused("bad_head")),
    "value with CR": (OK + b"X-A: b\rc\r\n" + LENGTH, refused("bad_head")),
    "value with DEL": (OK + b"X-A: b\x7fc\r\n" + LENGTH, refused("bad_head")),
    "CR, seen before the head's end": (OK + b"X-A: b\rc", refused("bad_head")),
    "NUL, seen before the head's end": (OK + b"X-A: b\0", refused("bad_head")),
    "fold, seen before the head's end": (OK + b"X-A: b\r\n ", refused("bad_head")),
    "CR twice": (OK + b"X-A: b\r\r\n" + LENGTH, refused("bad_head")),
    "LF everywhere": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", refused("bad_head")),
    "LF in one line": (OK + b"X-A: b\n" + LENGTH, refused("bad_head")),
    "LF before the body": (OK + b"Content-Length: 5\r\n\nhello", refused("bad_head")),
    "200 KiB without end": (OK + b"X-A: bbbbbbbbbbbbbbbb\r\n" * 9000, refused("limit", limit="max_header_bytes")),
    "200 KiB, one line": (OK + b"X-A: " + b"b" * 200_000, refused("limit", limit="max_header_bytes")),
    "128 headers": (OK + b"X-A: b\r\n" * 127 + LENGTH, accepted()),
    "129 headers": (OK + b"X-A: b\r\n" * 128 + LENGTH, refused("limit", limit="max_header_count")),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n" + LENGTH, refused("not_http")),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\n" + LENGTH, refused("bad_head")),
    "HTTP/1.10": (b"HTTP/1.10 200 OK\r\n" + LENGTH, refused("bad_head")),
    "http/1.1": (b"http/1.1 200 OK\r\n" + LENGTH, refused("not_http")),
    "status 20": (b"HTTP/1.1 20 OK\r\n" + LENGTH, refused("bad_head")),
    "status 2000": (b"HTTP/1.1 2000 OK\r\n" + LENGTH, refused("bad_head")),
    "status 099": (b"HTTP/1.1 099 OK\r\n" + LENGTH, refused("bad_head")),
    "status 600": (b"HTTP/1.1 600 OK\r\n" + LENGTH, refused("bad_head")),
    "status 999": (b"HTTP/1.1 999 OK\r\n" + LENGTH, refused("bad_head")),
    "status after two blanks": (b"HTTP/1.1  200 OK\r\n" + LENGTH, refused("bad_head")),
    "status line alone, of the version": (b"HTTP/1.1\r\n\r\n", refused("bad_head")),
    "other bytes before": (b"xx\r\n" + OK + LENGTH, refused("not_http")),
    "empty line before": (b"\r\n" + OK + LENGTH, refused("not_http")),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x28", refused("not_http")),
    "SSH banner": (b"SSH-2.0-OpenSSH_9\r\n", refused("not_http")),
    "HTML without a head": (b"<html>\n", refused("not_http")),
    "nothing": (b"", truncated(status=None)),
    "cut in the status line": (b"HTTP/1.1 20", truncated(status=None)),
    "cut in a header": (OK + b"Content-Le", truncated(status=None)),
    "cut before the empty line": (OK + b"Content-Length: 5\r\n", truncated(status=None)),
}
"""Heads that a server may send, and what becomes of the response. Each is read whole, byte by byte, in odd pieces."""


@pytest.mark.parametrize("name", HEADS)
def test_a_response_is_read_or_refused(name: str) -> None:
    data, outcome = HEADS[name]
    sizes = (max(len(data), 1), 1, 2, 3, 997)
    assert {size: read(cut(data, size)) for size in sizes} == dict.fromkeys(sizes, outcome)


@given(st.sampled_from(sorted(HEADS)), st.lists(st.integers(0, 300), max_size=10))
@PROPERTY
def test_it_does_not_matter_where_the_bytes_were_cut(name: str, places: list[int]) -> None:
    data, outcome = HEADS[name]
    assert read(cut_at(data, places)) == outcome


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=10))
@PROPERTY
def test_bytes_of_any_kind_are_read_alike_however_cut(noise: bytes, places: list[int]) -> None:
    small = HeadLimits(max_header_bytes=150, max_header_count=3, max_informational_responses=2)
    for start in (b"", b"HTTP/1.1 ", OK, OK + b"X-A:", CONTINUE, CONTINUE * 2 + OK):
        for data in (start + noise, start + noise + b"\r\n\r\nhello"):
            assert read(cut_at(data, places), small) == read([data], small)


def test_a_head_says_what_it_said() -> None:
    raw = b"HTTP/1.1 429 Slow down\r\nX-A: b\r\nx-a:  c \r\nRETRY-AFTER: 3\r\nX-B: \xe9\r\nContent-Length: 2\r\n\r\nhi!"
    head = HeadReader(LIMITS).feed(raw)
    assert head == Head(
        status=429,
        headers={"x-a": "b, c", "retry-after": "3", "x-b": "é", "content-length": "2"},
        body=head.body if head else LengthBody(2),
        keep_alive=True,
        rest=b"hi!",
    )


def test_lengths_that_agree_are_one() -> None:
    head = HeadReader(LIMITS).feed(OK + b"Content-Length: 5\r\nX-A: b\r\ncontent-length:5 \r\n\r\n")
    assert head is not None
    assert head.headers == {"content-length": "5", "x-a": "b"}


@pytest.mark.parametrize(("head", "kind"), [(CHUNKED, ChunkedBody), (FIVE, LengthBody), (OK + b"\r\n", UntilCloseBody)])
def test_the_head_decides_the_body(head: bytes, kind: type) -> None:
    found = HeadReader(LIMITS).feed(head)
    assert found is not None
    assert type(found.body) is kind


def test_the_bytes_received_are_counted() -> None:
    reader = HeadReader(LIMITS)
    assert reader.received == 0
    reader.feed(CONTINUE)
    reader.feed(b"HTTP")
    assert reader.received == len(CONTINUE) + 4


def test_the_limit_of_bytes_is_for_all_heads_together() -> None:
    head = OK + b"Content-Length: 5\r\n\r\n"
    for size in (999, 1):
        exactly = HeadLimits(len(CONTINUE) + len(head), 9, 9)
        assert read(cut(CONTINUE + head + b"hello", size), exactly) == accepted()
        less = exactly._replace(max_header_bytes=len(CONTINUE) + len(head) - 1)
        assert read(cut(CONTINUE + head + b"hello", size), less) == refused("limit", limit="max_header_bytes")


@pytest.mark.parametrize(
    "filler",
    [
        b"X: " + b" " * 65_000 + b"\r\n",
        b"X: " + b" a" * 32_000 + b"\r\n",
        b"Content-Length: 5" + b" " * 65_000 + b"\r\n",
        b"Connection: a" + b" " * 65_000 + b"b\r\n",
        b"Connection: " + b"," * 65_000 + b"\r\n",
        b"a" * 65_000,
        b"a:\r\n" * 16_000 + b"a",
    ],
    ids=["blanks", "words", "length", "option", "options", "name", "lines"],
)
def test_no_head_costs_more_than_its_length(filler: bytes) -> None:
    """Each of these takes some 5 ms at most; a pattern that backtracks over them would take many seconds."""
    begun = time.process_time()
    read([OK, filler, b"\r\nhello"])
    assert time.process_time() - begun < 0.5


SECRET = "sk-live-0123456789"


@pytest.mark.parametrize(
    "line", [f"{SECRET}\r\n", f"X\x01: {SECRET}\r\n", f"X: {SECRET}\x00\r\n", f"Content-Length: {SECRET}\r\n"]
)
def test_a_refusal_quotes_nothing_of_the_response(line: str) -> None:
    with pytest.raises(BadHttp) as caught:
        HeadReader(LIMITS).feed(OK + line.encode() + b"\r\n")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert SECRET not in repr(caught.value) + "".join(traceback.format_exception_only(caught.value))


def test_a_request_s_head_is_what_was_asked_for() -> None:
    headers = [("Host", "api.test"), ("X-Empty", ""), ("authorization", "Bearer a b\tc"), ("content-length", "3")]
    assert request_head("/v1/chat?api-version=1&x=%20", headers) == (
        b"POST /v1/chat?api-version=1&x=%20 HTTP/1.1\r\n"
        b"Host: api.test\r\nX-Empty: \r\nauthorization: Bearer a b\tc\r\ncontent-length: 3\r\n\r\n"
    )


names = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}", fullmatch=True).filter(
    lambda name: name.lower() not in ("host", "content-length", "transfer-encoding", "expect")
)
values = st.from_regex(r"([\x21-\x7e]([\x20-\x7e\t]{0,20}[\x21-\x7e])?)?", fullmatch=True)


@given(st.from_regex(r"/[\x21\x22\x24-\x7e]{0,40}", fullmatch=True), st.lists(st.tuples(names, values), max_size=8))
@PROPERTY
def test_a_server_reads_the_request_that_was_meant(target: str, headers: list[tuple[str, str]]) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(request_head(target, [("host", "h"), *headers]))
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (b"POST", target.encode())
    assert list(request.headers) == [
        (name.lower().encode(), value.encode()) for name, value in [("host", "h"), *headers]
    ]
    assert type(server.next_event()) is h11.EndOfMessage


TARGETS = ("", "v1", "/a b", "/a\r\nX: y", "/a\n", "/a#b", "/é", "/a\x7f", "http://h/")
NAMES = ("", "X Y", "X:", "X\r\n", "X\n", "é", "X\0", "ſ")
VALUES = (f"{SECRET}\r\nY: z", f"{SECRET}\n", f"{SECRET}\0", f"{SECRET}é", "\x7f", "\r")


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        *((target, "X", "y") for target in TARGETS),
        *(("/", name, "y") for name in NAMES),
        *(("/", "X", value) for value in VALUES),
    ],
)
def test_what_cannot_be_sent_is_refused_without_being_quoted(target: str, name: str, value: str) -> None:
    for _ in range(2):  # nothing that was refused is in a cache
        with pytest.raises(Unsendable) as caught:
            request_head(target, [(name, value)])
        assert str(caught.value) in ("the target", "a header's name", "a header's value")
        assert caught.value.__context__ is None
