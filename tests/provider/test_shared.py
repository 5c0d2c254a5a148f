"""Providers made outside any block: one supervisor per run, started at first use, ended with the run."""

import threading
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from nexus3 import ContentDelta, Message, ProviderError, Role, StreamComplete
from nexus3.config.schema import Config, ProviderConfig
from nexus3.errors import ConfigError
from nexus3.loopback import Answer, Loopback, Stall, open_loopback
from nexus3.provider import create_provider
from nexus3.provider.registry import ProviderRegistry
from nexus3.provider.shared import shared_supervisor

HELLO = [Message(role=Role.USER, content="hello")]


def settings(server: Loopback, name: str = "openai") -> ProviderConfig:
    return Config.model_validate(server.config).providers[name]


async def test_the_factory_s_provider_answers() -> None:
    async with open_loopback() as server, create_provider(settings(server), "local-echo") as provider:
        message = await provider.complete(HELLO)
        assert "hello" in message.text
        events = [event async for event in provider.stream(HELLO)]
        assert "".join(event.text for event in events if isinstance(event, ContentDelta)) == message.text
        assert isinstance(events[-1], StreamComplete)


async def test_equal_settings_share_an_actor_and_the_last_user_closes_it() -> None:
    async with open_loopback() as server:
        first, second = (create_provider(settings(server), "local-echo") for _ in range(2))
        await first.complete(HELLO)
        await second.complete(HELLO)
        assert len(shared_supervisor()._slots) == 1
        await first.aclose()
        await second.complete(HELLO)
        await second.aclose()
        assert shared_supervisor()._slots == {}
        await first.complete(HELLO)
        await first.aclose()


def test_a_blocked_loop_is_said_for_as_long_as_the_run_lasts(caplog: pytest.LogCaptureFixture) -> None:
    def watchdogs() -> int:
        return sum(thread.name == "nexus3 watchdog" for thread in threading.enumerate())

    async def main() -> None:
        async with open_loopback(script=[Answer("x", fault=Stall(after="head"))]) as server:
            provider = create_provider(settings(server), "local-echo")
            with trio.move_on_after(0.1):
                await provider.complete(HELLO)
            assert watchdogs() == 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(provider.complete, HELLO)
                await trio.sleep(0.1)
                time.sleep(0.5)  # noqa: ASYNC251 - that is the point
                nursery.cancel_scope.cancel()
            await provider.aclose()

    trio.run(main)
    assert watchdogs() == 0
    assert [record.levelname for record in caplog.records if record.getMessage().startswith("loop.blocked")]


async def test_closing_a_provider_ends_what_runs_on_it() -> None:
    async with open_loopback(script=[Answer("x", fault=Stall(after="head"))]) as server:
        provider = create_provider(settings(server), "local-echo")

        async def close_soon() -> None:
            with trio.fail_after(5):
                while not server.exchanges:  # noqa: ASYNC110 - the server is another program's stand-in
                    await trio.sleep(0.001)
            await provider.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(close_soon)
            with pytest.raises(ProviderError) as caught:
                await provider.complete(HELLO)
        assert (caught.value.kind, caught.value.reason) == ("unavailable", "closed")


async def test_the_first_caller_s_cancellation_does_not_fail_the_second_s_start() -> None:
    async with open_loopback() as server:
        provider = create_provider(settings(server), "local-echo")
        with trio.CancelScope() as scope:
            scope.cancel()
            await provider.complete(HELLO)
        assert scope.cancelled_caught
        assert "hello" in (await provider.complete(HELLO)).text
        await provider.aclose()


def test_a_second_run_starts_afresh_and_the_first_ends_without_a_drain() -> None:
    provider: list[object] = []

    async def run() -> None:
        async with open_loopback() as server:
            # Left open on purpose: the run's end is the end of it.
            made = create_provider(settings(server), "local-echo")
            provider.append(made)
            assert "hello" in (await made.complete(HELLO)).text

    trio.run(run)
    trio.run(run)


def test_a_provider_can_be_used_in_two_runs() -> None:
    made = create_provider(ProviderConfig(type="vllm", base_url="http://127.0.0.1:9/v1", max_retries=0), "m")

    async def run() -> None:
        with pytest.raises(ProviderError) as caught:
            await made.complete(HELLO)
        assert caught.value.kind == "transport"

    trio.run(run)
    trio.run(run)


async def test_the_registry_makes_each_provider_once() -> None:
    async with open_loopback() as server, ProviderRegistry(Config.model_validate(server.config)) as registry:
        assert registry.get_for_model("local") is registry.get_for_model()
        assert registry.get("openai", "other") is not registry.get_for_model()
        assert "hello" in (await registry.get_for_model("local-anthropic").complete(HELLO)).text
        assert registry.cached_providers == ("openai:local-echo", "openai:other", "anthropic:local-echo")
        with pytest.raises(ConfigError, match="nonsense"):
            registry.get_for_model("nonsense")


async def test_authorities_that_cannot_be_read_are_a_configuration_error_at_the_first_request() -> None:
    config = ProviderConfig(type="openai", ca_file=Path("/nowhere.pem"))
    async with create_provider(config, "m") as provider:
        with pytest.raises(ConfigError, match=r"ca_file: /nowhere\.pem cannot be read"):
            await provider.complete([Message(role=Role.USER, content="hello")])


def test_a_setting_that_lets_requests_go_further_is_told_once_an_actor(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="nexus3")

    async def main() -> None:
        async with open_loopback() as server:
            further = settings(server).model_copy(update={"allowed_cidrs": ("10.20.0.0/16",)})
            first, second = (create_provider(further, "local-echo") for _ in range(2))
            await first.complete(HELLO)
            await second.complete(HELLO)
            await first.aclose()
            await second.aclose()

    trio.run(main)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("actor.opted_out")]
    assert [line.count("'10.20.0.0/16'") for line in told if "allowed_cidrs" in line] == [1]
