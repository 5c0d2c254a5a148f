"""The promise over random fault schedules in virtual time: 30 requests each, faults of every kind, many oracles.

A failing schedule names its seed and index; ``NEXUS3_SEED=... NEXUS3_SCHEDULE=... pytest tests/schedules -k one``
runs it again, down to the order of trio's tasks.
"""

import os
import time
from collections import Counter

import pytest

from tests.schedules.oracles import problems
from tests.schedules.plan import REQUESTS, schedule
from tests.schedules.world import World, run

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))
INDEX = int(os.environ.get("NEXUS3_SCHEDULE", "0"))

ORDINARY = 500
SOAK = 20_000
BLOCK = 50

SEEN_IN_EVERY_BLOCK = {
    "completed/None",
    "timeout/deadline",
    "timeout/deadline_queued",
    "cancelled/caller_left",
    "cancelled/stream_dropped",
    "unavailable/closed",
    "unavailable/mailbox_full",
    "unavailable/parked",
    "actor_crashed/mid_stream",
    "transport/reset",
    "protocol/stream_truncated",
}
"""Or the storm has become a breeze."""


def checked(seed: int, index: int) -> World:
    """Run one schedule and judge it."""
    replay = f"replay: NEXUS3_SEED={seed} NEXUS3_SCHEDULE={index} pytest tests/schedules -k one"
    try:
        world = run(schedule(seed, index))
    except BaseException as error:
        raise AssertionError(f"schedule {index} of seed {seed}: {error!r}\n{replay}") from error
    found = problems(world)
    if found:
        raise AssertionError("\n  ".join([f"schedule {index} of seed {seed}:", *found]) + f"\n{replay}")
    return world


def storm(seed: int, indexes: range) -> Counter[str]:
    """Run many; how requests ended in them."""
    began = time.perf_counter()
    outcomes: Counter[str] = Counter()
    for index in indexes:
        for line in checked(seed, index).lines:
            if line.name == "request.settled":
                outcomes[f"{line.keys['outcome']}/{line.keys['reason']}"] += 1
    seconds = time.perf_counter() - began
    print(f"seed {seed}: {len(indexes)} schedules x {REQUESTS} requests in {seconds:.1f} s: {dict(outcomes)}")
    return outcomes


@pytest.mark.parametrize("first", range(0, ORDINARY, BLOCK))
def test_every_request_ends_exactly_once_whatever_happens(first: int) -> None:
    outcomes = storm(SEED, range(first, first + BLOCK))
    assert outcomes["completed/None"] > BLOCK * REQUESTS // 5, "the storm left too little to be interrupted"
    assert outcomes.keys() >= SEEN_IN_EVERY_BLOCK


@pytest.mark.soak
@pytest.mark.parametrize("first", range(ORDINARY, ORDINARY + SOAK, 500))
def test_the_same_for_longer(first: int) -> None:
    storm(SEED, range(first, first + 500))


def test_one_schedule_is_replayed_exactly() -> None:
    first, again = checked(SEED, INDEX), checked(SEED, INDEX)
    assert [(line.name, line.at, line.tag) for line in first.lines] == [
        (line.name, line.at, line.tag) for line in again.lines
    ]
    assert [list(map(type, seen.events)) for seen in first.seen] == [
        list(map(type, seen.events)) for seen in again.seen
    ]
