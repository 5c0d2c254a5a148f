"""Everything that can go wrong with a request, with a server that repeats the secrets it was sent wherever it can."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

import msgspec

from nexus3.loopback import (
    Answer,
    Cut,
    Error,
    ErrorEvent,
    Garbage,
    HangUp,
    Raw,
    Received,
    Reply,
    Stall,
    StallHeaders,
)

Place = Literal["server", "nowhere", "unresolvable", "tls", "proxy", "proxy_tunnel", "proxy_nowhere"]
"""Where the provider is: the server; a closed port; a name without an address; behind a certificate that nobody vouches
for; behind a proxy, which is the server, asked directly or for a tunnel; behind a proxy that is not there."""

Event = Literal["none", "crash", "leave", "bug", "bug_fetched", "fault", "key_raises", "key_unsendable", "fetched"]
"""What happens on this side: nothing; the actor crashes, or the caller leaves, once content came; a bug in the
transport, with all that it knows in the exception's message, on a key of the settings or a fetched one; a broken
invariant there; the key's function raises, or returns what no header can carry; it works, so that the key is known to
nobody before."""


@dataclass(frozen=True)
class Trouble:
    """One kind of failure."""

    name: str
    expected: str
    """``kind/reason`` of the failure, to see that it is this one; ``""`` where there is none."""
    script: Callable[[Received], Reply] = field(default=lambda _: Answer("Hello"))
    settings: Mapping[str, object] = field(default_factory=dict)
    place: Place = "server"
    event: Event = "none"
    timeout: float = 5.0


def _sent(received: Received) -> list[str]:
    """The secrets as they came."""
    headers = received.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    basic = headers.get("proxy-authorization", "").removeprefix("Basic ")
    known = [bearer, headers.get("api-key"), headers.get("x-api-key"), headers.get("x-gateway-token"), basic]
    known += [base64.b64decode(basic).decode(), base64.b64decode(basic).decode().partition(":")[2]]
    return [value for value in known if value]


def _spelled(secret: str) -> list[str]:
    raw = secret.encode()
    return [
        secret,
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        f"Basic {base64.b64encode(b':' + raw).decode()}",
        f"token={base64.b64encode(b':' + raw).decode()}, {base64.b64encode(b'u:' + raw).decode()}",
        quote(secret, safe=""),
        f"{secret[:12]}...",
    ]


def echo(received: Received) -> str:
    """All that was sent, in all spellings."""
    return "No: " + " and ".join(text for secret in _sent(received) for text in _spelled(secret))


def _first(received: Received) -> str:
    return _sent(received)[0]


def _status(status: int, reason: str) -> Trouble:
    return Trouble(
        f"status {status}", reason, lambda received: Answer(status=status, error=Error(echo(received), code="odd_code"))
    )


def _malformed(received: Received) -> Reply:
    garbage = b'data: {"choices": [{"delta": {"content": "%b' % echo(received).encode()
    if received.route.dialect == "anthropic_messages":
        garbage = b"event: content_block_delta\ndata: {%b" % echo(received).encode()
    return Answer(["a ", "b "], fault=Garbage(after=0, data=garbage + b"\n\n"))


def _cut_within(received: Received) -> Reply:
    # Whatever limits there are on how much of a message is shown, one of these keys lies across it.
    return Answer(status=400, error=" ".join(f"{_first(received)}{'.' * (number % 5)}" for number in range(400)))


def _headers(received: Received) -> Reply:
    key = _first(received)
    headers = {
        "x-request-id": key,
        "retry-after": key,
        "x-should-retry": key,
        "content-type": f"application/json;{key}",
    }
    return Answer(status=500, headers=headers | {"request-id": key}, error="no")


def _code(received: Received) -> Reply:
    key = _first(received)
    body = {"error": {"message": "no", "type": key, "code": key, "param": key, "request_id": key}}
    return Answer(status=400, body=msgspec.json.encode(body), headers={"content-type": "application/json"})


def _page(received: Received) -> Reply:
    page = f"<html><title>{_first(received)}</title><body><p>{echo(received)}</p></body></html>".encode()
    return Answer(status=502, headers={"content-type": "text/html"}, body=page)


def _head_flood(received: Received) -> Reply:
    lines = "".join(f"x-{number}: {_first(received)}\r\n" for number in range(3000))
    return Raw([f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()])


NO_RETRY = {"max_retries": 0}
SOON = {"max_retries": 1, "max_retry_delay": 0.01, "max_throttle_delay": 0.01}

TROUBLES: tuple[Trouble, ...] = (
    Trouble("name without address", "transport/dns", place="unresolvable", settings=SOON),
    Trouble("refused", "transport/connect", place="nowhere", settings=SOON),
    Trouble("bad certificate", "transport/certificate", place="tls"),
    Trouble("reset before an answer", "transport/reset", lambda _: Answer(fault=HangUp("reset")), SOON),
    Trouble("closed before an answer", "transport/closed", lambda _: Answer(fault=HangUp()), NO_RETRY),
    Trouble("reset in the body", "transport/cut", lambda _: Answer(["a ", "b "], fault=Cut(1, "reset"))),
    Trouble("no head", "timeout/headers", lambda _: Answer(fault=StallHeaders()), {**NO_RETRY, "header_timeout": 0.03}),
    Trouble(
        "no first event",
        "timeout/first_event",
        lambda _: Answer("a", fault=Stall(0)),
        {**NO_RETRY, "first_event_timeout": 0.03},
    ),
    Trouble("idle", "timeout/idle", lambda _: Answer(["a ", "b "], fault=Stall(1)), {"idle_timeout": 0.03}),
    Trouble("deadline", "timeout/deadline", lambda _: Answer(["a ", "b "], fault=Stall(1)), timeout=0.05),
    _status(400, "bad_request/"),
    _status(401, "auth/"),
    _status(403, "permission/"),
    _status(404, "not_found/"),
    Trouble(
        "status 429",
        "rate_limit/",
        lambda received: Answer(
            status=429, headers={"retry-after": "0.01"}, error=Error(echo(received), code="odd_code")
        ),
        SOON,
    ),
    Trouble(
        "status 500",
        "server/",
        lambda received: Answer(status=500, error=Error(echo(received), code="odd_code")),
        SOON,
    ),
    Trouble("page", "server/bad_gateway", _page, NO_RETRY),
    Trouble("cut within the key", "bad_request/", _cut_within),
    Trouble("key as code", "bad_request/", _code),
    Trouble("key in headers", "server/", _headers, NO_RETRY),
    Trouble(
        "error event",
        "server/",
        lambda received: Answer(["a "], fault=ErrorEvent("head", 500, echo(received))),
        NO_RETRY,
    ),
    Trouble(
        "error event after content",
        "server/",
        lambda received: Answer(["a ", "b "], fault=ErrorEvent(1, 500, echo(received))),
    ),
    Trouble("malformed event", "protocol/", _malformed, NO_RETRY),
    Trouble(
        "malformed body",
        "protocol/",
        lambda received: Answer(stream=False, body=f'{{"choices": [{{"text": "{echo(received)}'.encode()),
        {**NO_RETRY, "stream": "never"},
    ),
    Trouble("not HTTP", "protocol/", lambda received: Raw([f"SSH-2.0 {echo(received)}\r\n".encode()]), NO_RETRY),
    Trouble(
        "wrong content type",
        "protocol/wrong_content_type",
        lambda received: Answer(headers={"content-type": f"text/{_first(received)}"}, body=echo(received).encode()),
        NO_RETRY,
    ),
    Trouble("redirect", "protocol/redirect"),  # the scene knows where to
    Trouble("oversize head", "limit/", _head_flood, NO_RETRY),
    Trouble("crash", "actor_crashed/mid_stream", lambda _: Answer(["a ", "b "], fault=Stall(1)), event="crash"),
    Trouble("caller leaves", "", lambda _: Answer(["a ", "b "], fault=Stall(1)), event="leave"),
    Trouble("bug", "internal/bug", event="bug"),
    Trouble("bug with a fetched key", "internal/bug", event="bug_fetched"),
    Trouble("broken invariant", "SupervisorEscalated", event="fault"),
    Trouble("key function raises", "auth/key_function", event="key_raises"),
    Trouble("key function returns what cannot be sent", "auth/key_function", event="key_unsendable"),
    Trouble(
        "fetched key is repeated",
        "auth/",
        lambda received: Answer(status=401, error=Error(echo(received), code="odd_code")),
        event="fetched",
    ),
    Trouble(
        "proxy wants another password",
        "bad_request/",
        lambda received: Answer(status=407, error=Error(echo(received), code="odd_code")),
        place="proxy",
    ),
    Trouble("proxy gives no tunnel", "transport/proxy", settings=NO_RETRY, place="proxy_tunnel"),
    Trouble("no proxy", "transport/connect", settings=NO_RETRY, place="proxy_nowhere"),
)
