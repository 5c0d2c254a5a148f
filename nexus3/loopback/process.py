"""The loopback server in a process of its own: for tests whose client's sockets and memory must be theirs alone."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import msgspec
import trio

from nexus3.loopback.exchanges import Exchange
from nexus3.loopback.local_config import local_config
from nexus3.loopback.server import EXCHANGES_PATH, HOST

STARTUP_TIMEOUT = 30.0
"""Seconds until the process must listen; generous for a busy machine."""


class Announcement(msgspec.Struct, frozen=True):
    """The one line that the process prints."""

    url: str
    port: int


class LoopbackProcess:
    """A server in another process, seen from here. Made by :func:`open_loopback_process`."""

    def __init__(self, announced: Announcement) -> None:
        self.port = announced.port
        self.url = announced.url
        self.config = local_config(announced.url)

    async def exchanges(self) -> list[Exchange]:
        """What the server has seen so far; its times are of its own clock.

        Raises:
            OSError: the process is gone.
        """
        return msgspec.json.decode(await _get(self.port, EXCHANGES_PATH), type=list[Exchange])


@asynccontextmanager
async def open_loopback_process(
    *, port: int = 0, script: str | None = None, transcripts: str | Path | None = None, seed: int | None = None
) -> AsyncIterator[LoopbackProcess]:
    """Start ``python -m nexus3.loopback`` and wait until it listens; leaving the block ends it.

    ``script`` is ``FILE.py:NAME``, a name for what :func:`open_loopback` takes; ``transcripts`` is a folder.

    Raises:
        OSError: the process did not start; its own words are on stderr.
    """
    command = [sys.executable, "-m", "nexus3.loopback", "--port", str(port)]
    for option, value in (("--script", script), ("--transcripts", transcripts), ("--seed", seed)):
        if value is not None:
            command += [option, str(value)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield LoopbackProcess(await _announcement(process))
    finally:
        process.kill()  # it holds nothing that needs an orderly end
        with trio.CancelScope(shield=True):
            await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()


async def _announcement(process: trio.Process) -> Announcement:
    line = bytearray()
    with trio.move_on_after(STARTUP_TIMEOUT):
        assert process.stdout is not None
        while not line.endswith(b"\n") and (data := await process.stdout.receive_some()):
            line += data
    if not line.endswith(b"\n"):
        raise OSError("the loopback process did not start; see its stderr")
    return msgspec.json.decode(line, type=Announcement)


async def _get(port: int, path: str) -> bytes:
    """The body of a GET, on a connection of its own."""
    parser = h11.Connection(h11.CLIENT)
    asking = h11.Request(method="GET", target=path, headers=[("host", HOST), ("connection", "close")])
    body = bytearray()
    async with await trio.open_tcp_stream(HOST, port) as stream:
        await stream.send_all((parser.send(asking) or b"") + (parser.send(h11.EndOfMessage()) or b""))
        while not isinstance(event := parser.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA:
                parser.receive_data(await stream.receive_some())
    return bytes(body)
