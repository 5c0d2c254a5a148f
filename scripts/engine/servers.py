"""The two engines as processes on free loopback ports: started, polled until ready, ended by their process id."""

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import trio

READY_WITHIN = 180.0
"""Seconds until a server must answer; the first import of torch from a cold disk takes most of a minute."""
END_WITHIN = 10.0
"""Seconds for a server to end by itself once it was asked to."""


class NotReadyError(Exception):
    """A server did not come up; the message has the end of its log."""


class Server(NamedTuple):
    """A server that answers."""

    engine: str
    port: int
    model: str
    """The id that requests must name."""
    pid: int

    @property
    def url(self) -> str:
        """The base URL, for a provider's configuration."""
        return f"http://127.0.0.1:{self.port}/v1"

    def cpu_seconds(self) -> float | None:
        """Processor time the server has used, all threads; ``None`` where the system does not tell."""
        try:
            # The command, field 2, may hold spaces; user and system time are fields 14 and 15.
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def transformers_server(python: Path, folder: Path) -> AsyncIterator[Server]:
    """transformers' own server with the model in ``folder/tiny``."""
    port, model = free_port(), str(folder / "tiny")
    command = [str(python.with_name("transformers")), "serve", "--host", "127.0.0.1", "--port", str(port), model]
    # Without a download cache of its own, the list of models is an error 500.
    cache = folder / "hub"
    cache.mkdir(exist_ok=True)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    ready = f"http://127.0.0.1:{port}/health"
    async with _process(command, environment, folder / "transformers.log", ready) as pid:
        yield Server("transformers", port, model, pid)


@asynccontextmanager
async def llama_cpp_server(python: Path, folder: Path) -> AsyncIterator[Server]:
    """llama.cpp's server (of llama-cpp-python) with the model in ``folder/tiny.gguf``."""
    port, model = free_port(), "tiny"
    options = {
        "model": folder / "tiny.gguf",
        "model_alias": model,
        "host": "127.0.0.1",
        "port": port,
        "n_ctx": 2048,
        "n_threads": 1,
        # By default a new request ends the running one: its stream says [DONE] with no finish_reason before it.
        "interrupt_requests": "false",
    }
    command = [str(python), "-m", "llama_cpp.server"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    ready = f"http://127.0.0.1:{port}/v1/models"
    async with _process(command, {"HF_HUB_OFFLINE": "1"}, folder / "llama_cpp.log", ready) as pid:
        yield Server("llama.cpp", port, model, pid)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


@asynccontextmanager
async def _process(command: list[str], environment: Mapping[str, str], log: Path, ready: str) -> AsyncIterator[int]:
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
    try:
        await _wait_until_ready(process, ready, log)
        yield process.pid
    finally:
        # Also when we are cancelled ourselves: no server outlives this block.
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(END_WITHIN):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _wait_until_ready(process: trio.Process, url: str, log: Path) -> None:
    with trio.move_on_after(READY_WITHIN):
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            while process.poll() is None:
                try:
                    if (await client.get(url)).status_code == 200:
                        return
                except httpx.TransportError:
                    pass  # not listening yet
                await trio.sleep(0.25)
    how = f"ended with code {process.returncode}" if process.returncode is not None else f"not in {READY_WITHIN:g} s"
    tail = "\n".join((await trio.Path(log).read_text("utf-8", errors="replace")).splitlines()[-15:])
    raise NotReadyError(f"{url} did not answer ({how}); {log} ends:\n{tail}")
