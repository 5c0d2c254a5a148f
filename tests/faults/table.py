"""The fault table: what a server does wrong, and how the request that meets it ends.

A row with several ways to go wrong has several lines. Those that a server's answer alone makes are data, here; the
others are tests of their own, by their numbers, in ``test_table.py``. The server's process reads this file too: a
request's model id names the line whose answer it wants.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from nexus3.loopback import (
    Answer,
    Call,
    CloseAfter,
    Cut,
    DripHeaders,
    Endless,
    Error,
    ErrorEvent,
    Garbage,
    HangUp,
    InformationalFlood,
    NoMarker,
    OnlyPings,
    Raw,
    Received,
    Reply,
    Stall,
    StallHeaders,
    Surplus,
    WrongLength,
    redirect,
)
from nexus3.wire.failures import Kind, Phase

ATTEMPTS = 3
"""Of each request at most; our own timeouts are repeated once."""
SHORT = 0.2
"""Seconds of the limit that a line is about."""
MIB = 1 << 20

Limit = Literal["header_timeout", "first_event_timeout", "idle_timeout", "progress_timeout", "error_body_timeout"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One way in which an answer fails, and the failure that the caller must see."""

    row: int
    what: str
    reply: Reply
    kind: Kind
    reason: str
    phase: Phase
    retryable: bool
    attempts: int = 1
    status: int | None = None
    retry_after: float | None = None
    partial: str | None = None
    """The text that was seen before the failure; ``None`` where nothing was emitted."""
    limit: Limit | None = None
    """The limit that each attempt runs into. It is set to :data:`SHORT`."""
    settings: Mapping[str, object] = field(default_factory=dict)
    model: str = "openai"
    """The provider that is asked."""

    @property
    def name(self) -> str:
        return f"{self.row:02}-{self.what}"


def sse(*data: bytes) -> Answer:
    """A stream of these events, in one piece each."""
    return Answer(body=[b"data: %b\n\n" % item for item in data])


def delta(inner: str) -> bytes:
    """A chunk with this delta, spelled as given."""
    return b'{"id":"x","model":"m","choices":[{"index":0,"delta":{%b},"finish_reason":null}]}' % inner.encode()


def flood(lines: int, value: str) -> Raw:
    """A head with so many headers, which never ends."""
    headers = "".join(f"x-{number}: {value}\r\n" for number in range(lines))
    return Raw([b"HTTP/1.1 200 OK\r\n", headers.encode()], then="stall")


def plain(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """An error status that says no more than itself and its headers."""
    return Answer(status=status, headers=headers or {}, body=b"")


def refused(row: int, status: int, kind: Kind, reason: str) -> Line:
    """A status that no repetition would change."""
    return Line(
        row=row,
        what=f"status-{status}",
        reply=plain(status),
        kind=kind,
        reason=reason,
        phase="headers",
        retryable=False,
        status=status,
    )


def busy(row: int, status: int, kind: Kind, reason: str) -> Line:
    """A status that is worth another attempt."""
    return replace(refused(row, status, kind, reason), retryable=True, attempts=ATTEMPTS)


def late(row: int, what: str, reply: Reply, reason: str, phase: Phase, limit: Limit) -> Line:
    """An answer that keeps a limit of ours waiting before any content: repeated once."""
    return Line(
        row=row,
        what=what,
        reply=reply,
        kind="timeout",
        reason=reason,
        phase=phase,
        retryable=True,
        attempts=2,
        limit=limit,
        status=None if phase == "headers" else 200,
    )


def no_answer(row: int, what: str, reply: Reply, reason: str) -> Line:
    """A new connection that breaks before the head is whole."""
    return Line(
        row=row,
        what=what,
        reply=reply,
        kind="transport",
        reason=reason,
        phase="headers",
        retryable=True,
        attempts=ATTEMPTS,
    )


def unread(
    row: int,
    what: str,
    reply: Reply,
    kind: Kind,
    reason: str,
    phase: Phase = "headers",
) -> Line:
    """An answer that cannot be taken for one, before any content: not repeated."""
    return Line(
        row=row,
        what=what,
        reply=reply,
        kind=kind,
        reason=reason,
        phase=phase,
        retryable=False,
        status=200 if phase == "first_event" else None,
    )


def lost(row: int, what: str, reply: Reply, kind: Kind, reason: str) -> Line:
    """An answer that breaks after its first words: never repeated, and the words are kept."""
    return Line(
        row=row,
        what=what,
        reply=reply,
        kind=kind,
        reason=reason,
        phase="stream",
        retryable=True,
        status=200,
        partial="Hel",
    )


def begun(row: int, what: str, reply: Reply, kind: Kind, reason: str) -> Line:
    """A stream that breaks before any content: repeated."""
    return Line(
        row=row,
        what=what,
        reply=reply,
        kind=kind,
        reason=reason,
        phase="first_event",
        retryable=True,
        status=200,
        attempts=ATTEMPTS,
    )


DOCUMENT = b'{"id":"x","choices":[{"index":0,"message":{"content":"mine"},"finish_reason":"stop"}]}'
WORDS = ("Hel", "lo")
CALL = '"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{}"}}]'
ENDLESS_ERROR = Endless(size_bytes=256 * MIB)

LINES = [
    # 6: a new connection breaks. The request may have been received; it is sent again all the same.
    no_answer(6, "fin-without-an-answer", Answer(fault=HangUp()), "closed"),
    no_answer(6, "rst-without-an-answer", Answer(fault=HangUp("reset")), "reset"),
    no_answer(6, "fin-within-the-head", Answer(fault=HangUp(after_bytes=20)), "closed"),
    # 7, 8: no head, or one that never ends.
    late(7, "no-answer", Answer(fault=StallHeaders()), "headers", "headers", "header_timeout"),
    late(8, "head-byte-by-byte", Answer(fault=DripHeaders(0.05)), "headers", "headers", "header_timeout"),
    late(8, "1xx-now-and-then", Answer(fault=InformationalFlood(0.05)), "headers", "headers", "header_timeout"),
    unread(8, "1xx-flood", Answer(fault=InformationalFlood()), "limit", "max_informational_responses"),
    # 9: floods of headers.
    unread(9, "many-headers", Answer(headers=[(f"x-{n}", "y") for n in range(200)]), "limit", "max_header_count"),
    unread(9, "long-headers", flood(100, "y" * 1024), "limit", "max_header_bytes"),
    # 10: redirects are never followed.
    *(
        Line(
            row=10,
            what=f"redirect-{status}",
            reply=redirect("http://127.0.0.1:9/elsewhere?key=1", status),
            kind="protocol",
            reason="redirect",
            phase="headers",
            retryable=False,
            status=status,
        )
        for status in (301, 302, 303, 307, 308)
    ),
    # 11, 12: the request's own fault.
    refused(11, 400, "bad_request", "bad_request"),
    refused(11, 404, "not_found", "not_found"),
    refused(11, 413, "bad_request", "request_too_large"),
    refused(11, 422, "bad_request", "unprocessable"),
    refused(11, 418, "bad_request", "http_418"),
    refused(12, 401, "auth", "unauthorized"),
    refused(12, 403, "permission", "forbidden"),
    # 13: not now.
    busy(13, 408, "timeout", "request_timeout"),
    busy(13, 409, "server", "conflict"),
    busy(13, 425, "server", "too_early"),
    # 14, 15: too many requests, or too little money.
    Line(
        row=14,
        what="429-that-names-a-time",
        reply=plain(429, {"retry-after-ms": "50"}),
        kind="rate_limit",
        reason="too_many_requests",
        phase="headers",
        retryable=True,
        attempts=ATTEMPTS,
        status=429,
        retry_after=0.05,
    ),
    Line(
        row=14,
        what="429-that-names-too-long-a-time",
        reply=plain(429, {"retry-after": "61"}),
        kind="rate_limit",
        reason="too_many_requests",
        phase="headers",
        retryable=True,
        status=429,
        retry_after=61.0,
    ),
    Line(
        row=14,
        what="429-that-must-not-be-repeated",
        reply=plain(429, {"retry-after-ms": "50", "x-should-retry": "false"}),
        kind="rate_limit",
        reason="too_many_requests",
        phase="headers",
        retryable=False,
        status=429,
        retry_after=0.05,
    ),
    refused(15, 402, "quota", "payment_required"),
    *(
        Line(
            row=15,
            what=f"quota-at-{status}",
            reply=Answer(status=status, error=Error("no", type="insufficient_quota", code="insufficient_quota")),
            kind="quota",
            reason="insufficient_quota",
            phase="headers",
            retryable=False,
            status=status,
        )
        for status in (403, 429)
    ),
    # 16: servers in trouble; three of these statuses say that they will never do it.
    busy(16, 500, "server", "internal_server_error"),
    busy(16, 502, "server", "bad_gateway"),
    busy(16, 503, "overloaded", "service_unavailable"),
    busy(16, 504, "timeout", "gateway_timeout"),
    busy(16, 529, "overloaded", "overloaded"),
    busy(16, 599, "server", "http_599"),
    refused(16, 501, "server", "not_implemented"),
    refused(16, 505, "server", "http_version_not_supported"),
    refused(16, 511, "server", "network_authentication_required"),
    # 17, 18: error bodies without an end, or without a meaning: the status has said enough.
    Line(
        row=17,
        what="endless-error-body",
        reply=Answer(status=400, fault=ENDLESS_ERROR),
        kind="bad_request",
        reason="bad_request",
        phase="headers",
        retryable=False,
        status=400,
    ),
    Line(
        row=17,
        what="error-body-that-stalls",
        reply=Answer(status=400, fault=Stall(after="head")),
        kind="bad_request",
        reason="bad_request",
        phase="headers",
        retryable=False,
        status=400,
        limit="error_body_timeout",
    ),
    *(
        Line(
            row=18,
            what=f"error-body-{what}",
            reply=Answer(status=404, headers={"content-type": "text/html", **headers}, body=body, framing="close"),
            kind="not_found",
            reason="not_found",
            phase="headers",
            retryable=False,
            status=404,
        )
        for what, headers, body in (
            ("html", {}, b"<html><title>Not Found</title><script>x()</script></html>"),
            ("compressed", {"content-encoding": "gzip"}, b"\x1f\x8b" + bytes(range(256))),
            ("cut-off", {"content-length": "1000"}, b'{"error": {"mess'),
        )
    ),
    # 19: errors under a 200. What the error says decides, not the status.
    begun(19, "error-before-content", Answer(fault=ErrorEvent(after=0)), "overloaded", "engine_overloaded"),
    lost(19, "error-after-content", Answer(WORDS, fault=ErrorEvent(after=1)), "overloaded", "engine_overloaded"),
    replace(
        begun(
            19, "anthropic-error-before-content", Answer(fault=ErrorEvent(after=0)), "overloaded", "overloaded_error"
        ),
        model="anthropic",
    ),
    replace(
        lost(
            19,
            "anthropic-error-after-content",
            Answer(WORDS, fault=ErrorEvent(after=1)),
            "overloaded",
            "overloaded_error",
        ),
        model="anthropic",
    ),
    # 20 to 22: silence, and pings that say no more than silence does.
    late(
        20, "silence-after-the-head", Answer(fault=Stall("head")), "first_event", "first_event", "first_event_timeout"
    ),
    late(20, "silence-after-the-role", Answer(fault=Stall(0)), "first_event", "first_event", "first_event_timeout"),
    replace(lost(21, "silence-in-the-stream", Answer(WORDS, fault=Stall(1)), "timeout", "idle"), limit="idle_timeout"),
    late(22, "pings-alone", Answer(fault=OnlyPings(0, 0.02)), "first_event", "first_event", "first_event_timeout"),
    replace(
        lost(22, "pings-after-content", Answer(WORDS, fault=OnlyPings(1, 0.02)), "timeout", "progress"),
        limit="progress_timeout",
    ),
    # 23, 24: the body breaks.
    begun(23, "rst-after-the-head", Answer(fault=(Stall("head", 0.02), Cut("head", "reset"))), "transport", "cut"),
    lost(23, "rst-in-the-stream", Answer(WORDS, fault=(Stall(1, 0.02), Cut(1, "reset"))), "transport", "cut"),
    begun(24, "fin-after-the-head", Answer(fault=Cut("head")), "transport", "cut"),
    lost(24, "fin-in-the-stream", Answer(WORDS, fault=Cut(1)), "transport", "cut"),
    lost(24, "fin-within-a-chunk", Answer(WORDS, fault=Cut(1, "truncate")), "transport", "cut"),
    begun(
        24,
        "length-that-promises-too-much",
        Answer("Hello", stream=False, fault=(WrongLength(9), Cut("end"))),
        "transport",
        "cut",
    ),
    # 25, 26: an end without a terminal marker is no success, however properly HTTP ends.
    begun(25, "nothing-at-all", Answer(body=b"", stream=True), "protocol", "empty_response"),
    begun(25, "no-marker-and-no-content", Answer(fault=Cut(0, "end")), "protocol", "stream_truncated"),
    lost(25, "no-marker", Answer("Hel", fault=NoMarker()), "protocol", "stream_truncated"),
    lost(25, "no-marker-until-close", Answer("Hel", fault=NoMarker(), framing="close"), "protocol", "stream_truncated"),
    replace(
        lost(25, "anthropic-no-marker", Answer("Hel", fault=NoMarker()), "protocol", "stream_truncated"),
        model="anthropic",
    ),
    # ... nor is its last event what was cut off; only the blank line behind it may be missing.
    *(
        replace(
            lost(
                26,
                what,
                Answer(body=[b"data: %b\n\n" % delta('"content":"Hel"'), b"data: %b\n" % last], stream=True),
                "protocol",
                "stream_truncated",
            ),
            partial=partial,
        )
        for what, last, partial in (
            ("last-event-without-its-blank-line", delta('"content":"lo"'), "Hello"),
            ("last-event-cut-off", delta('"content":"lo"')[:-1], "Hel"),
        )
    ),
    # 28 to 30: bombs and endless streams.
    *(
        unread(
            28,
            f"encoding-{name}",
            Answer(headers={"content-encoding": name}, body=b"\x1f\x8b" + bytes(512 << 10)),
            "protocol",
            "content_encoding",
        )
        for name in ("gzip", "br", "zstd")
    ),
    unread(29, "endless-line", Answer(fault=Endless(0)), "limit", "max_line_bytes", "first_event"),
    replace(
        lost(
            30,
            "endless-stream",
            Answer(WORDS, fault=Endless(1, b": %b\n\n" % (b"x" * 1000))),
            "limit",
            "max_stream_bytes",
        ),
        retryable=False,
        settings={"max_stream_bytes": MIB},
    ),
    replace(
        lost(30, "endless-events", Answer(WORDS, fault=Endless(1, b"data: {}\n\n" * 1000)), "limit", "max_events"),
        retryable=False,
        settings={"max_events": 10_000},
    ),
    replace(
        unread(
            30, "endless-body", Answer("Hello", stream=False, fault=Endless()), "limit", "max_body_bytes", "first_event"
        ),
        settings={"max_body_bytes": MIB},
    ),
    # 32: tool calls.
    replace(
        lost(
            32,
            "endless-arguments",
            Answer(tool_calls=[Call("f", ["1" * 65_536] * 8)]),
            "limit",
            "max_tool_arguments_bytes",
        ),
        retryable=False,
        partial="",
    ),
    replace(
        lost(
            32,
            "ten-thousand-calls",
            sse(*(delta(CALL % (number, number)) for number in range(10_000))),
            "limit",
            "max_tool_calls",
        ),
        retryable=False,
        partial="",
    ),
    # 33 to 35: JSON that is none.
    unread(33, "json-100000-deep", sse(delta('"content":' + "[" * 100_000)), "limit", "max_json_depth", "first_event"),
    *(
        unread(34, what, sse(delta(inner)), "protocol", "malformed_event", "first_event")
        for what, inner in (
            ("nan", '"content":"x","n":NaN'),
            ("infinity", '"content":"x","n":-Infinity'),
            ("too-large-a-number", '"content":[1e999]'),
        )
    ),
    unread(35, "no-utf-8-within-json", Answer("Hello", fault=Garbage(0)), "protocol", "malformed_event", "first_event"),
    # 36: somebody else answers.
    replace(
        unread(
            36,
            "login-page",
            Answer(headers={"content-type": "text/html"}, body=b"<html>"),
            "protocol",
            "wrong_content_type",
        ),
        status=200,
    ),
    unread(36, "not-http", Raw([b"SSH-2.0-OpenSSH_9.2\r\n"]), "protocol", "not_http"),
]
BY_NAME = {line.name: line for line in LINES}


FINISH = b'{"id":"x","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
INJECTED = Call("../../bin/sh", '{"cmd":"$(reboot)","__class__":"{0.__init__}"}')
ODD_IDS = ["../../etc/passwd", "a b\r\nx: y", "\x1b[31m\u202e", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 200]
TERMINAL_ESCAPES = "\x1b[31mred\u202e alert\x07\r\nforged line"

HELLO = Answer("Hello")
HELD = Answer(WORDS, fault=Stall(1))
GOOD: dict[str, Reply] = {
    "hello": HELLO,
    "surplus": Answer("mine", stream=False, fault=Surplus()),
    "late-surplus": Raw(
        [
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(DOCUMENT), DOCUMENT),
            0.02,
            Surplus().data,
        ],
        then="keep",
    ),
    "one-byte-chunks": Answer("0123456789" * 1000, chunk_size=1),
    "cookie": Answer("Hello", headers={"set-cookie": "session=1; Path=/"}),
    "injected": Answer(tool_calls=[INJECTED]),
    "index-of-a-billion": sse(
        delta('"tool_calls":[{"index":1000000000,"id":"c","function":{"name":"f","arguments":"{}"}}]'),
        FINISH,
        b"[DONE]",
    ),
    "lone-surrogate": sse(delta('"content":"caf\\ud83d"'), FINISH, b"[DONE]"),
    "no-utf-8-in-text": sse(delta('"content":"caf?"').replace(b"?", b"\xe9"), FINISH, b"[DONE]"),
    "escapes": Answer(status=400, error=TERMINAL_ESCAPES),
    "long-error": Answer(status=400, error="x" * 60_000),
    "odd-ids": Answer(tool_calls=[Call("f", "{}", id=odd) for odd in ODD_IDS]),
    "held": HELD,
    "paced": Answer(["a "] * 200, delay=0.02),
    "held-head": Answer(fault=StallHeaders()),
    "flood": Answer(["x" * 8192] * 4000),
}
"""Answers of the rows that need more than one answer to be told."""

TURNS: dict[str, list[Reply]] = {
    # A kept connection that the server drops once it has read the next request.
    "stale-fin": [HELLO, Answer(fault=HangUp()), HELLO],
    "stale-rst": [HELLO, Answer(fault=HangUp("reset")), HELLO],
    "stale-and-then-worse": [HELLO, Answer(fault=HangUp()), Answer(fault=HangUp()), HELLO],
    "goes-while-idle": [Answer("Hello", fault=CloseAfter()), HELLO],
    "held-once": [Answer(fault=StallHeaders()), HELLO],
}
"""Answers in the order of the requests for that model, again and again."""

_asked = Counter[str]()


def answer(received: Received) -> Reply:
    """The server's script: the model id says which answer is wanted."""
    name = received.model
    if name in TURNS:
        _asked[name] += 1
        return TURNS[name][(_asked[name] - 1) % len(TURNS[name])]
    return BY_NAME[name].reply if name in BY_NAME else GOOD[name]
