"""The literal reply channel at the block's end: what fits without waiting is handed over, the rest is a dead letter."""

from collections.abc import Callable

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3 import ContentDelta, StreamEvent, StreamFailed, Submission, open_supervisor
from nexus3.actors.reply.forward import forward
from nexus3.loopback import Answer
from nexus3.testing import ScriptedNetwork
from nexus3.wire.failures import fail
from tests.actors.house import ask
from tests.actors.test_snapshot import config


async def left_behind(places: int, *, leave: Callable[[], None]) -> tuple[list[StreamEvent], dict[str, int]]:
    """What a reader finds that begins to read when the block has been left in mid-stream, and the counters."""
    network = ScriptedNetwork([Answer(["a"] * 10, delay=1.0)])
    send, receive = trio.open_memory_channel[StreamEvent](places)
    try:
        async with open_supervisor(config(), open_transport=network.open) as sup, sup.submissions() as submit:
            await submit.send(Submission(ask(), reply_to=send))
            await trio.sleep(4.5)
            leave()
    except KeyError:
        pass
    return [event async for event in receive], sup.snapshot().counters


def by_an_exception() -> None:
    raise KeyError


async def test_a_channel_with_room_gets_its_terminal_at_the_block_s_end(autojump_clock: MockClock) -> None:
    events, counters = await left_behind(64, leave=by_an_exception)
    assert "".join(event.text for event in events if isinstance(event, ContentDelta)) == "aaaaa"
    end = events[-1]
    assert isinstance(end, StreamFailed)
    assert (end.error.kind, end.error.reason, end.error.emitted) == ("unavailable", "closed", True)
    assert "dead_letter.reply_full" not in counters


async def test_a_full_channel_is_closed_without_one_and_told_as_a_dead_letter(autojump_clock: MockClock) -> None:
    events, counters = await left_behind(3, leave=by_an_exception)
    assert len(events) == 3
    assert not any(isinstance(event, StreamFailed) for event in events)
    assert counters["dead_letter.reply_full"] == 1


async def test_a_dead_letter_is_told_in_the_context_of_its_own_caller(autojump_clock: MockClock) -> None:
    told: list[object] = []

    def remember(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if line["event"] == "dead_letter":
            told.append(line.get("tenant"))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, remember])
    network = ScriptedNetwork([Answer(["a"] * 10, delay=1.0)])
    send, receive = trio.open_memory_channel[StreamEvent](1)
    with pytest.raises(KeyError), receive:
        async with open_supervisor(config(), open_transport=network.open) as sup:
            with structlog.contextvars.bound_contextvars(tenant="opened the channel"):
                channel = sup.submissions()
                submit = await channel.__aenter__()
            with structlog.contextvars.bound_contextvars(tenant="asked"):
                submission = Submission(ask(), reply_to=send)
            await submit.send(submission)
            await trio.sleep(4.5)
            raise KeyError
    assert told == ["asked"]


async def test_a_channel_whose_reader_has_left_is_a_dead_letter_too(autojump_clock: MockClock) -> None:
    network = ScriptedNetwork([Answer(["a"] * 10, delay=1.0)])
    send, receive = trio.open_memory_channel[StreamEvent](64)
    with pytest.raises(KeyError):
        async with open_supervisor(config(), open_transport=network.open) as sup, sup.submissions() as submit:
            await submit.send(Submission(ask(), reply_to=send))
            await trio.sleep(4.5)
            receive.close()
            raise KeyError
    assert sup.snapshot().counters["dead_letter.reply_full"] == 1


async def test_a_forwarder_that_is_cancelled_hands_over_what_has_come_meanwhile() -> None:
    """The end of the block may strike between the last event and its delivery."""
    send, receive = trio.open_memory_channel[StreamEvent](64)
    ticket, stream = Submission(ask(), reply_to=send).hand_over()
    letters: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: forward(
                ticket, stream, send, stall_timeout=1.0, on_dead_letter=lambda _, reason: letters.append(reason)
            )
        )
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        ticket.fail(fail("unavailable", "closed", "The supervisor is closed."))
    [end] = [event async for event in receive]
    assert isinstance(end, StreamFailed)
    assert (end.error.reason, letters) == ("closed", [])
