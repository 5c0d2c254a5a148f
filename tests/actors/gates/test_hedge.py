"""Whether a slow request is sent twice."""

import pytest

from nexus3.actors.gates.breaker import State
from nexus3.actors.gates.hedge import Hedging
from tests.actors.gates.walks import STEPS, dice


def experienced(first_events: list[float] | None = None, *, requests: int = 100) -> Hedging:
    hedging = Hedging()
    for seconds in first_events if first_events is not None else [number / 10 for number in range(100)]:
        hedging.observe(seconds)
    for _ in range(requests):
        hedging.request_began()
    return hedging


def delay(hedging: Hedging, *, breaker: State = "closed", budget: float = 10.0, queued: int = 0) -> float | None:
    return hedging.delay(breaker=breaker, budget=budget, queued=queued)


def test_after_as_long_as_nineteen_of_twenty_take() -> None:
    assert delay(experienced()) == 9.4


def test_never_before_a_second() -> None:
    assert delay(experienced([0.2] * 100)) == 1.0


def test_the_last_samples_count() -> None:
    assert delay(experienced([30.0] * 300 + [2.0] * 256)) == 2.0


def test_not_without_experience() -> None:
    assert delay(experienced([2.0] * 99)) is None


@pytest.mark.parametrize("breaker", ["open", "half_open"])
def test_not_while_the_provider_is_in_doubt(breaker: State) -> None:
    assert delay(experienced(), breaker=breaker) is None


def test_not_on_credit_of_the_retries() -> None:
    assert [delay(experienced(), budget=budget) is None for budget in (4.9, 5.0)] == [True, False]


def test_not_before_those_who_wait() -> None:
    assert delay(experienced(), queued=1) is None


def test_twenty_requests_earn_one() -> None:
    assert [delay(experienced(requests=number)) is None for number in (19, 20)] == [True, False]
    hedging = experienced(requests=40)
    assert [hedging.spend(breaker="closed", budget=10.0, queued=0) for _ in range(3)] == [True, True, False]
    assert delay(hedging) is None


def test_what_changed_during_the_delay_decides() -> None:
    hedging = experienced()
    assert delay(hedging) is not None
    assert not hedging.spend(breaker="closed", budget=10.0, queued=3)
    assert not hedging.spend(breaker="open", budget=10.0, queued=0)
    assert hedging.spend(breaker="closed", budget=10.0, queued=0)


@STEPS
def test_no_walk_sends_more_than_one_in_twenty_twice(steps: int) -> None:
    rng = dice("hedge")
    hedging = Hedging()
    requests = hedges = 0
    for _ in range(steps):
        hedging.request_began()
        requests += 1
        if rng.random() < 0.9:
            hedging.observe(rng.expovariate(0.5))
        breaker: State = rng.choice(("closed", "closed", "open"))
        budget, queued = rng.uniform(0, 10), rng.choice((0, 0, 5))
        seconds = hedging.delay(breaker=breaker, budget=budget, queued=queued)
        if seconds is not None:
            assert seconds >= 1.0
            assert (breaker, queued, budget >= 5) == ("closed", 0, True)
            if rng.random() < 0.9:
                assert hedging.spend(breaker=breaker, budget=budget, queued=queued)
                hedges += 1
        assert hedges <= 0.05 * requests + 1e-6
    assert hedges > 0.04 * requests
