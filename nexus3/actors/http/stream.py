"""A connected stream of bytes, plain or under TLS, as one HTTP connection uses it.

The plain socket is here. It is waited for first and read then: trio's own sockets try to read first, which on a stream
of single events fails nearly every time, for the price of a system call and an exception. No cancel scope and no time
limit here: both belong to the one who waits.
"""

import socket
from typing import Protocol

import trio

READ_BYTES = 64 << 10
"""The most that one network read takes."""


class ByteStream(Protocol):
    """One connected stream, used by one task at a time. Errors are :class:`OSError`; ``ssl.SSLError`` is one."""

    def send_now(self, data: bytes) -> bool:
        """Send without waiting; whether the network took all of it, as it does with most requests. No checkpoint.

        What it did not take stays with the stream, and leaves first with the next :meth:`send_all`, of ``b""`` too.
        """
        ...

    async def send_all(self, data: bytes) -> None:
        """Send everything, waiting where the network does not take it at once.

        A checkpoint for cancellation only: where the network takes all, no other task runs in between. Cancelling and
        errors leave open how much was sent: then the stream is only good for closing.
        """
        ...

    async def receive_some(self) -> bytes:
        """What one network read brought, at least one byte; ``b""`` at the end of the stream, then again and again.

        Cancelling loses nothing of what can still be read; under TLS the stream is only good for closing then.

        Raises:
            OSError: the connection broke. Under TLS that includes a connection that ends without the peer's word that
                nothing follows (close_notify): whoever is on the way can forge that end. So ``b""`` is an end that the
                peer meant, and may complete a body that only the end of the stream completes.
        """
        ...

    def is_quiet(self) -> bool:
        """Whether nothing came while nothing was due: no data, no end, no error. A system call, no checkpoint.

        A stream that is not quiet must not be used for another request: what came would be read as its answer.
        """
        ...

    def close(self) -> None:
        """Close at once, without a word to the peer; again is harmless. No checkpoint.

        Data that was received but not read makes the system send RST instead of FIN.
        """
        ...


class SocketStream:
    """A :class:`ByteStream` on a connected TCP socket, which it owns and switches to non-blocking."""

    __slots__ = ("_socket", "_unsent")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._unsent = b""

    def send_now(self, data: bytes) -> bool:
        """See :class:`ByteStream`."""
        if self._unsent:
            self._unsent += data
            return False
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = data[sent:]
        return not self._unsent

    async def send_all(self, data: bytes) -> None:
        """See :class:`ByteStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        data, self._unsent = self._unsent + data, b""
        sent = 0
        with memoryview(data) as view:
            while sent < len(view):
                try:
                    sent += self._socket.send(view[sent:])
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._socket)

    async def receive_some(self) -> bytes:
        """See :class:`ByteStream`."""
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(READ_BYTES)
            except BlockingIOError:
                continue  # woken for nothing: the system may do so

    def receive_nowait(self) -> bytes | None:
        """What can be read at once, as :meth:`receive_some` gives it; ``None`` where that is nothing yet."""
        try:
            return self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return None

    def is_quiet(self) -> bool:
        """See :class:`ByteStream`."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """See :class:`ByteStream`."""
        self._socket.close()
