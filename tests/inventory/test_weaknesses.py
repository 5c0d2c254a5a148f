"""Where the original was weak, where nothing else shows that this is not: each test has the weakness's number."""

import json
from typing import Any

import pytest
import trio

from nexus3 import Config, Message, Role, StreamComplete, Usage
from nexus3.loopback import Answer, HangUp, Received, Reply, Stall, open_loopback
from nexus3.provider import create_provider
from nexus3.provider.registry import ProviderRegistry
from nexus3.provider.shared import shared_supervisor
from tests.actors.house import HELLO as GREETING
from tests.actors.house import ask, house, until
from tests.actors.scripted import events_of
from tests.inventory.test_features import HELLO, settings
from tests.wire.anthropic_messages.helpers import block_start, block_stop, finish, start


async def test_weakness_01_a_stale_connection_harms_nobody_else() -> None:
    swallowed = iter([Answer(fault=HangUp("reset")), GREETING])

    def script(received: Received) -> Reply:
        match received.asked.user_text:
            case "long":
                return Answer(["a "] * 30, fault=Stall(after=10, seconds=1.0))
            case "next":
                return next(swallowed)
            case _:
                return GREETING

    async with house(script, provider={"max_retries": 0}) as (sup, server), trio.open_nursery() as nursery:
        done: list[StreamComplete] = []

        async def read_a_long_answer() -> None:
            done.append(await sup.complete(ask("long")))

        nursery.start_soon(read_a_long_answer)
        await until(lambda: server.exchanges and server.exchanges[0].pieces_sent > 2)
        await sup.complete(ask("first"))
        await until(lambda: sup.snapshot().children["openai"].in_flight == 1)
        end = (await events_of(sup, ask("next")))[-1]
        assert isinstance(end, StreamComplete)
        assert end.attempts == 1
        assert not done, "the long answer must still run for this to mean anything"
        await until(lambda: done)
        assert (done[0].message.content, done[0].attempts) == ("a " * 30, 1)
        # The long one, the first and its kept connection's swallowed successor, and the one on a new connection.
        assert [seen.connection for seen in server.exchanges] == [0, 1, 1, 2]


async def test_weakness_03_sockets_are_bounded_by_provider_whatever_the_number_of_models() -> None:
    peak = 0

    async def script(received: Received) -> Reply:
        nonlocal peak
        peak = max(peak, server.open_connections)
        await trio.sleep(0.01)
        return GREETING

    async with (
        open_loopback(script=script) as server,
        ProviderRegistry(_limited(server.config, max_connections=2)) as registry,
        trio.open_nursery() as nursery,
    ):
        for number in range(12):
            nursery.start_soon(registry.get("openai", f"model-{number}").complete, HELLO)
    assert peak == 2


async def test_weakness_04_a_registry_leaves_nothing_open() -> None:
    async with open_loopback() as server:
        async with ProviderRegistry(Config.model_validate(server.config)) as registry:
            for alias in ("local-openai", "local-anthropic"):
                await registry.get_for_model(alias).complete(HELLO)
            assert server.open_connections == 2
        await until(lambda: server.open_connections == 0)
        assert shared_supervisor()._slots == {}


async def test_weakness_09_what_the_provider_said_of_its_answer_is_told() -> None:
    usage = Usage(input_tokens=10, output_tokens=4, cache_read_tokens=3, reasoning_tokens=1)
    async with house([Answer("Hel", finish="length", usage=usage)]) as (sup, _):
        done = await sup.complete(ask(model="openai:m"))
    assert (done.stop_reason, done.raw_stop_reason, done.provider, done.model) == ("length", "length", "openai", "m")
    assert done.response_id
    assert done.request_id == "req_loopback_000000"
    assert done.usage == usage


def _openai_nulls() -> bytes:
    nothing = {"index": 0, "delta": None, "finish_reason": None}
    said = {"index": 0, "delta": {"role": None, "content": "hi", "tool_calls": None, "refusal": None}}
    chunks = (
        {"id": None, "model": None, "choices": [nothing], "usage": None},
        {"choices": [said], "usage": None},
        {
            "choices": [{"index": 0, "delta": {"content": None}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": None, "completion_tokens": 3, "prompt_tokens_details": None},
        },
        {"choices": None, "usage": None},
    )
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def _anthropic_nulls() -> bytes:
    payloads = (
        start(usage={"input_tokens": None, "output_tokens": None, "cache_read_input_tokens": None}, content=None),
        block_start(0, type="text", text=None),
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        block_stop(0),
        *finish(output_tokens=3),
    )
    return b"".join(f"event: {p['type']}\ndata: {json.dumps(p)}\n\n".encode() for p in payloads)


@pytest.mark.parametrize(("name", "body"), [("vllm", _openai_nulls()), ("anthropic", _anthropic_nulls())])
async def test_weakness_11_null_is_as_good_as_absent(name: str, body: bytes) -> None:
    async with (
        open_loopback(script=[Answer(body=body)]) as server,
        create_provider(settings(server, name, max_retries=0), "m") as provider,
    ):
        end = [event async for event in provider.stream(HELLO)][-1]
    assert isinstance(end, StreamComplete)
    assert (end.message.content, end.stop_reason, end.usage) == ("hi", "stop", Usage(output_tokens=3))


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("openai", ["user", "calls a", "answers a", "calls b", "answers b", "user"]),
        ("anthropic", ["user", "calls a", "answers a", "calls b", "answers b user"]),
    ],
)
async def test_weakness_12_calls_made_one_after_the_other_stay_so(name: str, spoken: list[str]) -> None:
    history = [
        Message(role=Role.USER, content="Go."),
        *(turn for which in "ab" for turn in _step(which)),
        Message(role=Role.USER, content="And?"),
    ]
    async with open_loopback(script=[GREETING]) as server:
        async with create_provider(settings(server, name), "m") as provider:
            await provider.complete(history)
        sent: Any = server.exchanges[0].body
    assert [_what(turn) for turn in sent["messages"]] == spoken


def _step(which: str) -> list[Message]:
    """A call and its result."""
    call = {"id": which, "name": "f", "arguments": {}}
    return [
        Message.model_validate({"role": "assistant", "tool_calls": [call]}),
        Message(role=Role.TOOL, content="done", tool_call_id=which),
    ]


def _what(turn: dict[str, Any]) -> str:
    """A turn of either dialect in words."""
    calls = [f"calls {call['id']}" for call in turn.get("tool_calls") or ()]
    results = [f"answers {turn['tool_call_id']}"] if turn["role"] == "tool" else []
    blocks = turn["content"] if isinstance(turn["content"], list) else [{"type": "text"}] if turn["content"] else []
    for block in blocks:
        match block["type"]:
            case "tool_use":
                calls.append(f"calls {block['id']}")
            case "tool_result":
                results.append(f"answers {block['tool_use_id']}")
            case "text" if turn["role"] == "user":
                results.append("user")
    return " ".join(calls + results)


def _limited(given: dict[str, object], **limits: object) -> Config:
    config: dict[str, Any] = dict(given)
    config["providers"] = {name: {**provider, **limits} for name, provider in config["providers"].items()}
    return Config.model_validate(config)


@pytest.mark.parametrize(
    ("name", "model"), [("anthropic", "claude-sonnet-4-5"), ("openrouter", "anthropic/claude-sonnet-4.5")]
)
async def test_weakness_12_thinking_is_shown_and_goes_back_as_it_came(name: str, model: str) -> None:
    async with open_loopback(script=[Answer("Hi.", reasoning=["They ", "greet."])]) as server:
        async with create_provider(settings(server, name), model, reasoning=True) as provider:
            message = await provider.complete(HELLO)
            await provider.complete([*HELLO, message, Message(role=Role.USER, content="And?")])
        sent: Any = server.exchanges[1].body
    assert [block.text for block in message.reasoning] == ["They greet."]
    turn = sent["messages"][1]
    if name == "anthropic":
        assert turn["content"][0] == {
            "type": "thinking",
            "thinking": "They greet.",
            "signature": message.reasoning[0].signature,
        }
        assert message.reasoning[0].signature
    else:
        assert "They greet." in str({**turn, "content": ""})
