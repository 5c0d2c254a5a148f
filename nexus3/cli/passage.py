"""One request on its way through ``nexus3 record``, and what has come back so far."""

import trio

from nexus3.actors.transport import Response
from nexus3.cli.counted import counted
from nexus3.loopback.connection import Client
from nexus3.loopback.delivery import phrase
from nexus3.loopback.received import Received
from nexus3.loopback.recordings import Piece, RecordedAnswer, RecordedRequest, Recording

_NOT_PASSED = frozenset({"connection", "content-length", "keep-alive", "set-cookie", "transfer-encoding"})
"""Headers of the provider's connection; the application's has its own."""


class Passage:
    """Hands one answer over, and can say what it was."""

    def __init__(self, received: Received, now: float) -> None:
        """``now``, of trio's clock, is when the request had arrived whole."""
        self.received = received
        self.title = f"{received.method} {received.path.partition('?')[0]}"
        self.status: int | None = None
        """``None`` before the head came."""
        self.is_whole = False
        """The body's proper end has come."""
        self._began = now
        self._after = 0.0
        self._headers: dict[str, str] = {}
        self._pieces: list[Piece] = []

    async def hand_over(self, response: Response, client: Client, *, keep: bool) -> None:
        """Send the answer on as it comes, noting what came, and when.

        Raises:
            TransportFault: it was cut.
            trio.BrokenResourceError: the client is gone.
        """
        self.status, self._headers, self._after = response.status, response.headers, self._elapsed()
        await client.send(_head(response, keep=keep))
        while not self.is_whole:
            data = await response.receive_some()
            if data:
                self._pieces.append(Piece.of(self._elapsed(), data))
            self.is_whole = not data or response.is_at_end
            await client.send((b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n" * self.is_whole)

    def recording(self) -> Recording | None:
        """What to store; nothing where no answer began."""
        if self.status is None:
            return None
        received = self.received
        return Recording(
            number=received.number,
            request=RecordedRequest(received.method, received.path, received.headers, received.body),
            answer=RecordedAnswer(
                status=self.status,
                after=self._after,
                headers=self._headers,
                pieces=tuple(self._pieces),
                end="end" if self.is_whole else "cut",
            ),
        )

    def told(self) -> str:
        """The answer in a few words, for a terminal."""
        end = "" if self.is_whole else ", cut"
        return f"{self.status}  {counted(len(self._pieces), 'piece')}  {self._elapsed():.2f} s{end}"

    def _elapsed(self) -> float:
        return round(trio.current_time() - self._began, 4)


def _head(response: Response, *, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items() if name not in _NOT_PASSED]
    lines += ["transfer-encoding: chunked", *([] if keep else ["connection: close"])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
