"""The original's raw log: the four hooks, and what its own had to be patched for."""

import pytest
import trio

from nexus3 import Config, Message, ProviderError, Role
from nexus3.loopback import Answer, open_loopback
from nexus3.provider import create_provider
from nexus3.provider.registry import ProviderRegistry
from nexus3.rawlog import logged_attempt
from nexus3.wire.messages import JsonObject
from tests.inventory.test_features import HELLO, settings


class Heard:
    """What the hooks were told, in order."""

    def __init__(self) -> None:
        self.attempts: dict[tuple[str, int], list[str]] = {}
        """Hook by hook, for each request and attempt: the end of one may come after the next one began."""
        self.prompts: list[object] = []
        self.statuses: list[int] = []
        self.summaries: list[JsonObject] = []

    def _note(self, hook: str) -> None:
        attempt = logged_attempt()
        self.attempts.setdefault((attempt.request, attempt.attempt), []).append(hook)

    def on_request(self, endpoint: str, payload: JsonObject) -> None:
        self._note("request")
        self.prompts.append(payload["messages"])

    def on_response(self, status: int, body: JsonObject) -> None:
        self._note("response")
        self.statuses.append(status)

    def on_chunk(self, chunk: JsonObject) -> None:
        self._note("chunk")

    def on_stream_complete(self, summary: JsonObject) -> None:
        self._note("complete")
        self.summaries.append(summary)


async def test_the_four_hooks_hear_every_attempt() -> None:
    heard = Heard()
    script = [Answer(status=503, headers={"retry-after-ms": "1"}), Answer(["Hel", "lo"]), Answer(status=401)]
    async with (
        open_loopback(script=script) as server,
        create_provider(settings(server, "openai"), "m", raw_log=heard) as provider,
    ):
        await provider.complete(HELLO)
        with pytest.raises(ProviderError):
            await provider.complete(HELLO)
    first, (began, *chunks, ended), third = heard.attempts.values()
    assert (first, third) == (["request", "response"], ["request", "response"])
    assert (began, {*chunks}, ended) == ("request", {"chunk"}, "complete")
    assert heard.statuses == [503, 401]
    [summary] = heard.summaries
    kept = ("http_status", "content_length", "tool_call_count", "received_done", "finish_reason")
    assert {key: summary[key] for key in kept} == {
        "http_status": 200,
        "content_length": 5,
        "tool_call_count": 0,
        "received_done": True,
        "finish_reason": "stop",
    }
    assert {"event_count", "duration_ms"} <= summary.keys()


async def test_lesson_14_two_agents_on_one_actor_do_not_hear_each_other() -> None:
    heard = {"ada": Heard(), "bob": Heard()}

    async def talk(name: str) -> None:
        async with create_provider(settings(server, "openai"), "m", raw_log=heard[name]) as provider:
            for _ in range(5):
                await provider.complete([Message(role=Role.USER, content=name)])

    async with open_loopback(script=[Answer("hi")]) as server, trio.open_nursery() as nursery:
        for name in heard:
            nursery.start_soon(talk, name)
    for name, one in heard.items():
        assert one.prompts == [[{"role": "user", "content": name}]] * 5
        assert len(one.summaries) == 5


async def test_a_registry_s_callback_hears_what_was_made_before_it_and_after() -> None:
    heard = Heard()
    async with (
        open_loopback(script=[Answer("hi")]) as server,
        ProviderRegistry(Config.model_validate(server.config)) as registry,
    ):
        await registry.get("openai", "a").complete(HELLO)
        registry.set_raw_log_callback(heard)
        await registry.get("openai", "a").complete(HELLO)
        await registry.get("anthropic", "b").complete(HELLO)
    assert len(heard.prompts) == len(heard.summaries) == 2


async def test_clearing_the_cache_breaks_nobody_and_leaks_nothing() -> None:
    async with open_loopback(script=[Answer("hi")]) as server:
        async with ProviderRegistry(Config.model_validate(server.config)) as registry:
            before = registry.get("openai", "a")
            await before.complete(HELLO)
            registry.clear_cache()
            assert list(registry.cached_providers) == []
            assert registry.get("openai", "a") is not before
            await before.complete(HELLO)
        with trio.fail_after(5):
            while server.open_connections:  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.001)


async def test_weakness_20_a_hook_that_raises_fails_no_request() -> None:
    class Broken:
        called = 0

        def on_request(self, endpoint: str, payload: JsonObject) -> None:
            self.called += 1
            raise RuntimeError("the disk is full")

        def on_response(self, status: int, body: JsonObject) -> None: ...
        def on_chunk(self, chunk: JsonObject) -> None: ...
        def on_stream_complete(self, summary: JsonObject) -> None: ...

    broken = Broken()
    async with (
        open_loopback(script=[Answer("hi")]) as server,
        create_provider(settings(server, "openai"), "m", raw_log=broken) as provider,
    ):
        assert (await provider.complete(HELLO)).content == "hi"
    assert broken.called == 1
