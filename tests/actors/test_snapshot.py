"""What an operator sees: who waits for how long, and numbers that never go backwards. In virtual time."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from nexus3 import ConfigError, ProviderConfig, ProviderError, Supervisor, open_supervisor
from nexus3.loopback import Answer
from nexus3.testing import ScriptedNetwork, check_at_rest, open_house
from tests.actors.house import HELLO, ask

SLOW = Answer(["a"] * 10, delay=1.0)


def config(**limits: object) -> dict[str, object]:
    provider = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "allow_loopback": True}
    return {"default_model": "p:m", "providers": {"p": provider | limits}}


def settings() -> ProviderConfig:
    return ProviderConfig.model_validate(config()["providers"]["p"])  # type: ignore[index]  # it is a dict


async def test_depth_by_caller_and_ages(autojump_clock: MockClock) -> None:
    async with open_house([SLOW], config(max_connections=1)) as (sup, _), trio.open_nursery() as nursery:
        for caller in ("batch", "batch", None, "chat", "batch"):
            nursery.start_soon(sup.complete, ask().model_copy(update={"caller": caller}))
            await trio.sleep(1)
        child = sup.snapshot().children["p"]
        assert (child.queued, child.in_flight) == (4, 1)
        assert child.queued_by_caller == {"batch": 2, "": 1, "chat": 1}
        assert child.queued_ages == pytest.approx([4, 3, 2, 1])
        assert child.in_flight_ages == pytest.approx([5])
        await trio.sleep(4.5)
        child = sup.snapshot().children["p"]
        assert sum(child.queued_by_caller.values()) == len(child.queued_ages) == child.queued == 3
        assert child.in_flight_ages == pytest.approx([0.5], abs=0.2), "counted from its own start"
        nursery.cancel_scope.cancel()


async def test_a_snapshot_is_plain_data_and_a_copy(autojump_clock: MockClock) -> None:
    async with open_house([SLOW], config(max_connections=1)) as (sup, _), trio.open_nursery() as nursery:
        sup.start_soon(trio.sleep_forever, name="mine")
        for _ in range(2):
            nursery.start_soon(sup.complete, ask())
        await trio.sleep(1)
        before = sup.snapshot()
        written = msgspec.json.encode(before)
        assert msgspec.json.decode(written, type=type(before)) == before
        assert before.children["mine"].queued_by_caller == {}
        await trio.sleep(30)
        assert msgspec.json.encode(before) == written
        assert sup.snapshot().children["p"].in_flight_ages == ()


async def test_what_a_removed_provider_did_stays_done(autojump_clock: MockClock) -> None:
    async with open_house([HELLO], config()) as (sup, _):
        await sup.add_provider("extra", settings())
        for model in ("extra:m", "p:m", "extra:m"):
            await sup.complete(ask(model=model))
        counted = sup.snapshot().counters
        assert counted == {"accepted": 3, "settled": 3, "outcome.completed": 3}
        await sup.remove_provider("extra")
        assert sup.snapshot().counters == counted


async def test_a_provider_that_is_being_removed_keeps_its_name_until_its_last_request_is_settled(
    autojump_clock: MockClock,
) -> None:
    async with open_house([SLOW], config()) as (sup, _), trio.open_nursery() as nursery:
        nursery.start_soon(sup.complete, ask())
        await trio.sleep(1)
        nursery.start_soon(sup.remove_provider, "p")
        await trio.sleep(1)
        assert sup.snapshot().children["p"].state == "draining"
        with pytest.raises(ProviderError, match="removed"):
            await sup.complete(ask())
        with pytest.raises(ConfigError, match="there is one already"):
            await sup.add_provider("p", settings())
        await trio.sleep(20)
        assert "p" not in sup.snapshot().children
        await sup.add_provider("p", settings())
        assert (await sup.complete(ask())).message.content == "a" * 10


async def test_leaving_the_block_settles_the_requests_of_a_provider_that_is_being_removed(
    autojump_clock: MockClock,
) -> None:
    """Whoever removes it may be outside of the block, and must not be left waiting either."""
    network = ScriptedNetwork([SLOW])
    reasons: list[str] = []

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(3):
            async with open_supervisor(config(max_connections=1), open_transport=network.open) as sup:

                async def one() -> None:
                    with pytest.raises(ProviderError) as caught:
                        await sup.complete(ask())
                    reasons.append(caught.value.reason)

                for _ in range(2):
                    nursery.start_soon(one)
                await trio.sleep(1)
                nursery.start_soon(sup.remove_provider, "p")
                await trio.sleep_forever()
    assert trio.current_time() == pytest.approx(3)
    assert reasons == ["closed", "closed"]
    check_at_rest(sup.snapshot())


async def test_a_closed_supervisor_takes_nothing_more() -> None:
    async with open_house([HELLO], config()) as (sup, _):
        pass
    with pytest.raises(ProviderError) as caught:
        await sup.add_provider("extra", settings())
    assert (caught.value.kind, caught.value.reason) == ("unavailable", "closed")
    with pytest.raises(ProviderError, match="closed"):
        await sup.start(trio.sleep_forever)
    with pytest.raises(ProviderError, match="closed"):
        sup.start_soon(trio.sleep_forever)


async def test_a_provider_cannot_take_the_name_of_a_task() -> None:
    async with open_house([HELLO], config()) as (sup, _):
        sup.start_soon(trio.sleep_forever, name="tools")
        with pytest.raises(ConfigError, match="a task of that name"):
            await sup.add_provider("tools", settings())
        assert sup.snapshot().children["tools"].kind == "task"


def test_a_snapshot_may_be_taken_when_the_run_has_ended() -> None:
    async def main() -> Supervisor:
        async with open_house([HELLO], config()) as (sup, _):
            await sup.complete(ask())
        return sup

    assert trio.run(main).snapshot().counters["outcome.completed"] == 1
