"""What the loopback server can be told to say, as data. What can go wrong with it is in :mod:`nexus3.loopback.faults`.

A script returns these; :mod:`nexus3.loopback.delivery` turns them into bytes and pauses. They read as prose::

    Answer("Hello there", delay=0.01)
    Answer(tool_calls=[Call("get_weather", '{"city": "Berlin"}')])
    Answer(status=429, headers={"retry-after": "2"})
    Answer("Hello there", fault=Cut(after=2, how="reset"))
    Raw([b"HTTP/1.1 200 OK\\r\\n", 0.5, b"\\r\\n"])

All times are seconds of trio's clock. Nothing here knows a dialect: the same answer is spoken in each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from nexus3.loopback.faults import Error, Fault
from nexus3.wire.messages import Usage


@dataclass(frozen=True)
class Call:
    """A tool call. ``arguments`` is JSON text (or what pretends to be), whole or as the fragments to stream it in.

    An empty ``id`` is made up: unique per request, in the provider's style.
    """

    name: str
    arguments: str | Sequence[str] = "{}"
    _: KW_ONLY
    id: str = ""

    @property
    def arguments_text(self) -> str:
        return "".join(self.arguments)


@dataclass(frozen=True)
class Answer:
    """One response. The first field may be positional; all others are named."""

    text: str | Sequence[str] = ""
    """Whole, to be cut by ``piece_size``; or the pieces to stream it in."""
    _: KW_ONLY
    reasoning: str | Sequence[str] = ""
    refusal: str | Sequence[str] = ""
    tool_calls: Sequence[Call] = ()
    finish: str | None = None
    """A stop reason of :data:`nexus3.wire.events.StopReason`, translated; other words go out as they are.
    ``None``: ``tool_calls`` where there are any, else ``stop``."""
    usage: Usage | Literal["words"] | None = "words"
    """``"words"`` counts words as tokens. ``None`` says nothing, but for Anthropic's, which has to: zeros."""

    status: int = 200
    """From 300 on the body is an error in the dialect's shape, and ``text`` is not used."""
    error: Error | str | None = None
    """A str is its message."""
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    """Added to the default ones, or in their place where the names are equal: ``{"content-type": "text/html"}``."""
    default_headers: bool = True
    """Add a content type and the vendor's own headers. The framing's headers come in any case."""
    body: bytes | Sequence[bytes] | None = None
    """In place of the dialect's body, whatever the status; as pieces, which are sent one by one."""

    first_delay: float = 0.0
    """Before the first piece. An unstreamed answer waits before its head."""
    delay: float = 0.0
    """Before every other piece."""
    pauses: Sequence[float] = ()
    """Before each piece of a ``body`` in pieces, in order; in place of the two above."""
    piece_size: int = 0
    """Cut texts into pieces of so many characters; 0 leaves a whole text whole."""
    stream: bool | None = None
    """``None``: as the request asks. ``False``: JSON although a stream was asked. ``True``: a stream in any case."""
    framing: Literal["chunked", "length", "close"] | None = None
    """How the body's end is told: ``close`` is by closing. ``None``: chunked for streams, else by length."""
    chunk_size: int = 0
    """No chunk, and no send, has more than so many bytes; 0 puts one frame into one chunk."""
    fault: Fault | Sequence[Fault] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(self.fault) if isinstance(self.fault, Sequence) else (self.fault,)


@dataclass(frozen=True)
class Raw:
    """Bytes sent as they are, one send each; a number between them is a pause. For what no Answer can spell."""

    parts: Sequence[bytes | float]
    then: Literal["eof", "reset", "stall", "keep"] = "eof"
    """Afterwards: close, stay silent until the client leaves, or go on with the connection's next request."""


Reply = Answer | Raw


def redirect(location: str, status: int = 307) -> Answer:
    """A redirect to ``location``, with a small body as frameworks send it."""
    return Answer(status=status, headers={"location": location, "content-type": "text/plain"}, body=b"Moved")
