"""The heads of an exchange: the request's as bytes, the response's from bytes. No I/O.

Responses are parsed by h11, which is lenient where HTTP has been: it takes bare line feeds, folded lines, odd
characters, lists of lengths, and a length beside a transfer coding. Each of them is read differently somewhere on the
way, so the raw bytes are checked first, and what RFC 9112 does not allow is refused. A head costs 28 microseconds with
two headers, 40 with eleven, more than half of it h11's; a request's head 1.5.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import h11

from nexus3.actors.http.body import BadHttp, Body, ChunkedBody, FieldLines, LengthBody, UntilCloseBody

_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Unsendable(ValueError):  # noqa: N818 - the settings' mistake, said without quoting: a value may be the key
    """A target, a header's name or its value has a character that it cannot carry."""


def request_head(target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The head of a POST, ready to be sent: ``target`` (path and query), then the headers in the given order.

    Adds nothing: host and content-length are the caller's.

    Raises:
        Unsendable: an illegal target, name or value.
    """
    lines = [_request_line(target)]
    for name, value in headers:
        if not _VALUE.fullmatch(value):
            raise Unsendable("a header's value")
        lines.append(f"{_name(name)}{value}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("ascii")


# Targets and names are few and come again with every request. Values are not kept: they may be secrets.
@lru_cache(256)
def _request_line(target: str) -> str:
    if not _TARGET.fullmatch(target):
        raise Unsendable("the target")
    return f"POST {target} HTTP/1.1\r\n"


@lru_cache(256)
def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Unsendable("a header's name")
    return f"{name}: "


class HeadLimits(NamedTuple):
    """What the heads of one response may take; 1xx responses before it count."""

    max_header_bytes: int
    """Of all heads together."""
    max_header_count: int
    """Of each head; also of a chunked body's trailers."""
    max_informational_responses: int


class Head(NamedTuple):
    """A final response's head."""

    status: int
    headers: dict[str, str]
    """Names in lower case; the values of one name are joined by ``, ``. Bytes above 127 as Latin-1, so none is lost."""
    body: Body
    keep_alive: bool
    """The connection can be used again once the body is ``done`` without ``surplus``."""
    rest: bytes
    """What came behind the head: the first bytes to feed to ``body``."""


_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])[ \r]")
_LENGTH_LINE = re.compile(rb"\ncontent-length:([^\r]*)\r", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,18}")

# To h11 a response needs a request. Any will do: only HEAD and CONNECT would change what a response means.
_REQUEST = h11.Request(method="POST", target="/", headers=[("host", "localhost"), ("content-length", "0")])


class HeadReader:
    """Reads the head of one response, and skips the 1xx responses before it."""

    received: int
    """Bytes so far: where the connection ends at 0, no answer had begun."""

    def __init__(self, limits: HeadLimits) -> None:
        self.received = 0
        self._limits = limits
        self._bytes_left = limits.max_header_bytes
        self._informational = 0
        self._lines = self._next()

    def feed(self, data: bytes) -> Head | None:
        """Take the next bytes of the connection, in pieces of any size; the head once it is whole. Then it is over.

        Raises:
            BadHttp: as soon as it is seen, but what only a whole head can tell.
        """
        self.received += len(data)
        while (lines := self._lines.feed(data)) is not None:
            data = self._lines.rest
            head = _parse(lines, data, self._limits)
            if head is not None:
                return head
            self._informational += 1
            if self._informational > self._limits.max_informational_responses:
                raise BadHttp("limit", limit="max_informational_responses")
            self._bytes_left -= len(lines)
            self._lines = self._next()
        return None

    def end(self) -> None:
        """The connection has ended within the head.

        Raises:
            BadHttp: ``truncated``, always.
        """
        raise BadHttp("truncated")

    def _next(self) -> FieldLines:
        return FieldLines("bad_head", max_header_bytes=self._bytes_left, start=b"HTTP/1.")


def _parse(raw: bytes, rest: bytes, limits: HeadLimits) -> Head | None:
    """One whole head of legal characters; ``None`` where it is a 1xx."""
    status_line = _STATUS_LINE.match(raw)
    if status_line is None:
        raise BadHttp("bad_head")
    if raw.count(b"\n") - 2 > limits.max_header_count:
        raise BadHttp("limit", limit="max_header_count")
    status = int(status_line[2])
    if status == 101:
        raise BadHttp("upgrade")
    event = _event(raw)
    if isinstance(event, h11.InformationalResponse):
        return None
    if not isinstance(event, h11.Response):
        raise BadHttp("bad_head")
    headers: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    # An error's status counts whatever its body is; no body is ever decompressed.
    if 200 <= status < 300 and headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise BadHttp("content_encoding")
    body, is_clear = _body(raw, status, headers, is_http_1_1=status_line[1] == b"1", limits=limits)
    options = [option.strip() for option in headers.get("connection", "").lower().split(",")]
    keep_alive = is_clear and status_line[1] == b"1" and "close" not in options
    return Head(status, headers, body, keep_alive, rest)


def _event(raw: bytes) -> object:
    """What h11 makes of a head; ``None`` where it refuses: its exceptions quote the line, so none becomes a context."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(_REQUEST)
    connection.receive_data(raw)
    try:
        return connection.next_event()
    except h11.RemoteProtocolError:
        return None


def _body(
    raw: bytes, status: int, headers: dict[str, str], *, is_http_1_1: bool, limits: HeadLimits
) -> tuple[Body, bool]:
    """The body's framing (RFC 9112, 6.3), and whether its end is clear, so that another response may follow."""
    lengths = {value.strip(b" \t") for value in _LENGTH_LINE.findall(raw)}  # h11 has merged them
    is_chunked = "transfer-encoding" in headers  # h11 takes "chunked" alone, and once
    if len(lengths) > 1 or (is_chunked and (lengths or not is_http_1_1)):
        raise BadHttp("bad_framing")
    length = lengths.pop() if lengths else None
    if length is not None and not _LENGTH.fullmatch(length):
        raise BadHttp("bad_framing")
    if status in (204, 304):
        # No body, whatever the head says. Where it says there is one, it may follow all the same.
        return LengthBody(0), not is_chunked and (length is None or int(length) == 0)
    if is_chunked:
        body = ChunkedBody(max_header_bytes=limits.max_header_bytes, max_header_count=limits.max_header_count)
        return body, True
    if length is not None:
        return LengthBody(int(length)), True
    return UntilCloseBody(), False
