"""The heads of an exchange: the request's as bytes, the response's from bytes. No I/O.

Strict, for HTTP is lenient where it has been: bare line feeds, folded lines, odd characters, lists of lengths, a length
beside a transfer coding. Each of them is read differently somewhere on the way, so what RFC 9112 does not allow is
refused. A head costs 3 microseconds with two headers, 7 with eleven (with h11 it took 28 and 42); a request's 1.5.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from nexus3.actors.http.body import BadHttp, Body, ChunkedBody, FieldLines, LengthBody, UntilCloseBody

_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUES = re.compile(r"[\t\x20-\x7e]*")


class Unsendable(ValueError):  # noqa: N818 - the settings' mistake, said without quoting: a value may be the key
    """A target, a header's name or its value has a character that it cannot carry."""


def request_head(target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """The head of a POST, ready to be sent: ``target`` (path and query), then the headers in the given order.

    Adds nothing: host and content-length are the caller's.

    Raises:
        Unsendable: an illegal target, name or value.
    """
    if not _VALUES.fullmatch("".join([value for _, value in headers])):
        raise Unsendable("a header's value")
    fields = "".join([f"{_name(name)}{value}\r\n" for name, value in headers])
    return f"{_request_line(target)}{fields}\r\n".encode("ascii")


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


_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
"""A whole head and nothing else: what it does not match is refused (RFC 9112, 4 and 5). Takes linear time to fail."""
_FIELD = re.compile(r"([^:\n]+):[\t ]*([^\r]*)\r\n")
"""One line of what :data:`_HEAD` has matched."""
_LENGTH = re.compile(r"[0-9]{1,18}")
_LENGTH_OF_64_BITS = re.compile(r"[0-9]{1,20}")


class HeadReader:
    """Reads the head of one response, and skips the 1xx responses before it."""

    __slots__ = ("_bytes_left", "_informational", "_limits", "_lines", "received")

    received: int
    """Bytes so far: where the connection ends at 0, no answer had begun."""

    def __init__(self, limits: HeadLimits) -> None:
        self.received = 0
        self._limits = limits
        self._bytes_left = limits.max_header_bytes
        self._informational = 0
        self._lines: FieldLines | None = None  # of a head that did not come in one piece

    def feed(self, data: bytes) -> Head | None:
        """Take the next bytes of the connection, in pieces of any size; the head once it is whole. Then it is over.

        Raises:
            BadHttp: as soon as it is seen, but what only a whole head can tell.
        """
        self.received += len(data)
        while (found := self._find(data)) is not None:
            whole, data = found
            head = _parse(whole, data, self._limits)
            if head is not None:
                return head
            self._informational += 1
            if self._informational > self._limits.max_informational_responses:
                raise BadHttp("limit", limit="max_informational_responses")
            self._bytes_left -= whole.end()
        return None

    def end(self) -> None:
        """The connection has ended within the head.

        Raises:
            BadHttp: ``truncated``, always.
        """
        raise BadHttp("truncated")

    def _find(self, data: bytes) -> tuple[re.Match[bytes], bytes] | None:
        """The next head as soon as it is whole, and what came behind it."""
        lines = self._lines
        if lines is None:
            whole = _HEAD.match(data)  # as a rule the first read brings all of it
            if whole is not None and whole.end() <= self._bytes_left:
                return whole, data[whole.end() :]
            lines = self._lines = FieldLines("bad_head", max_header_bytes=self._bytes_left, start=b"HTTP/1.")
        raw = lines.feed(data)
        if raw is None:
            return None
        self._lines = None
        whole = _HEAD.fullmatch(raw)
        if whole is None:
            raise BadHttp("bad_head")
        return whole, lines.rest


def _parse(whole: re.Match[bytes], rest: bytes, limits: HeadLimits) -> Head | None:
    """One head; ``None`` where it is a 1xx."""
    minor, code, raw_fields = whole.groups()
    fields = _FIELD.findall(raw_fields.decode("latin-1"))
    if len(fields) > limits.max_header_count:
        raise BadHttp("limit", limit="max_header_count")
    status = int(code)
    if status == 101:
        raise BadHttp("upgrade")
    headers = {name.lower(): value.rstrip("\t ") for name, value in fields}
    if len(headers) < len(fields):
        headers = _joined(fields)
    framing = _framing(headers, fields)
    if status < 200:
        return None
    # An error's status counts whatever its body is; no body is ever decompressed.
    coding = headers.get("content-encoding")
    if coding is not None and status < 300 and coding.lower() not in ("", "identity"):
        raise BadHttp("content_encoding")
    is_http_1_1 = minor == b"1"
    body, is_clear = _body(framing, status, is_http_1_1=is_http_1_1, limits=limits)
    return Head(status, headers, body, is_clear and is_http_1_1 and not _says_close(headers), rest)


def _joined(fields: list[tuple[str, str]]) -> dict[str, str]:
    """Where a name comes more than once, which is rare."""
    headers: dict[str, str] = {}
    for name, value in fields:
        name, value = name.lower(), value.rstrip("\t ")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class _Framing(NamedTuple):
    """What a head says of its body's end."""

    is_chunked: bool
    length: str | None
    is_odd: bool
    """The length was a list or is so long that other readers may have read another one."""


def _framing(headers: dict[str, str], fields: list[tuple[str, str]]) -> _Framing:
    coding = headers.get("transfer-encoding")
    if coding is not None and coding.lower() != "chunked":  # no other coding, and none twice
        raise BadHttp("bad_head")
    length = headers.get("content-length")
    if length is None or _LENGTH.fullmatch(length):
        return _Framing(coding is not None, length, is_odd=False)
    # Lines that agree are joined by now: they mean what one would mean (RFC 9110, 8.6). A list in one line is odd.
    lines = {value.strip("\t ") for name, value in fields if name.lower() == "content-length"}
    numbers = {part.strip("\t ") for line in lines for part in line.split(",")}
    length = headers["content-length"] = numbers.pop()
    if numbers or not _LENGTH_OF_64_BITS.fullmatch(length):
        raise BadHttp("bad_head")
    return _Framing(coding is not None, length, is_odd=lines != {length} or not _LENGTH.fullmatch(length))


def _body(framing: _Framing, status: int, *, is_http_1_1: bool, limits: HeadLimits) -> tuple[Body, bool]:
    """The body (RFC 9112, 6.3), and whether its end is clear, so that another response may follow."""
    is_chunked, length, is_odd = framing
    if is_odd or (is_chunked and (length is not None or not is_http_1_1)):
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


def _says_close(headers: dict[str, str]) -> bool:
    options = headers.get("connection")
    return options is not None and "close" in [option.strip() for option in options.lower().split(",")]
