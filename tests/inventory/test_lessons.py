"""What the original's history taught, where nothing else shows it: each test has the lesson's number."""

import ssl
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme
from structlog.testing import capture_logs

from nexus3 import Config, ContentDelta, Message, Notice, ProviderConfig, ProviderError, Role, StreamComplete
from nexus3.actors.http.tls import tls_context
from nexus3.config.resolve import resolve
from nexus3.loopback import Answer, Exchange, Stall, open_loopback
from nexus3.provider import create_provider
from nexus3.provider.registry import ProviderRegistry
from nexus3.wire.events import HISTORY_CHANGED
from nexus3.wire.messages import TextPart
from tests.actors.house import ask, failure_of, house, until
from tests.actors.scripted import events_of
from tests.inventory.test_features import HELLO, settings

OVERLOADED = Answer(status=503, headers={"retry-after-ms": "1"})


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("how", ["complete", "stream"])
async def test_lesson_05_no_retries_is_one_attempt(retries: int, how: str) -> None:
    async with open_loopback(script=[OVERLOADED]) as server:
        async with create_provider(settings(server, "openai", max_retries=retries), "m") as provider:
            with pytest.raises(ProviderError) as caught:
                await provider.complete(HELLO) if how == "complete" else [_ async for _ in provider.stream(HELLO)]
        assert (caught.value.kind, caught.value.attempts) == ("overloaded", retries + 1)
        assert len(server.exchanges) == retries + 1


async def test_lesson_10_cancelled_is_neither_empty_nor_truncated() -> None:
    with capture_logs() as lines:
        async with house([Answer(["a", "b"], fault=Stall(after=1))]) as (sup, _):
            async with sup.stream(ask()) as stream:
                async for event in stream:
                    if isinstance(event, ContentDelta):
                        break
            await until(lambda: sup.snapshot().children["openai"].in_flight == 0)
            assert sup.snapshot().counters["outcome.cancelled"] == 1
    [settled] = [line for line in lines if line["event"] == "request.settled"]
    assert settled["nexus3.outcome"] == "cancelled"
    assert [line for line in lines if line["log_level"] in ("warning", "error")] == []


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_lesson_13_a_history_that_was_cut_off_is_repaired_before_it_is_sent(name: str) -> None:
    history = [
        Message(role=Role.USER, content="Go."),
        Message.model_validate({"role": "assistant", "tool_calls": [_call("a"), _call("b")]}),
        Message(role=Role.TOOL, content="done", tool_call_id="a"),
        Message(role=Role.TOOL, content="whose?", tool_call_id="stranger"),
        Message(role=Role.ASSISTANT),
        Message(role=Role.USER, content="And?"),
    ]
    before = list(history)
    async with open_loopback(script=[Answer("hi")]) as server:
        async with create_provider(settings(server, name), "m") as provider:
            events = [event async for event in provider.stream(history)]
        sent = _sent(server.exchanges[0])["messages"]
    assert history == before
    assert any(isinstance(event, Notice) and event.code == HISTORY_CHANGED for event in events)
    assert "stranger" not in str(sent)
    if name == "openai":
        assert [turn["role"] for turn in sent] == ["user", "assistant", "tool", "tool", "user"]
        assert [turn["tool_call_id"] for turn in sent[2:4]] == ["a", "b"]
    else:
        assert [turn["role"] for turn in sent] == ["user", "assistant", "user"]
        assert [block.get("tool_use_id") for block in sent[2]["content"]] == ["a", "b", None]


def _call(which: str) -> dict[str, object]:
    return {"id": which, "name": "f", "arguments": {}}


async def test_lesson_15_two_aliases_of_one_model_keep_their_reasoning_apart() -> None:
    async with open_loopback() as server:
        config: dict[str, Any] = dict(server.config)
        place = {"provider": "openai", "model_id": "o3"}
        config |= {"models": {"quick": place, "deep": {**place, "reasoning": True}}, "default_model": "quick"}
        async with ProviderRegistry(Config.model_validate(config)) as registry:
            assert registry.get_for_model("quick") is not registry.get_for_model("deep")
            for alias in ("quick", "deep", "quick"):
                await registry.get_for_model(alias).complete(HELLO)
        assert [_sent(seen).get("reasoning_effort") for seen in server.exchanges] == [None, "high", None]


async def test_lesson_16_the_model_is_a_part_of_the_request() -> None:
    async with house([Answer("hi")]) as (sup, server):
        for model in ("openai:a", "openai:b", "openai:a"):
            await sup.complete(ask(model=model))
            # The answer is complete before its connection can be used again: the body's end may still be on its way.
            await until(lambda: sup.snapshot().children["openai"].in_flight == 0)
        assert [_sent(seen)["model"] for seen in server.exchanges] == ["a", "b", "a"]
        assert {seen.connection for seen in server.exchanges} == {0}, "one actor, one pool, for all its models"


@pytest.mark.parametrize("is_built_in", [True, False])
async def test_lesson_20_without_certifi_s_bundle_the_system_s_authorities_are_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_built_in: bool
) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "system.pem"
    authority.cert_pem.write_to_path(str(bundle))
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(bundle), openssl_capath=str(tmp_path / "none"))
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "gone.pem"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "of the environment.pem"))
    if not is_built_in:
        bundle.unlink()
    provider = resolve("p", ProviderConfig(type="openai"), {})
    if is_built_in:
        context = tls_context(provider)
        assert context is not None
        assert context.cert_store_stats()["x509_ca"] == 1
    else:
        with pytest.raises(FileNotFoundError, match="no authorities to trust"):
            tls_context(provider)


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (403, "permission"), (404, "not_found")])
async def test_lesson_23_a_refused_request_leaves_evidence(status: int, kind: str) -> None:
    with capture_logs() as lines:
        async with house([Answer(status=status, error="the reason why")]) as (sup, _):
            error = failure_of(await events_of(sup, ask()))
    assert "the reason why" in error.message
    assert (error.kind, error.status, error.request_id) == (kind, status, "req_loopback_000000")
    [settled] = [line for line in lines if line["event"] == "request.settled"]
    assert (settled["nexus3.outcome"], settled["error.type"]) == (kind, kind)
    assert settled["http.response.status_code"] == status


@pytest.mark.parametrize("name", ["anthropic", "openrouter"])
async def test_lesson_25_what_changes_with_every_request_leaves_the_cached_prefix_as_it_is(name: str) -> None:
    """What the original had ``dynamic_context`` for is one more part of the last user message."""

    def turns(clock: str) -> list[Message]:
        return [
            Message(role=Role.SYSTEM, content="You are terse."),
            Message(role=Role.USER, content="One."),
            Message(role=Role.ASSISTANT, content="Two."),
            Message(role=Role.USER, content=(TextPart(text="Three."), TextPart(text=f"It is {clock}."))),
        ]

    async with open_loopback(script=[Answer("hi")]) as server:
        async with create_provider(settings(server, name), "anthropic/claude-sonnet-4") as provider:
            for clock in ("noon", "one"):
                await provider.complete(turns(clock))
        first, second = (_sent(seen) for seen in server.exchanges)
    assert "cache_control" in str((first.get("system"), first["messages"][:-1]))
    assert "cache_control" not in str(first["messages"][-1])
    last = first["messages"].pop(), second["messages"].pop()
    assert first == second
    assert "noon" in str(last[0])
    assert "noon" not in str(last[1])


@pytest.mark.parametrize("name", ["openai", "anthropic"])
async def test_lesson_30_complete_and_stream_are_one_way(name: str) -> None:
    async with open_loopback(script=[OVERLOADED, Answer("hi"), OVERLOADED, Answer("hi")]) as server:
        async with create_provider(settings(server, name), "m") as provider:
            message = await provider.complete(HELLO)
            events = [event async for event in provider.stream(HELLO)]
        bodies = [seen.body for seen in server.exchanges]
    assert isinstance(events[-1], StreamComplete)
    assert events[-1].message == message
    assert len(bodies) == 4
    assert all(body == bodies[0] for body in bodies)


def _sent(seen: Exchange) -> dict[str, Any]:
    assert isinstance(seen.body, dict)
    return seen.body


SCHEMAS: list[tuple[dict[str, object], set[str]]] = [
    ({}, set()),
    ({"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "object"}}}, {"a", "b"}),
    ({"anyOf": [{"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"b": {}}}]}, {"a", "b"}),
    ({"$ref": "#/$defs/F", "$defs": {"F": {"type": "object", "properties": {"a": {}, "b": {}}}}}, {"a", "b"}),
]


@pytest.mark.parametrize("name", ["openai", "anthropic"])
@pytest.mark.parametrize(("parameters", "arguments"), SCHEMAS, ids=["empty", "nested", "anyOf", "ref"])
async def test_lesson_24_every_provider_is_sent_an_object_with_all_its_arguments(
    name: str, parameters: dict[str, object], arguments: set[str]
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    async with open_loopback(script=[Answer("hi")]) as server:
        async with create_provider(settings(server, name), "m") as provider:
            await provider.complete(HELLO, [tool])
        [offered] = _sent(server.exchanges[0])["tools"]
    schema = offered["function"]["parameters"] if name == "openai" else offered["input_schema"]
    assert schema["type"] == "object"
    assert set(schema["properties"]) == arguments
    assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys()
