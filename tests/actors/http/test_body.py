"""Bodies: which are read, which are refused, and that it does not matter where the bytes were cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.actors.http.body import BadHttp, ChunkedBody, LengthBody, UntilCloseBody
from nexus3.actors.http.head import HeadLimits
from tests.actors.http.responses import (
    CHUNKED,
    FIVE,
    HELLO,
    OK,
    Outcome,
    accepted,
    bad_body,
    cut,
    cut_at,
    read,
    truncated,
)

PROPERTY = settings(max_examples=300, derandomize=True, deadline=None)

BODIES: dict[str, tuple[bytes, Outcome]] = {
    "chunked": (CHUNKED + HELLO, accepted()),
    "chunked, no data": (CHUNKED + b"0\r\n\r\n", accepted(b"")),
    "chunked, two": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", accepted()),
    "chunked, CRLF in the data": (CHUNKED + b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", accepted(b"\r\n0\r\n\r")),
    "extension": (CHUNKED + b"5;a=b\r\nhello\r\n0;last\r\n\r\n", accepted()),
    "extension, quoted, blanks": (CHUNKED + b'5 ; a="b;\\" \xe9"\t; d = e\r\nhello\r\n0\r\n\r\n', accepted()),
    "extension without a name": (CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension without a value": (CHUNKED + b"5;a=\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension, value of two words": (CHUNKED + b"5;a=b c\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension, open quote": (CHUNKED + b'5;a="b\r\nhello\r\n0\r\n\r\n', bad_body("bad_chunk")),
    "extension, blank at the end": (CHUNKED + b"5;a=b \r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension, signed chunk": (CHUNKED + b"5;chunk-signature=" + b"e" * 64 + b"\r\nhello\r\n0\r\n\r\n", accepted()),
    "size with leading zeros": (CHUNKED + b"005\r\nhello\r\n000\r\n\r\n", accepted()),
    "size in capitals": (CHUNKED + b"A\r\nhellohello\r\n0\r\n\r\n", accepted(b"hellohello")),
    "size zz": (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size -5": (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size +5": (CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size 0x5": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size 1_0": (CHUNKED + b"1_0\r\nhellohellohello!\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size, blank before": (CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size, blank behind": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size, tab behind": (CHUNKED + b"5\t\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size empty": (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension without a size": (CHUNKED + b";a\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size of other digits": (CHUNKED + "٥\r\nhello\r\n0\r\n\r\n".encode(), bad_body("bad_chunk")),
    "size 2^64 - 1": (CHUNKED + b"ffffffffffffffff\r\nhello", bad_body("bad_chunk")),
    "size 2^63": (CHUNKED + b"8000000000000000\r\nhello", bad_body("bad_chunk")),
    "size 2^63 - 1": (CHUNKED + b"7fffffffffffffff\r\nhello", truncated(b"hello")),
    "size 2^64 + 5": (CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size of 16 digits": (CHUNKED + b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n", accepted()),
    "size of 17 digits": (CHUNKED + b"0" * 16 + b"5\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size of 301 digits": (CHUNKED + b"0" * 300 + b"5\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension without end": (CHUNKED + b"5;" + b"a" * 70_000, bad_body("bad_chunk")),
    "extension too long": (CHUNKED + b"5;" + b"a" * 255 + b"\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension, as long as may be": (CHUNKED + b"5;" + b"a" * 254 + b"\r\nhello\r\n0\r\n\r\n", accepted()),
    "extension with NUL": (CHUNKED + b"5;a\0\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension with LF": (CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "extension with CR": (CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size, CR twice": (CHUNKED + b"5\r\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk")),
    "size, LF alone": (CHUNKED + b"5\nhello\n0\n\n", bad_body("bad_chunk")),
    "data without its CRLF": (CHUNKED + b"5\r\nhello0\r\n\r\n", bad_body("bad_chunk", b"hello")),
    "data, LF alone behind": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", bad_body("bad_chunk", b"hello")),
    "data, CR alone behind": (CHUNKED + b"5\r\nhello\r0\r\n\r\n", bad_body("bad_chunk", b"hello")),
    "data longer than its size": (CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n", bad_body("bad_chunk", b"hello")),
    "data shorter than its size": (CHUNKED + b"6\r\nhello\r\n0\r\n\r\n", bad_body("bad_chunk", b"hello\r")),
    "good chunk, then a bad one": (CHUNKED + b"5\r\nhello\r\nzz\r\n", bad_body("bad_chunk", b"hello")),
    "trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nX-A: b\r\nX-B:\r\n\r\n", accepted()),
    "trailer, of the framing": (CHUNKED + b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n", accepted()),
    "trailer, bad name": (CHUNKED + b"5\r\nhello\r\n0\r\nX A: b\r\n\r\n", bad_body("bad_trailer", b"hello")),
    "trailer without colon": (CHUNKED + b"5\r\nhello\r\n0\r\nX-A\r\n\r\n", bad_body("bad_trailer", b"hello")),
    "trailer, NUL": (CHUNKED + b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n", bad_body("bad_trailer", b"hello")),
    "trailer, LF alone": (CHUNKED + b"5\r\nhello\r\n0\r\nX: b\n\r\n", bad_body("bad_trailer", b"hello")),
    "trailer, folded": (CHUNKED + b"5\r\nhello\r\n0\r\nX: b\r\n c\r\n\r\n", bad_body("bad_trailer", b"hello")),
    "end, LF alone": (CHUNKED + b"5\r\nhello\r\n0\r\n\n", bad_body("bad_trailer", b"hello")),
    "trailers without end": (
        CHUNKED + b"0\r\n" + b"X-A: bbbbbbbb\r\n" * 5_000,
        bad_body("limit", limit="max_header_bytes"),
    ),
    "trailers, 129": (CHUNKED + b"0\r\n" + b"a:\r\n" * 129 + b"\r\n", bad_body("limit", limit="max_header_count")),
    "trailers, 128": (CHUNKED + b"0\r\n" + b"a:\r\n" * 128 + b"\r\n", accepted(b"")),
    "trailer without end": (CHUNKED + b"0\r\nX-A: " + b"b" * 70_000, bad_body("limit", limit="max_header_bytes")),
    "trailer without end, bad": (CHUNKED + b"0\r\nX-A: \0" + b"b" * 70_000, bad_body("bad_trailer")),
    "trailer, bad beyond the limit": (
        CHUNKED + b"0\r\nX-A: " + b"b" * 70_000 + b"\0",
        bad_body("limit", limit="max_header_bytes"),
    ),
    "cut in a size": (CHUNKED + b"5", truncated()),
    "cut behind a size": (CHUNKED + b"5\r\n", truncated()),
    "cut in the data": (CHUNKED + b"5\r\nhel", truncated(b"hel")),
    "cut behind the data": (CHUNKED + b"5\r\nhello", truncated(b"hello")),
    "cut in the data's CRLF": (CHUNKED + b"5\r\nhello\r", truncated(b"hello")),
    "cut behind a chunk": (CHUNKED + b"5\r\nhello\r\n", truncated(b"hello")),
    "cut behind the last chunk": (CHUNKED + b"5\r\nhello\r\n0\r\n", truncated(b"hello")),
    "cut in a trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nX-A: b", truncated(b"hello")),
    "chunked, more behind": (CHUNKED + HELLO + b"EVIL", accepted(reusable=False)),
    "chunked, a second response behind": (CHUNKED + HELLO + FIVE + b"hello", accepted(reusable=False)),
    "length": (FIVE + b"hello", accepted()),
    "length 0": (OK + b"Content-Length: 0\r\n\r\n", accepted(b"")),
    "length, cut": (FIVE + b"hel", truncated(b"hel")),
    "length, more behind": (FIVE + b"helloEVIL", accepted(reusable=False)),
    "length, a second response behind": (FIVE + b"hello" + FIVE + b"world", accepted(reusable=False)),
    "length 0, more behind": (OK + b"Content-Length: 0\r\n\r\nEVIL", accepted(b"", reusable=False)),
    "until close": (OK + b"\r\nhello", accepted(at_end=True)),
    "until close, nothing": (OK + b"\r\n", accepted(b"", at_end=True)),
}
"""What a server may send, and what becomes of it. Each is read whole, byte by byte, and in pieces of odd sizes."""


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_read_or_refused(name: str) -> None:
    data, outcome = BODIES[name]
    assert {size: read(cut(data, size)) for size in (len(data), 1, 2, 3, 997)} == dict.fromkeys(
        (len(data), 1, 2, 3, 997), outcome
    )


chunk_sizes = st.lists(st.integers(1, 70), max_size=12)
extensions = st.sampled_from([b"", b";a", b";a=b", b' ; a="b;\t\xe9\\"c"', b";a;b\t= c"])
trailers = st.lists(st.sampled_from([b"X-A: b\r\n", b"x:\r\n", b"ETag: \xe9 \r\n"]), max_size=3)


@given(chunk_sizes, extensions, trailers, st.lists(st.integers(0, 900), max_size=8), st.randoms(use_true_random=False))
@PROPERTY
def test_what_was_chunked_comes_back(
    sizes: list[int], extension: bytes, trailer: list[bytes], places: list[int], rng: "object"
) -> None:
    chunks = [bytes(range(size)) for size in sizes]
    data = CHUNKED + b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    data += b"0\r\n" + b"".join(trailer) + b"\r\n"
    assert read(cut_at(data, places)) == accepted(b"".join(chunks))


@given(st.sampled_from(sorted(BODIES)), st.lists(st.integers(0, 300), max_size=10))
@PROPERTY
def test_it_does_not_matter_where_the_bytes_were_cut(name: str, places: list[int]) -> None:
    data, outcome = BODIES[name]
    assert read(cut_at(data, places)) == outcome


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
@PROPERTY
def test_bytes_of_any_kind_are_read_alike_however_cut(noise: bytes, places: list[int]) -> None:
    for start in (CHUNKED, CHUNKED + b"5;", CHUNKED + b"0\r\n", FIVE, OK + b"\r\n"):
        assert read(cut_at(start + noise, places)) == read([start + noise])


def test_payload_is_handed_out_before_its_chunk_is_whole() -> None:
    body = chunked()
    assert [body.feed(piece) for piece in (b"9\r\nhel", b"lo", b" you\r", b"\n0\r\n\r", b"\n")] == [
        b"hel", b"lo", b" you", b"", b"",
    ]  # fmt: skip
    assert (body.done, body.surplus) == (True, b"")


def test_a_refusal_keeps_what_the_same_bytes_brought_before() -> None:
    with pytest.raises(BadHttp) as caught:
        chunked().feed(b"5\r\nhello\r\n6\r\n world\n")
    assert (caught.value.reason, caught.value.payload) == ("bad_chunk", b"hello world")


def test_surplus_is_kept_apart_from_the_payload() -> None:
    for body, data in ((chunked(), HELLO), (LengthBody(5), b"hello")):
        assert body.feed(data + b"EV") == b"hello"
        assert body.feed(b"IL") == b""
        assert (body.done, body.surplus) == (True, b"EVIL")


def test_a_body_of_no_bytes_is_done_from_the_start() -> None:
    body = LengthBody(0)
    assert body.done
    assert (body.feed(b""), body.surplus) == (b"", b"")
    body.end()


def test_a_body_until_close_is_done_by_the_end_alone() -> None:
    body = UntilCloseBody()
    assert (body.feed(b"hello"), body.done) == (b"hello", False)
    body.end()
    assert body.done


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (HeadLimits(max_header_bytes=68, max_header_count=9, max_informational_responses=8), "max_header_bytes"),
        (HeadLimits(max_header_bytes=999, max_header_count=2, max_informational_responses=8), "max_header_count"),
    ],
)
def test_trailers_are_limited_like_headers(limits: HeadLimits, limit: str) -> None:
    within = CHUNKED + b"0\r\n" + b"X-A: " + b"b" * 25 + b"\r\n" + b"X-B: " + b"c" * 25
    for size in (999, 1):
        assert read(cut(within + b"\r\n\r\n", size), limits) == accepted(b"")
        more = b"c\r\n\r\n" if limit == "max_header_bytes" else b"\r\nd:\r\n\r\n"
        assert read(cut(within + more, size), limits) == bad_body("limit", limit=limit)


def chunked() -> ChunkedBody:
    return ChunkedBody(max_header_bytes=64 << 10, max_header_count=128)
