"""Operators at work: pause, drain, add, remove and reconfigure providers while requests run."""

import pytest
import trio

from nexus3 import ConfigError, ContentDelta, ProviderConfig, ProviderError, StreamComplete
from nexus3.loopback import Answer, Loopback, Stall
from nexus3.wire.failures import NotFoundError, UnavailableError
from tests.actors.house import HELLO, ask, events_of, house, until


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
