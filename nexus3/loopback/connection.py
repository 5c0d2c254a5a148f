"""One accepted connection: requests in (read by h11), bytes out. Knows nothing of dialects.

A pump reads at all times, so that a client that leaves in the middle of an answer is noticed at once, and what it
pipelines is kept for its turn. A client that closes its sending side counts as gone, as it does for most servers.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import h11
import msgspec
import trio

from nexus3.loopback.faults import Ending

MAX_REQUEST_BYTES = 64 << 20
"""Of one request, and of what is read ahead; a client that sends more is cut off."""

_MAX_HEAD_BYTES = 64 << 10


class Request(msgspec.Struct, frozen=True):
    """An HTTP request, read to its end."""

    method: str
    target: str
    headers: dict[str, str]
    content: bytes
    keep: bool
    """The client can send another one."""


class BadRequestError(Exception):
    """The bytes were no HTTP request."""


class Client:
    """The other side of one socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._inbox = bytearray()
        self._news = trio.Event()
        self._gone = False
        self._answering: trio.CancelScope | None = None
        self._grace = 0.0

    async def pump(self) -> None:
        """Read until the client is gone. Raises nothing of the connection's."""
        try:
            async for data in self._stream:
                self._inbox += data
                self._news.set()
                if len(self._inbox) > MAX_REQUEST_BYTES:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._gone = True
        self._news.set()
        if self._answering is not None:
            self._end(self._answering)

    async def read_request(self) -> Request | None:
        """The next request; ``None`` when the client is gone before it is whole.

        Raises:
            BadRequestError: what came is no HTTP.
        """
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        head: h11.Request | None = None
        content = bytearray()
        try:
            while True:
                event = parser.next_event()
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    content += event.data
                    if len(content) > MAX_REQUEST_BYTES:
                        raise BadRequestError(f"more than {MAX_REQUEST_BYTES} bytes")
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    break
                elif not await self._feed(parser):
                    return None
        except h11.RemoteProtocolError as error:
            raise BadRequestError(str(error)) from error
        # What was read beyond this request is the beginning of the next one.
        self._inbox[:0] = parser.trailing_data[0]
        # A HEAD gets a body all the same, as no provider has a use for one: closing keeps that from harm.
        keep = parser.their_state is h11.DONE and head.method != b"HEAD"
        return Request(head.method.decode(), head.target.decode("latin-1"), _fields(head), bytes(content), keep)

    async def _feed(self, parser: h11.Connection) -> bool:
        """Give the parser what has come next; false at the end of what will ever come."""
        if parser.they_are_waiting_for_100_continue:
            go_on = parser.send(h11.InformationalResponse(status_code=100, headers=[]))
            await self._stream.send_all(go_on or b"")
        while not self._inbox:
            if self._gone:
                return False
            self._news = trio.Event()
            await self._news.wait()
        parser.receive_data(bytes(self._inbox))
        self._inbox.clear()
        return True

    @contextmanager
    def presence(self, *, grace: float = 0.0) -> Iterator[None]:
        """A block that is cut short when the client leaves, or so many seconds later."""
        self._grace = grace
        with trio.CancelScope() as self._answering:
            if self._gone:
                self._end(self._answering)
            yield

    def _end(self, scope: trio.CancelScope) -> None:
        if self._grace:
            scope.deadline = trio.current_time() + self._grace
        else:
            scope.cancel()

    async def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            trio.BrokenResourceError: the client is gone.
        """
        await self._stream.send_all(data)

    def close(self, how: Ending = "eof") -> None:
        """Close the socket at once; harmless when it is closed."""
        if how == "reset":
            # Lingering for no time makes the kernel send RST instead of FIN.
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.socket.close()


def _fields(head: h11.Request) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode(), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields
