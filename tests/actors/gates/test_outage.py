"""A provider that is gone for a minute, under load, in simulated time: the gates together, as a request meets them."""

import heapq
import itertools
from collections.abc import Callable
from random import Random

import msgspec
import pytest

from nexus3.actors.gates.blame import judged
from nexus3.actors.gates.breaker import Breaker, Change
from nexus3.actors.gates.budget import RetryBudget
from nexus3.actors.gates.retry import Policy, delay_before_retry
from nexus3.actors.gates.verdict import PASS
from nexus3.actors.settings import BreakerMode
from nexus3.wire.failures import Failure, fail
from tests.actors.gates.walks import SEED

PER_SECOND = 50
DOWN, UP, END = 10.0, 70.0, 150.0
"""No opening that began in the outage outlasts the end."""
DEADLINE = 600.0

REFUSED = fail("transport", "connect", "No connection.", phase="connect")
BROKEN = msgspec.structs.replace(fail("server", "bad_gateway", "502", phase="headers"), status=502)


class Outage:
    """Requests at a steady pace; while the provider is down each attempt fails in its way, else it succeeds."""

    def __init__(self, mode: BreakerMode, failure: Failure, seed: int, *, unlimited: bool = False) -> None:
        self.failure, self.unlimited = failure, unlimited
        self.rng = Random(seed)
        self.breaker = Breaker(mode)
        self.budget = RetryBudget(0.0)
        self.attempts: list[float] = []
        self.failures: list[float] = []
        self.successes: list[float] = []
        self.changes: list[tuple[float, Change]] = []
        self.requests = 0
        self.ended = 0
        self._steps: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()

    def run(self) -> None:
        for number in range(int(END * PER_SECOND)):
            self._at(number / PER_SECOND, self._request)
        while self._steps:
            now, _, step = heapq.heappop(self._steps)
            step(now)
        assert self.ended == END * PER_SECOND

    def _at(self, moment: float, step: Callable[[float], None]) -> None:
        heapq.heappush(self._steps, (moment, next(self._numbers), step))

    def _request(self, now: float) -> None:
        if DOWN <= now < UP:
            self.requests += 1
        self.budget.deposit(now)
        self._attempt(now, number=1, accepted=now)

    def _attempt(self, now: float, *, number: int, accepted: float) -> None:
        if self.breaker.ask(now) != PASS:
            self.ended += 1
            return
        permit, change = self.breaker.begin(now)
        self._tell(now, change)
        if DOWN <= now < UP:
            self.attempts.append(now)

        def end(now: float) -> None:
            failure = self.failure if DOWN <= now < UP else None
            if failure is None:
                self._tell(now, self.breaker.answered(permit, now))
            how = judged(failure, time_given=DEADLINE)
            self._tell(now, self.breaker.ended(permit, how, now, self.rng))
            if failure is None:
                self.successes.append(now)
                self.ended += 1
                return
            self.failures.append(now)
            delay = delay_before_retry(
                failure,
                Policy(),
                attempts=number,
                timeouts=0,
                emitted=False,
                remaining=accepted + DEADLINE - now,
                rng=self.rng,
            )
            if delay is None or not (self.unlimited or self.budget.spend("retry", now) == "granted"):
                self.ended += 1
                return
            self._at(now + delay, lambda now: self._attempt(now, number=number + 1, accepted=accepted))

        self._at(now + self.rng.uniform(0.02, 0.2), end)

    def _tell(self, now: float, change: Change | None) -> None:
        if change is not None:
            self.changes.append((now, change))


@pytest.mark.parametrize("failure", [REFUSED, BROKEN], ids=["refused", "502"])
@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_with_the_breaker_on(seed: int, failure: Failure) -> None:
    outage = Outage("on", failure, seed)
    outage.run()

    opened = [now for now, change in outage.changes if change.after == "open"]
    [closed] = [now for now, change in outage.changes if change.after == "closed"]
    periods = [change.seconds for _, change in outage.changes if change.seconds is not None]
    after = min(moment for moment in outage.successes if moment >= UP)
    print(
        f"\nseed {seed}: {len(outage.attempts)} attempts for {outage.requests} requests, open "
        f"{opened[0] - outage.failures[4]:.3f} s after the fifth failure, success {after - UP:.1f} s after recovery"
    )
    assert outage.requests == (UP - DOWN) * PER_SECOND
    assert len(outage.attempts) <= 1.25 * outage.requests
    assert 0 <= opened[0] - outage.failures[4] <= 1.0
    assert after - UP <= max(periods) + 1.0
    assert closed - after <= 1.0
    # What is sent while it is open are probes, one an opening; the rest were under way when it opened.
    assert len([moment for moment in outage.attempts if moment > opened[0]]) <= len(opened)


@pytest.mark.parametrize("mode", ["observe", "off"])
@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
def test_the_budget_alone_keeps_the_attempts_down(seed: int, mode: BreakerMode) -> None:
    outage = Outage(mode, REFUSED, seed)
    outage.run()
    print(f"\nseed {seed}: {len(outage.attempts)} attempts for {outage.requests} requests")
    assert outage.requests < len(outage.attempts) <= 1.25 * outage.requests
    assert min(moment for moment in outage.successes if moment >= UP) - UP <= 1.0


def test_without_either_there_would_be_four_times_as_many() -> None:
    outage = Outage("off", REFUSED, SEED, unlimited=True)
    outage.run()
    assert len(outage.attempts) > 3.8 * outage.requests
