"""What follows from an attempt: who is told of it, what it costs, and what the next one begins with. Virtual time."""

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3 import (
    AttemptStarted,
    FallbackSelected,
    Notice,
    Reasoning,
    RetryScheduled,
    StreamComplete,
    StreamFailed,
)
from nexus3.actors.attempt.watch import Watch
from nexus3.actors.gates.budget import CAPACITY
from nexus3.loopback import Answer
from nexus3.testing import (
    HANG,
    BrokenPromise,
    Chunk,
    Crash,
    Cut,
    Exchange,
    Head,
    House,
    Pause,
    Reply,
    Sent,
    open_house,
)
from tests.actors.scripted import BUSY, SILENT, SSE, ask, config, events_of, failure_of, submitted


def breaker(house: House) -> str | None:
    return house.supervisor.snapshot().children["main"].breaker


# -- what the gates hear


async def test_attempts_that_are_repeated_count_in_the_breaker(autojump_clock: MockClock) -> None:
    async with open_house([BUSY], config(max_retries=4)) as house:
        assert (await failure_of(house, ask())).attempts == 5
        assert breaker(house) == "open"


async def test_a_retry_that_succeeds_is_a_success(autojump_clock: MockClock) -> None:
    async with open_house([BUSY, Answer("fine")] * 8, config()) as house:
        for _ in range(8):
            assert (await house.supervisor.complete(ask())).attempts == 2
        assert breaker(house) == "closed"


@pytest.mark.parametrize(("stall", "state"), [(0.0, "open"), (1.0, "closed")])
async def test_a_timeout_while_our_own_loop_stood_still_does_not_count(
    stall: float, state: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "lag", lambda _: stall)
    async with open_house([SILENT], config(max_retries=0)) as house:
        for _ in range(5):
            assert (await failure_of(house, ask())).kind == "timeout"
        assert breaker(house) == state


async def test_a_provider_that_echoes_the_key_does_not_spread_it(autojump_clock: MockClock) -> None:
    echo = Chunk(b'{"error": {"message": "sk-test-1234 is no key of mine"}}')
    async with open_house([[Head(500, {"content-type": "application/json"}), echo]], config(max_retries=1)) as house:
        seen = await events_of(house.supervisor, ask())
        told = [event.error for event in seen if isinstance(event, RetryScheduled | StreamFailed)]
        assert [("is no key of mine" in str(error), "sk-test-1234" in repr(error)) for error in told] == [
            (True, False)
        ] * 2


# -- what a retry costs


@pytest.mark.parametrize(
    ("reply", "attempts"),
    [
        (SILENT, 2),
        ([Head(200, SSE), HANG], 2),
        (Answer(status=504), 4),
    ],
)
async def test_a_timeout_of_ours_is_repeated_once_and_the_provider_s_own_as_often_as_any(
    reply: Any, attempts: int, autojump_clock: MockClock
) -> None:
    async with open_house([reply], config()) as house:
        failure = await failure_of(house, ask(timeout=3600.0))
        assert (failure.kind, failure.attempts) == ("timeout", attempts)


async def test_retries_after_our_timeouts_are_twice_as_dear(autojump_clock: MockClock) -> None:
    """The budget pays for one each of as many others as these, but not of these."""
    requests = round(0.6 * CAPACITY)
    replies: list[Reply] = [Answer(status=504), SILENT]
    paid: list[int] = []
    for reply in replies:
        async with open_house([reply], config(breaker="off", max_retries=1)) as house:
            for _ in range(requests):
                await failure_of(house, ask(timeout=3600.0))
            paid.append(len(house.network.exchanges) - requests)
    assert paid[0] == requests
    assert requests / 2 < paid[1] < requests


@pytest.mark.parametrize("retry_unsafe", [True, False])
async def test_what_may_not_be_sent_twice_is_not(retry_unsafe: bool, autojump_clock: MockClock) -> None:
    async with open_house([[Sent(), Cut()], Answer("x")], config(retry_unsafe=retry_unsafe)) as house:
        if retry_unsafe:
            assert (await house.supervisor.complete(ask())).attempts == 2
        else:
            assert (await failure_of(house, ask())).attempts == 1


async def test_no_retry_is_waited_for_that_the_caller_would_not_wait_for(autojump_clock: MockClock) -> None:
    async with open_house([Answer(status=503, headers={"retry-after": "20"}), Answer("x")], config()) as house:
        with trio.move_on_after(19):
            assert (await failure_of(house, ask())).attempts == 1
        assert trio.current_time() == 0
        with trio.move_on_after(30):
            assert (await house.supervisor.complete(ask())).attempts == 1


# -- what the next attempt begins with


async def test_a_crash_before_a_retry_is_sent_bills_nothing_twice(autojump_clock: MockClock) -> None:
    async with open_house([BUSY, [Pause(1), Crash(), Sent()], Answer("x")], config(retry_unsafe=False)) as house:
        seen = await events_of(house.supervisor, ask())
        assert isinstance(seen[-1], StreamComplete)
        assert not any(isinstance(event, Notice) for event in seen)


async def test_notices_and_moves_are_told_once(autojump_clock: MockClock) -> None:
    def script(exchange: Exchange) -> Any:
        number = sum(other.provider == exchange.provider for other in house.network.exchanges)
        if exchange.provider == "main":
            return [Sent(), Crash()] if number == 1 else Answer(status=401)
        return BUSY if number < 3 else Answer("x")

    async with open_house(script, config("anthropic", {"fallbacks": ["second"]})) as house:
        seen = await events_of(house.supervisor, ask(seed=7))
    kinds = Counter(type(event).__name__ for event in seen)
    assert (kinds["AttemptStarted"], kinds["FallbackSelected"], kinds["RetryScheduled"]) == (5, 1, 2)
    notices = [event.code for event in seen if isinstance(event, Notice)]
    # The parameter is left out at each of the two places.
    assert sorted(notices) == ["dropped_parameter", "dropped_parameter", "maybe_billed_twice"]
    assert [event.provider for event in seen if isinstance(event, AttemptStarted | FallbackSelected)] == [
        *["main"] * 2,
        *["other"] * 4,
    ]


# -- limits of one attempt


async def test_a_request_has_a_greatest_size(autojump_clock: MockClock) -> None:
    async with open_house([Answer("x")], config(max_request_bytes=1000)) as house:
        failure = await failure_of(house, ask("x" * 1000))
        assert (failure.kind, failure.reason, failure.phase) == ("limit", "max_request_bytes", "request")
        assert not house.network.exchanges
        await house.supervisor.complete(ask("x"))


async def test_what_cannot_be_encoded_is_told_as_unsupported_and_not_sent(autojump_clock: MockClock) -> None:
    async with open_house([Answer("x")], config("anthropic")) as house:
        failure = await failure_of(house, ask(output_schema={"type": "json_object"}))
        assert (failure.kind, failure.reason, house.network.exchanges) == ("unsupported", "json_object", [])


@pytest.mark.parametrize(("reasoning", "seconds"), [(None, 20), (Reasoning(effort="low"), 40)])
async def test_reasoning_has_more_time_for_its_first_event(
    reasoning: Reasoning | None, seconds: float, autojump_clock: MockClock
) -> None:
    limits: dict[str, Any] = {"first_event_timeout": 20.0, "reasoning_first_event_timeout": 40.0}
    async with open_house([[Head(200, SSE), HANG]], config(max_retries=0, **limits)) as house:
        failure = await failure_of(house, ask(reasoning=reasoning))
        assert (failure.reason, trio.current_time()) == ("first_event", seconds)


async def test_who_does_not_read_is_told_at_the_deadline_where_that_comes_first(autojump_clock: MockClock) -> None:
    for stall_timeout, end in ((2.0, "stall_timeout"), (60.0, "deadline")):
        limits: dict[str, Any] = {"reply_buffer": 1, "stall_timeout": stall_timeout}
        async with open_house([BUSY, Answer("x")], config(**limits)) as house:
            submission = await submitted(house.supervisor, ask(timeout=5.0))
            await trio.sleep(10)
            counters = house.supervisor.snapshot().counters
            assert (counters["settled"], counters.get("backstop", 0)) == (1, 0)
            async with submission.events as events:
                last = [event async for event in events][-1]
            assert isinstance(last, StreamFailed)
            assert last.error.reason == end


# -- what is left behind


async def test_settling_during_an_attempt_leaves_no_retry_behind(autojump_clock: MockClock) -> None:
    async with open_house([[Sent(), Pause(1), Head(500)]], config()) as house:
        with trio.move_on_after(1):
            await house.supervisor.complete(ask())
        await wait_all_tasks_blocked()
        counters = house.supervisor.snapshot().counters
        assert (counters["settled"], len(house.network.exchanges)) == (1, 1)
        await trio.sleep(60)
        assert len(house.network.exchanges) == 1


async def test_a_retry_is_scheduled_once_for_each_failed_attempt(autojump_clock: MockClock) -> None:
    async with open_house([BUSY, BUSY, Answer("x")], config()) as house:
        seen = await events_of(house.supervisor, ask())
        scheduled = [event for event in seen if isinstance(event, RetryScheduled)]
        assert [(event.attempt, event.error.kind) for event in scheduled] == [(1, "server"), (2, "server")]
        assert trio.current_time() == pytest.approx(sum(event.delay for event in scheduled))


# -- where it does not begin, or breaks


async def test_no_attempt_begins_once_the_reader_has_left(autojump_clock: MockClock) -> None:
    """Whatever the turn in which it leaves, and in whatever order the tasks of one turn run."""
    async with open_house([SILENT], config()) as house:
        for turns in [*range(8)] * 10:
            submission = await submitted(house.supervisor, ask())
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            begun = len(house.network.exchanges)
            await submission.events.aclose()
            await wait_all_tasks_blocked()
            assert len(house.network.exchanges) == begun
            assert house.supervisor.snapshot().children["main"].in_flight == 0


async def test_a_bug_in_one_request_ends_that_request_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BrokenPromise, match="a bug was met"):
        async with open_house([Answer("fine")], config()) as house:
            with monkeypatch.context() as broken:
                broken.setattr(Watch, "head_came", lambda _: 1 / 0)
                failure = await failure_of(house, ask())
            assert (failure.kind, failure.reason, failure.retryable) == ("internal", "bug", False)
            assert (await house.supervisor.complete(ask())).message.content == "fine"
            assert house.supervisor.snapshot().children["main"].generation == 1
    assert "ZeroDivisionError" in caplog.text
