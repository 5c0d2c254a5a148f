"""The promise, under a storm: every accepted request ends in exactly one terminal event, by its deadline.

Real sockets, faults of every kind, callers that leave, actors that crash; seeded. The server's own record is the truth
about what was sent.
"""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from nexus3 import CompletionRequest, ContentDelta, Message, Role, StreamComplete, StreamFailed, Submission, Supervisor
from nexus3.loopback import (
    Answer,
    Cut,
    ErrorEvent,
    Garbage,
    HangUp,
    Loopback,
    NoMarker,
    OnlyPings,
    Stall,
    open_loopback,
)
from nexus3.loopback.received import Received
from nexus3.runtime import open_supervisor
from nexus3.testing import crash
from nexus3.wire.events import Terminal

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))
PIECES = [f"{number} " for number in range(12)]
WHOLE = "".join(PIECES)
DEADLINE = 2.0


def storm(rng: random.Random) -> Answer:
    """An answer, or trouble."""
    at = rng.randrange(len(PIECES))
    pace = rng.choice((0.0, 0.0, 0.001))
    match rng.randrange(20):
        case 0:
            return Answer(PIECES, fault=Cut(after=at, how=rng.choice(("eof", "reset", "truncate", "end"))))
        case 1:
            return Answer(PIECES, fault=Cut(after="head", how=rng.choice(("eof", "reset"))))
        case 2:
            return Answer(PIECES, fault=Stall(after=rng.choice(("head", 0, at))))
        case 3:
            return Answer(status=429, headers={"retry-after-ms": "5"})
        case 4:
            return Answer(status=rng.choice((400, 401, 403, 404, 500, 503, 529)))
        case 5:
            return Answer(PIECES, fault=ErrorEvent(after=at))
        case 6:
            return Answer(PIECES, fault=Garbage(after=at))
        case 7:
            return Answer(PIECES, fault=NoMarker())
        case 8:
            return Answer(PIECES, fault=HangUp())
        case 9:
            return Answer(PIECES, fault=OnlyPings(after=at, every=0.05))
        case 10:
            return Answer(PIECES, stream=False)
        case 11:
            return Answer(PIECES, headers={"content-type": "text/html"})
        case _:
            return Answer(PIECES, delay=pace)


class Storm:
    """What the callers saw."""

    def __init__(self, supervisor: Supervisor, server: Loopback, rng: random.Random) -> None:
        self.supervisor = supervisor
        self.server = server
        self.rng = rng
        self.ends: Counter[str] = Counter()

    async def one(self, number: int, places: trio.CapacityLimiter) -> None:
        async with places:
            model = self.rng.choice(("local-openai", "local-anthropic", "local-vllm"))
            request = CompletionRequest(
                model=model, messages=(Message(role=Role.USER, content=f"request {number}"),), timeout=DEADLINE
            )
            submission = Submission(request)
            leave_after = self.rng.uniform(0, 0.05) if self.rng.random() < 0.1 else None
            began = trio.current_time()
            async with self.supervisor.submissions() as submit:
                await submit.send(submission)
            text, terminals = "", list[Terminal]()
            with trio.move_on_after(leave_after if leave_after is not None else DEADLINE + 3) as patience:
                async with submission.events as events:
                    async for event in events:
                        match event:
                            case ContentDelta(piece):
                                text += piece
                            case StreamComplete() | StreamFailed():
                                terminals.append(event)
                            case _:
                                pass
            if patience.cancelled_caught:
                assert leave_after is not None, f"request {number} hung"
                self.ends["left"] += 1
                return
            assert len(terminals) == 1, f"request {number} ended {len(terminals)} times"
            assert trio.current_time() - began < DEADLINE + 0.5
            assert WHOLE.startswith(text), f"request {number}: {text!r} has repeated or lost pieces"
            match terminals[0]:
                case StreamComplete(message):
                    assert message.content == text == WHOLE
                    self.ends["completed"] += 1
                case StreamFailed(error, partial):
                    assert error.emitted == bool(text)
                    assert (partial.content if partial else "") == text
                    self.ends[error.kind] += 1


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
async def test_every_request_ends_exactly_once_whatever_happens(seed: int) -> None:
    await weather(seed, requests=400, crash_every=60)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED, SEED + 10))
async def test_the_same_for_longer(seed: int) -> None:
    await weather(seed, requests=4_000, crash_every=200)


async def weather(seed: int, *, requests: int, crash_every: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)

    def script(_: Received) -> Answer:
        return storm(rng)

    before = descriptors()
    async with open_loopback(script=script, seed=seed) as server:
        config: dict[str, Any] = dict(server.config)
        limits = {"max_connections": 12, "mailbox_capacity": 1000, "idle_timeout": 0.5}
        # In such weather a breaker would keep most requests at home.
        config["providers"] = {
            name: {**settings, **limits, "breaker": "observe"} for name, settings in config["providers"].items()
        }
        config["supervisor"] = {"backoff_min": 0.001, "backoff_max": 0.01, "max_restarts": 1_000_000}
        async with open_supervisor(config) as supervisor:
            seen = Storm(supervisor, server, rng)
            places = trio.CapacityLimiter(40)

            async def crash_now_and_then() -> None:
                crashes = 0
                while True:
                    await trio.sleep(0.002)
                    if len(server.exchanges) // crash_every > crashes:
                        crashes += 1
                        crash(supervisor, rng.choice(("openai", "anthropic", "vllm")))

            async with trio.open_nursery() as crashing:
                crashing.start_soon(crash_now_and_then)
                async with trio.open_nursery() as nursery:
                    for number in range(requests):
                        nursery.start_soon(seen.one, number, places)
                crashing.cancel_scope.cancel()
            snapshot = supervisor.snapshot()
        print(dict(seen.ends), snapshot.counters)
        assert sum(seen.ends.values()) == requests
        counters = supervisor.snapshot().counters
        assert counters["accepted"] == counters["settled"] == requests
        assert counters.get("backstop", 0) == 0
        assert seen.ends.get("internal", 0) == 0
        assert {child.in_flight for child in supervisor.snapshot().children.values()} == {0}
        assert {child.queued for child in supervisor.snapshot().children.values()} == {0}
        with trio.fail_after(5):
            while server.open_connections:  # noqa: ASYNC110 - the server is another program's stand-in
                await trio.sleep(0.01)
    assert descriptors() <= before + 2
    assert seen.ends["completed"] > requests // 3
