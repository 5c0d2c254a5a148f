"""The original's usage examples run as they stand there; only the base URL comes from the environment.

The examples are files of their own, in ``examples/``: what runs here is what a reader starts, in a process of its own,
against the bundled provider in another one.
"""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import trio

from nexus3.loopback import Exchange, open_loopback_process

EXAMPLES = Path(__file__).parents[2] / "examples"


class Ran(NamedTuple):
    """What an example printed, and what the server saw of it."""

    lines: list[str]
    exchanges: list[Exchange]


async def run(name: str, *, script: str | None = None) -> Ran:
    async with open_loopback_process(seed=1, script=script) as server:
        environment = os.environ | {
            "ANTHROPIC_BASE_URL": server.url,
            "ANTHROPIC_API_KEY": "loopback-key",
            "OPENROUTER_BASE_URL": f"{server.url}/api/v1",
            "OPENROUTER_API_KEY": "loopback-key",
        }
        with trio.fail_after(60):
            ran = await trio.run_process(
                [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name)],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=environment,
            )
        assert (ran.returncode, ran.stderr.decode()) == (0, "")
        return Ran(ran.stdout.decode().splitlines(), await server.exchanges())


async def test_factory() -> None:
    ran = await run("seed_factory.py")
    assert len(ran.lines) == 1
    assert ran.lines[0].endswith("You said: Hello")
    [seen] = ran.exchanges
    assert (seen.path, seen.headers["x-api-key"]) == ("/v1/messages", "loopback-key")
    assert isinstance(seen.body, dict)
    assert seen.body["model"] == "claude-sonnet-4-20250514"


async def test_registry() -> None:
    ran = await run("seed_registry.py")
    assert len(ran.lines) == 1
    assert ran.lines[0].endswith("You said: Hello")
    [seen] = ran.exchanges
    assert (seen.path, seen.client_left) == ("/v1/messages", False)


async def test_streaming_with_tools() -> None:
    ran = await run("seed_streaming.py")
    blank, started, calls = ran.lines
    assert (blank, started) == ("", "Tool: get_weather")
    assert calls.startswith("(ToolCall(id='")
    assert "name='get_weather', arguments={'city': " in calls
    [seen] = ran.exchanges
    assert (seen.path, seen.headers["authorization"]) == ("/api/v1/chat/completions", "Bearer loopback-key")


async def test_tool_loop() -> None:
    ran = await run("seed_tool_loop.py", script=f"{Path(__file__).with_name('eager_script.py')}:answer")
    assert ran.lines[:3] == ["user: Weather in SF?", "assistant: ['get_weather']", "tool: 18 degrees in SF"]
    assert ran.lines[3].startswith("assistant: ")
    assert ran.lines[3].endswith("18 degrees in SF")
    first, second = ran.exchanges
    assert first.connection == second.connection
    assert isinstance(second.body, dict)
    assert [turn["role"] for turn in second.body["messages"]] == ["user", "assistant", "user"]
    assert second.body["messages"][2]["content"][0]["content"] == "18 degrees in SF"
