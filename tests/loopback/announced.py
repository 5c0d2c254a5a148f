"""A server of the command line in a process of its own, which says where it listens and ends when it is told to."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio


@asynccontextmanager
async def announced(*module: str) -> AsyncIterator[trio.Process]:
    """``python -m MODULE ...``, from its announcement on; every warning is an error.

    Within the block it must be told to end. On leaving it has to end well, with nothing to complain of, within 30 s of
    its start. Killed if it does not, and if the block raises.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, "-X", "dev", "-W", "error", "-m", *module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdin, process.stdout, process.stderr:
        try:
            with trio.fail_after(30):
                said = msgspec.json.decode(await process.stdout.receive_some())
                assert said["url"] == f"http://127.0.0.1:{said['port']}"
                yield process
                assert await process.wait() == 0
                assert await process.stderr.receive_some() == b""
        finally:
            process.kill()
            await process.wait()
