"""Chaos: resets, stalls, 429s, callers that leave, and an actor that crashes, at once and all the time.

The server is another process, and runs this file for its script: what it does wrong at its exchange ``n`` follows from
the seed and ``n`` alone, so the two sides agree on it without a word. What became of a request is held against what the
server itself has seen of it, never against the client's word. The garbage collector is off throughout.

The settings that are not the usual ones: step limits of half a second, so that stalls end soon; no backoff and no limit
for restarts, since the crashes are the test's; and a breaker that only observes. One attempt in ten fails in a way that
counts, by lot: by lot, too, five in a row do once in some ten thousand attempts, and the breaker would then refuse all
for five seconds. Retries, their delays and their budget are the usual ones.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import trio

from nexus3 import (
    AttemptStarted,
    CompletionRequest,
    ContentDelta,
    Message,
    RetryScheduled,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    open_supervisor,
)
from nexus3.loopback import Answer, Cut, Exchange, Fault, HangUp, Received, Stall, StallHeaders
from nexus3.loopback.local_config import local_config
from nexus3.loopback.process import LoopbackProcess, open_loopback_process
from nexus3.testing import check_at_rest, check_events, crash
from tests.actors.http.world import sockets, without_garbage_collection

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))
AT_ONCE = 100
PLACES = 20
CRASH_EVERY = 200
LEAVE = 0.05
STEP = 0.5
"""Seconds that a provider may be silent."""
ATTEMPTS = 4
TIMEOUTS = 2
PIECES = 8
THOUGHT, PACE = 0.04, 0.005
"""Seconds before the first piece, and between two: rather the places than the processors are what there is too little
of, and a crash finds some requests with content out and some without."""
TROUBLE = {
    **dict.fromkeys(("reset before", "reset after", "stall before", "stall after"), 0.025),
    "throttled": 0.05,
}


def trouble_at(number: int) -> str | None:
    """What goes wrong at the server's exchange ``number``."""
    lot = Random(f"{SEED}:{number}").random()
    for what, share in TROUBLE.items():
        lot -= share
        if lot < 0:
            return what
    return None


def pieces_of(name: str) -> list[str]:
    """The answer to the request of this name: no piece of any answer equals another."""
    return [f"{name}.{piece} " for piece in range(PIECES)]


def answer(received: Received) -> Answer:
    """The server's script."""
    fault: Fault | tuple[()]
    match trouble_at(received.number):
        case "throttled":
            return Answer(status=429, headers={"retry-after-ms": "10"})
        case "reset before":
            fault = HangUp("reset")
        case "reset after":
            fault = Cut(after=1, how="reset")
        case "stall before":
            fault = StallHeaders() if received.number % 2 else Stall(after=0)
        case "stall after":
            fault = Stall(after=1)
        case _:
            fault = ()
    return Answer(pieces_of(received.asked.user_text), first_delay=THOUGHT, delay=PACE, fault=fault)


class Failed(NamedTuple):
    """A request that failed, as its caller saw it."""

    name: str
    kind: str
    reason: str
    emitted: bool
    attempts: int
    crashes: int
    """Attempts that another one followed without a word: the actor had crashed."""

    @property
    def is_poison(self) -> bool:
        return self.reason == "poison_request"


class Chaos:
    """The callers. Of each request only what is asked about later is kept: memory is measured."""

    def __init__(self, supervisor: Supervisor, requests: int) -> None:
        self.supervisor = supervisor
        self.requests = requests
        self.ends: Counter[str] = Counter()
        self.failed: list[Failed] = []
        self.resident_early = 0
        self.crashes = 0
        self._begun = iter(range(requests))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(self._caller)

    async def _caller(self) -> None:
        for number in self._begun:
            if number % CRASH_EVERY == CRASH_EVERY - 1:
                crash(self.supervisor, "openai")
                self.crashes += 1
            await self._one(number)
            if self.ends.total() == self.requests // 5:
                self.resident_early = resident_kb()

    async def _one(self, number: int) -> None:
        rng = Random(f"{SEED}:caller:{number}")
        leaves = rng.random() < LEAVE
        leave_after = rng.randrange(PIECES + 2) if leaves and rng.random() < 0.5 else None
        patience = rng.uniform(0, 0.3) if leaves and leave_after is None else float("inf")
        submission = Submission(CompletionRequest(messages=(Message(role=Role.USER, content=f"r{number}"),)))
        seen: list[StreamEvent] = []
        async with self.supervisor.submissions(caller=f"c{number % 7}") as submit:
            await submit.send(submission)
        with trio.move_on_after(patience):
            async with submission.events as events:
                async for event in events:
                    seen.append(event)
                    if len(seen) == leave_after:
                        break
        end = check_events(seen, to_the_end=not leaves)
        text = "".join(event.text for event in seen if isinstance(event, ContentDelta))
        whole = "".join(pieces_of(f"r{number}"))
        assert whole.startswith(text), f"r{number}: {text!r} has repeated or lost pieces"
        if end is None:
            self.ends["left"] += 1
        elif isinstance(end, StreamComplete):
            assert end.message.content == text == whole
            self.ends["completed"] += 1
        else:
            self._note(f"r{number}", end, seen, text)

    def _note(self, name: str, end: StreamFailed, seen: list[StreamEvent], text: str) -> None:
        error = end.error
        assert error.emitted == bool(text)
        assert (end.partial.content if end.partial else "") == text
        attempts = sum(isinstance(event, AttemptStarted) for event in seen)
        told = sum(isinstance(event, RetryScheduled) for event in seen)
        assert error.attempts == attempts
        self.ends[error.kind] += 1
        self.failed.append(Failed(name, error.kind, error.reason, error.emitted, attempts, attempts - 1 - told))


@pytest.mark.parametrize("requests", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_every_request_ends_once_and_none_fails_that_another_attempt_could_have_saved(
    requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "nexus3")  # pytest would keep every line, and memory is measured
    print(f"\nNEXUS3_SEED={SEED}")
    async with open_loopback_process(script=f"{__file__}:answer") as server:
        with without_garbage_collection():
            before = held()
            began = trio.current_time()
            async with open_supervisor(config(server.url)) as sup:
                chaos = Chaos(sup, requests)
                await chaos.run()
            took = trio.current_time() - began
            grown = resident_kb() - chaos.resident_early
            # The block is left: whatever was opened is closed, with nobody to collect it. The run's timekeeper notices
            # at its next beat that it has nothing left to do.
            with trio.move_on_after(1):
                while held() != before:  # noqa: ASYNC110 - nothing tells of it
                    await trio.sleep(0.01)
            assert held() == before
        snapshot = sup.snapshot()
        check_at_rest(snapshot)
        seen = await exchanges_by_request(server)
    counters = snapshot.counters
    ends = chaos.ends
    kinds = Counter("poisoned" if each.is_poison else "cut off" if each.emitted else "used up" for each in chaos.failed)
    print(
        f"{requests} requests in {took:.1f} s: {dict(ends)}; {chaos.crashes} crashes told, "
        f"{snapshot.children['openai'].restarts} restarts; {sum(map(len, seen.values()))} exchanges; "
        f"{dict(kinds)}; {grown} kB more resident\n{counters}"
    )
    assert ends.total() == counters["accepted"] == counters["settled"] == requests
    assert counters["outcome.completed"] >= ends["completed"]
    for failed in chaos.failed:
        exchanges = seen.get(failed.name, [])
        assert is_just(failed, exchanges), f"{failed} {[trouble_at(each.number) for each in exchanges]}"
    assert kinds["poisoned"] <= 0.003 * requests
    assert ends["completed"] >= 0.85 * (requests - ends["left"])
    assert grown < 5_000
    assert took <= (15 if requests <= 1_000 else 120)


def is_just(failed: Failed, exchanges: list[Exchange]) -> bool:
    """Whether this request had to fail, by what the server has seen of it."""
    if failed.is_poison:
        return failed.crashes == 1  # and the last attempt's was the second
    troubles = [trouble_at(each.number) for each in exchanges]
    if failed.emitted:
        # It broke after its first words, by the server's doing or by a crash.
        was_cut = troubles[-1] in ("reset after", "stall after") or failed.kind == "actor_crashed"
        return exchanges[-1].pieces_sent > 0 and was_cut
    # What an actor that crashed had not sent yet, the server has not seen.
    assert failed.attempts - failed.crashes <= len(exchanges) <= failed.attempts
    stalls = sum(trouble is not None and trouble.startswith("stall") for trouble in troubles)
    were_used = len(exchanges) + failed.crashes >= ATTEMPTS or stalls >= TIMEOUTS
    return were_used and troubles[-1] is not None


def config(url: str) -> dict[str, Any]:
    """One provider, called ``openai``."""
    whole: dict[str, Any] = local_config(url)
    limits = dict.fromkeys(("header_timeout", "first_event_timeout", "idle_timeout", "progress_timeout"), STEP)
    settings = {**whole["providers"]["openai"], **limits, "max_connections": PLACES, "breaker": "observe"}
    return {
        "default_model": "local",
        "providers": {"openai": settings},
        "models": {"local": whole["models"]["local"]},
        "supervisor": {"backoff_min": 0.001, "backoff_max": 0.001, "max_restarts": 1_000_000},
    }


async def exchanges_by_request(server: LoopbackProcess) -> dict[str, list[Exchange]]:
    """What the server has seen of each request, in order."""

    def name(exchange: Exchange) -> str:
        match exchange.body:
            case {"messages": [{"content": str(text)}]}:
                return text
        raise AssertionError(f"no request of ours: {exchange.body}")

    found = await server.exchanges()
    assert [exchange.error for exchange in found if exchange.error] == []
    return {text: list(group) for text, group in groupby(sorted(found, key=name), name)}


class Held(NamedTuple):
    """What this process has open."""

    sockets: int
    descriptors: int
    tasks: int


def held() -> Held:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Held(sockets(), descriptors, trio.lowlevel.current_statistics().tasks_living)


def resident_kb() -> int:
    """Of this process, in kB."""
    return int(next(_status("VmRSS")))


def _status(key: str) -> Iterator[str]:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            yield line.split()[1]
