"""What happens on a connection, as data: :mod:`nexus3.loopback.delivery` decides, the server does."""

from dataclasses import dataclass

from nexus3.loopback.faults import Ending


@dataclass(frozen=True)
class Send:
    """Bytes for one send. ``status`` is set where they complete a response's head."""

    data: bytes
    status: int | None = None
    events: int = 0
    """Server-sent events that these bytes complete."""
    pieces: int = 0
    """Pieces among them."""


@dataclass(frozen=True)
class Pause:
    """Seconds; infinite to wait until the client leaves."""

    seconds: float


@dataclass(frozen=True)
class Close:
    """Close the connection. No step follows."""

    how: Ending


Step = Send | Pause | Close
