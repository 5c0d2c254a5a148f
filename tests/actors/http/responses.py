"""Reads whole responses with the reader under test, cut anywhere, and says in one value what came of it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nexus3.actors.http.body import BadHttp, Body, Reason
from nexus3.actors.http.head import HeadLimits, HeadReader

LIMITS = HeadLimits(max_header_bytes=64 << 10, max_header_count=128, max_informational_responses=8)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FIVE = OK + b"Content-Length: 5\r\n\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"


class Outcome(NamedTuple):
    """What became of one response."""

    payload: bytes = b""
    """All that was handed out, before a refusal too."""
    refused: Reason | None = None
    limit: str | None = None
    at_end: bool = False
    """Only the end of the connection decided."""
    reusable: bool = False
    status: int | None = None


def accepted(payload: bytes = b"hello", *, status: int = 200, reusable: bool = True, at_end: bool = False) -> Outcome:
    return Outcome(payload, status=status, reusable=reusable and not at_end, at_end=at_end)


def refused(reason: Reason, payload: bytes = b"", *, limit: str | None = None, status: int | None = None) -> Outcome:
    return Outcome(payload, reason, limit, status=status)


def bad_body(reason: Reason, payload: bytes = b"", *, limit: str | None = None) -> Outcome:
    return refused(reason, payload, limit=limit, status=200)


def truncated(payload: bytes = b"", *, status: int | None = 200) -> Outcome:
    return Outcome(payload, "truncated", at_end=True, status=status)


def read(pieces: Iterable[bytes], limits: HeadLimits = LIMITS) -> Outcome:
    """Read one response from a connection that brings ``pieces`` and ends. Bytes behind the body are fed to it too."""
    reader = HeadReader(limits)
    body: Body | None = None
    status: int | None = None
    payload = bytearray()
    keep_alive = at_end = False
    try:
        for piece in pieces:
            data = piece
            if body is None:
                head = reader.feed(data)
                if head is None:
                    continue
                status, body, keep_alive, data = head.status, head.body, head.keep_alive, head.rest
            payload += body.feed(data)
        if body is None or not body.done:
            at_end = True
            reader.end() if body is None else body.end()
    except BadHttp as bad:
        return Outcome(bytes(payload + bad.payload), bad.reason, bad.limit, at_end=at_end, status=status)
    assert body is not None
    assert body.done
    reusable = keep_alive and not body.surplus
    return Outcome(bytes(payload), at_end=at_end, reusable=reusable, status=status)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    """``data`` in pieces of ``size`` bytes."""
    return (data[at : at + size] for at in range(0, len(data), size))


def cut_at(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """``data`` cut at these places."""
    last = 0
    for place in sorted(places):
        yield data[last:place]
        last = place
    yield data[last:]
