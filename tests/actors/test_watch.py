"""The limits of an attempt's steps: which one a silence runs into, when, and how that is told. Virtual time."""

import math
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from nexus3.actors.attempt.watch import TAIL_GRACE, Watch
from nexus3.actors.limits import Limits

LIMITS = Limits(
    header_timeout=10.0,
    first_event_timeout=20.0,
    reasoning_first_event_timeout=40.0,
    idle_timeout=5.0,
    progress_timeout=12.0,
    drain_timeout=0.5,
)
DEADLINE = 100.0

Step = tuple[float, Callable[[Watch], None]]
"""Seconds that pass, and what comes then."""


def sent(watch: Watch) -> None:
    watch.sent()


def head(watch: Watch) -> None:
    watch.head_came()


def ping(watch: Watch) -> None:
    watch.bytes_came(content=False)


def content(watch: Watch) -> None:
    watch.bytes_came(content=True)


def marker(watch: Watch) -> None:
    watch.answer_is_complete()


def pause(watch: Watch) -> None:
    watch.pause()


def resume(watch: Watch) -> None:
    watch.resume()


def drain(watch: Watch) -> None:
    watch.drain()


async def silence(*steps: Step, stream: bool = True, reasoning: bool = False) -> tuple[float, str, str]:
    """Play the steps, then wait: when the silence is over, and by which limit: reason and phase, none for the
    scope's own deadline."""
    watch = Watch(LIMITS, until=trio.current_time() + DEADLINE, stream=stream, reasoning=reasoning)
    with watch.timer:
        for seconds, step in steps:
            await trio.sleep(seconds)
            step(watch)
        await trio.sleep_forever()
    if not watch.timer.has_rung:
        return trio.current_time(), "", ""
    failure = watch.failure()
    assert (failure.kind, failure.retryable) == ("timeout", True)
    return trio.current_time(), failure.reason, failure.phase


HEAD = ((1, sent), (1, head))
OPEN = (*HEAD, (1, content))
"""Content has come at 3 seconds."""


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ((), (DEADLINE, "", "")),
        (((1, sent),), (11, "headers", "headers")),
        (HEAD, (22, "first_event", "first_event")),
        ((*HEAD, (1, ping), (5, ping)), (22, "first_event", "first_event")),
        (OPEN, (8, "idle", "stream")),
        ((*OPEN, (4, ping)), (12, "idle", "stream")),
        ((*OPEN, (4, ping), (4, ping)), (15, "progress", "stream")),
        ((*OPEN, (4, ping), (4, content), (4, ping), (4, ping)), (23, "progress", "stream")),
        ((*OPEN, (1, marker)), (4 + TAIL_GRACE, "tail", "stream")),
        ((*OPEN, (1, marker), (1, marker)), (4 + TAIL_GRACE, "tail", "stream")),
        ((*OPEN, (1, marker), (0, ping)), (4 + TAIL_GRACE, "tail", "stream")),
        ((*OPEN, (1, drain)), (4.5, "", "")),
    ],
)
async def test_each_step_has_its_limit(
    steps: tuple[Step, ...], end: tuple[float, str, str], autojump_clock: MockClock
) -> None:
    assert await silence(*steps) == end


@pytest.mark.parametrize(
    ("steps", "resumed_by"),
    [
        (HEAD, (52, "first_event", "first_event")),
        (OPEN, (45, "progress", "stream")),
        ((*OPEN, (0, marker)), (33 + TAIL_GRACE, "tail", "stream")),
    ],
)
async def test_the_caller_s_turn_is_not_the_server_s(
    steps: tuple[Step, ...], resumed_by: tuple[float, str, str], autojump_clock: MockClock
) -> None:
    assert await silence(*steps, (0, pause)) == (DEADLINE, "", "")
    began = trio.current_time()
    end, *why = await silence(*steps, (0, pause), (30, resume))
    assert (end - began, *why) == resumed_by


async def test_reasoning_has_more_time_and_an_unstreamed_answer_all_of_it(autojump_clock: MockClock) -> None:
    assert await silence(*HEAD, reasoning=True) == (42, "first_event", "first_event")
    began = trio.current_time()
    for steps in (((1, sent),), HEAD):
        assert await silence(*steps, stream=False) == (began + DEADLINE, "", "")
        began += DEADLINE


async def test_with_a_virtual_clock_nothing_is_our_own_stall(autojump_clock: MockClock) -> None:
    watch = Watch(LIMITS, until=math.inf, stream=True, reasoning=False)
    with watch.timer:
        watch.sent()
        await trio.sleep(9)
    assert watch.lag() == 0
