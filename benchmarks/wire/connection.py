"""One client's connection on the server's side, plain or TLS, never blocking."""

import socket
import ssl
from collections.abc import Iterator

from benchmarks.wire.spoken import OPENAI


class Connection:
    """One client. ``blocks`` are what is still to be sent; each is a list of pieces, one TLS record per piece."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.blocks: Iterator[list[bytes]] = iter(())
        self.unsent = memoryview(b"")
        self.request = b""
        self.due = 0
        """When the next paced event goes out, in nanoseconds of the monotonic clock."""
        self.period = 0
        self.left = 0
        self.dialect = OPENAI
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None if context is None else context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = context is None

    @property
    def is_tls(self) -> bool:
        """Whether each piece becomes a record."""
        return self._tls is not None

    def receive(self) -> bytes | None:
        """What has come; ``None`` at the end."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return None
        if not data or self._tls is None:
            return data or None
        self._incoming.write(data)
        plain = b""
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            while piece := self._tls.read(65536):
                plain += piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
        self.unsent = memoryview(bytes(self.unsent) + self._outgoing.read())
        return plain

    def wrap(self, pieces: list[bytes]) -> bytes:
        """As they go on the wire."""
        if self._tls is None:
            return b"".join(pieces)
        for piece in pieces:
            self._tls.write(piece)
        return self._outgoing.read()

    def send(self) -> bool:
        """Send what can be sent; false while something is left."""
        while True:
            if not self.unsent:
                block = next(self.blocks, None)
                if block is None:
                    return True
                self.unsent = memoryview(self.wrap(block))
            try:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
            except BlockingIOError:
                return False
