"""Raw logs and reasoning of providers made outside any block."""

import threading
from contextlib import suppress
from typing import Any

import pytest
import trio

from nexus3 import Message, ProviderError, Role
from nexus3.config.schema import Config, ProviderConfig
from nexus3.loopback import Answer, Loopback, Stall, open_loopback
from nexus3.provider import create_provider
from nexus3.provider.registry import ProviderRegistry
from nexus3.provider.shared import shared_supervisor
from tests.rawlog.heard import Heard


def says(text: str) -> list[Message]:
    return [Message(role=Role.USER, content=text)]


def settings(server: Loopback, name: str = "openai") -> ProviderConfig:
    return Config.model_validate(server.config).providers[name]


def asked_effort(server: Loopback) -> list[object]:
    bodies: list[Any] = [exchange.body for exchange in server.exchanges]
    return [body.get("reasoning_effort") for body in bodies]


def prompts(heard: Heard) -> list[str]:
    return [payload["messages"][0]["content"] for payload in heard.of("request")]


async def test_lesson_14_two_providers_on_one_actor_hear_only_their_own() -> None:
    ann, bob = Heard(), Heard()
    async with (
        open_loopback() as server,
        create_provider(settings(server), "local-echo", raw_log=ann) as first,
        create_provider(settings(server), "local-echo", bob) as second,
        create_provider(settings(server), "local-echo") as third,
    ):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(first.complete, says(f"ann {number}"))
                nursery.start_soon(second.complete, says(f"bob {number}"))
                nursery.start_soon(third.complete, says(f"cy {number}"))
        assert len(shared_supervisor()._slots) == 1
    assert sorted(prompts(ann)) == [f"ann {number}" for number in range(5)]
    assert sorted(prompts(bob)) == [f"bob {number}" for number in range(5)]
    assert len(ann.of("complete")) == len(bob.of("complete")) == 5
    assert not set(ann.attempts) & set(bob.attempts), "ids are unique over all providers of a run"


async def test_closing_flushes_and_what_was_cut_off_by_it_is_told() -> None:
    heard = Heard()
    async with open_loopback(script=[Answer("x", fault=Stall(after="head")), Answer("y")]) as server:
        provider = create_provider(settings(server), "local-echo", raw_log=heard)

        async def ask() -> None:
            with suppress(ProviderError):
                await provider.complete(says("hi"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            while not server.exchanges:  # noqa: ASYNC110 - the server is another program's stand-in
                await trio.sleep(0.001)
            await provider.aclose()
        assert [said["outcome"] for said in heard.of("complete")] == ["unavailable"]
        await provider.complete(says("again"))
        await provider.aclose()
    assert prompts(heard) == ["hi", "again"], "a closed provider may be used again, and is heard again"
    assert heard.of("complete")[-1]["outcome"] == "completed"


async def test_a_provider_s_callback_is_replaced() -> None:
    first, second = Heard(), Heard()
    async with open_loopback() as server, create_provider(settings(server), "local-echo", raw_log=first) as provider:
        await provider.complete(says("one"))
        provider.set_raw_log_callback(second, bodies=False)
        await provider.complete(says("two"))
        provider.set_raw_log_callback(None)
        await provider.complete(says("three"))
        while not (first.of("complete") and second.of("complete")):  # noqa: ASYNC110 - told by a thread
            await trio.sleep(0.001)
    assert prompts(first) == ["one"]
    assert second.shape == "request complete"


async def test_a_registry_s_callback_hears_all_its_providers_made_before_and_after() -> None:
    first, second = Heard(), Heard()
    async with open_loopback() as server, ProviderRegistry(Config.model_validate(server.config), first) as registry:
        before = registry.get_for_model("local")
        await before.complete(says("one"))
        registry.set_raw_log_callback(second)
        await before.complete(says("two"))
        await registry.get_for_model("local-anthropic").complete(says("three"))
        registry.set_raw_log_callback(None)
        await registry.get("openai", "other").complete(says("four"))
    assert prompts(first) == ["one"]
    assert len(second.of("complete")) == 2
    assert len(second.threads) == 1, "one callback, one thread"


async def test_w4_a_cleared_cache_makes_providers_anew_and_closes_the_old_ones_with_the_registry() -> None:
    heard = Heard()
    async with open_loopback() as server:
        registry = ProviderRegistry(Config.model_validate(server.config), raw_log=heard)
        old = registry.get_for_model("local")
        await old.complete(says("old"))
        registry.clear_cache()
        assert registry.cached_providers == ()
        assert registry.get_for_model("local") is not old
        await old.complete(says("still in use"))
        await registry.aclose()
        assert shared_supervisor()._slots == {}
    assert prompts(heard) == ["old", "still in use"]


@pytest.mark.parametrize(("reasoning", "effort"), [(False, None), (True, "high"), ("low", "low")])
async def test_reasoning_is_what_a_provider_s_requests_ask_for(reasoning: bool, effort: str | None) -> None:
    async with open_loopback() as server:
        async with create_provider(settings(server), "local-echo", reasoning=reasoning) as provider:
            await provider.complete(says("hi"))
        assert asked_effort(server) == [effort]


async def test_lesson_15_providers_that_differ_in_reasoning_are_not_one() -> None:
    async with open_loopback() as server, ProviderRegistry(Config.model_validate(server.config)) as registry:
        plain, thinking = registry.get("openai", "m"), registry.get("openai", "m", reasoning=True)
        assert plain is not thinking
        assert registry.get("openai", "m") is plain
        assert registry.get("openai", "m", True) is thinking
        await plain.complete(says("hi"))
        await thinking.complete(says("hi"))
        assert asked_effort(server) == [None, "high"]


async def test_a_hook_that_blocks_delays_closing_for_a_second_only() -> None:
    gate = threading.Event()

    class Blocks(Heard):
        def _note(self, *call: object) -> None:
            gate.wait(30)

    async with open_loopback() as server:
        provider = create_provider(settings(server), "local-echo", raw_log=Blocks())
        await provider.complete(says("hi"))
        with trio.fail_after(3):
            await provider.aclose()
    gate.set()
