"""After a 429: how long nobody asks, and how the way opens again."""

from collections.abc import Iterable

import msgspec
import pytest

from nexus3.actors.gates.cooldown import Change, Cooldown
from nexus3.actors.gates.verdict import PASS, Verdict, Wait
from nexus3.wire.failures import Failure, fail
from tests.actors.gates.walks import STEPS, dice


def throttled(retry_after: float | None = None) -> Failure:
    return msgspec.structs.replace(fail("rate_limit", "too_many_requests", "429"), retry_after=retry_after)


SERVER_ERROR = fail("server", "bad_gateway", "502")


def report(cooldown: Cooldown, failure: Failure | None, now: float) -> Change | None:
    return cooldown.ended(cooldown.begin(), failure, now)


def reason(verdict: Verdict) -> str:
    return verdict.failure.reason if isinstance(verdict, Wait) else "pass"


def test_all_wait_for_as_long_as_the_provider_asks() -> None:
    cooldown = Cooldown()
    assert report(cooldown, throttled(30.0), 10.0) == Change(what="cooling", seconds=30.0, asked=True)
    verdict = cooldown.ask(15.0)
    assert isinstance(verdict, Wait)
    assert (verdict.until, verdict.failure.kind, verdict.failure.retry_after) == (40.0, "rate_limit", 25.0)
    assert cooldown.ask(40.0) == PASS


def test_a_later_smaller_wish_never_shortens_it_and_a_larger_one_is_not_told_again() -> None:
    cooldown = Cooldown()
    running = [cooldown.begin() for _ in range(3)]
    assert cooldown.ended(running[0], throttled(30.0), 0.0) is not None
    assert cooldown.ended(running[1], throttled(1.0), 1.0) is None
    assert cooldown.until == 30.0
    assert cooldown.ended(running[2], throttled(60.0), 2.0) is None
    assert cooldown.until == 62.0


def test_ten_minutes_are_the_most() -> None:
    cooldown = Cooldown()
    report(cooldown, throttled(86_400.0), 0.0)
    assert cooldown.until == 600.0


def test_a_bare_429_delays_its_own_request_only_and_three_delay_all() -> None:
    cooldown = Cooldown()
    assert [report(cooldown, throttled(), now) for now in (0.0, 4.0)] == [None, None]
    assert cooldown.ask(4.0) == PASS
    assert report(cooldown, throttled(), 9.9) == Change(what="cooling", seconds=1.0)
    assert cooldown.until == 10.9


def test_bare_ones_further_apart_mean_nothing() -> None:
    cooldown = Cooldown()
    assert [report(cooldown, throttled(), now) for now in (0.0, 5.0, 10.0, 15.0, 20.0)] == [None] * 5


def test_bare_cooldowns_double_up_to_a_minute_until_a_request_succeeds() -> None:
    cooldown = Cooldown()

    def cool_down() -> float:
        now = cooldown.until
        changes = [report(cooldown, throttled(), now) for _ in range(3)]
        assert changes[:2] == [None, None]
        assert changes[2] is not None
        return changes[2].seconds

    assert [cool_down() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    report(cooldown, None, cooldown.until)
    assert cool_down() == 1.0


def test_a_burst_of_bare_ones_is_one_sign_not_many() -> None:
    cooldown = Cooldown()
    running = [cooldown.begin() for _ in range(20)]
    changes = [cooldown.ended(stretch, throttled(), 0.0) for stretch in running]
    assert [change for change in changes if change] == [Change(what="cooling", seconds=1.0)]
    assert cooldown.until == 1.0


def test_one_that_could_never_fit_is_no_sign() -> None:
    cooldown = Cooldown()
    hopeless = msgspec.structs.replace(throttled(), retryable=False)
    assert [report(cooldown, hopeless, 0.0) for _ in range(5)] == [None] * 5


def admitted(cooldown: Cooldown, now: float) -> list[int]:
    stretches: list[int] = []
    while cooldown.ask(now) == PASS and len(stretches) < 1000:
        stretches.append(cooldown.begin())
    return stretches


def succeed(cooldown: Cooldown, stretches: Iterable[int], now: float) -> list[Change]:
    return [change for stretch in stretches if (change := cooldown.ended(stretch, None, now))]


def test_the_way_opens_slowly_afterwards() -> None:
    cooldown = Cooldown()
    report(cooldown, throttled(30.0), 0.0)
    [first] = admitted(cooldown, 30.0)
    assert reason(cooldown.ask(30.0)) == "slow_start"
    assert succeed(cooldown, [first], 31.0) == []
    two = admitted(cooldown, 31.0)
    assert len(two) == 2
    assert succeed(cooldown, two, 32.0) == []
    eight = admitted(cooldown, 32.0)
    assert len(eight) == 8
    assert succeed(cooldown, eight, 33.0) == [Change(what="over")]
    assert len(admitted(cooldown, 33.0)) == 1000


def test_what_fails_otherwise_frees_its_place_and_opens_nothing() -> None:
    cooldown = Cooldown()
    report(cooldown, throttled(30.0), 0.0)
    [first] = admitted(cooldown, 30.0)
    cooldown.ended(first, SERVER_ERROR, 31.0)
    assert len(admitted(cooldown, 31.0)) == 1


def test_successes_of_before_do_not_open_the_way() -> None:
    cooldown = Cooldown()
    early = [cooldown.begin() for _ in range(10)]
    report(cooldown, throttled(30.0), 0.0)
    assert succeed(cooldown, early, 30.0) == []
    assert len(admitted(cooldown, 30.0)) == 1


def test_a_shorter_one_than_a_second_has_no_slow_start() -> None:
    cooldown = Cooldown()
    report(cooldown, throttled(0.25), 0.0)
    assert reason(cooldown.ask(0.2)) == "cooldown"
    assert len(admitted(cooldown, 0.25)) == 1000
    assert report(Cooldown(), throttled(0.0), 5.0) is None


def test_idle_is_what_can_be_dropped() -> None:
    cooldown = Cooldown()
    assert cooldown.is_idle(0.0)
    stretch = cooldown.begin()
    assert not cooldown.is_idle(0.0)
    cooldown.ended(stretch, throttled(0.5), 0.0)
    assert [cooldown.is_idle(now) for now in (0.4, 0.5)] == [False, True]
    report(cooldown, throttled(1.0), 1.0)
    assert not cooldown.is_idle(100.0)


@STEPS
def test_no_walk_shortens_a_cooldown_or_outruns_the_slow_start(steps: int) -> None:
    rng = dice("cooldown")
    cooldown = Cooldown()
    now = until = 0.0
    promised = 0.0
    pace: float = float("inf")
    running: list[int] = []
    bare: list[float] = []
    seen = dict.fromkeys(("asked", "bare", "over", "cooldown", "slow_start", "pass"), 0)
    for _ in range(steps):
        now += rng.choice((0.0, 0.0, rng.expovariate(2), rng.expovariate(0.1)))
        verdict = cooldown.ask(now)
        side_by_side = running.count(cooldown.stretch)
        expected = "cooldown" if now < promised else "slow_start" if side_by_side >= pace else "pass"
        assert reason(verdict) == expected
        seen[expected] += 1
        if isinstance(verdict, Wait):
            assert verdict.until == (promised if expected == "cooldown" else None)
        if verdict == PASS and rng.random() < 0.6:
            running.append(cooldown.begin())
        elif running and rng.random() < 0.98:
            stretch = running.pop(rng.randrange(len(running)))
            of_now = stretch == cooldown.stretch
            failure = rng.choice((None, None, None, SERVER_ERROR, throttled(), throttled(rng.expovariate(0.05))))
            change = cooldown.ended(stretch, failure, now)
            if failure is None:
                if of_now and now >= promised:
                    bare.clear()
                    pace *= 2
                    assert change == (Change(what="over") if 64 <= pace < float("inf") else None)
                    pace = pace if pace < 64 else float("inf")
            elif failure.retry_after is not None:
                assert (change is not None) == (now >= promised)
                promised = max(promised, now + failure.retry_after)
                pace = 1 if failure.retry_after >= 1 else pace
            elif failure.kind == "rate_limit" and of_now:
                bare = [moment for moment in bare if moment > now - 10] + [now]
                assert (change is not None) == (len(bare) >= 3)
            else:
                assert change is None
            if change is not None and change.what == "cooling":
                bare.clear()
                if not change.asked:
                    assert change.seconds in (1, 2, 4, 8, 16, 32, 60)
                    promised, pace = now + change.seconds, 1
            if change is not None:
                seen["over" if change.what == "over" else "asked" if change.asked else "bare"] += 1
        assert cooldown.until == promised >= until
        until = cooldown.until
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize("retry_after", [0.0, 0.5, 1.0, 59.0, 600.0])
def test_never_earlier_than_asked(retry_after: float) -> None:
    cooldown = Cooldown()
    report(cooldown, throttled(retry_after), 7.0)
    assert cooldown.until == 7.0 + retry_after
