"""Hooks that block, raise or lag change no event and no outcome; what they miss is counted."""

import contextvars
import gc
import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from nexus3 import CompletionRequest, StreamEvent, Supervisor, open_supervisor
from nexus3.actors.tap import AttemptId, Ending
from nexus3.loopback import Answer, Stall
from nexus3.observe.catalog import LogEvent
from nexus3.rawlog import RawLogCallback, logged_attempt
from nexus3.rawlog.backlog import Backlog
from nexus3.rawlog.hooks import Hooks
from nexus3.rawlog.raw_log import RawLog
from nexus3.wire.messages import JsonObject
from tests.rawlog.heard import Heard, ask, listened

ABOUT = AttemptId("r1", 1, "p", "m")
ENDING = Ending("completed", 1.0, is_whole=True, content_length=0, tool_call_count=0, finish_reason=None)

HELLO = Answer([f"piece {number} " for number in range(50)])


class Gate(Heard):
    """Its hooks block until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def _note(self, *call: object) -> None:
        self.reached.set()
        self.go_on.wait(30)
        super()._note(*call)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.go_on.set()


class Raising(Heard):
    """Each hook raises, after it was told, what is hardest to bear."""

    def _note(self, *call: object) -> None:
        super()._note(*call)
        raise SystemExit("a hook")


async def events_of(sup: Supervisor, request: CompletionRequest) -> list[StreamEvent]:
    async with sup.stream(request) as events:
        return [event async for event in events]


async def test_events_are_the_same_whatever_hooks_do(gate: Gate) -> None:
    async with listened(None, [HELLO]) as (sup, _):
        expected = await events_of(sup, ask())
    assert len(expected) > 50
    for callback in (Heard(), Raising(), gate):
        async with listened(callback, [HELLO]) as (sup, _):
            assert await events_of(sup, ask()) == expected
            gate.go_on.set()


async def test_a_hook_that_blocks_holds_up_no_request_and_the_block_s_end_for_a_second_only(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "nexus3")
    async with listened(gate, lambda _: HELLO) as (sup, _):
        for _ in range(20):
            await sup.complete(ask())
        with trio.fail_after(5):
            assert await trio.to_thread.run_sync(gate.reached.wait, 5)
        assert len(gate.calls) == 0
        left_at = time.monotonic()
        counters = sup.snapshot
    assert 0.9 < time.monotonic() - left_at < 5
    (lost,) = [record.__dict__["nexus3"]["lost"] for record in caplog.records if "raw_log.lost" in record.message]
    assert lost > 40
    assert counters().counters["raw_log.dropped"] == lost


async def test_leaving_by_an_exception_waits_for_no_hook(gate: Gate) -> None:
    raised = RuntimeError("the body's own")
    with pytest.raises(RuntimeError) as caught:
        async with listened(gate, lambda _: HELLO) as (sup, _):
            await sup.complete(ask())
            assert await trio.to_thread.run_sync(gate.reached.wait, 5)
            left_at = time.monotonic()
            raise raised
    assert caught.value is raised
    assert time.monotonic() - left_at < 0.5


async def test_a_hook_that_raises_is_counted_said_once_and_given_a_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "nexus3")
    callback = Raising()
    async with listened(callback, lambda _: HELLO) as (sup, _):
        await sup.complete(ask())
        await trio.sleep(0.3)
        await sup.complete(ask())
        snapshot = sup.snapshot
    counters = snapshot().counters
    assert counters["raw_log.raised"] == len(callback.calls) == 10
    assert counters["raw_log.skipped"] > 30
    assert counters["raw_log.dropped"] == 1, "an attempt that began while the hooks rested"
    said = [record.__dict__["nexus3"] for record in caplog.records if "raw_log.raised" in record.message]
    assert said == [{"hook": "on_request", "error": "SystemExit"}, {"hook": "on_chunk", "error": "SystemExit"}]


def test_after_a_rest_hooks_are_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("nexus3.rawlog.hooks.monotonic", lambda: now[0])
    calls: list[bool] = []

    class Sometimes(RawLogCallback):
        def on_chunk(self, chunk: JsonObject) -> None:
            calls.append(True)
            if len(calls) not in (9, 25):
                raise ValueError

    counters: Counter[str] = Counter()
    hooks = Hooks(Sometimes(), lambda *_: None, counters)
    context = contextvars.copy_context()
    for _ in range(30):
        hooks.call(context, ABOUT, 0.0, "on_chunk", {})
    assert len(calls) == 19, "the ninth call went well, so the count began anew"
    assert counters == {"raw_log.raised": 18, "raw_log.skipped": 11}
    now[0] = 31.0
    hooks.call(context, ABOUT, 0.0, "on_chunk", {})
    assert len(calls) == 20
    assert hooks.are_resting, "it raised once more"


class Record:
    """A log that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []

    def __call__(self, event: LogEvent, line: Any) -> None:
        self.said.append((event.name, line))


async def test_what_finds_no_room_is_dropped_counted_and_said_once(gate: Gate) -> None:
    log = Record()
    counters: Counter[str] = Counter()
    raw_log = RawLog(gate, log, counters=counters, backlog=Backlog("test", most_items=10))
    recordings = [raw_log(ABOUT, []) for _ in range(12)]
    for recording in recordings:
        recording.sent("http://h/v1", b"{}")
    assert counters["raw_log.dropped"] == 2
    assert log.said == [("raw_log.full", {"dropped": 1})]
    for recording in recordings:
        recording.head_came(200, "text/event-stream")
        recording.bytes_came(b'data: {"a": 1}\n\n')
        recording.bytes_came(b"data: [DONE]\n\n")
    # Of an attempt that is told, the rest is dropped with its first gap; of one that is not, nothing is offered.
    assert counters["raw_log.dropped"] == 2 + 10
    assert len(log.said) == 1
    for recording in recordings:
        recording.ended(ENDING)
    gate.go_on.set()
    await raw_log.aclose()
    assert gate.shape == "request complete"
    assert len(gate.of("request")) == len(gate.of("complete")) == 10, "each that began has its end"
    assert {(said["_truncated"], said["outcome"]) for said in gate.of("complete")} == {(True, "completed")}


async def test_it_is_said_again_when_there_was_room_between(gate: Gate) -> None:
    log = Record()
    backlog = Backlog("test", most_items=4)
    raw_log = RawLog(gate, log, backlog=backlog)
    for told in (4, 8):
        gate.go_on.clear()
        for _ in range(10):
            raw_log(ABOUT, []).sent("http://h/v1", b"{}")
        gate.go_on.set()
        with trio.fail_after(5):
            while len(gate.calls) < told:  # noqa: ASYNC110 - a thread calls
                await trio.sleep(0.01)
    assert [name for name, _ in log.said] == ["raw_log.full", "raw_log.full"]
    raw_log.close()


async def test_bytes_are_bounded_too(gate: Gate) -> None:
    counters: Counter[str] = Counter()
    raw_log = RawLog(gate, Record(), counters=counters, backlog=Backlog("test", most_bytes=100))
    recording = raw_log(ABOUT, [])
    recording.sent("http://h/v1", b"x" * 60)
    recording.bytes_came(b"y" * 41)
    assert counters == {"raw_log.dropped": 1}
    gate.go_on.set()
    raw_log.close()


async def test_lesson_14_and_scenario_37_two_agents_logs_never_cross() -> None:
    agent: contextvars.ContextVar[str] = contextvars.ContextVar("agent", default="nobody")
    heard: list[tuple[str, str, str]] = []

    class ByAgent(RawLogCallback):
        def on_request(self, endpoint: str, payload: JsonObject) -> None:
            messages: Any = payload["messages"]
            heard.append((agent.get(), messages[0]["content"], logged_attempt().request))

        def on_stream_complete(self, summary: JsonObject) -> None:
            heard.append((agent.get(), "end", logged_attempt().request))

    async def act(sup: Supervisor, name: str) -> None:
        agent.set(name)
        for number in range(10):
            await sup.complete(ask(f"{name} {number}"))

    async with listened(ByAgent(), lambda _: HELLO) as (sup, _), trio.open_nursery() as nursery:
        for name in ("ann", "bob", "cy"):
            nursery.start_soon(act, sup, name)
    assert len(heard) == 60
    ends = {request: who for who, what, request in heard if what == "end"}
    for who, what, request in heard:
        if what != "end":
            assert what.startswith(f"{who} ")
            assert ends[request] == who


async def test_hooks_are_called_in_one_thread_that_is_not_the_run_s() -> None:
    heard = Heard()
    async with listened(heard, lambda _: HELLO) as (sup, _), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(sup.complete, ask())
    assert len(heard.threads) == 1
    assert threading.get_ident() not in heard.threads


async def test_no_answer_is_held_once_it_was_told() -> None:
    heard = Heard()
    async with listened(heard, lambda _: HELLO) as (sup, _):
        await sup.complete(ask())
        assert sup._raw_log.tap is not None
        backlog = weakref.ref(sup._raw_log.tap._backlog)
    del sup, _
    gc.collect()
    assert heard.shape == "request chunk complete"
    assert backlog() is None


async def test_without_a_callback_there_is_no_tap_and_no_thread() -> None:
    async with listened(None, [HELLO]) as (sup, _):
        assert {sup.slot(name).tap for name in ("openai", "anthropic")} == {None}
        await sup.complete(ask())
        assert not [thread for thread in threading.enumerate() if thread.name == "nexus3 raw log"]


async def test_the_bundled_provider_s_word_takes_a_callback_too() -> None:
    heard = Heard()
    async with open_supervisor("loopback", raw_log=heard) as sup:
        await sup.complete(ask())
    assert heard.shape == "request chunk complete"


async def test_an_attempt_that_runs_when_its_callback_is_replaced_is_told_to_its_end() -> None:
    first, second = Heard(), Heard()
    script = [Answer(["Hel", "lo"], fault=Stall(after=1, seconds=0.1)), HELLO]
    async with listened(first, script) as (sup, server), trio.open_nursery() as nursery:
        nursery.start_soon(sup.complete, ask())
        with trio.fail_after(5):
            while not server.exchanges:  # noqa: ASYNC110 - the server is another program's stand-in
                await trio.sleep(0.001)
        sup.set_raw_log_callback(second)
        await sup.complete(ask())
    assert first.of("complete")[0]["outcome"] == "completed"
    assert [said["request"] for said in second.of("complete")] == ["r2"]


async def test_a_stream_faster_than_its_hooks_costs_one_queued_piece_and_is_told_in_order(gate: Gate) -> None:
    backlog = Backlog("test", most_items=4)
    raw_log = RawLog(gate, Record(), backlog=backlog)
    recording = raw_log(ABOUT, [])
    recording.sent("http://h/v1", b"{}")
    recording.head_came(200, "text/event-stream")
    for number in range(100):
        recording.bytes_came(b'data: {"n": %d}\n\n' % number)
    gate.go_on.set()
    with trio.fail_after(5):
        while len(gate.calls) < 101:  # noqa: ASYNC110 - a thread calls
            await trio.sleep(0.01)
    recording.bytes_came(b'data: {"n": 100}\n\n')
    with trio.fail_after(5):
        while len(gate.calls) < 102:  # noqa: ASYNC110 - a stream that stalls is told as far as it came
            await trio.sleep(0.01)
    recording.ended(ENDING)
    await raw_log.aclose()
    assert [chunk["n"] for chunk in gate.of("chunk")] == list(range(101))
    assert gate.shape == "request chunk complete"
    assert "_truncated" not in gate.of("complete")[0]
    assert backlog._bytes_held == 0


async def test_what_was_held_when_the_queue_was_full_is_told_at_the_end_and_given_back(gate: Gate) -> None:
    backlog = Backlog("test", most_items=2)
    raw_log = RawLog(gate, Record(), backlog=backlog)
    recording = raw_log(ABOUT, [])
    recording.sent("http://h/v1", b"{}")
    recording.head_came(200, "text/event-stream")
    recording.bytes_came(b'data: {"n": 1}\n\n')
    recording.bytes_came(b'data: {"n": 2}\n\n')
    recording.ended(ENDING)
    gate.go_on.set()
    await raw_log.aclose()
    assert [chunk["n"] for chunk in gate.of("chunk")] == [1]
    assert gate.of("complete")[0]["_truncated"] is True
    assert backlog._bytes_held == 0
