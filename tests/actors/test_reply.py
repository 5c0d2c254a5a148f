"""Tickets and their readers: one terminal, out of band, whatever happens in between."""

import gc
import warnings
from functools import partial

import pytest
import trio
import trio.testing

from nexus3.actors.limits import Limits
from nexus3.actors.reply.stream import YIELD_EVERY, ReplyStream, open_reply
from nexus3.actors.route import target_of
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.ticket import REPLY_BATCHES, SlowConsumer, Ticket
from nexus3.config.resolve import resolve
from nexus3.wire.codecs.dialects import CODECS
from nexus3.wire.events import ContentDelta, StreamComplete, StreamEvent, StreamFailed
from nexus3.wire.failures import CancelledError, ProviderError, ServerError, fail
from nexus3.wire.messages import Message, Role
from nexus3.wire.requests import CompletionRequest

REQUEST = CompletionRequest(messages=(Message(role=Role.USER, content="hi"),))
DONE = StreamComplete(Message(role=Role.ASSISTANT, content="ab"))
BROKEN = fail("server", "test", "broken")
HERE = target_of(resolve("here", ProviderConfig(type="ollama"), {}), "m", None)


def opened(*, raises: bool = False) -> tuple[Ticket, ReplyStream]:
    ticket, stream = open_reply(REQUEST, raises=raises)
    ticket.token = trio.lowlevel.current_trio_token()
    ticket.state = "running"
    return ticket, stream


async def read(stream: ReplyStream) -> list[StreamEvent]:
    return [event async for event in stream]


async def test_the_first_settle_wins_and_is_read_last() -> None:
    ticket, stream = opened()
    assert ticket.offer([ContentDelta("a"), ContentDelta("b")])
    assert ticket.settle(DONE)
    assert not ticket.fail(BROKEN)
    assert not ticket.settle(DONE)
    assert await read(stream) == [ContentDelta("a"), ContentDelta("b"), DONE]
    with pytest.raises(trio.EndOfChannel):
        await stream.receive()


async def test_a_full_buffer_does_not_stop_the_terminal() -> None:
    ticket, stream = opened()
    for _ in range(REPLY_BATCHES):
        assert ticket.offer([ContentDelta("x")])
    assert not ticket.offer([ContentDelta("lost")])
    assert ticket.fail(BROKEN)
    events = await read(stream)
    assert len(events) == REPLY_BATCHES + 1
    assert isinstance(events[-1], StreamFailed)


async def test_settling_cancels_the_work_and_is_legal_in_a_cancelled_scope() -> None:
    ticket, stream = opened()
    with trio.CancelScope() as work:  # noqa: ASYNC100 - only its being cancelled matters
        ticket.scope = work
        work.cancel()
        assert ticket.fail(BROKEN)
    assert work.cancel_called
    assert isinstance((await read(stream))[-1], StreamFailed)


async def test_leaving_the_block_ends_the_request_without_a_checkpoint() -> None:
    ticket, stream = opened()
    ticket.scope = trio.CancelScope()
    async with stream:
        with trio.testing.assert_no_checkpoints():
            await stream.__aexit__(None, None, None)
    assert isinstance(ticket.terminal, StreamFailed)
    assert ticket.terminal.error.kind == "cancelled"
    assert ticket.scope.cancel_called
    assert not ticket.offer([ContentDelta("late")])


async def test_events_reach_the_work_s_end_once_the_reader_has_room(nursery: trio.Nursery) -> None:
    ticket, stream = opened()
    texts = [str(number) for number in range(REPLY_BATCHES + 1)]
    for text in texts[:-1]:
        await ticket.deliver([ContentDelta(text)], 60)
    nursery.start_soon(partial(ticket.deliver, [ContentDelta(texts[-1])], 60))
    await trio.testing.wait_all_tasks_blocked()
    seen = [await stream.receive(), await stream.receive()]
    await trio.testing.wait_all_tasks_blocked()
    ticket.settle(DONE)
    assert [*seen, *await read(stream)] == [*(ContentDelta(text) for text in texts), DONE]


async def test_work_whose_reader_has_left_waits_for_its_cancellation(autojump_clock: trio.testing.MockClock) -> None:
    ticket, stream = opened()
    stream.close()
    with trio.move_on_after(50) as work:
        await ticket.deliver([ContentDelta("late")], stall_timeout=60)
    assert work.cancelled_caught


async def test_a_failure_says_what_is_known_of_the_request() -> None:
    for emitted in (False, True):
        ticket, _stream = opened()
        ticket.provider, ticket.model, ticket.attempts, ticket.emitted = "here", "m", 3, emitted
        ticket.decoder = decoder = CODECS["openai_chat"].open_decoder(HERE, request_id=None, limits=Limits().decode)
        decoder.feed(b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n')
        decoder.feed(b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}\n\n')
        ticket.fail(BROKEN)
        assert isinstance(ticket.terminal, StreamFailed)
        error, partial = ticket.terminal.error, ticket.terminal.partial
        assert (error.emitted, error.provider, error.model, error.attempts) == (emitted, "here", "m", 3)
        assert (partial and partial.content, error.partial) == ("Hel" if emitted else None, partial)
        assert error.usage is not None
        assert (error.usage.input_tokens, error.usage.output_tokens) == (7, 2)


async def test_who_reads_without_a_block_submits_once_and_who_closed_reads_nothing() -> None:
    submitted: list[Ticket] = []
    ticket, stream = open_reply(REQUEST, raises=False, begin=submitted.append)
    ticket.offer([ContentDelta("a")])
    assert await stream.receive() == ContentDelta("a")
    ticket.offer([ContentDelta("b"), ContentDelta("c")])
    assert await stream.receive() == ContentDelta("b")
    assert submitted == [ticket]
    stream.close()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive()


async def test_closing_gives_the_task_that_waits_for_the_next_event_the_terminal(nursery: trio.Nursery) -> None:
    ticket, stream = opened()
    seen: list[StreamEvent] = []

    async def wait() -> None:
        seen.append(await stream.receive())

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    stream.close()
    await trio.testing.wait_all_tasks_blocked()
    assert seen == [ticket.terminal]
    assert isinstance(ticket.terminal, StreamFailed)
    assert ticket.terminal.error.reason == "caller_left"


async def test_small_batches_give_the_scheduler_its_turn_as_large_ones_do() -> None:
    ticket, stream = opened()
    for _ in range(REPLY_BATCHES):
        ticket.offer([ContentDelta("x")])
    ticket.settle(DONE)
    for _ in range(YIELD_EVERY):
        with trio.testing.assert_no_checkpoints():
            await stream.receive()
    with trio.testing.assert_checkpoints():
        await stream.receive()


async def test_completing_reads_past_everything_and_leaving_it_ends_the_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ticket, stream = opened()

    async def work() -> None:
        for _ in range(REPLY_BATCHES * 2):
            await ticket.deliver([ContentDelta("x")], 60)
        ticket.settle(DONE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        assert await stream.complete() is DONE
    ticket, stream = opened()
    with trio.move_on_after(1):
        await stream.complete()
    assert isinstance(ticket.terminal, StreamFailed)
    assert ticket.terminal.error.reason == "caller_left"


async def test_the_rest_is_what_is_in_hand_then_what_is_in_then_the_terminal() -> None:
    ticket, stream = opened()
    a, b, c = (ContentDelta(text) for text in "abc")
    ticket.offer([a, b])
    assert [await anext(stream), stream.rest()] == [a, [b]]
    ticket.offer([c])
    ticket.settle(DONE)
    assert stream.rest() == [b, c, DONE]


async def test_streams_for_people_raise_and_streams_for_programs_tell() -> None:
    for end in (ReplyStream.complete, ReplyStream.receive):
        ticket, stream = opened(raises=True)
        ticket.fail(BROKEN)
        with pytest.raises(ServerError) as caught:
            await end(stream)
        assert caught.value.failure == BROKEN
        assert caught.value.__traceback__ is not None
    ticket, stream = opened(raises=False)
    ticket.fail(BROKEN)
    assert await read(stream) == [StreamFailed(ServerError(BROKEN))]


async def test_a_reader_that_stops_reading_fails_its_request_after_the_stall_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ticket, _stream = opened()
    for _ in range(REPLY_BATCHES):
        ticket.offer([ContentDelta("x")])
    with pytest.raises(SlowConsumer):
        await ticket.deliver([ContentDelta("y")], stall_timeout=60)
    assert trio.current_time() == pytest.approx(60)
    ticket.fail(BROKEN)


async def test_a_reader_gives_the_scheduler_its_turn() -> None:
    ticket, stream = opened()
    ticket.offer([ContentDelta("x")] * (YIELD_EVERY * 10))
    ticket.settle(DONE)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await read(stream)
        nursery.cancel_scope.cancel()
    assert turns > 5


async def test_cancelling_receive_loses_nothing() -> None:
    ticket, stream = opened()
    texts = [str(number) for number in range(200)]
    for text in texts:
        assert ticket.offer([ContentDelta(text)]) or ticket.settle(DONE)
        if ticket.terminal:
            break
    seen: list[StreamEvent] = []
    while True:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                seen.append(await stream.receive())
            except trio.EndOfChannel:
                break
        if scope.cancelled_caught:
            try:
                seen.append(await stream.receive())
            except trio.EndOfChannel:
                break
    assert seen == [*(ContentDelta(text) for text in texts[:REPLY_BATCHES]), DONE]


async def test_a_dropped_stream_is_cancelled_by_its_finaliser() -> None:
    ticket, stream = opened()
    with pytest.warns(ResourceWarning, match="was dropped"):
        del stream
        gc.collect()
    await trio.testing.wait_all_tasks_blocked()
    assert isinstance(ticket.terminal, StreamFailed)
    assert ticket.terminal.error.reason == "stream_dropped"


async def test_a_finished_or_never_started_stream_is_dropped_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _ticket, stream = open_reply(REQUEST, raises=False)
        del stream
        ticket, stream = opened()
        ticket.settle(DONE)
        del stream
        gc.collect()


def test_errors_can_be_selected_by_kind() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        raise ExceptionGroup("several", [ServerError(BROKEN), CancelledError(fail("cancelled", "x", "y"))])
    chosen = caught.value.subgroup(CancelledError)
    assert chosen is not None
    assert [type(error) for error in chosen.exceptions] == [CancelledError]
    assert issubclass(CancelledError, ProviderError)
