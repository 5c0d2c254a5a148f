"""What the server saw: one record per request, for tests that must not take the client's word."""

import msgspec


class Exchange(msgspec.Struct, kw_only=True):
    """One request and what became of it. The server fills it while it answers; times are of the server's trio clock."""

    number: int
    """Counts the server's requests from 0, in order of arrival."""
    connection: int
    """Counts accepted connections from 0; equal numbers mean a reused connection."""
    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case; repeated ones joined by ``", "``."""
    body: object
    """The parsed JSON; ``None`` where it was not JSON."""
    status: int | None = None
    """Set when the whole head has been sent; ``None`` before, and for raw bytes."""
    events_sent: int = 0
    """Server-sent events, faulty ones included."""
    pieces_sent: int = 0
    """What of an answer (not of an error body) gave a reader something: text, reasoning, steps of tool calls; segments,
    where a body is sent in segments."""
    client_left: bool = False
    """The client closed or reset the connection before the answer was over."""
    client_left_at: float | None = None
    started: float
    """The request had arrived whole."""
    ended: float | None = None
    """The answer was over, or was given up; ``None`` while it goes on."""
    error: str | None = None
    """What a script raised, or a fault of the server itself; the client got a 500 or a reset."""
