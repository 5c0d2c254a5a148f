"""Pools on real sockets: the server is a process of its own, so that this one's descriptors are the client's alone."""

import gc
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec

from nexus3.actors.http.pool import Pool
from nexus3.actors.http.ssrf import AddressPolicy
from nexus3.actors.limits import Limits
from nexus3.loopback import Exchange, LoopbackProcess
from nexus3.loopback.process import Announcement

HERE = Path(__file__).parent
PATH = "/v1/chat/completions"
HEADERS = [("content-type", "application/json"), ("authorization", "Bearer loopback-key")]
LOOPBACK = AddressPolicy(allow_loopback=True, allow_private=False, allow_insecure_http=False)


class Server(LoopbackProcess):
    """A server process that several tests share, each from where it began."""

    async def exchanges(self) -> list[Exchange]:
        """What came since :meth:`forget`, but for what asks here."""
        return (await super().exchanges())[self._forgotten :]

    async def connections(self) -> list[int]:
        """Which connection each request since then came on, counted from 0 by their first requests."""
        used = [exchange.connection for exchange in await self.exchanges()]
        order = {connection: number for number, connection in enumerate(dict.fromkeys(used))}
        return [order[connection] for connection in used]

    _forgotten = 0

    async def forget(self) -> None:
        """What came so far is of no interest."""
        self._forgotten = len(await super().exchanges())


@contextmanager
def a_server(script: str = "named") -> Iterator[Server]:
    """A process that answers by a script of :mod:`tests.actors.http.scripts`; synchronous, to be a module's fixture."""
    command = [sys.executable, "-m", "nexus3.loopback", "--script", f"{HERE / 'scripts.py'}:{script}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Server(msgspec.json.decode(process.stdout.readline(), type=Announcement))
        finally:
            process.kill()


@contextmanager
def a_pool(**limits: float) -> Iterator[Pool]:
    """A pool for plain http to this machine."""
    pool = Pool(LOOPBACK, None, Limits.model_validate(limits))
    try:
        yield pool
    finally:
        pool.close()


def body(model: str, *, stream: bool = True, padding: int = 0) -> bytes:
    """A request's."""
    message = {"role": "user", "content": "hi" + "x" * padding}
    return msgspec.json.encode({"model": model, "stream": stream, "messages": [message]})


async def ask(pool: Pool, url: str, model: str = "short", *, stream: bool = True) -> tuple[int, bytes]:
    """One exchange, its answer read to the end: status and body."""
    content = body(model, stream=stream)
    async with pool.exchange(url + PATH, HEADERS, content, on_sent=lambda: None) as response:
        data = bytearray()
        while part := await response.receive_some():
            data += part
        return response.status, bytes(data)


def sockets() -> int:
    """How many network sockets this process has open; trio's own are of another family."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                same = socket.socket(fileno=int(number))
                found += same.family in (socket.AF_INET, socket.AF_INET6)
                same.detach()
    return found


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """What is not closed by somebody stays open."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def a_tls_front(backend: int, certificate: Path, *, handshake_delay: float = 0.0) -> Iterator[int]:
    """The port of a process that ends TLS before the server on port ``backend``."""
    program = [sys.executable, "-m", "tests.actors.http.tls_front"]
    with subprocess.Popen([*program, str(backend), str(certificate), str(handshake_delay)], stdout=-1) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@asynccontextmanager
async def open_tls_front(backend: int, certificate: Path, *, handshake_delay: float = 0.0) -> AsyncIterator[int]:
    """The same for one test; it may wait for a process to start, with nothing else to do."""
    with a_tls_front(backend, certificate, handshake_delay=handshake_delay) as port:
        yield port
