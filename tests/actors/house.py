"""A supervisor on a scripted server, and what tests do with it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from nexus3 import (
    CompletionRequest,
    Message,
    ProviderError,
    Role,
    StreamEvent,
    StreamFailed,
    Supervisor,
    open_supervisor,
)
from nexus3.loopback import Answer, Loopback, open_loopback

HELLO = Answer(["Hel", "lo"])


def ask(text: str = "hi", *, model: str | None = None, timeout: float | None = None) -> CompletionRequest:
    return CompletionRequest(model=model, messages=(Message(role=Role.USER, content=text),), timeout=timeout)


@asynccontextmanager
async def house(
    script: Any = None, *, provider: Mapping[str, object] | None = None, supervisor: Mapping[str, object] | None = None
) -> AsyncIterator[tuple[Supervisor, Loopback]]:
    async with open_loopback(script=script, seed=1) as server:
        config: dict[str, Any] = dict(server.config)
        config["providers"] = {name: {**p, **(provider or {})} for name, p in config["providers"].items()}
        config["supervisor"] = {"backoff_min": 0.01, "backoff_max": 0.02, **(supervisor or {})}
        async with open_supervisor(config) as sup:
            yield sup, server


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another task or the server will do, within 5 s."""
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another program, too
            await trio.sleep(0.001)


def failure_of(events: list[StreamEvent]) -> ProviderError:
    end = events[-1]
    assert isinstance(end, StreamFailed)
    return end.error
