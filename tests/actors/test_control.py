"""Operators at work: pause, drain, add, remove and reconfigure providers while requests run."""

import pytest
import trio

from nexus3 import ConfigError, ContentDelta, ProviderConfig, ProviderError, StreamComplete
from nexus3.loopback import Answer, Loopback, Stall
from nexus3.testing import crash
from nexus3.wire.failures import NotFoundError, UnavailableError
from tests.actors.house import HELLO, ask, house, until
from tests.actors.scripted import events_of


def settings(server: Loopback, path: str = "/v1") -> ProviderConfig:
    return ProviderConfig(type="openai", base_url=f"{server.url}{path}", api_key="loopback-key", allow_loopback=True)  # type: ignore[arg-type]  # a str is read as a secret


async def test_a_paused_provider_queues_and_a_resumed_one_serves() -> None:
    async with house([HELLO]) as (sup, server):
        sup.pause("openai")
        assert sup.snapshot().children["openai"].state == "paused"
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(sup.complete, ask())
            await until(lambda: sup.snapshot().children["openai"].queued == 3)
            assert server.exchanges == []
            assert (await sup.complete(ask(model="local-anthropic"))).message.content == "Hello"
            sup.resume("openai")
        assert len(server.exchanges) == 4
        assert sup.snapshot().children["openai"].state == "ready"


async def test_the_deadline_of_a_request_runs_while_its_provider_is_paused() -> None:
    async with house([HELLO]) as (sup, _):
        sup.pause("openai")
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask(timeout=0.1))
        assert (caught.value.kind, caught.value.phase) == ("timeout", "queued")


async def test_a_draining_provider_finishes_what_it_has_and_refuses_the_rest() -> None:
    async with house(lambda _: Answer(["a"] * 10, delay=0.01)) as (sup, _):
        ends: list[StreamComplete] = []

        async def one() -> None:
            ends.append(await sup.complete(ask()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await until(lambda: sup.snapshot().children["openai"].in_flight == 1)
            nursery.start_soon(sup.drain, "openai")
            await until(lambda: sup.snapshot().children["openai"].state == "draining")
            with pytest.raises(UnavailableError, match="resumed"):
                await sup.complete(ask())
        assert len(ends) == 1
        sup.resume("openai")
        await sup.complete(ask())


async def test_providers_come_and_go() -> None:
    async with house(lambda _: HELLO) as (sup, server):
        await sup.add_provider("extra", settings(server))
        assert sup.snapshot().children["extra"].state == "ready"
        assert (await sup.complete(ask(model="extra:any"))).provider == "extra"
        with pytest.raises(ConfigError, match="extra"):
            await sup.add_provider("extra", settings(server))
        await sup.remove_provider("extra")
        assert "extra" not in sup.snapshot().children
        with pytest.raises(NotFoundError, match="extra"):
            await sup.complete(ask(model="extra:any"))
        with pytest.raises(KeyError):
            sup.pause("extra")


async def test_a_removed_provider_finishes_what_it_has() -> None:
    async with house(lambda _: Answer(["a"] * 10, delay=0.01)) as (sup, _):
        async with sup.stream(ask()) as stream:
            first = [await stream.receive() for _ in range(3)]
            assert isinstance(first[-1], ContentDelta)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sup.remove_provider, "openai")
                rest = [event async for event in stream]
        assert isinstance(rest[-1], StreamComplete)


async def test_reconfiguring_makes_a_new_generation_while_the_old_one_drains() -> None:
    answers = iter([Answer(["a"] * 20, delay=0.01)])
    async with house(lambda _: next(answers, HELLO)) as (sup, server):
        async with sup.stream(ask()) as stream:
            await stream.receive()
            await until(lambda: server.exchanges)
            await sup.reconfigure("openai", settings(server, "/elsewhere/v1"))
            done = await sup.complete(ask())
            assert done.message.content == "Hello"
            assert sup.snapshot().children["openai"].generation == 2
            assert isinstance([event async for event in stream][-1], StreamComplete)
        assert [exchange.path for exchange in server.exchanges] == [
            "/v1/chat/completions",
            "/elsewhere/v1/chat/completions",
        ]
        assert sup.snapshot().children["openai"].restarts == 0


async def test_queued_requests_go_out_by_the_new_settings() -> None:
    async with house([Answer("x", fault=Stall(after="head")), HELLO], provider={"max_connections": 1}) as (sup, server):
        async with sup.stream(ask()) as busy:
            await busy.receive()
            await until(lambda: server.exchanges)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(events_of, sup, ask())
                await until(lambda: sup.snapshot().children["openai"].queued == 1)
                await sup.reconfigure("openai", settings(server, "/elsewhere/v1"))
        assert server.exchanges[-1].path == "/elsewhere/v1/chat/completions"


async def test_settings_that_cannot_be_used_leave_the_old_ones() -> None:
    async with house([HELLO]) as (sup, _):
        with pytest.raises(ConfigError):
            await sup.reconfigure("openai", ProviderConfig(type="openai", base_url="http://169.254.169.254"))
        assert (await sup.complete(ask())).message.content == "Hello"


async def test_a_restart_lets_running_requests_end_and_keeps_the_queued_ones() -> None:
    async with house(lambda _: Answer(["a"] * 10, delay=0.01), provider={"max_connections": 1}) as (sup, _):
        ends: list[StreamComplete] = []

        async def one() -> None:
            ends.append(await sup.complete(ask()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await until(lambda: sup.snapshot().children["openai"].in_flight == 1)
            nursery.start_soon(one)
            await until(lambda: sup.snapshot().children["openai"].queued == 1)
            await sup.restart("openai")
            assert (len(ends), sup.snapshot().children["openai"].generation) == (1, 2)
        assert len(ends) == 2
        assert sup.snapshot().counters["settled"] == 2
        assert "requeued" not in sup.snapshot().counters


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_restart_leaves_a_pause_as_it_is(when: str) -> None:
    async with house(lambda _: Answer(["a"] * 10, delay=0.01)) as (sup, _), trio.open_nursery() as nursery:

        async def paused_meanwhile() -> None:
            await until(lambda: sup.slot("openai").places.is_paused)
            sup.pause("openai")

        if when == "before":
            sup.pause("openai")
        else:
            nursery.start_soon(events_of, sup, ask())
            await until(lambda: sup.snapshot().children["openai"].in_flight == 1)
            nursery.start_soon(paused_meanwhile)
        await sup.restart("openai")
        child = sup.snapshot().children["openai"]
        assert (child.generation, sup.slot("openai").places.is_paused) == (2, True)
        sup.resume("openai")
        assert (await sup.complete(ask())).message.content == "a" * 10


async def test_a_resume_within_a_restart_ends_the_pause_before_it() -> None:
    async with house(lambda _: HELLO) as (sup, _), trio.open_nursery() as nursery:
        sup.pause("openai")
        nursery.start_soon(sup.restart, "openai")
        await trio.lowlevel.checkpoint()
        sup.resume("openai")
        await until(lambda: sup.snapshot().children["openai"].generation == 2)
        assert (await sup.complete(ask())).message.content == "Hello"
        assert not sup.slot("openai").places.is_paused


async def test_a_task_of_the_host_s_own_is_supervised_beside_the_providers() -> None:
    async with house(lambda _: HELLO) as (sup, _):
        runs: list[str] = []
        crash_now = trio.Event()

        async def tool_server(greeting: str, *, task_status: trio.TaskStatus[int]) -> None:
            runs.append(greeting)
            task_status.started(8000 + len(runs))
            if len(runs) == 1:
                await crash_now.wait()
                raise OSError("the port is gone")
            await trio.sleep_forever()

        port = await sup.start(tool_server, "hi", name="tools")
        assert port == 8001
        assert sup.snapshot().children["tools"].kind == "task"
        with sup.watch("tools") as deaths:
            crash_now.set()
            down = await deaths.receive()
            assert (down.name, down.generation, repr(down.reason)) == ("tools", 1, "OSError('the port is gone')")
        await until(lambda: runs == ["hi", "hi"])
        assert (await sup.complete(ask())).message.content == "Hello"
        with pytest.raises(ValueError, match="tools"):
            sup.start_soon(trio.sleep_forever, name="tools")


async def test_the_death_of_a_provider_is_told_to_its_watchers() -> None:
    async with house(lambda _: HELLO) as (sup, _):
        with sup.watch("openai") as deaths:
            crash(sup, "openai")
            down = await deaths.receive()
            assert (down.name, down.generation, type(down.reason).__name__) == ("openai", 1, "ActorFault")
        with sup.watch("nobody") as deaths:
            assert (await deaths.receive()).reason == "gone"


async def test_a_task_that_ignores_cancellation_is_reported_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    is_inside, may_end = trio.Event(), trio.Event()

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            is_inside.set()
            await may_end.wait()
        await trio.sleep_forever()

    def reports() -> list[str]:
        return [record.getMessage() for record in caplog.records if "actor.stuck" in record.getMessage()]

    async with house(lambda _: HELLO) as (sup, _), trio.open_nursery() as nursery:
        try:
            sup.start_soon(stubborn, name="stubborn")
            await is_inside.wait()
            nursery.start_soon(sup.restart, "stubborn")
            with trio.move_on_after(15):
                while not reports():  # noqa: ASYNC110 - what is waited for is a line in a log
                    await trio.sleep(0.05)
            assert (await sup.complete(ask())).message.content == "Hello", "the others go on"
        finally:
            may_end.set()
    assert "in stubborn" in reports()[0]


async def test_two_may_wait_for_the_same_drain() -> None:
    async with house([Answer(["slow"] * 5, delay=0.02)]) as (sup, _), trio.open_nursery() as nursery:
        nursery.start_soon(events_of, sup, ask())
        await until(lambda: sup.snapshot().children["openai"].in_flight)
        with trio.fail_after(5):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(sup.drain, "openai")
                waiting.start_soon(sup.remove_provider, "openai")
