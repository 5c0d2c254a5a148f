"""When a failed attempt is made again, and after how long."""

from random import Random

import msgspec
import pytest

from nexus3.actors.gates.retry import Policy, delay_before_retry
from nexus3.wire.classify import response_failure
from nexus3.wire.failures import Failure, Kind, Phase, fail

POLICY = Policy()


def delay(
    failure: Failure,
    *,
    attempts: int = 1,
    timeouts: int = 0,
    emitted: bool = False,
    remaining: float = 600.0,
    policy: Policy = POLICY,
    rng: Random | None = None,
) -> float | None:
    return delay_before_retry(
        failure,
        policy,
        attempts=attempts,
        timeouts=timeouts,
        emitted=emitted,
        remaining=remaining,
        rng=rng or Random(0),
    )


def draw(failure: Failure, *, attempts: int = 1, times: int = 2000) -> list[float]:
    rng = Random(1)
    draws = [delay(failure, attempts=attempts, rng=rng) for _ in range(times)]
    return [value for value in draws if value is not None]


def failure(kind: Kind = "server", *, retry_after: float | None = None, status: int | None = 500) -> Failure:
    return msgspec.structs.replace(fail(kind, "test", "test"), retry_after=retry_after, status=status)


def test_what_the_caller_has_seen_is_never_repeated() -> None:
    assert delay(failure(), emitted=True) is None


@pytest.mark.parametrize("kind", ["auth", "bad_request", "quota", "context_length", "content_filter", "internal"])
def test_what_cannot_get_better_is_not_repeated(kind: Kind) -> None:
    assert delay(failure(kind)) is None


def test_max_retries_counts_the_attempts_after_the_first() -> None:
    assert [delay(failure(), attempts=n) is not None for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert delay(failure(), attempts=1, policy=Policy(max_retries=0)) is None


@pytest.mark.parametrize(("attempts", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_server_trouble_waits_by_full_jitter(attempts: int, ceiling: float) -> None:
    draws = draw(failure(), attempts=attempts)
    assert 0 <= min(draws) < 0.05 * ceiling
    assert 0.95 * ceiling < max(draws) <= ceiling
    assert sum(draws) / len(draws) == pytest.approx(ceiling / 2, rel=0.03)


@pytest.mark.parametrize(("attempts", "ceiling"), [(1, 1.0), (2, 2.0), (3, 4.0)])
@pytest.mark.parametrize("kind", ["rate_limit", "overloaded"])
def test_throttling_waits_at_least_half(kind: Kind, attempts: int, ceiling: float) -> None:
    draws = draw(failure(kind), attempts=attempts)
    assert ceiling / 2 <= min(draws)
    assert max(draws) <= ceiling
    assert sum(draws) / len(draws) == pytest.approx(0.75 * ceiling, rel=0.03)


def test_a_503_that_says_no_more_is_a_server_down_not_one_that_is_asked_too_much() -> None:
    bare = response_failure(503, {}, b"", wall_now=0.0)
    coded = response_failure(503, {}, b'{"error":{"code":"server_overloaded"}}', wall_now=0.0)
    bodiless = response_failure(529, {}, b"", wall_now=0.0)
    assert min(draw(bare)) < 0.05
    assert max(draw(bare)) <= 0.5
    assert min(draw(coded)) >= 0.5
    assert min(draw(bodiless)) >= 0.5


def test_waits_grow_to_their_caps_and_no_further() -> None:
    patient = Policy(max_retries=10, max_delay=8.0, max_throttle_delay=30.0)
    rng = Random(2)
    server = [delay(failure(), attempts=n, policy=patient, rng=rng) for n in range(4, 11) for _ in range(300)]
    assert 7.9 < max(value for value in server if value is not None) <= 8.0
    throttled = [
        delay(failure("rate_limit"), attempts=n, policy=patient, rng=rng) for n in range(6, 11) for _ in range(300)
    ]
    assert min(value for value in throttled if value is not None) >= 15.0
    assert 29.9 < max(value for value in throttled if value is not None) <= 30.0


def test_what_the_provider_asks_for_is_a_floor_and_comes_with_a_spread() -> None:
    draws = draw(failure("rate_limit", retry_after=5.0), times=500)
    assert min(draws) >= 5.0
    assert max(draws) <= 5.5
    assert len(set(draws)) > 400
    assert delay(failure("rate_limit", retry_after=0.0)) == 0


def test_a_long_wish_is_not_slept_through() -> None:
    assert delay(failure("rate_limit", retry_after=61.0)) is None
    assert delay(failure("rate_limit", retry_after=61.0), policy=Policy(max_retry_after=600)) is not None


def test_an_attempt_that_cannot_finish_is_not_started() -> None:
    assert delay(failure("rate_limit", retry_after=5.0), remaining=5.9) is None
    assert delay(failure("rate_limit", retry_after=5.0), remaining=7.0) is not None
    now = failure("rate_limit", retry_after=0.0)
    assert [delay(now, remaining=seconds) for seconds in (0.99, 1.0)] == [None, 0.0]


@pytest.mark.parametrize(
    ("kind", "phase", "status", "repeated"),
    [
        ("transport", "connect", None, True),
        ("timeout", "connect", None, True),
        ("transport", "request", None, False),
        ("transport", "headers", None, False),
        ("timeout", "headers", None, False),
        ("timeout", "first_event", 200, False),
        ("protocol", "first_event", 200, False),
        # The provider has spoken: it did not do it.
        ("timeout", "headers", 504, True),
        ("server", "headers", 500, True),
        ("rate_limit", "headers", 429, True),
        ("overloaded", "first_event", None, True),
    ],
)
def test_what_may_have_been_received_is_not_repeated_where_that_is_forbidden(
    kind: Kind, phase: Phase, status: int | None, repeated: bool
) -> None:
    lost = msgspec.structs.replace(fail(kind, "test", "test", phase=phase, retryable=True), status=status)
    assert delay(lost) is not None
    assert (delay(lost, policy=Policy(retry_unsafe=False)) is not None) == repeated


def test_a_timeout_of_ours_is_repeated_once_and_the_provider_s_own_like_a_server_error() -> None:
    ours = failure("timeout", status=None)
    assert delay(ours, attempts=1, timeouts=1) is not None
    assert delay(ours, attempts=2, timeouts=2) is None
    assert delay(failure("timeout", status=504), attempts=2, timeouts=0) is not None
