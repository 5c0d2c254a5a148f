"""The proxy in a process of its own, beside :func:`nexus3.loopback.open_loopback_process`: for tests that count their
descriptors, or that keep their own loop too busy to serve a proxy fairly.

It is told its toxics by lines on stdin, and answers each with its counts on stdout.
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import trio

from nexus3.loopback.process import STARTUP_TIMEOUT, Announcement
from nexus3.testing.toxic.toxics import Counts, Toxic, without

_Line = TypeVar("_Line")


class Order(msgspec.Struct, frozen=True):
    """One line to the process."""

    toxics: list[Toxic] | None = None
    """These and no others from now on; ``None`` leaves them."""


class ToxicProxyProcess:
    """A proxy in another process, seen from here. Made by :func:`open_toxic_proxy_process`.

    As :class:`~nexus3.testing.toxic.proxy.ToxicProxy`, but that each call waits until the process has done it.
    """

    def __init__(self, process: trio.Process, toxics: Iterable[Toxic]) -> None:
        self.port = 0
        self.url = ""
        self.toxics: tuple[Toxic, ...] = tuple(toxics)
        self._process = process
        self._read = bytearray()
        self._turn = trio.Lock()
        self._unread = 0
        """Answers that are due: more than one where a call was cancelled before its own came."""

    async def add(self, *toxics: Toxic) -> None:
        """See :meth:`ToxicProxy.add <nexus3.testing.toxic.proxy.ToxicProxy.add>`."""
        await self.replace((*self.toxics, *toxics))

    async def remove(self, *toxics: Toxic) -> None:
        """See :meth:`ToxicProxy.remove <nexus3.testing.toxic.proxy.ToxicProxy.remove>`."""
        await self.replace(without(self.toxics, toxics))

    async def replace(self, toxics: Iterable[Toxic]) -> None:
        """See :meth:`ToxicProxy.replace <nexus3.testing.toxic.proxy.ToxicProxy.replace>`."""
        self.toxics = tuple(toxics)
        await self._order(Order(list(self.toxics)))

    async def counts(self) -> Counts:
        """What it has done so far."""
        return await self._order(Order())

    async def listening(self) -> None:
        """Wait until it is ready; called once.

        Raises:
            OSError: the process did not start; its own words are on stderr.
        """
        with trio.move_on_after(STARTUP_TIMEOUT):
            announced = await self._line(Announcement)
            self.port, self.url = announced.port, announced.url
            return
        raise OSError("the proxy's process did not start; see its stderr")

    async def _order(self, order: Order) -> Counts:
        assert self._process.stdin is not None
        async with self._turn:
            try:
                await self._process.stdin.send_all(msgspec.json.encode(order) + b"\n")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise OSError("the proxy's process is gone; see its stderr") from None
            self._unread += 1
            while True:
                counts = await self._line(Counts)
                self._unread -= 1
                if not self._unread:
                    return counts

    async def _line(self, kind: type[_Line]) -> _Line:
        assert self._process.stdout is not None
        while b"\n" not in self._read:
            data = await self._process.stdout.receive_some()
            if not data:
                raise OSError("the proxy's process is gone; see its stderr")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return msgspec.json.decode(line, type=kind)


@asynccontextmanager
async def open_toxic_proxy_process(
    server_port: int, *toxics: Toxic, port: int = 0, seed: int = 0
) -> AsyncIterator[ToxicProxyProcess]:
    """Start ``python -m nexus3.testing.toxic`` and wait until it listens; leaving the block ends it.

    Raises:
        OSError: the process did not start; its own words are on stderr.
    """
    command = [sys.executable, "-m", "nexus3.testing.toxic", str(server_port), "--port", str(port), "--seed", str(seed)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        proxy = ToxicProxyProcess(process, toxics)
        await proxy.listening()
        await proxy.replace(toxics)
        yield proxy
    finally:
        process.kill()  # it holds nothing that needs an orderly end
        with trio.CancelScope(shield=True):
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()
