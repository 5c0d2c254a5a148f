"""A relay before a server that scripts the provider; what an application sees; and a tool conversation to record."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio
from msgspec.structs import replace

from nexus3 import CompletionRequest, Message, ProviderConfig, Role, open_supervisor
from nexus3.actors.resolved import ResolvedProvider
from nexus3.cli.relay import Relay, open_relay
from nexus3.config.resolve import resolve
from nexus3.loopback import Answer, Call, Loopback, Script, open_loopback
from nexus3.tools import RunEvent, ToolFinished, ToolStarted, run_tools
from nexus3.wire.catalog import ProviderTypeName
from tests.loopback.raw import connect, post

KEY = "sk-proj-Zq8Xw2Lk9Vb4Nm7Ty3Rp"

TYPES: tuple[ProviderTypeName, ...] = ("openai", "anthropic")
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


def provider_at(url: str, kind: ProviderTypeName = "openai", **settings: object) -> ResolvedProvider:
    """The provider that a relay forwards to."""
    config = {"type": kind, "base_url": url, "api_key": KEY, "allow_loopback": True, **settings}
    return resolve("up", ProviderConfig.model_validate(config), {})


class Taping(NamedTuple):
    """A recording under way."""

    server: Loopback
    """The provider."""
    relay: Relay
    told: list[str]


@asynccontextmanager
async def taping(
    cassette: Path, script: Script, kind: ProviderTypeName = "openai", **settings: object
) -> AsyncIterator[Taping]:
    told: list[str] = []
    async with (
        open_loopback(script=script) as server,
        open_relay(cassette, provider_at(server.url, kind, **settings), tell=told.append) as relay,
    ):
        yield Taping(server, relay, told)


class Seen(NamedTuple):
    """One response as an application sees it."""

    status: int
    head: str
    body: bytes
    end: str
    """``end``, or ``cut`` where the body's end did not come."""


async def send(port: int, path: str, body: object, headers: Mapping[str, str] | None = None) -> Seen:
    """One request on a connection of its own."""
    fields = {"host": f"127.0.0.1:{port}", "connection": "close", **(headers or {})}
    with trio.fail_after(20):
        async with await connect(port) as stream:
            await stream.send_all(post(path, body, fields))
            data = bytearray()
            try:
                async for part in stream:
                    data += part
            except trio.BrokenResourceError:
                pass
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return Seen(int(head.split()[1]), head.decode(), rest, "end")
    content = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if size == b"0":
            return Seen(int(head.split()[1]), head.decode(), content, "end")
        content += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return Seen(int(head.split()[1]), head.decode(), content, "cut")


TOOL_CONVERSATION = [
    Answer(
        "Let me see. ",
        tool_calls=[Call("weather", ['{"city": ', '"Zürich"}']), Call("weather", '{"city": "Bern"}')],
        delay=0.01,
    ),
    Answer("Zürich: sunny — Bern: 雨。", piece_size=3, first_delay=0.05, delay=0.01, chunk_size=7),
]


async def weather(city: str) -> str:
    """The weather in a city."""
    return f"weather of {city}"


async def converse(url: str, kind: ProviderTypeName) -> list[RunEvent]:
    """The tool conversation, as an application on nexus3 has it: all that the model said, in order; then what the tools
    did, which run side by side, without the time they took."""
    base_url = f"{url}/v1" if kind == "openai" else url
    config = {"providers": {"up": {"type": kind, "base_url": base_url, "api_key": KEY, "allow_loopback": True}}}
    request = CompletionRequest(
        model="up:model-1", messages=(Message(role=Role.USER, content="Weather in Zürich and Bern?"),), max_tokens=99
    )
    async with open_supervisor(config) as supervisor, run_tools(supervisor, request, [weather]) as run:
        events = [event async for event in run]
    of_tools = [event for event in events if isinstance(event, ToolStarted | ToolFinished)]
    timeless = [replace(event, seconds=0.0) if isinstance(event, ToolFinished) else event for event in of_tools]
    said = [event for event in events if not isinstance(event, ToolStarted | ToolFinished)]
    return [*said, *sorted(timeless, key=lambda event: (event.call.id, type(event).__name__))]
