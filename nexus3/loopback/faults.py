"""What can go wrong with an answer, as data. A script puts one or several of these into ``Answer(fault=...)``.

Needing no fault: a wrong content type (``headers``), a foreign body (``body``), an error status (``status``),
one-byte chunks (``chunk_size``). All times are seconds of trio's clock.
"""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Literal

After = int | Literal["head", "finish", "end"]
"""A place in the body of an answer, at which a fault acts.

An int counts *pieces*: frames that give a reader something (text, reasoning, refusal, the start of a tool call, a
fragment of its arguments). ``0`` is after the lead (role chunk, ``message_start``) and before the first piece; a count
beyond the last piece means after the last piece. ``"head"`` is after the response's head and before anything of the
body, ``"finish"`` right after the stop reason, ``"end"`` after the last frame (``[DONE]``, ``message_stop``) and before
the body's own end. An unstreamed body counts as two pieces: its halves.
"""

Ending = Literal["eof", "reset"]
"""How a connection is closed: FIN, or RST (SO_LINGER 0)."""


@dataclass(frozen=True)
class Error:
    """What an error body says. What is ``None`` follows from the status, in the dialect's own words."""

    message: str | None = None
    _: KW_ONLY
    type: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Cut:
    """Stop in the body.

    ``eof``: FIN, without the body's end. ``reset``: RST. ``truncate``: a chunk is announced, half of the next frame
    comes, then FIN. ``end``: the body ends properly as HTTP (last chunk sent, connection kept), only the rest of the
    answer is missing.
    """

    after: After
    how: Literal["eof", "reset", "truncate", "end"] = "eof"


@dataclass(frozen=True)
class Stall:
    """Say nothing for ``seconds``: for ever, unless given."""

    after: After
    seconds: float = math.inf


@dataclass(frozen=True)
class ErrorEvent:
    """An error inside the stream, spelled as the dialect does for ``status``; the body then ends properly.

    An unstreamed answer becomes an error with that status.
    """

    after: After
    status: int = 529
    error: Error | str | None = None


@dataclass(frozen=True)
class Garbage:
    """Bytes that belong to nothing, between two frames."""

    after: After
    data: bytes = b'data: {"choices": [\xff\xfe garbage\n\n'


@dataclass(frozen=True)
class OnlyPings:
    """From here on keep-alive frames, for ever: SSE comments, ``event: ping``; blank lines before unstreamed JSON."""

    after: After
    every: float = 1.0


@dataclass(frozen=True)
class Endless:
    """From here on ``filler``, as fast as the reader takes it: for ever, or ``size_bytes`` of it."""

    after: After = "head"
    filler: bytes = b"x" * 65_536
    size_bytes: int | None = None


@dataclass(frozen=True)
class HangUp:
    """Close before the head is complete, after ``after_bytes`` bytes of it: by default without any answer."""

    how: Ending = "eof"
    after_bytes: int = 0


@dataclass(frozen=True)
class StallHeaders:
    """The request is read; nothing is said for ``seconds``: for ever, unless given."""

    seconds: float = math.inf


@dataclass(frozen=True)
class DripHeaders:
    """The head comes byte by byte, one ``every`` so many seconds."""

    every: float = 0.05


@dataclass(frozen=True)
class InformationalFlood:
    """``103 Early Hints``, one ``every`` so many seconds: for ever, or ``count`` of them before the answer."""

    every: float = 0.0
    count: int | None = None


@dataclass(frozen=True)
class NoMarker:
    """The stream ends properly as HTTP, but without its terminal marker.

    ``finish``: no stop reason (``finish_reason``, ``message_delta``). ``done``: no ``[DONE]``, no ``message_stop``.
    """

    what: Literal["all", "finish", "done"] = "all"


@dataclass(frozen=True)
class WrongLength:
    """``content-length`` is off by this many bytes: positive promises too much. Implies framing by length."""

    by_bytes: int


_POISON = b'{"id":"x","choices":[{"index":0,"message":{"content":"POISONED"},"finish_reason":"stop"}]}'


@dataclass(frozen=True)
class Surplus:
    """Bytes after the body, in the same segment as its end: by default a whole second response, to poison reuse."""

    data: bytes = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(_POISON),
        _POISON,
    )


@dataclass(frozen=True)
class CloseAfter:
    """The answer is whole and promises a kept connection, which is closed ``delay`` seconds later all the same."""

    how: Ending = "eof"
    delay: float = 0.0


Fault = (
    Cut
    | Stall
    | ErrorEvent
    | Garbage
    | OnlyPings
    | Endless
    | HangUp
    | StallHeaders
    | DripHeaders
    | InformationalFlood
    | NoMarker
    | WrongLength
    | Surplus
    | CloseAfter
)
BodyFault = Cut | Stall | ErrorEvent | Garbage | OnlyPings | Endless
"""Those that act at a place in the body."""
