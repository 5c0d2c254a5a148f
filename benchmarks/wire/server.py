"""Sends prebuilt answers over HTTP/1.1 on 127.0.0.1, plain and over TLS: ``python -m benchmarks.wire.server``.

One thread, one epoll loop, no HTTP library: it reads just enough of a request to know what to send. It prints one line
of JSON, ``{"plain": PORT, "tls": PORT or null}``, and serves until it is killed. What it sends is said by the prompt,
``/c/COUNT/MODE/RATE/GATE`` anywhere in the body:

* ``burst``: as fast as the client takes it, one HTTP chunk per event, 64 KiB at a time; over TLS one record per event;
* ``paced``: RATE events a second, one write each, their text the microseconds of ``CLOCK_MONOTONIC``. With a GATE above
  1, streams wait until so many are connected (or :data:`GATE_PATIENCE` has passed), then start spread over a period;
* ``silent``: the head and the first bytes, and nothing more.

A request without ``"stream": true`` gets a whole answer. The path says which dialect it is.
"""

import heapq
import json
import os
import random
import re
import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator

from benchmarks.wire.connection import Connection
from benchmarks.wire.spoken import ANTHROPIC, OPENAI, STREAM_HEAD, Dialect

GATE_PATIENCE = 20.0
"""Seconds after which a gate opens for those who came: some clients bound their connections."""
CERTIFICATE = "BENCH_CERTIFICATE"
"""Environment: a file with the private key and certificate to serve TLS with. Without it, only plain."""

_ORDER = re.compile(rb"/c/(\d+)/(burst|paced|silent)/(\d+)/(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_PER_BLOCK = 200


def burst(dialect: Dialect, count: int, *, records: bool) -> Iterator[list[bytes]]:
    """A whole streamed answer as blocks; ``records`` keeps events apart within a block."""
    events = [dialect.delta(number) for number in range(_PER_BLOCK)]
    block = events if records else [b"".join(events)]
    whole, left = divmod(count, _PER_BLOCK)
    yield [STREAM_HEAD + dialect.before]
    for _ in range(whole):
        yield block
    yield [*events[:left], dialect.after]


class Server:
    """The loop and what it knows."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, ssl.SSLContext | None]] = {}
        self._connections: dict[int, Connection] = {}
        self._paced: list[tuple[int, int]] = []
        """Due times and descriptors, a heap; an entry whose connection is gone or has another due time is stale."""
        self._gated: list[Connection] = []
        self._gate_opens = 0

    def listen(self, context: ssl.SSLContext | None) -> int:
        """One more port; its number."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener, context
        self._epoll.register(listener, select.EPOLLIN)
        port: int = listener.getsockname()[1]
        return port

    def serve(self) -> None:
        """For ever."""
        while True:
            # epoll counts in milliseconds; select, asked about epoll, in microseconds.
            select.select([self._epoll.fileno()], [], [], self._seconds_to_next())
            for descriptor, mask in self._epoll.poll(0):
                if descriptor in self._listeners:
                    self._accept(*self._listeners[descriptor])
                else:
                    self._act(self._connections[descriptor], mask)
            self._send_due()

    def _seconds_to_next(self) -> float:
        due = [self._paced[0][0]] if self._paced else []
        if self._gated:
            due.append(self._gate_opens)
        return max(0.0, (min(due) - time.monotonic_ns()) / 1e9) if due else 10.0

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(sock, context)
            self._epoll.register(sock, select.EPOLLIN)

    def _act(self, connection: Connection, mask: int) -> None:
        if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            data = connection.receive()
            if data is None:
                self._drop(connection)
                return
            connection.request += data
            self._answer(connection)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        try:
            done = connection.send()
        except OSError:
            self._drop(connection)
            return
        self._epoll.modify(connection.sock, select.EPOLLIN | (0 if done else select.EPOLLOUT))

    def _drop(self, connection: Connection) -> None:
        self._connections.pop(connection.sock.fileno(), None)
        if connection in self._gated:
            self._gated.remove(connection)
        connection.left = 0
        connection.sock.close()

    def _answer(self, connection: Connection) -> None:
        """Begin the answer, where the request is whole."""
        head, found, body = connection.request.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or (length and len(body) < int(length[1])):
            return
        connection.request = b""
        connection.dialect = dialect = ANTHROPIC if b"/messages" in head.partition(b"\r\n")[0] else OPENAI
        if not _STREAM.search(body):
            connection.blocks = iter([[dialect.whole]])
            return
        order = _ORDER.search(body)
        count, mode, rate, gate = (int(order[1]), order[2], int(order[3]), int(order[4])) if order else (3, b"", 0, 0)
        if mode not in (b"paced", b"silent"):
            connection.blocks = burst(dialect, count, records=connection.is_tls)
            return
        connection.blocks = iter([[STREAM_HEAD + dialect.before]])
        if mode == b"silent":
            return
        connection.left, connection.period = count, 10**9 // rate
        if gate <= 1:
            self._pace(connection, after=connection.period)
            return
        if not self._gated:
            self._gate_opens = time.monotonic_ns() + int(GATE_PATIENCE * 1e9)
        self._gated.append(connection)
        if len(self._gated) >= gate:
            self._open_gate()

    def _open_gate(self) -> None:
        for connection in self._gated:
            self._pace(connection, after=random.randrange(connection.period) + connection.period // 4)
        self._gated.clear()

    def _pace(self, connection: Connection, *, after: int) -> None:
        connection.due = time.monotonic_ns() + after
        heapq.heappush(self._paced, (connection.due, connection.sock.fileno()))

    def _send_due(self) -> None:
        now = time.monotonic_ns()
        if self._gated and now >= self._gate_opens:
            self._open_gate()
        while self._paced and self._paced[0][0] <= now:
            due, descriptor = heapq.heappop(self._paced)
            connection = self._connections.get(descriptor)
            if connection is None or connection.due != due or not connection.left:
                continue
            connection.left -= 1
            pieces = [connection.dialect.delta(time.monotonic_ns() // 1000)]
            if connection.left:
                connection.due = due + connection.period
                heapq.heappush(self._paced, (connection.due, descriptor))
            else:
                pieces.append(connection.dialect.after)
            connection.blocks = _then(connection.blocks, pieces)
            self._send(connection)


def _then(blocks: Iterator[list[bytes]], pieces: list[bytes]) -> Iterator[list[bytes]]:
    rest: Iterable[list[bytes]] = [*blocks, pieces]
    return iter(rest)


def main() -> None:
    """Serve, and say where."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, {cores[-1]})  # the contestant has the first one
    server = Server()
    ports: dict[str, int | None] = {"plain": server.listen(None), "tls": None}
    certificate = os.environ.get(CERTIFICATE)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        ports["tls"] = server.listen(context)
    print(json.dumps(ports), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
