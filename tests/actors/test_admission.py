"""The front desk: what is admitted, and where a request goes that failed at one place. Virtual time."""

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3 import (
    FallbackSelected,
    ProviderError,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
)
from nexus3.loopback import Answer
from nexus3.testing import Exchange, Head, Pause, open_house
from tests.actors.scripted import ask, events_of

REFUSED = Answer(status=401)
FINE = Answer("fine")


def config(*fallbacks: str) -> dict[str, Any]:
    """Three providers, ``first`` to ``third``, with a model ``m1`` to ``m3`` each; ``m1`` falls back as given."""
    common = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "allow_loopback": True, "api_key": "sk-test-1234"}
    return {
        "default_model": "m1",
        "providers": {name: {**common, "max_retries": 0} for name in ("first", "second", "third")},
        "models": {
            "m1": {"provider": "first", "model_id": "x", "fallbacks": list(fallbacks)},
            "m2": {"provider": "second", "model_id": "x"},
            "m3": {"provider": "third", "model_id": "x"},
        },
    }


def by_provider(replies: Mapping[str, Answer]) -> Any:
    def script(exchange: Exchange) -> Answer:
        return replies[exchange.provider]

    return script


def hops(seen: list[StreamEvent]) -> list[str]:
    return [event.provider for event in seen if isinstance(event, FallbackSelected)]


async def test_a_request_goes_on_from_place_to_place(autojump_clock: MockClock) -> None:
    replies = {"first": REFUSED, "second": REFUSED, "third": FINE}
    async with open_house(by_provider(replies), config("m2", "m3")) as house:
        seen = await events_of(house.supervisor, ask())
    assert hops(seen) == ["second", "third"]
    assert isinstance(seen[-1], StreamComplete)


async def test_a_place_that_is_not_able_is_passed_over_where_another_follows(autojump_clock: MockClock) -> None:
    replies = {"first": REFUSED, "second": FINE, "third": FINE}
    async with open_house(by_provider(replies), config("m2", "m3")) as house:
        house.supervisor.pause("second")
        assert hops(await events_of(house.supervisor, ask())) == ["third"]


async def test_the_last_place_is_tried_though_it_is_not_able(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    replies = {"first": REFUSED, "second": FINE, "third": FINE}
    async with open_house(by_provider(replies), config("m2")) as house:
        house.supervisor.pause("second")

        async def resume() -> None:
            await trio.sleep(3)
            house.supervisor.resume("second")

        nursery.start_soon(resume)
        seen = await events_of(house.supervisor, ask())
        assert (hops(seen), trio.current_time()) == (["second"], 3)
        assert isinstance(seen[-1], StreamComplete)


async def test_what_went_wrong_at_the_first_place_is_not_the_second_s(autojump_clock: MockClock) -> None:
    replies = {"first": REFUSED, "second": Answer(status=500), "third": FINE}
    async with open_house(by_provider(replies), config("m2")) as house:
        for _ in range(5):
            with pytest.raises(ProviderError):
                await house.supervisor.complete(ask(model="m2"))
        seen = await events_of(house.supervisor, ask())
        assert isinstance(seen[-1], StreamFailed)
        assert (seen[-1].error.provider, seen[-1].error.reason) == ("second", "breaker_open")


async def test_where_all_places_fail_the_error_says_what_went_wrong_at_each(autojump_clock: MockClock) -> None:
    replies = {"first": REFUSED, "second": Answer(status=404), "third": Answer(status=500)}
    async with open_house(by_provider(replies), config("m2", "m3")) as house:
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask())
    error = caught.value
    told = [(each.provider, each.kind, each.attempts, each.before) for each in (*error.before, error.failure)]
    assert told == [("first", "auth", 1, ()), ("second", "not_found", 2, ()), ("third", "server", 3, error.before)]


async def test_a_supervisor_that_closes_sends_nothing_on(autojump_clock: MockClock) -> None:
    submission = Submission(ask())
    script: list[Any] = [[Pause(5), Head(401)], FINE]
    async with open_house(script, config("m2")) as house:
        async with house.supervisor.submissions() as submit:
            await submit.send(submission)
        await trio.sleep(1)
    async with submission.events as events:
        seen = [event async for event in events]
    assert isinstance(seen[-1], StreamFailed)
    assert (hops(seen), seen[-1].error.kind) == ([], "auth")


async def test_a_request_whose_reader_has_left_before_is_not_admitted(autojump_clock: MockClock) -> None:
    async with open_house([FINE], config()) as house:
        submission = Submission(ask())
        await submission.events.aclose()
        async with house.supervisor.submissions() as submit:
            await submit.send(submission)
        await trio.sleep(1)
        assert house.supervisor.snapshot().counters.get("accepted", 0) == 0
        assert not house.network.exchanges


async def test_the_channel_s_caller_holds_for_requests_without_one(autojump_clock: MockClock) -> None:
    async with open_house([FINE], config()) as house:
        house.supervisor.pause("first")
        sent = [Submission(ask(caller=caller)) for caller in (None, "mine", None)]
        async with house.supervisor.submissions(caller="planner") as submit:
            for submission in sent:
                await submit.send(submission)
        await wait_all_tasks_blocked()
        assert house.supervisor.snapshot().children["first"].queued_by_caller == {"planner": 2, "mine": 1}
        for submission in sent:
            await submission.events.aclose()


async def test_a_model_s_settings_are_in_its_requests_only(autojump_clock: MockClock) -> None:
    settings = config()
    settings["models"]["m1"]["reasoning"] = "low"
    async with open_house([FINE], settings) as house:
        for model in ("m1", "m2"):
            await house.supervisor.complete(ask(model=model))
        assert [b'"reasoning_effort":"low"' in exchange.body for exchange in house.network.exchanges] == [True, False]


# -- the block's end


async def test_what_was_sent_just_before_the_end_is_accepted(autojump_clock: MockClock) -> None:
    """Tasks of one turn run in any order, so a single try would prove nothing."""
    for _ in range(30):
        submission = Submission(ask())
        async with open_house([FINE], config()) as house, house.supervisor.submissions() as submit:
            await submit.send(submission)
        async with submission.events as events:
            assert isinstance([event async for event in events][-1], StreamComplete)


async def test_the_end_waits_for_channels_that_callers_brought(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    send, receive = trio.open_memory_channel[StreamEvent](0)
    seen: list[StreamEvent] = []

    async def read_slowly() -> None:
        async for event in receive:
            seen.append(event)
            await trio.sleep(3)

    nursery.start_soon(read_slowly)
    async with open_house([Answer(["a ", "b ", "c"])], config()) as house, house.supervisor.submissions() as submit:
        await submit.send(Submission(ask(), reply_to=send))
    assert isinstance(seen[-1], StreamComplete)
    assert house.supervisor.snapshot().counters.get("dead_letter.reply_full", 0) == 0
