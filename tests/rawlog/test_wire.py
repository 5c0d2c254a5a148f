"""Hooks hear what went over real sockets: every attempt, from its request to its one end."""

from contextlib import suppress
from typing import Any

import pytest
import trio

from nexus3 import ContentDelta, ProviderError
from nexus3.loopback import Answer, Call, Cut, ErrorEvent, HangUp, Stall
from nexus3.rawlog import logged_attempt
from nexus3.testing import crash
from tests.rawlog.heard import Heard, ask, listened

TWO_PIECES = Answer(["Hel", "lo"])
AT_ONCE = {"retry-after-ms": "1"}


def summary(heard: Heard) -> dict[str, Any]:
    """The only one, without its duration, which is positive."""
    (said,) = heard.of("complete")
    assert said["duration_ms"] > 0
    return {name: value for name, value in said.items() if name != "duration_ms"}


COMPLETED = {
    "request": "r1",
    "attempt": 1,
    "outcome": "completed",
    "http_status": 200,
    "content_length": 5,
    "tool_call_count": 0,
    "received_done": True,
    "finish_reason": "stop",
}


async def test_a_stream_of_openai_s_dialect() -> None:
    heard = Heard()
    async with listened(heard, [TWO_PIECES]) as (sup, server):
        await sup.complete(ask())
    assert heard.shape == "request chunk complete"
    assert heard.calls[0] == ("request", f"{server.url}/v1/chat/completions", server.exchanges[0].body)
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in heard.of("chunk") if chunk["choices"]]
    assert deltas == ["", "Hel", "lo", None]
    assert summary(heard) == {**COMPLETED, "event_count": 5}


async def test_a_stream_of_anthropic_s_dialect() -> None:
    heard = Heard()
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    async with listened(heard, [Answer(["Hel", "lo"], tool_calls=[Call("f")])]) as (sup, _):
        await sup.complete(ask(model="local-anthropic", tools=tools))
    kinds = [chunk["type"] for chunk in heard.of("chunk")]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert summary(heard) == {
        **COMPLETED,
        "event_count": len(kinds),
        "tool_call_count": 1,
        "finish_reason": "tool_use",
    }


async def test_an_answer_in_one_piece() -> None:
    heard = Heard()
    async with listened(heard, [TWO_PIECES], stream="never") as (sup, _):
        await sup.complete(ask())
    assert heard.shape == "request response"
    assert heard.calls[1][1] == 200
    assert heard.of("response")[0]["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
@pytest.mark.parametrize("stream", ["auto", "never"])
async def test_scenario_9_and_lesson_23_every_error_s_body_is_told(status: int, stream: str) -> None:
    heard = Heard()
    script = [Answer(status=status, error="told so")]
    async with listened(heard, script, stream=stream, max_retries=0) as (sup, _):
        with suppress(ProviderError):
            await sup.complete(ask())
    assert heard.shape == "request response"
    assert heard.calls[1][1] == status
    assert heard.of("response")[0]["error"]["message"] == "told so"


async def test_each_attempt_is_told_by_its_number() -> None:
    heard = Heard()
    script = [Answer(status=500, headers=AT_ONCE), Answer(status=503, headers=AT_ONCE), TWO_PIECES]
    async with listened(heard, script) as (sup, _):
        assert (await sup.complete(ask())).attempts == 3
    assert heard.shape == "request response request response request chunk complete"
    assert [call[1] for call in heard.calls if call[0] == "response"] == [500, 503]
    assert list(dict.fromkeys(heard.attempts)) == [("r1", 1), ("r1", 2), ("r1", 3)]
    assert summary(heard)["attempt"] == 3


async def test_an_error_that_is_no_json() -> None:
    heard = Heard()
    script = [Answer(status=502, body=b"<h1>Bad</h1>", headers={"content-type": "text/html"})]
    async with listened(heard, script, max_retries=0) as (sup, _):
        with suppress(ProviderError):
            await sup.complete(ask())
    assert heard.of("response") == [{"error": "<h1>Bad</h1>"}]


async def test_an_answer_that_is_no_answer() -> None:
    heard = Heard()
    script = [Answer(body=b"<h1>Log in</h1>", headers={"content-type": "text/html"}, framing="length")]
    async with listened(heard, script, max_retries=0) as (sup, _):
        with suppress(ProviderError):
            await sup.complete(ask())
    assert heard.shape == "request response"
    assert heard.of("response") == [{"_text": "<h1>Log in</h1>"}]


async def test_a_cut_stream() -> None:
    heard = Heard()
    async with listened(heard, [Answer(["Hel", "lo"], fault=Cut(after=1))]) as (sup, _):
        with pytest.raises(ProviderError):
            await sup.complete(ask())
    assert heard.shape == "request chunk complete"
    assert summary(heard) == {
        **COMPLETED,
        "outcome": "transport",
        "event_count": 2,
        "content_length": 3,
        "received_done": False,
        "finish_reason": None,
    }


async def test_a_cut_body() -> None:
    heard = Heard()
    async with listened(heard, [Answer("Hello", fault=Cut(after=1))], stream="never", max_retries=0) as (sup, _):
        with pytest.raises(ProviderError):
            await sup.complete(ask())
    assert heard.shape == "request response"
    assert heard.of("response")[0]["_truncated"] is True
    assert heard.of("response")[0]["object"] == "chat.completion", "what came of it is read"


async def test_an_error_inside_a_stream() -> None:
    heard = Heard()
    async with listened(heard, [Answer(["Hel", "lo"], fault=ErrorEvent(after=1))]) as (sup, _):
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask())
    assert "error" in heard.of("chunk")[-1]
    assert summary(heard)["outcome"] == caught.value.kind == "overloaded"


async def test_a_caller_that_leaves() -> None:
    heard = Heard()
    script = [Answer(["Hel", "lo"], fault=Stall(after=1))]
    async with listened(heard, script) as (sup, _), sup.stream(ask()) as events:
        async for event in events:
            if isinstance(event, ContentDelta):
                break
    assert heard.shape == "request chunk complete"
    assert (summary(heard)["outcome"], summary(heard)["content_length"]) == ("cancelled", 3)


async def test_a_timeout_of_ours() -> None:
    heard = Heard()
    script = [Answer("Hello", fault=Stall(after="head"))]
    async with listened(heard, script, first_event_timeout=0.05, max_retries=0) as (sup, _):
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask())
    assert summary(heard)["outcome"] == caught.value.kind == "timeout"


async def test_no_answer_at_all() -> None:
    heard = Heard()
    async with listened(heard, [Answer("", fault=HangUp())], max_retries=0) as (sup, _):
        with pytest.raises(ProviderError):
            await sup.complete(ask())
    assert heard.shape == "request complete"
    said = summary(heard)
    assert (said["http_status"], said["event_count"], said["outcome"]) == (None, 0, "transport")


async def test_a_crash_of_the_actor_ends_the_attempt_and_the_next_is_told() -> None:
    heard = Heard()
    script = [Answer("Hello", fault=Stall(after="head")), TWO_PIECES]
    async with listened(heard, script) as (sup, server), trio.open_nursery() as nursery:
        nursery.start_soon(sup.complete, ask())
        with trio.fail_after(5):
            while not server.exchanges:  # noqa: ASYNC110 - the server is another program's stand-in
                await trio.sleep(0.001)
        crash(sup, "openai")
    assert [said["outcome"] for said in heard.of("complete")] == ["cancelled", "completed"]
    assert list(dict.fromkeys(heard.attempts)) == [("r1", 1), ("r1", 2)]


async def test_without_bodies_only_lengths_are_told() -> None:
    heard = Heard()
    script = [Answer(status=500, headers=AT_ONCE, error="told so"), TWO_PIECES]
    async with listened(heard, script, bodies=False) as (sup, server):
        await sup.complete(ask("a secret thought"))
    assert heard.shape == "request response request complete"
    assert heard.of("request")[0] == {"_bytes": int(server.exchanges[0].headers["content-length"])}
    assert heard.of("response")[0].keys() == {"_bytes"}
    assert summary(heard)["event_count"] == 5


async def test_a_body_beyond_a_mebibyte_is_cut_and_marked() -> None:
    heard = Heard()
    async with listened(heard, [TWO_PIECES]) as (sup, _):
        await sup.complete(ask("x" * (2 << 20)))
    payload = heard.of("request")[0]
    assert payload["_truncated"] is True
    assert payload["model"] == "local-echo"
    assert 1_040_000 < len(payload["messages"][0]["content"]) < 1 << 20


async def test_hooks_may_be_missing() -> None:
    class ChunksOnly:
        def __init__(self) -> None:
            self.seen = 0

        def on_chunk(self, chunk: object) -> None:
            self.seen += 1

    callback: Any = ChunksOnly()
    async with listened(callback, [TWO_PIECES]) as (sup, _):
        await sup.complete(ask())
    assert callback.seen == 5


async def test_what_has_no_hook_is_refused() -> None:
    class Nothing:
        pass

    class Async:
        async def on_chunk(self, chunk: object) -> None:
            pass

    refused: list[Any] = [Nothing(), Async()]
    for callback in refused:
        with pytest.raises(TypeError, match=r"on_chunk"):
            async with listened(callback):
                pass


async def test_a_callback_is_changed_while_requests_run_and_hears_providers_added_later() -> None:
    first, second = Heard(), Heard()
    async with listened(first) as (sup, _):
        await sup.complete(ask("one"))
        sup.set_raw_log_callback(second)
        await sup.add_provider("late", sup.config.providers["openai"])
        await sup.complete(ask("two", model="late:local-echo"))
        sup.set_raw_log_callback(None)
        await sup.complete(ask("three"))
    assert [payload["messages"][0]["content"] for payload in first.of("request")] == ["one"]
    assert [payload["messages"][0]["content"] for payload in second.of("request")] == ["two"]
    assert len(first.of("complete")) == len(second.of("complete")) == 1


async def test_outside_of_a_hook_nothing_is_being_logged() -> None:
    with pytest.raises(LookupError):
        logged_attempt()
