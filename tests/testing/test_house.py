"""The test kit, as an embedder uses it: scripts for providers, virtual time, and the promise checked at the end."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
import trio.testing

from nexus3 import (
    CompletionRequest,
    ContentDelta,
    Message,
    Notice,
    ProviderError,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
)
from nexus3.loopback import (
    Answer,
    DripHeaders,
    ErrorEvent,
    Garbage,
    HangUp,
    NoMarker,
    OnlyPings,
    Stall,
    StallHeaders,
)
from nexus3.loopback import (
    Cut as CutFault,
)
from nexus3.testing import (
    HANG,
    BrokenPromise,
    Chunk,
    Crash,
    Cut,
    End,
    Exchange,
    Head,
    House,
    Pause,
    Reply,
    ScriptedNetwork,
    Sent,
    check_at_rest,
    check_events,
    crash,
    open_house,
)
from nexus3.testing.fixtures import nexus3_house as nexus3_house
from nexus3.wire.events import MAYBE_BILLED_TWICE
from tests.docs.examples import ROOT, examples, printed_by

DOCUMENT = ROOT / "docs" / "testing.md"
EVENTS = {"content-type": "text/event-stream"}


def ask(model: str | None = None, timeout: float | None = None) -> CompletionRequest:
    return CompletionRequest(model=model, messages=(Message(role=Role.USER, content="hi"),), timeout=timeout)


async def events_of(supervisor: Supervisor, request: CompletionRequest) -> list[StreamEvent]:
    submission = Submission(request)
    async with supervisor.submissions() as submit:
        await submit.send(submission)
    async with submission.events as events:
        return [event async for event in events]


def sse(*texts: str) -> list[Chunk]:
    def chunk(delta: object, finish: str | None = None) -> Chunk:
        body = {"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        return Chunk(b"data: " + json.dumps(body).encode() + b"\n\n")

    return [*(chunk({"content": text}) for text in texts), chunk({}, "stop")]


# -- scripts


@pytest.mark.parametrize("model", ["local-openai", "local-anthropic", "local-azure", "local-openrouter"])
async def test_an_answer_is_spoken_in_the_dialect_of_whoever_is_asked(
    model: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_house([Answer(["Hel", "lo"], delay=3.0)]) as (supervisor, network):
        events = await events_of(supervisor, ask(model))
        assert isinstance(end := check_events(events), StreamComplete)
        assert end.message.content == "Hello"
        assert trio.current_time() == pytest.approx(3.0, abs=0.1)
    [exchange] = network.exchanges
    assert (exchange.provider, exchange.incarnation, exchange.ending) == (model.removeprefix("local-"), 1, "read")


async def test_a_body_in_pieces_comes_with_the_pauses_before_them(autojump_clock: trio.testing.MockClock) -> None:
    body = [chunk.data for chunk in sse("Hel", "lo")]
    async with open_house([Answer(body=body, pauses=[1.0, 0.0, 4.0], delay=9.0)]) as (supervisor, _):
        request = ask()
        came: list[tuple[float, str]] = []
        async with supervisor.stream(request) as events:
            async for event in events:
                match event:
                    case ContentDelta(text):
                        came.append((round(trio.current_time(), 1), text))
                    case StreamComplete():
                        came.append((round(trio.current_time(), 1), "end"))
                    case _:
                        pass
    assert came == [(1.0, "Hel"), (1.0, "lo"), (5.0, "end")]


async def test_replies_come_in_order_and_the_last_one_again(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([Answer("one"), Answer("two")]) as (supervisor, _):
        answers = [(await supervisor.complete(ask())).message.content for _ in range(3)]
    assert answers == ["one", "two", "two"]


async def test_a_function_decides_by_what_was_sent(autojump_clock: trio.testing.MockClock) -> None:
    def script(exchange: Exchange) -> Reply:
        return Answer(json.loads(exchange.body)["model"])

    async with open_house(script) as (supervisor, network):
        assert (await supervisor.complete(ask("openai:gpt"))).message.content == "gpt"
        assert dict(network.exchanges[0].headers)["authorization"] == "Bearer loopback-key"


async def test_steps_say_everything_below_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    steps: list[Any] = [Pause(1.0), Sent(), Pause(1.0), Head(200, EVENTS), *sse("a", "b"), End()]
    async with open_house([steps]) as (supervisor, network):
        assert (await supervisor.complete(ask())).message.content == "ab"
        exchange = network.exchanges[0]
        assert exchange.sent_at == pytest.approx(exchange.began + 1.0)
        assert exchange.ended_at == pytest.approx(exchange.began + 2.0)


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        ([Cut("refused")], "transport", "refused"),
        ([Head(200, EVENTS), *sse("a")[:1], Cut()], "transport", "reset"),
        ([Head(200, EVENTS), *sse("a")[:1]], "protocol", "stream_truncated"),
        ([Head(401)], "auth", "unauthorized"),
        ([Pause(1.0)], "transport", "closed"),
        (Answer("ab", fault=CutFault(after=1)), "transport", "closed"),
        (Answer("ab", fault=CutFault(after=1, how="end")), "protocol", "stream_truncated"),
        (Answer(["a", "b"], fault=Stall(after=1)), "timeout", "deadline"),
        (Answer(["a", "b"], fault=OnlyPings(after=1)), "timeout", "deadline"),
        (Answer("ab", fault=ErrorEvent(after=1)), "overloaded", None),
        (Answer("ab", fault=HangUp()), "transport", "closed"),
        (Answer("ab", fault=StallHeaders()), "timeout", "deadline"),
        (Answer("ab", fault=NoMarker()), "protocol", "stream_truncated"),
        (Answer("ab", fault=Garbage(after=1)), "protocol", None),
        ([HANG], "timeout", "deadline"),
    ],
)
async def test_faults_end_as_they_do_on_a_real_connection(
    reply: Reply, kind: str, reason: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_house([reply]) as (supervisor, _):
        end = check_events(await events_of(supervisor, ask(timeout=30.0)))
        assert isinstance(end, StreamFailed)
        assert end.error.kind == kind
        assert reason is None or end.error.reason == reason
        assert trio.current_time() <= 30.0


async def test_what_needs_a_real_connection_is_refused_by_name() -> None:
    network = ScriptedNetwork([Answer("x", fault=DripHeaders())])
    with pytest.raises(ValueError, match=r"DripHeaders.*open_loopback"):
        network.begin("p", 1, "http://127.0.0.1/v1/chat/completions", [], b"{}")


# -- virtual time, crashes, starts


async def test_an_hour_of_silence_takes_no_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([[HANG]]) as (supervisor, network):
        with pytest.raises(ProviderError) as caught:
            await supervisor.complete(ask(timeout=100.0))
        assert caught.value.kind == "timeout"
        assert trio.current_time() == pytest.approx(100.0)
        assert network.exchanges[0].ending == "left"


async def test_a_crash_happens_at_its_place(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([[Crash()], Answer("again")]) as (supervisor, network):
        events = await events_of(supervisor, ask())
        assert isinstance(check_events(events), StreamComplete)
        assert MAYBE_BILLED_TWICE in [event.code for event in events if isinstance(event, Notice)]
    assert [(exchange.incarnation, exchange.ending) for exchange in network.exchanges] == [(1, "crashed"), (2, "read")]


async def test_a_crash_from_outside_and_a_start_that_fails(autojump_clock: trio.testing.MockClock) -> None:
    def opening(provider: str, number: int) -> list[Crash | Pause]:
        return [Pause(1.0), Crash()] if (provider, number) == ("openai", 2) else []

    async with open_house([Answer("hello")], opening=opening) as (supervisor, network):
        crash(supervisor, "openai")
        assert (await supervisor.complete(ask())).message.content == "hello"
        assert network.incarnations["openai"] == 3
        assert supervisor.snapshot().children["openai"].restarts == 2


async def test_leaving_a_stream_leaves_the_network(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([Answer(["a", "b"], fault=Stall(after=1))]) as (supervisor, network):
        async with supervisor.stream(ask()) as stream:
            async for event in stream:
                if type(event).__name__ == "ContentDelta":
                    break
        await trio.testing.wait_all_tasks_blocked()
        assert network.open_exchanges == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_dropped_stream_is_cancelled_also_where_warnings_are_errors(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_house([[HANG]]) as (supervisor, network):
        stream = supervisor.stream(ask())
        await stream.__aenter__()
        await stream.receive()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del stream
        await trio.sleep(1)
        assert network.open_exchanges == []
        assert supervisor.snapshot().counters["outcome.cancelled"] == 1


# -- the checks


async def test_the_house_is_checked_on_leaving(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(BrokenPromise, match="accepted and settled differ"):
        async with open_house([Answer("hello")]) as (supervisor, _):
            await supervisor.complete(ask())
            supervisor.slot("openai").counters["settled"] -= 1


async def test_a_busy_house_is_not_at_rest(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([[HANG]]) as (supervisor, _), supervisor.stream(ask()) as stream:
        await stream.receive()
        with pytest.raises(BrokenPromise):
            check_at_rest(supervisor.snapshot())


async def test_every_way_to_break_the_grammar_is_found(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([Answer(status=503), Answer(["a", "b"])]) as (supervisor, _):
        events = await events_of(supervisor, ask())
    assert isinstance(check_events(events), StreamComplete)
    for index, event in enumerate(events):
        kind = type(event).__name__
        without = events[:index] + events[index + 1 :]
        twice = events[: index + 1] + events[index:]
        if kind not in ("UsageUpdated", "Notice"):
            with pytest.raises(BrokenPromise):
                check_events(twice)
        if kind not in ("UsageUpdated", "Notice", "RetryScheduled"):
            with pytest.raises(BrokenPromise):
                check_events([*without, events[-1]] if kind == "AttemptStarted" and index else without)
    assert check_events(events[:-1], to_the_end=False) is None
    with pytest.raises(BrokenPromise, match="no terminal"):
        check_events(events[:-1])


# -- pytest and the document


async def test_the_fixture_is_the_house(
    nexus3_house: Callable[..., AbstractAsyncContextManager[House]], autojump_clock: trio.testing.MockClock
) -> None:
    async with nexus3_house([Answer("hello")]) as (supervisor, network):
        assert (await supervisor.complete(ask())).message.content == "hello"
        assert len(network.exchanges) == 1


def test_only_the_plugin_imports_pytest() -> None:
    code = "import sys, nexus3.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_document_s_example_runs_as_it_stands() -> None:
    [example] = examples(DOCUMENT)
    printed_by(example)


async def test_a_provider_error_names_the_scripted_failure(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([Answer(status=404)]) as (supervisor, _):
        with pytest.raises(ProviderError) as caught:
            await supervisor.complete(ask())
        assert (caught.value.kind, caught.value.status) == ("not_found", 404)
