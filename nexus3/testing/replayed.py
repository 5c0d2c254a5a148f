"""A recorded conversation in the place of a provider, and the misses told on leaving."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nexus3.loopback import Loopback, open_loopback


class CassetteMissed(AssertionError):  # noqa: N818 - it says what was missed
    """Requests were made that are not in the cassette. Says of each which recording is the nearest."""


@asynccontextmanager
async def replayed(path: str | Path, *, speed: float = 0.0, strict_order: bool = False) -> AsyncIterator[Loopback]:
    """A server on 127.0.0.1 that plays the cassette at ``path``, by default without waiting.

    Point the application to its ``url`` (with ``/v1`` for OpenAI's dialect), or give ``config`` to
    ``open_supervisor``. What matches, and in which order, says :mod:`nexus3.loopback.player`. The body's exception
    leaves as the same object, with the misses as its notes.

    Raises:
        CassetteMissed: the body was left cleanly, and there had been misses.
        CassetteError: the file is no cassette.
        OSError: it cannot be read.
    """
    async with open_loopback(cassette=path, speed=speed, strict_order=strict_order) as server:
        player = server.player
        assert player is not None
        try:
            yield server
        except BaseException as error:
            for miss in player.misses:
                error.add_note(miss)
            raise
    if player.misses:
        raise CassetteMissed("\n".join(player.misses))
