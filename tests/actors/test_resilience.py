"""Retry state at work: what waits, what is refused, what moves on, and that nothing is held meanwhile. Virtual time."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nexus3 import (
    AttemptStarted,
    ContentDelta,
    FallbackSelected,
    ProviderError,
    RetryScheduled,
    StreamComplete,
    Usage,
)
from nexus3.actors.gates.budget import CAPACITY
from nexus3.loopback import Answer, Cut, ErrorEvent
from nexus3.testing import Exchange, crash, open_house
from tests.actors.scripted import BUSY, ask, events_of, submitted

Script = list[Answer] | Callable[[Exchange], Answer]


def config(
    *, fallbacks: tuple[str, ...] = (), model: Mapping[str, object] | None = None, **provider: object
) -> dict[str, Any]:
    common: dict[str, object] = {"allow_loopback": True, "api_key": "sk-test-1234"}
    return {
        "default_model": "m",
        "supervisor": {"backoff_min": 0.01, "backoff_max": 0.01},
        "providers": {
            "main": {"type": "openai", "base_url": "http://127.0.0.1:9/v1", **common, **provider},
            "other": {"type": "anthropic", "base_url": "http://127.0.0.1:9", **common},
        },
        "models": {
            "m": {"provider": "main", "model_id": "gpt", "fallbacks": list(fallbacks), **(model or {})},
            "second": {"provider": "other", "model_id": "claude"},
        },
    }


def failing(n: int) -> list[Answer]:
    return [*[BUSY] * n, Answer("hello")]


# -- retries


async def test_a_retry_that_waits_holds_no_place(autojump_clock: MockClock) -> None:
    def script(exchange: Exchange) -> Answer:
        slow = b'"slow"' in exchange.body and len(exchanges) == 0
        exchanges.append(exchange)
        return Answer(status=429, headers={"retry-after": "30"}) if slow else Answer("hello")

    exchanges: list[Exchange] = []
    two_models = config(max_connections=1)
    async with open_house(script, two_models) as house, trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(house.supervisor.complete, ask("slow"))
        await trio.sleep(1)
        assert house.supervisor.snapshot().children["main"].in_flight == 0
        await house.supervisor.complete(ask(model="main:another"))
        assert trio.current_time() - began < 2


async def test_a_reader_without_room_hears_of_every_attempt_in_order_and_once(autojump_clock: MockClock) -> None:
    async with open_house(failing(2), config(reply_buffer=1)) as house:
        submission = await submitted(house.supervisor, ask())
        seen: list[str] = []
        async with submission.events as events:
            async for event in events:
                seen.append(type(event).__name__)
                await trio.sleep(5)
    assert seen[:5] == ["AttemptStarted", "RetryScheduled", "AttemptStarted", "RetryScheduled", "AttemptStarted"]
    assert (seen.count("AttemptStarted"), seen[-1]) == (3, "StreamComplete")


async def test_a_request_between_two_attempts_survives_a_restart(autojump_clock: MockClock) -> None:
    async with open_house([Answer(status=429, headers={"retry-after": "30"}), Answer("hello")], config()) as house:
        async with trio.open_nursery() as nursery:
            done: list[StreamComplete] = []

            async def one() -> None:
                done.append(await house.supervisor.complete(ask()))

            nursery.start_soon(one)
            await trio.sleep(5)
            crash(house.supervisor, "main")
        assert done[0].attempts == 2
        assert house.supervisor.snapshot().counters.get("requeued", 0) == 0


async def test_the_budget_ends_retries_that_too_many_need(autojump_clock: MockClock) -> None:
    async with open_house([BUSY], config(breaker="off", max_connections=100)) as house:
        attempts, requests = 0, 200
        for _ in range(requests):
            with pytest.raises(ProviderError) as caught:
                await house.supervisor.complete(ask())
            attempts += caught.value.attempts
        # What is there at the start, a fifth of each request, and at most one a second.
        assert requests + CAPACITY <= attempts <= requests + CAPACITY + requests / 5 + trio.current_time()
        assert house.supervisor.snapshot().counters["budget.denied"] > 0


# -- breaker


async def test_the_breaker_opens_refuses_at_once_probes_and_closes(autojump_clock: MockClock) -> None:
    async with open_house(failing(5), config(max_retries=0)) as house:
        sup = house.supervisor
        for _ in range(5):
            with pytest.raises(ProviderError):
                await sup.complete(ask())
        assert sup.snapshot().children["main"].breaker == "open"
        began = trio.current_time()
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask())
        error = caught.value
        assert (error.kind, error.reason, error.retryable) == ("unavailable", "breaker_open", True)
        assert error.retry_after is not None
        assert 4 < error.retry_after < 6
        assert (trio.current_time() - began, len(house.network.exchanges)) == (0, 5)
        await trio.sleep(6)
        await sup.complete(ask())
        assert sup.snapshot().children["main"].breaker == "half_open"
        await sup.complete(ask())
        assert sup.snapshot().children["main"].breaker == "closed"


async def test_a_breaker_that_only_observes_lets_all_pass(autojump_clock: MockClock) -> None:
    async with open_house(failing(5), config(max_retries=0, breaker="observe")) as house:
        for _ in range(5):
            with pytest.raises(ProviderError):
                await house.supervisor.complete(ask())
        assert house.supervisor.snapshot().children["main"].breaker == "open"
        assert (await house.supervisor.complete(ask())).message.content == "hello"


async def test_refusals_of_requests_do_not_open_the_breaker(autojump_clock: MockClock) -> None:
    async with open_house([Answer(status=400)], config(max_retries=0)) as house:
        for _ in range(10):
            with pytest.raises(ProviderError):
                await house.supervisor.complete(ask())
        assert house.supervisor.snapshot().children["main"].breaker == "closed"


# -- cooldown


async def test_a_throttled_model_is_left_alone_by_all_and_others_are_not(autojump_clock: MockClock) -> None:
    script = [Answer(status=429, headers={"retry-after": "20"}), Answer("hello")]
    async with open_house(script, config()) as house, trio.open_nursery() as nursery:
        sup = house.supervisor
        nursery.start_soon(sup.complete, ask())
        await trio.sleep(1)
        cooldown = sup.snapshot().children["main"].cooldown
        assert cooldown is not None
        assert 18.9 < cooldown <= 19
        began = trio.current_time()
        await sup.complete(ask(model="main:another"))
        assert trio.current_time() == began
        await sup.complete(ask())
        assert 19 <= trio.current_time() - began < 22


async def test_who_cannot_wait_for_the_end_of_a_cooldown_is_told_at_once(autojump_clock: MockClock) -> None:
    script = [Answer(status=429, headers={"retry-after": "20"}), Answer("hello")]
    async with open_house(script, config()) as house, trio.open_nursery() as nursery:
        nursery.start_soon(house.supervisor.complete, ask())
        await trio.sleep(1)
        began = trio.current_time()
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask(timeout=5.0))
        assert (caught.value.kind, caught.value.reason) == ("rate_limit", "cooldown")
        assert caught.value.retry_after is not None
        with trio.move_on_after(5), pytest.raises(ProviderError, match="cools down"):
            await house.supervisor.complete(ask())
        assert trio.current_time() == began


# -- limits by the minute


async def test_configured_requests_per_minute_are_kept_by_waiting(autojump_clock: MockClock) -> None:
    async with open_house([Answer("hello")], config(requests_per_minute=60.0)) as house:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(house.supervisor.complete, ask())
        assert 25 < trio.current_time() - began < 32
        times = [exchange.began for exchange in house.network.exchanges]
        assert max(sum(at <= other < at + 60 for other in times) for at in times) <= 60


async def test_a_model_s_own_limit_holds_up_no_other_model(autojump_clock: MockClock) -> None:
    async with open_house([Answer("hello")], config(model={"requests_per_minute": 6.0})) as house:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(house.supervisor.complete, ask())
            await trio.sleep(0.1)
            await house.supervisor.complete(ask(model="main:another"))
            assert trio.current_time() - began < 1
        assert 19 < trio.current_time() - began < 22


async def test_tokens_per_minute_are_estimated_before_and_put_right_after(autojump_clock: MockClock) -> None:
    script = [Answer("hello", usage=Usage(input_tokens=2000, output_tokens=100))]
    async with open_house(script, config(tokens_per_minute=6000.0)) as house:
        began = trio.current_time()
        for _ in range(4):
            await house.supervisor.complete(ask("x" * 8000, max_tokens=100))  # 2,000 and 100 are expected, and come
        assert 55 < trio.current_time() - began < 70
        began = trio.current_time()
        for _ in range(4):
            await house.supervisor.complete(
                ask("short", max_tokens=100)
            )  # more than expected comes: that is paid later
        assert 55 < trio.current_time() - began < 90


async def test_limits_that_a_response_states_are_learned(autojump_clock: MockClock) -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    async with open_house([Answer("hello", headers=headers)], config()) as house:
        await house.supervisor.complete(ask())
        began = trio.current_time()
        await house.supervisor.complete(ask())
        assert 0.9 < trio.current_time() - began < 6


# -- fallbacks


async def test_a_failed_request_goes_on_at_its_fallback(autojump_clock: MockClock) -> None:
    def script(exchange: Exchange) -> Answer:
        return Answer(status=401) if exchange.provider == "main" else Answer("from the other")

    async with open_house(script, config(fallbacks=("second",))) as house:
        seen = await events_of(house.supervisor, ask())
        kinds = [type(event) for event in seen]
        assert kinds[:3] == [AttemptStarted, FallbackSelected, AttemptStarted]
        hop, done = seen[1], seen[-1]
        assert isinstance(hop, FallbackSelected)
        assert (hop.provider, hop.model, hop.error.kind) == ("other", "claude", "auth")
        assert isinstance(done, StreamComplete)
        assert (done.provider, done.attempts, done.message.content) == ("other", 2, "from the other")
        counters = house.supervisor.snapshot().counters
        assert (counters["accepted"], counters["settled"]) == (1, 1)


async def test_retries_come_before_the_fallback_and_begin_anew_there(autojump_clock: MockClock) -> None:
    def script(exchange: Exchange) -> Answer:
        here = [other for other in house.network.exchanges if other.provider == exchange.provider]
        return BUSY if exchange.provider == "main" or len(here) < 3 else Answer("at last")

    async with open_house(script, config(fallbacks=("second",), max_retries=1)) as house:
        seen = await events_of(house.supervisor, ask())
        providers = [event.provider for event in seen if isinstance(event, AttemptStarted)]
        assert providers == ["main"] * 2 + ["other"] * 3
        assert [event.attempt for event in seen if isinstance(event, AttemptStarted)] == [1, 2, 3, 4, 5]
        assert sum(isinstance(event, RetryScheduled) for event in seen) == 3


async def test_there_is_no_fallback_after_the_first_content(autojump_clock: MockClock) -> None:
    script = [Answer(["one ", "two ", "three"], fault=Cut(after=2))]
    async with open_house(script, config(fallbacks=("second",))) as house:
        seen = await events_of(house.supervisor, ask())
        assert sum(isinstance(event, ContentDelta) for event in seen) > 0
        assert not any(isinstance(event, FallbackSelected) for event in seen)
        assert {exchange.provider for exchange in house.network.exchanges} == {"main"}


async def test_an_error_inside_the_stream_before_content_may_fall_back(autojump_clock: MockClock) -> None:
    def script(exchange: Exchange) -> Answer:
        return Answer("x", fault=ErrorEvent(after=0)) if exchange.provider == "main" else Answer("fine")

    async with open_house(script, config(fallbacks=("second",), max_retries=0)) as house:
        assert (await house.supervisor.complete(ask())).provider == "other"


async def test_what_the_request_itself_is_to_blame_for_stays(autojump_clock: MockClock) -> None:
    async with open_house([Answer(status=400)], config(fallbacks=("second",))) as house:
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask())
        assert (caught.value.kind, caught.value.provider) == ("bad_request", "main")


async def test_the_request_s_own_fallbacks_come_instead_of_the_model_s(autojump_clock: MockClock) -> None:
    async with open_house([Answer(status=404)], config(fallbacks=("second",))) as house:
        with pytest.raises(ProviderError):
            await house.supervisor.complete(ask(fallbacks=()))
        assert {exchange.provider for exchange in house.network.exchanges} == {"main"}
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask(fallbacks=("main:b", "nonsense", "second")))
        assert caught.value.provider == "other"
        assert len(house.network.exchanges) == 4


async def test_each_provider_hears_how_its_own_attempt_ended(autojump_clock: MockClock) -> None:
    """A request that moves on begins at the next provider before its place at the first one is given back."""

    def script(exchange: Exchange) -> Answer:
        return Answer(status=500)

    async with open_house(script, config(fallbacks=("second",), max_retries=0)) as house:
        sup = house.supervisor
        for _ in range(5):
            with pytest.raises(ProviderError):
                await sup.complete(ask())
        assert [sup.snapshot().children[name].breaker for name in ("main", "other")] == ["open", "open"]


@pytest.mark.parametrize("trouble", ["parked", "draining", "breaker", "full"])
async def test_a_provider_that_takes_nothing_sends_requests_on(trouble: str, autojump_clock: MockClock) -> None:
    def script(exchange: Exchange) -> Answer:
        return BUSY if exchange.provider == "main" else Answer("fine")

    settings: dict[str, Any] = {"max_retries": 0}
    if trouble == "full":
        settings |= {"max_connections": 1, "mailbox_capacity": 1}
    async with open_house(script, config(fallbacks=("second",), **settings)) as house, trio.open_nursery() as nursery:
        sup = house.supervisor
        match trouble:
            case "parked":
                for _ in range(6):
                    crash(sup, "main")
                    await trio.sleep(0.1)
                assert sup.snapshot().children["main"].state == "parked"
            case "draining":
                await sup.drain("main")
            case "breaker":
                for _ in range(5):
                    await sup.complete(ask())
                assert sup.snapshot().children["main"].breaker == "open"
            case _:
                sup.pause("main")
                nursery.start_soon(sup.complete, ask())
                await trio.testing.wait_all_tasks_blocked()
        before = len(house.network.exchanges)
        assert (await sup.complete(ask())).provider == "other"
        assert [exchange.provider for exchange in house.network.exchanges[before:]] == ["other"]
        if trouble == "full":
            sup.resume("main")


# -- room


async def test_places_are_room_beside_the_mailbox(autojump_clock: MockClock) -> None:
    async with open_house([Answer("hello")], config(max_connections=50, mailbox_capacity=2)) as house:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(house.supervisor.complete, ask())
        assert house.supervisor.snapshot().counters["outcome.completed"] == 50


async def test_a_model_s_limit_holds_whoever_asked_first_and_after_crashes(autojump_clock: MockClock) -> None:
    async with open_house([Answer("hello")], config(model={"requests_per_minute": 6.0})) as house:
        await house.supervisor.complete(ask(model="main:gpt"))  # by its id, of which no alias's settings are known
        for _ in range(2):
            began = trio.current_time()
            for _ in range(3):
                await house.supervisor.complete(ask())
            assert 19 < trio.current_time() - began < 32
            for _ in range(2):
                crash(house.supervisor, "main")
                await trio.sleep(0.1)


async def test_the_reply_buffer_bounds_how_far_a_reader_may_be_behind(autojump_clock: MockClock) -> None:
    words = Answer(["word "] * 50, delay=0.1)
    async with open_house([words], config(reply_buffer=2, stall_timeout=5.0)) as house:
        async with house.supervisor.stream(ask()) as events:
            assert isinstance(await events.receive(), AttemptStarted)
            with pytest.raises(ProviderError) as caught:
                await trio.sleep(30)
                async for _ in events:
                    pass
        assert caught.value.kind == "slow_consumer"
