"""What an encoder makes: frames; and what it offers: a dialect's way to say everything that a script can ask for."""

from typing import Literal, NamedTuple, Protocol

from nexus3.loopback.answers import Answer
from nexus3.loopback.faults import Error
from nexus3.loopback.received import Received

Stage = Literal["lead", "frame", "piece", "finish", "tail", "done"]
"""What a frame is for a fault that waits for its place: ``lead`` opens a stream; ``piece`` gives the reader something;
``frame`` packs the pieces; ``finish`` has the stop reason; ``tail`` comes after it; ``done`` is the terminal marker."""


class Frame(NamedTuple):
    """One server-sent event, or one part of an unstreamed body."""

    data: bytes
    stage: Stage


class Speaker(Protocol):
    """A dialect's encoder, as a module. All of it is pure."""

    PING: bytes
    """A keep-alive frame."""

    def headers(self, received: Received) -> list[tuple[str, str]]:
        """What the vendor adds to every response."""
        ...

    def frames(self, answer: Answer, received: Received) -> list[Frame]:
        """The whole stream, one server-sent event a frame."""
        ...

    def document(self, answer: Answer, received: Received) -> bytes:
        """The unstreamed answer."""
        ...

    def error_document(self, status: int, error: Error, received: Received) -> bytes:
        """The body of an error status."""
        ...

    def error_frames(self, status: int, error: Error, received: Received) -> list[Frame]:
        """An error in a stream that has begun; what ``status`` would have meant."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The list of models."""
        ...
