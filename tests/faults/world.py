"""What the rows are tested with: a server in a process of its own, a supervisor with small limits, and one value that
says how a request ended."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import trio

from nexus3 import (
    CompletionRequest,
    ContentDelta,
    Message,
    RetryScheduled,
    Role,
    StreamEvent,
    StreamFailed,
    Supervisor,
    open_supervisor,
)
from nexus3.loopback import Exchange
from nexus3.loopback.local_config import local_config
from nexus3.loopback.process import Announcement, LoopbackProcess
from nexus3.wire.failures import Failure, Kind, Phase
from tests.actors.house import until
from tests.actors.scripted import events_of
from tests.faults.table import ATTEMPTS

LATE = 0.2
"""Seconds beyond its limits that an end may come."""
REFUSED_WITHIN = 0.05
"""Seconds in which an attempt that the system refuses is over."""
ENOUGH = 20.0
"""Seconds in which any of this must be over: the requests' own deadline."""


@contextmanager
def a_server() -> Iterator[LoopbackProcess]:
    """The server's process, with the table as its script; synchronous, to be a module's fixture."""
    script = f"{Path(__file__).with_name('table.py')}:answer"
    command = [sys.executable, "-m", "nexus3.loopback", "--script", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield LoopbackProcess(msgspec.json.decode(process.stdout.readline(), type=Announcement))
        finally:
            process.kill()


async def exchanges(server: LoopbackProcess, model: str) -> list[Exchange]:
    """What the server itself says that it was asked for this model."""
    found = await server.exchanges()
    return [seen for seen in found if isinstance(seen.body, dict) and seen.body.get("model") == model]


async def asked(server: LoopbackProcess, model: str, times: int) -> None:
    """Wait until the server has got so many requests for this model, within 5 s."""
    with trio.fail_after(5):
        while len(await exchanges(server, model)) < times:  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.005)


async def answered(server: LoopbackProcess, model: str) -> None:
    """Wait until the server has done all that it does on the latest request for this model, within 5 s."""
    with trio.fail_after(5):
        while (await exchanges(server, model))[-1].ended is None:  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.005)


async def at_rest(sup: Supervisor) -> None:
    """Wait until no request has work left: a terminal is told before the connection is drained and kept."""
    await until(lambda: not any(child.in_flight for child in sup.snapshot().children.values()))


@asynccontextmanager
async def house(
    url: str, settings: Mapping[str, object] | None = None, *, supervisor: Mapping[str, object] | None = None
) -> AsyncIterator[Supervisor]:
    """A provider of each dialect at ``url``, with waits between attempts that a test can afford."""
    config: dict[str, Any] = local_config(url)
    quick = {"max_retries": ATTEMPTS - 1, "max_retry_delay": 0.05, "max_throttle_delay": 0.05, **(settings or {})}
    config["providers"] = {name: {**config["providers"][name], **quick} for name in ("openai", "anthropic")}
    config["models"] = {"local": config["models"]["local"]}
    config["supervisor"] = {"backoff_min": 0.01, "backoff_max": 0.02, **(supervisor or {})}
    async with open_supervisor(config) as sup:
        yield sup


def ask(model: str, text: str = "hi") -> CompletionRequest:
    """A request whose own deadline is of no concern."""
    return CompletionRequest(model=model, messages=(Message(role=Role.USER, content=text),), timeout=ENOUGH)


class Fate(NamedTuple):
    """How a request failed, and all that its caller was told of it."""

    kind: Kind
    reason: str
    phase: Phase
    retryable: bool
    attempts: int
    status: int | None = None
    retry_after: float | None = None
    partial: str | None = None
    """``None``: nothing was emitted."""


class Lived(NamedTuple):
    """A failed request with its story."""

    fate: Fate
    failure: Failure
    events: list[StreamEvent]
    seconds: float
    """From submission to the terminal, without the waits between attempts that were announced."""


async def live(sup: Supervisor, request: CompletionRequest) -> Lived:
    """Run a request that must fail; its events obey the grammar, and the partial text is the text that was seen."""
    began = trio.current_time()
    events = await events_of(sup, request)
    seconds = trio.current_time() - began - sum(event.delay for event in events if isinstance(event, RetryScheduled))
    end = events[-1]
    assert isinstance(end, StreamFailed), f"it did not fail: {end}"
    failure = end.error.failure
    seen = "".join(event.text for event in events if isinstance(event, ContentDelta))
    assert (failure.partial.content if failure.partial is not None else "") == seen
    assert failure.emitted == (failure.partial is not None)
    return Lived(
        Fate(
            failure.kind,
            failure.reason,
            failure.phase,
            failure.retryable,
            failure.attempts,
            failure.status,
            failure.retry_after,
            seen if failure.emitted else None,
        ),
        failure,
        events,
        seconds,
    )
