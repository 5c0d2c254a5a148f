"""One response as it comes: what it is read as, how long it is waited for, and what its reader and the gates see of it.
Virtual time."""

import json
import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nexus3 import ContentDelta, Notice, StreamComplete, StreamFailed
from nexus3.actors.attempt.watch import TAIL_GRACE
from nexus3.loopback import Answer
from nexus3.testing import HANG, Chunk, Cut, Head, Pause, Reply, Step, open_house
from tests.actors.scripted import BUSY, JSON, SSE, ask, config, events_of, failure_of, said, submitted

# -- what the server sends

LONG = Chunk(b"x" * 1000)
HTML = {"content-type": "text/html"}


@pytest.mark.parametrize(
    ("steps", "kind", "reason", "phase", "seconds"),
    [
        (
            [Head(200, {"content-type": "text/html"}), Chunk(b"<p>"), HANG],
            "protocol",
            "wrong_content_type",
            "headers",
            0,
        ),
        ([Head(200, SSE), Cut()], "transport", "reset", "first_event", 0),
        ([Head(200, SSE), Chunk(said("a")), Cut()], "transport", "reset", "stream", 0),
        ([Head(500, JSON), Chunk(b"{}"), Cut()], "server", "", "headers", 0),
        ([Head(500, JSON), Chunk(b"{}"), HANG], "server", "", "headers", 2),
        ([Head(500, JSON), *[LONG] * 9, HANG], "server", "", "headers", 0),
    ],
)
async def test_what_is_no_answer_is_told_as_what_it_is(
    steps: list[Step], kind: str, reason: str, phase: str, seconds: float, autojump_clock: MockClock
) -> None:
    async with open_house([steps], config(max_retries=0, max_error_body_bytes=5000)) as house:
        failure = await failure_of(house, ask())
        assert (failure.kind, failure.phase, trio.current_time()) == (kind, phase, seconds)
        assert failure.reason == (reason or failure.reason)


async def test_a_server_that_does_not_stream_is_understood(autojump_clock: MockClock) -> None:
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "all"}, "finish_reason": "stop"}]}
    script: list[list[Step]] = [[Head(200, JSON), Chunk(json.dumps(answer).encode())]]
    async with open_house(script, config()) as house:
        assert (await house.supervisor.complete(ask())).message.content == "all"


async def test_an_answer_that_is_complete_waits_a_little_for_its_tail(autojump_clock: MockClock) -> None:
    script: list[list[Step]] = [[Head(200, SSE), Chunk(said("a", "stop")), HANG]]
    async with open_house(script, config()) as house:
        assert (await house.supervisor.complete(ask())).message.content == "a"
        assert trio.current_time() == TAIL_GRACE


async def test_what_follows_the_end_is_read_to_its_limits_and_nobody_waits_for_it(
    autojump_clock: MockClock,
) -> None:
    end = Chunk(said("a", "stop") + b"data: [DONE]\n\n")
    for rest, left_at in (([HANG], 0.05), ([LONG, HANG], 0.05), ([*[LONG] * 9, HANG], 0.0)):
        async with open_house([[Head(200, SSE), end, *rest]], config(max_drain_bytes=5000)) as house:
            began = trio.current_time()
            await house.supervisor.complete(ask())
            assert trio.current_time() == began
            await trio.sleep(1)
        assert house.network.exchanges[0].ended_at == pytest.approx(began + left_at)


async def test_a_failure_has_the_provider_s_id_of_the_exchange(autojump_clock: MockClock) -> None:
    script: list[list[Step]] = [[Head(200, {**SSE, "x-request-id": "req-7"}), Cut()]]
    async with open_house(script, config(max_retries=0)) as house:
        assert (await failure_of(house, ask())).request_id == "req-7"


async def test_a_probe_counts_from_its_first_content_on(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    slow: list[Step] = [Head(200, SSE), Chunk(said("a")), Pause(30), Chunk(said("b", "stop"))]
    script: list[Reply] = [*[BUSY] * 5, slow, Answer("x")]
    async with open_house(script, config(max_retries=0)) as house:
        for _ in range(5):
            await failure_of(house, ask())
        await trio.sleep(10)
        nursery.start_soon(house.supervisor.complete, ask())
        await trio.sleep(1)
        assert (await house.supervisor.complete(ask())).message.content == "x"


async def test_a_cut_after_the_answer_s_end_is_told_beside_the_answer(autojump_clock: MockClock) -> None:
    script: list[list[Step]] = [[Head(200, SSE), Chunk(said("a")), Pause(2), Chunk(said("b", "stop")), Cut()]]
    async with open_house(script, config()) as house:
        seen = await events_of(house.supervisor, ask())
    kinds = [type(event) for event in seen]
    assert kinds[-2:] == [Notice, StreamComplete]
    assert isinstance(seen[-1], StreamComplete)
    assert seen[-1].message.content == "ab"


@pytest.mark.parametrize("rest", [[Chunk(b" \n" * 100)] * 9, [Chunk(b" \n" * 900)]], ids=["many reads", "one read"])
@pytest.mark.parametrize("limit", ["max_stream_bytes", "max_body_bytes"])
async def test_an_answer_has_a_greatest_length(limit: str, rest: list[Step], autojump_clock: MockClock) -> None:
    head = Head(200, SSE if limit == "max_stream_bytes" else {"content-type": "application/json"})
    script: list[list[Step]] = [[head, *rest, HANG]]
    limits: dict[str, Any] = {limit: 1000}
    async with open_house(script, config(max_retries=0, **limits)) as house:
        failure = await failure_of(house, ask())
        assert (failure.kind, failure.reason, trio.current_time()) == ("limit", limit, 0)


async def test_the_time_of_the_first_content_is_in_the_request_s_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    script: list[list[Step]] = [[Head(200, SSE), Pause(3), Chunk(said("a")), Pause(4), Chunk(said("b", "stop"))]]
    async with open_house(script, config()) as house:
        await events_of(house.supervisor, ask())
    assert "nexus3.first_event_s=3.0" in caplog.text


# -- the reader


async def test_a_slow_reader_stops_its_own_exchange_and_the_server_s_time_with_it(autojump_clock: MockClock) -> None:
    words = [Answer([f"{number} " for number in range(20)])]
    limits: dict[str, Any] = {"reply_buffer": 1, "stall_timeout": 100.0, "idle_timeout": 5.0, "progress_timeout": 5.0}
    async with open_house(words, config(**limits)) as house:
        submission = await submitted(house.supervisor, ask())
        texts: list[str] = []
        async with submission.events as events:
            async for event in events:
                if isinstance(event, ContentDelta):
                    texts.append(event.text)
                    await trio.sleep(7)
        assert "".join(texts).split() == [str(number) for number in range(20)]


async def test_after_a_slow_reader_the_server_has_its_limits_again(autojump_clock: MockClock) -> None:
    script: list[list[Step]] = [[Head(200, SSE), Chunk(said("a")), HANG]]
    async with open_house(script, config(reply_buffer=1, progress_timeout=5.0, idle_timeout=50.0)) as house:
        submission = await submitted(house.supervisor, ask())
        await trio.sleep(30)
        async with submission.events as events:
            seen = [event async for event in events]
        assert isinstance(seen[-1], StreamFailed)
        assert (seen[-1].error.kind, seen[-1].error.reason) == ("timeout", "progress")
        assert trio.current_time() == pytest.approx(35)
