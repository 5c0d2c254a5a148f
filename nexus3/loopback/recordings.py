"""One recorded exchange, as data: what was asked, what was answered, when each piece came, and how it ended."""

import base64
from typing import Annotated, Literal, Self

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0)]
"""Since the request had arrived whole."""


class Encoded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that are no text."""

    base64: str

    def __post_init__(self) -> None:
        # Told when the cassette is read, not when it is played.
        base64.b64decode(self.base64, validate=True)


class Piece(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one read from the network brought of a body."""

    at: Seconds
    data: str | Encoded

    @classmethod
    def of(cls, at: float, data: bytes) -> Self:
        """As text where it is UTF-8 by itself: a character that two pieces share makes both of them base64."""
        try:
            return cls(at, data.decode())
        except UnicodeDecodeError:
            return cls(at, Encoded(base64.b64encode(data).decode()))

    @property
    def content(self) -> bytes:
        return self.data.encode() if isinstance(self.data, str) else base64.b64decode(self.data.base64)


class RecordedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the application sent. The path has no query: that is where some put their keys."""

    method: str
    path: str
    headers: dict[str, str]
    """For a person to read; not compared."""
    body: object
    """The parsed JSON."""


class RecordedAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the provider sent back."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)]
    after: Seconds
    """When the head came."""
    headers: dict[str, str]
    """Names in lower case."""
    pieces: tuple[Piece, ...]
    end: Literal["end", "cut"]
    """``cut``: the connection broke, or the application left, before the body's proper end."""

    @property
    def body(self) -> bytes:
        return b"".join(piece.content for piece in self.pieces)


class Recording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exchange."""

    number: Annotated[int, msgspec.Meta(ge=0)]
    """Counts the cassette's requests from 0, in order of arrival. Some may be missing: they got no answer."""
    request: RecordedRequest
    answer: RecordedAnswer
