"""A provider that is gone for a minute under fifty requests a second, in virtual time: the supervisor as it is set out
of the box, on a scripted network."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nexus3 import CompletionRequest, Message, ProviderError, Role, StreamComplete, Supervisor
from nexus3.loopback import Answer
from nexus3.testing import Cut, Exchange, Head, House, Pause, Reply, open_house

PER_SECOND = 50
DOWN, UP, END = 10.0, 70.0, 100.0
"""Seconds from the start. The last opening of the breaker that begins in the outage, its fourth, is over by 93."""
LOOK = 0.02
"""Seconds between two looks at the breaker."""

TROUBLES: dict[str, list[Any]] = {
    "refused": [Pause(0.001), Cut("refused")],
    "bad gateway": [Pause(0.05), Head(502)],
}


class Outage:
    """What happened; times are seconds from the start."""

    def __init__(self) -> None:
        self.began = trio.current_time()
        self.requests = 0
        self.attempts: list[float] = []
        """Of the outage, as the network saw them."""
        self.failures: list[float] = []
        """The ends of these."""
        self.successes: list[float] = []
        self.refusals: list[ProviderError] = []
        self.opened: list[float] = []
        """When the breaker was found to have opened, each time anew."""

    @property
    def now(self) -> float:
        return trio.current_time() - self.began


async def suffer(trouble: str, breaker: str) -> Outage:
    outage = Outage()

    def script(_: Exchange) -> Reply:
        if not DOWN <= outage.now < UP:
            return Answer("hello", first_delay=0.1)
        outage.attempts.append(outage.now)
        return TROUBLES[trouble]

    async def one(sup: Supervisor) -> None:
        try:
            done = await sup.complete(CompletionRequest(messages=(Message(role=Role.USER, content="hi"),)))
        except ProviderError as error:
            outage.refusals.append(error)
        else:
            assert isinstance(done, StreamComplete)
            outage.successes.append(outage.now)

    async with open_watched(script, breaker, outage) as house, trio.open_nursery() as nursery:
        for number in range(int(END * PER_SECOND)):
            await trio.sleep_until(outage.began + number / PER_SECOND)
            outage.requests += DOWN <= outage.now < UP
            nursery.start_soon(one, house.supervisor)
    outage.failures = sorted(
        each.ended_at - outage.began
        for each in house.network.exchanges
        if each.ended_at is not None and DOWN <= each.began - outage.began < UP
    )
    return outage


@asynccontextmanager
async def open_watched(script: Any, breaker: str, outage: Outage) -> AsyncIterator[House]:
    """The house, with somebody who looks all the time whether the breaker has opened."""
    settings = {
        "type": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "sk-test-1234",
        "allow_loopback": True,
    }
    config = {"default_model": "p:m", "providers": {"p": {**settings, "breaker": breaker}}}

    async def look(house: House) -> None:
        while True:
            times = house.supervisor.snapshot().counters.get("breaker.opened", 0)
            outage.opened += [outage.now] * (times - len(outage.opened))
            await trio.sleep(LOOK)

    async with open_house(script, config) as house, trio.open_nursery() as nursery:
        nursery.start_soon(look, house)
        yield house
        nursery.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def unheard(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of lines a run, which nobody reads."""
    caplog.set_level(logging.CRITICAL, "nexus3")


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_an_outage_costs_few_attempts_and_is_over_soon_after_its_end(
    trouble: str, autojump_clock: MockClock
) -> None:
    outage = await suffer(trouble, "on")
    openings = [error.retry_after or 0 for error in outage.refusals if error.reason == "breaker_open"]
    longest = max(openings)
    first = min(moment for moment in outage.successes if moment >= UP)
    fifth = outage.failures[4]
    print(
        f"\n{len(outage.attempts)} attempts for {outage.requests} requests; open {outage.opened[0] - fifth:.3f} s "
        f"after the fifth failure, {len(outage.opened)} times; success {first - UP:.1f} s after recovery, the "
        f"longest opening had {longest:.1f} s"
    )
    assert outage.requests == (UP - DOWN) * PER_SECOND
    assert len(outage.attempts) <= 1.25 * outage.requests
    assert 0 <= outage.opened[0] - fifth <= 1.0
    assert 0 <= first - UP <= longest + 1.0
    # What is sent while it is open are probes, one an opening; the rest was under way when it opened.
    assert len([moment for moment in outage.attempts if moment > outage.opened[0]]) <= len(outage.opened)
    # From then on nobody is turned away.
    assert outage.successes[-1] >= END
    assert len(outage.successes) + len(outage.refusals) == END * PER_SECOND


async def test_the_budget_alone_keeps_the_attempts_down(autojump_clock: MockClock) -> None:
    outage = await suffer("refused", "observe")
    first = min(moment for moment in outage.successes if moment >= UP)
    print(
        f"\n{len(outage.attempts)} attempts for {outage.requests} requests; success {first - UP:.2f} s after recovery"
    )
    assert outage.requests < len(outage.attempts) <= 1.25 * outage.requests
    assert 0 <= first - UP <= 1.0
