"""When the next request may start, by the limits of a minute."""

import pytest

from nexus3.actors.gates.estimate import Estimate
from nexus3.actors.gates.rates import Learned, Rates
from nexus3.actors.gates.verdict import PASS, Verdict, Wait
from nexus3.wire.messages import Usage
from nexus3.wire.retry_hints import RateLimit, rate_limits
from tests.actors.gates.walks import STEPS, dice


def size(input_tokens: int = 0, output_tokens: int = 0, *, uncached: int | None = None) -> Estimate:
    return Estimate(
        input_tokens=input_tokens,
        uncached_tokens=input_tokens if uncached is None else uncached,
        output_tokens=output_tokens,
        most_output_tokens=output_tokens,
    )


def limited(*, requests: float | None = None, tokens: float | None = None) -> Rates:
    return Rates(0.0, requests_per_minute=requests, tokens_per_minute=tokens)


def until(verdict: Verdict) -> float:
    assert isinstance(verdict, Wait)
    assert verdict.until is not None
    return verdict.until


def drained(rates: Rates, now: float, estimate: Estimate, *, most: int = 1000) -> int:
    """Begin as many as may begin now."""
    count = 0
    while rates.ask(estimate, now) == PASS and count < most:
        rates.begin(estimate, now)
        count += 1
    return count


def test_without_limits_all_pass() -> None:
    assert drained(limited(), 0.0, size(10**6, 10**6)) == 1000


def test_requests_are_paced_not_let_out_at_once() -> None:
    rates = limited(requests=60.0)
    assert drained(rates, 0.0, size()) == 1
    verdict = rates.ask(size(), 0.0)
    assert until(verdict) == pytest.approx(0.8 / 0.98)
    assert isinstance(verdict, Wait)
    assert (verdict.failure.kind, verdict.failure.reason) == ("rate_limit", "requests_per_minute")
    assert verdict.failure.retry_after == pytest.approx(0.8 / 0.98)
    assert rates.ask(size(), until(verdict)) == PASS


def test_a_limit_below_one_a_second_lets_one_go_first() -> None:
    rates = limited(requests=3.0)
    assert drained(rates, 0.0, size()) == 1
    assert until(rates.ask(size(), 0.0)) == pytest.approx(20 / 0.98)


def test_a_big_request_leaves_a_debt_that_the_next_wait_out() -> None:
    rates = limited(tokens=6_000.0)
    rates.begin(size(500, 500), 0.0)
    # 120 were there: 880 are owed, and 100 more are needed, at 98 a second.
    assert until(rates.ask(size(100, 0), 0.0)) == pytest.approx(980 / 98)


def test_one_that_is_larger_than_the_limit_goes_when_nothing_is_owed() -> None:
    rates = limited(tokens=6_000.0)
    assert rates.ask(size(50_000, 0), 0.0) == PASS


def test_the_tighter_limit_decides() -> None:
    rates = limited(requests=60.0, tokens=600.0)
    rates.begin(size(100, 0), 0.0)
    verdict = rates.ask(size(100, 0), 0.0)
    assert isinstance(verdict, Wait)
    assert verdict.failure.reason == "tokens_per_minute"


def test_usage_corrects_the_estimate_in_both_directions() -> None:
    rates = limited(tokens=6_000.0)
    rates.begin(size(100, 900), 0.0)
    rates.ended(size(100, 900), Usage(input_tokens=100, output_tokens=100), sent=True, now=0.0)
    # As if 200 had been taken: 80 are owed.
    assert until(rates.ask(size(100, 0), 0.0)) == pytest.approx(180 / 98)
    rates = limited(tokens=6_000.0)
    rates.begin(size(100, 0), 0.0)
    rates.ended(size(100, 0), Usage(input_tokens=100, output_tokens=900), sent=True, now=0.0)
    assert until(rates.ask(size(100, 0), 0.0)) == pytest.approx(980 / 98)


def test_what_was_not_sent_took_nothing_and_what_was_not_stated_stands() -> None:
    rates = limited(requests=60.0, tokens=6_000.0)
    rates.begin(size(100, 900), 0.0)
    rates.ended(size(100, 900), None, sent=False, now=0.0)
    assert rates.ask(size(100, 900), 0.0) == PASS
    rates = limited(tokens=6_000.0)
    rates.begin(size(100, 900), 0.0)
    rates.ended(size(100, 900), None, sent=True, now=0.0)
    assert until(rates.ask(size(100, 0), 0.0)) == pytest.approx(980 / 98)


def test_a_provider_s_headers_set_limits() -> None:
    rates = limited()
    stated = rate_limits(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-tokens": "5900",
            "x-ratelimit-reset-tokens": "1s",
        },
        wall_now=0.0,
    )
    assert rates.learn(stated, 0.0) == [
        Learned(dimension="requests", limit=60),
        Learned(dimension="tokens", limit=6_000),
    ]
    assert rates.learn(stated, 1.0) == []
    assert drained(rates, 1.0, size(10, 10)) == 56  # but for a twentieth of the limit
    assert rates.learn({"requests": RateLimit(limit=120, remaining=119, reset_after=0.5)}, 2.0) == [
        Learned(dimension="requests", limit=120)
    ]


def test_the_other_dialect_s_headers_count_parts_and_not_what_comes_from_the_cache() -> None:
    rates = limited()
    values = {"requests": "50", "tokens": "12000", "input-tokens": "10000", "output-tokens": "2000"}
    stated = rate_limits(
        {
            f"anthropic-ratelimit-{word}-{field}": value
            for word, limit in values.items()
            for field, value in (("limit", limit), ("remaining", limit), ("reset", "2026-09-21T14:13:20Z"))
        },
        wall_now=1_790_000_000.0,
    )
    assert [news.dimension for news in rates.learn(stated, 0.0)] == ["requests", "input_tokens", "output_tokens"]
    cached = size(5_000, 10, uncached=100)
    rates.begin(cached, 0.0)
    verdict = rates.ask(cached, 2.0)
    assert verdict == PASS
    rates.ended(cached, Usage(input_tokens=5_000, output_tokens=10, cache_read_tokens=4_900), sent=True, now=2.0)
    assert rates.ask(cached, 2.0) == PASS
    rates.ended(size(0, 0), Usage(input_tokens=9_900, output_tokens=10), sent=True, now=2.0)
    assert until(rates.ask(cached, 2.0)) > 4


def test_where_others_have_used_up_the_limit_we_wait_until_there_is_room() -> None:
    rates = limited()
    rates.learn({"tokens": RateLimit(limit=6_000, remaining=100, reset_after=59.0)}, 0.0)
    # 250 and the 300 that are left to the provider, 100 of which are there, at 100 a second.
    assert until(rates.ask(size(250, 0), 0.0)) == pytest.approx(4.5)


def test_what_we_send_takes_of_that_room_before_the_provider_says_so() -> None:
    rates = limited()
    rates.learn({"requests": RateLimit(limit=60, remaining=4, reset_after=56.0)}, 0.0)
    assert drained(rates, 0.0, size()) == 1
    # Three are left to the provider, so the next has room in a second; by our own pace it would go earlier.
    assert until(rates.ask(size(), 0.0)) == pytest.approx(1.0)


def test_a_limit_of_the_day_that_is_used_up_is_not_asked_for_a_minute() -> None:
    rates = limited()
    rates.learn({"requests": RateLimit(limit=200, remaining=150, reset_after=40_000.0)}, 0.0)
    assert rates.ask(size(), 0.0) == PASS
    rates.learn({"requests": RateLimit(limit=200, remaining=0, reset_after=40_000.0)}, 1.0)
    assert until(rates.ask(size(), 1.0)) == pytest.approx(61.0)


def test_a_limit_of_the_second_is_known_by_how_soon_it_is_whole() -> None:
    rates = limited()
    rates.learn({"requests": RateLimit(limit=10, remaining=5, reset_after=0.5)}, 0.0)
    assert drained(rates, 0.0, size()) == 4
    assert until(rates.ask(size(), 0.0)) < 0.2


def test_a_limit_without_a_number_says_nothing() -> None:
    rates = limited()
    assert rates.learn({"requests": RateLimit(remaining=0), "tokens": RateLimit(limit=0)}, 0.0) == []
    assert rates.ask(size(), 0.0) == PASS


@STEPS
def test_no_walk_goes_beyond_a_minute_s_limit_or_waits_in_vain(steps: int) -> None:
    rng = dice("rates")
    limit = 60
    rates = limited(requests=float(limit), tokens=6_000.0)
    now = 0.0
    begun: list[float] = []
    running: list[Estimate] = []
    passes = waits = 0
    for _ in range(steps):
        now += rng.choice((0.0, rng.expovariate(2), rng.expovariate(0.2)))
        estimate = size(rng.randint(1, 150), rng.randint(1, 200))
        if rng.random() < 0.7:
            verdict = rates.ask(estimate, now)
            if verdict == PASS:
                passes += 1
                rates.begin(estimate, now)
                running.append(estimate)
                begun.append(now)
                begun = [moment for moment in begun if moment > now - 60]
                assert len(begun) <= limit
            else:
                waits += 1
                moment = until(verdict)
                # The time that is told is the time, not a guess to be asked again and again.
                assert moment > now
                assert rates.ask(estimate, moment) == PASS
                assert rates.ask(estimate, now + 0.9 * (moment - now)) != PASS
        elif running:
            estimate = running.pop(rng.randrange(len(running)))
            output = rng.randint(1, 200)
            usage = rng.choice((None, Usage(input_tokens=estimate.input_tokens, output_tokens=output)))
            rates.ended(estimate, usage, sent=True, now=now)
        for bucket in rates._buckets:
            assert bucket.level <= max(bucket.burst, 0.1 * bucket.per_minute)
    assert passes > steps / 10
    assert waits > steps / 10
    assert drained(rates, now + 600, size(1, 1)) == 1
