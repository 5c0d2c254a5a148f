"""Recordings written by hand."""

from typing import Literal

from nexus3.loopback.recordings import Piece, RecordedAnswer, RecordedRequest, Recording
from tests.loopback.raw import CHAT


def recording(
    body: object,
    *pieces: str | Piece,
    number: int = 0,
    method: str = "POST",
    path: str = CHAT,
    status: int = 200,
    end: Literal["end", "cut"] = "end",
    headers: dict[str, str] | None = None,
) -> Recording:
    """An exchange whose answer's head came after 0.1 s, and each piece 0.1 s later."""
    timed = [
        piece if isinstance(piece, Piece) else Piece(round(0.1 * at, 4), piece) for at, piece in enumerate(pieces, 2)
    ]
    return Recording(
        number=number,
        request=RecordedRequest(method, path, {}, body),
        answer=RecordedAnswer(
            status=status, after=0.1, headers=headers or {"content-type": "text/event-stream"},
            pieces=tuple(timed), end=end,
        ),
    )  # fmt: skip
