"""What a contestant is. The interface is small so that anything that can stream text can be one."""

from collections.abc import Callable
from typing import Literal, Protocol

import trio

Sink = Callable[[str], None]
"""Takes the text of every text delta, in order."""

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-20250514"}
KEY = "sk-test"


class Contestant(Protocol):
    """One client library in one way of using it, with the settings that its users get without asking."""

    runtime: Literal["trio", "asyncio"]
    counts: Literal["text", "bytes"]
    """``bytes``: it only reads; its sink is not called, and nothing can be checked."""

    async def open(self, root: str, conns: int) -> None:
        """Make the client for a server at ``root`` (``http://127.0.0.1:PORT``), with room for ``conns`` connections."""

    async def stream(self, prompt: str, sink: Sink) -> None:
        """One streamed request, to its end. ``prompt`` reaches the server as it is; nothing is retried."""

    async def request(self, prompt: str) -> str:
        """One unstreamed request; the whole text."""
        ...

    async def close(self) -> None:
        """Leave nothing behind."""


class InNursery(Protocol):
    """A contestant with tasks of its own: the nursery is set before ``open`` and outlives ``close``."""

    nursery: trio.Nursery
