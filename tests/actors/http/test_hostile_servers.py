"""Servers that send too much, too slowly, or for ever: each ends within its limit, in memory and in time.

Through the whole house; the server is another process, so that the memory that grows is the client's.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from nexus3 import CompletionRequest, Message, ProviderError, Role, Supervisor, open_supervisor
from tests.actors.http.world import Server, a_server, sockets

MIB = 1 << 20
GROWTH = 8 * MIB
SLACK = 0.2
"""Seconds beyond its limit that an end may take."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with a_server() as process:
        yield process


@asynccontextmanager
async def house(server: Server, **limits: object) -> AsyncIterator[Supervisor]:
    config: dict[str, Any] = dict(server.config)
    config["providers"] = {"openai": {**config["providers"]["openai"], "max_retries": 0, **limits}}
    config["models"] = {"short": {"provider": "openai", "model_id": "short"}}
    config["default_model"] = "short"
    async with open_supervisor(config) as supervisor:
        await supervisor.complete(request("openai:short"))  # what is made once is made now
        yield supervisor


def request(model: str) -> CompletionRequest:
    return CompletionRequest(model=model, messages=(Message(role=Role.USER, content="hi"),), timeout=30)


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


class Watched:
    """What one failing request took: the seconds, and how far memory rose above where it began."""

    def __init__(self) -> None:
        # 5 sets the highest mark back to what is resident now (proc_pid_clear_refs(5)).
        Path("/proc/self/clear_refs").write_text("5")
        self._resident = _status("VmRSS")
        self._began = trio.current_time()

    def end(self) -> None:
        self.seconds = trio.current_time() - self._began
        self.growth = _status("VmHWM") - self._resident


async def fate(supervisor: Supervisor, model: str) -> tuple[str, str, Watched]:
    """How a request fails, and what it took."""
    watched = Watched()
    with pytest.raises(ProviderError) as caught:
        await supervisor.complete(request(f"openai:{model}"))
    watched.end()
    print(f"{model}: {caught.value.reason}, {watched.seconds:.3f} s, {watched.growth / MIB:+.1f} MiB")
    return caught.value.kind, caught.value.reason, watched


BOMBS = [
    ("gzip", "protocol", "content_encoding"),
    ("br", "protocol", "content_encoding"),
    ("zstd", "protocol", "content_encoding"),
    ("long-line", "limit", "max_line_bytes"),
    ("huge-error", "server", "internal_server_error"),
    ("huge-body", "limit", "max_body_bytes"),
    ("header-flood", "limit", "max_header_bytes"),
    ("header-bytes", "limit", "max_header_bytes"),
    ("endless-1xx", "limit", "max_informational_responses"),
    ("deep-json", "limit", "max_json_depth"),
    ("huge-arguments", "limit", "max_tool_arguments_bytes"),
]


@pytest.mark.parametrize(("model", "kind", "reason"), BOMBS)
async def test_bombs(server: Server, model: str, kind: str, reason: str) -> None:
    # An unstreamed answer is held whole up to this limit, and as a buffer that grows takes up to twice as much.
    async with house(server, max_body_bytes=2 * MIB) as supervisor:
        for _ in range(2):
            found = await fate(supervisor, model)
            assert found[:2] == (kind, reason)
            assert found[2].growth <= GROWTH
            assert found[2].seconds < 2 + SLACK
        assert sockets() <= 1
        # The provider is as good as ever.
        assert (await supervisor.complete(request("openai:short"))).message.content == "Hello"


SLOW = [
    ("stall-headers", "headers", "header_timeout"),
    ("drip", "headers", "header_timeout"),
    ("stall", "idle", "idle_timeout"),
    ("pings", "first_event", "first_event_timeout"),
    ("pings-later", "progress", "progress_timeout"),
]


@pytest.mark.parametrize(("model", "reason", "limit"), SLOW)
async def test_slow_servers(server: Server, model: str, reason: str, limit: str) -> None:
    async with house(server, **{limit: 0.5}) as supervisor:
        kind, found, watched = await fate(supervisor, model)
        assert (kind, found) == ("timeout", reason)
        assert 0.5 <= watched.seconds < 0.5 + SLACK
        assert watched.growth <= GROWTH
        assert (await supervisor.complete(request("openai:short"))).message.content == "Hello"


async def test_slow_informational_responses_run_into_the_first_limit_they_meet(server: Server) -> None:
    async with house(server, header_timeout=0.5) as supervisor:
        kind, reason, watched = await fate(supervisor, "slow-1xx")
        assert (kind, reason) == ("timeout", "headers")
        assert watched.seconds < 0.5 + SLACK


async def test_ten_thousand_chunks_of_one_byte_are_an_answer(server: Server) -> None:
    async with house(server) as supervisor:
        before = len(await server.exchanges())
        done = await supervisor.complete(request("openai:one-byte"))
        assert done.message.content == "0123456789" * 1000
        assert (await server.exchanges())[before].status == 200
