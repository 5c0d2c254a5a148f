"""One supervised path end to end: real sockets to the bundled server, and every way a request can end."""

import gc
import math
from typing import Any

import pytest
import trio
import trio.testing

from nexus3 import (
    AttemptStarted,
    ContentDelta,
    Message,
    Notice,
    ProviderError,
    ResponseStarted,
    RetryScheduled,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    UsageUpdated,
    open_supervisor,
    run_supervisor,
)
from nexus3.loopback import Answer, CloseAfter, Cut, Stall, open_loopback
from nexus3.testing import crash
from nexus3.wire.failures import ActorCrashedError, UnavailableError
from tests.actors.house import HELLO, ask, failure_of, house, until
from tests.actors.scripted import events_of

# -- the three ways in


async def test_a_stream_ends_in_one_complete_event() -> None:
    async with house([HELLO]) as (sup, _), sup.stream(ask()) as stream:
        events = [event async for event in stream]
    match events:
        case [
            AttemptStarted(1, "openai", "local-echo"),
            ResponseStarted(),
            ContentDelta("Hel"),
            ContentDelta("lo"),
            UsageUpdated(usage),
            StreamComplete(message, "stop", total, "openai", "local-echo"),
        ]:
            assert message.content == "Hello"
            assert usage == total
        case _:
            pytest.fail(f"not the expected events: {events}")


async def test_complete_returns_the_terminal_and_raises_failures() -> None:
    async with house([HELLO, Answer(status=401)]) as (sup, _):
        done = await sup.complete(ask())
        assert done.message.content == "Hello"
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask())
        assert (caught.value.kind, caught.value.status, caught.value.attempts) == ("auth", 401, 1)


async def test_submissions_reply_on_their_own_stream_or_on_a_channel_of_the_caller() -> None:
    async with house([HELLO]) as (sup, _):
        own = await events_of(sup, ask())
        send, receive = trio.open_memory_channel[StreamEvent](64)
        async with sup.submissions(caller="planner") as submit:
            await submit.send(Submission(ask(), reply_to=send))
        brought = [event async for event in receive]
        assert [type(event) for event in own] == [type(event) for event in brought]
        assert isinstance(brought[-1], StreamComplete)
        with pytest.raises(ValueError, match="replies to the channel"):
            _ = Submission(ask(), reply_to=send).events


async def test_a_bound_provider_has_the_original_s_interface() -> None:
    async with house([HELLO]) as (sup, _):
        provider = sup.provider("local-anthropic")
        message = await provider.complete([Message(role=Role.USER, content="hi")])
        assert message.content == "Hello"
        texts = [event.text async for event in provider.stream([message]) if isinstance(event, ContentDelta)]
        assert "".join(texts) == "Hello"


async def test_an_unknown_model_is_a_failure_event_on_the_channel_and_an_error_at_the_edge() -> None:
    async with house() as (sup, _):
        error = failure_of(await events_of(sup, ask(model="nonsense")))
        assert (error.kind, error.reason, error.retryable) == ("not_found", "unknown_model", False)
        with pytest.raises(ProviderError, match="nonsense"):
            await sup.complete(ask(model="nonsense"))


async def test_a_submission_sent_twice_is_answered_once() -> None:
    async with house([HELLO]) as (sup, server):
        submission = Submission(ask())
        async with sup.submissions() as submit:
            await submit.send(submission)
            await submit.send(submission)
        async with submission.events as events:
            ends = [e async for e in events if isinstance(e, StreamComplete | StreamFailed)]
        assert len(ends) == 1
        assert len(server.exchanges) == 1
        assert sup.snapshot().counters["dead_letter.submitted_twice"] == 1


async def test_a_full_reply_channel_becomes_a_dead_letter_and_stops_the_work() -> None:
    async with house([Answer(["a"] * 50)], provider={"stall_timeout": 0.1}) as (sup, _):
        send, receive = trio.open_memory_channel[StreamEvent](2)
        async with sup.submissions() as submit:
            await submit.send(Submission(ask(), reply_to=send))
        await until(lambda: sup.snapshot().counters.get("dead_letter.reply_full"))
        assert not any(isinstance(event, StreamComplete | StreamFailed) for event in [e async for e in receive])
        assert sup.snapshot().children["openai"].in_flight == 0


async def test_a_reader_that_is_late_but_comes_gets_everything() -> None:
    async with house([Answer(["a"] * 50)]) as (sup, _):
        send, receive = trio.open_memory_channel[StreamEvent](0)
        async with sup.submissions() as submit:
            await submit.send(Submission(ask(), reply_to=send))
        await trio.sleep(0.1)
        events = [event async for event in receive]
        assert [event.text for event in events if isinstance(event, ContentDelta)] == ["a"] * 50
        assert isinstance(events[-1], StreamComplete)


# -- retries


async def test_an_attempt_that_said_nothing_is_repeated_and_says_so() -> None:
    throttled = Answer(status=429, headers={"retry-after-ms": "10"})
    async with house([throttled, HELLO]) as (sup, server):
        events = await events_of(sup, ask())
    kinds = [type(event).__name__ for event in events]
    assert kinds[:4] == ["AttemptStarted", "RetryScheduled", "AttemptStarted", "ResponseStarted"]
    scheduled = events[1]
    assert isinstance(scheduled, RetryScheduled)
    assert (scheduled.attempt, scheduled.error.kind, scheduled.error.status) == (1, "rate_limit", 429)
    assert 0.01 <= scheduled.delay <= 0.011
    assert isinstance(events[-1], StreamComplete)
    assert events[-1].attempts == 2
    assert len(server.exchanges) == 2


async def test_what_was_seen_is_never_repeated() -> None:
    async with house([Answer(["a", "b", "c"], fault=Cut(after=2, how="reset"))]) as (sup, server):
        events = await events_of(sup, ask())
        error = failure_of(events)
        assert (error.kind, error.emitted, error.phase) == ("transport", True, "stream")
        assert error.partial is not None
        assert error.partial.content == "ab"
        assert [event.text for event in events if isinstance(event, ContentDelta)] == ["a", "b"]
        assert len(server.exchanges) == 1


async def test_no_retry_begins_that_the_caller_would_not_wait_for() -> None:
    async with house([Answer(status=429, headers={"retry-after": "30"})]) as (sup, server):
        began = trio.current_time()
        with trio.move_on_after(5), pytest.raises(ProviderError) as caught:
            await sup.complete(ask())
        assert caught.value.kind == "rate_limit"
        assert caught.value.retry_after == 30
        assert trio.current_time() - began < 1
        assert len(server.exchanges) == 1


async def test_a_kept_connection_that_had_died_is_replaced_without_costing_an_attempt() -> None:
    async with house([Answer("Hello", fault=CloseAfter(delay=0.02)), HELLO]) as (sup, server):
        for _ in range(2):
            events = await events_of(sup, ask())
            assert isinstance(events[-1], StreamComplete)
            assert events[-1].attempts == 1
        assert {exchange.connection for exchange in server.exchanges} == {0, 1}


# -- leaving


async def test_leaving_a_stream_closes_its_connection_at_once() -> None:
    async with house([Answer(["a"] * 5, fault=Stall(after=2))]) as (sup, server):
        async with sup.stream(ask()) as stream:
            async for event in stream:
                if isinstance(event, ContentDelta):
                    break
        left = trio.current_time()
        await until(lambda: server.exchanges[0].client_left)
        assert trio.current_time() - left < 0.5
        await until(lambda: sup.snapshot().children["openai"].in_flight == 0)
        assert sup.snapshot().counters["outcome.cancelled"] == 1


async def test_a_cancelled_caller_ends_its_request() -> None:
    async with house([Answer("x", fault=Stall(after="head"))]) as (sup, server):
        with trio.move_on_after(0.1):
            await sup.complete(ask())
        await until(lambda: server.exchanges[0].client_left)


async def test_a_dropped_stream_of_a_bound_provider_is_cancelled() -> None:
    async with house([Answer(["a"] * 5, fault=Stall(after=2))]) as (sup, server):

        async def broken_off() -> None:
            async for event in sup.provider().stream([Message(role=Role.USER, content="hi")]):
                if isinstance(event, ContentDelta):
                    break

        with pytest.warns(ResourceWarning, match="dropped"):
            await broken_off()
            gc.collect()
        await until(lambda: server.exchanges[0].client_left)


async def test_a_caller_that_closes_its_channel_ends_its_request() -> None:
    async with house([Answer(["a"] * 50, delay=0.02)]) as (sup, server):
        send, receive = trio.open_memory_channel[StreamEvent](64)
        async with sup.submissions() as submit:
            await submit.send(Submission(ask(), reply_to=send))
        await receive.receive()
        receive.close()
        await until(lambda: server.exchanges and server.exchanges[0].client_left)


# -- deadlines


@pytest.mark.parametrize("place", ["head", 0, 2])
async def test_the_deadline_holds_whatever_the_server_does(place: Any) -> None:
    async with house([Answer(["a", "b", "c"], fault=Stall(after=place))]) as (sup, server):
        began = trio.current_time()
        error = failure_of(await events_of(sup, ask(timeout=0.3)))
        assert (error.kind, error.reason) == ("timeout", "deadline")
        assert 0.29 <= trio.current_time() - began < 0.5
        assert error.emitted == (place == 2)
        await until(lambda: server.exchanges[0].client_left)


@pytest.mark.parametrize(
    ("limits", "place", "reason", "phase"),
    [
        ({"header_timeout": 0.1, "connect_timeout": 0.1}, None, "headers", "headers"),
        ({"first_event_timeout": 0.1}, 0, "first_event", "first_event"),
        ({"idle_timeout": 0.1}, 2, "idle", "stream"),
        ({"progress_timeout": 0.1}, 2, "progress", "stream"),
    ],
)
async def test_each_step_has_a_limit_of_its_own(limits: dict[str, float], place: Any, reason: str, phase: str) -> None:
    answer = Answer(["a", "b", "c"], first_delay=math.inf) if place is None else None
    slow = answer or Answer(["a", "b", "c"], fault=Stall(after=place))
    if place is None:
        slow = Answer("x", stream=False, first_delay=60)
    async with house([slow], provider={**limits, "max_retries": 0}) as (sup, _):
        error = failure_of(await events_of(sup, ask()))
        assert (error.kind, error.reason, error.phase) == ("timeout", reason, phase)


async def test_a_queued_request_ends_at_its_deadline_while_the_actor_is_busy() -> None:
    async with house([Answer("x", fault=Stall(after="head"))], provider={"max_connections": 1}) as (sup, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events_of, sup, ask())
            await until(lambda: server.exchanges)
            began = trio.current_time()
            error = failure_of(await events_of(sup, ask(timeout=0.2)))
            assert (error.kind, error.reason, error.phase) == ("timeout", "deadline_queued", "queued")
            assert 0.19 <= trio.current_time() - began < 0.4
            nursery.cancel_scope.cancel()
        assert len(server.exchanges) == 1


async def test_a_request_that_everybody_forgot_is_settled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house([HELLO]) as (sup, _):
        sup.pause("openai")
        monkeypatch.setattr(sup.slot("openai").mailbox, "expire", lambda _: None)  # no reaper, and no work has begun
        error = failure_of(await events_of(sup, ask(timeout=0.1)))
        assert (error.kind, error.reason, error.retryable) == ("internal", "backstop", False)
        assert sup.snapshot().counters["backstop"] == 1


async def test_a_full_mailbox_refuses() -> None:
    limits = {"max_connections": 1, "mailbox_capacity": 2}
    async with house([Answer("x", fault=Stall(after="head"))], provider=limits) as (sup, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events_of, sup, ask())
            await until(lambda: server.exchanges)
            for _ in range(2):
                nursery.start_soon(events_of, sup, ask())
            await until(lambda: sup.snapshot().children["openai"].queued == 2)
            error = failure_of(await events_of(sup, ask()))
            assert (error.kind, error.reason, error.retryable) == ("unavailable", "mailbox_full", True)
            nursery.cancel_scope.cancel()
        assert sup.snapshot().children["openai"].queued == 0, "leaving frees the room at once"


async def test_what_is_set_for_the_mailbox_holds() -> None:
    limits = {"max_connections": 1, "mailbox_capacity": 2, "on_full": "shed_oldest", "mailbox_per_caller": 2}
    async with house([Answer("x", fault=Stall(after="head"))], provider=limits) as (sup, server):
        ends: list[str] = []

        async def waiting(caller: str) -> None:
            request = ask().model_copy(update={"caller": caller})
            ends.append(failure_of(await events_of(sup, request)).reason)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(events_of, sup, ask())
            await until(lambda: server.exchanges)
            for _ in range(2):
                nursery.start_soon(waiting, "a")
            await until(lambda: sup.snapshot().children["openai"].queued == 2)
            await waiting("a")
            nursery.start_soon(waiting, "b")
            await until(lambda: len(ends) == 2)
            assert ends == ["caller_full", "shed"]
            nursery.cancel_scope.cancel()


# -- crashes


async def test_a_crash_fails_what_was_seen_and_leaves_the_others_alone() -> None:
    slow = Answer(["a"] * 40, delay=0.02)
    async with house(lambda _: slow) as (sup, _):
        async with sup.stream(ask(model="local-anthropic")) as other:
            async with sup.stream(ask()) as stream:
                with pytest.raises(ActorCrashedError) as caught:
                    async for event in stream:
                        if isinstance(event, ContentDelta):
                            crash(sup, "openai")
            error = caught.value
            assert (error.reason, error.emitted, error.retryable) == ("mid_stream", True, True)
            assert error.partial is not None
            assert set(error.partial.content) == {"a"}
            assert isinstance([event async for event in other][-1], StreamComplete)
        children = sup.snapshot().children
        assert (children["openai"].restarts, children["anthropic"].restarts) == (1, 0)
        done = await sup.complete(ask())
        assert done.message.content == "a" * 40
        assert sup.snapshot().children["openai"].generation == 2


async def test_a_crash_before_content_is_not_seen_but_for_its_notice() -> None:
    answers = iter([Answer("x", fault=Stall(after="head"))])
    async with house(lambda _: next(answers, HELLO)) as (sup, server):

        async def crash_soon() -> None:
            await until(lambda: server.exchanges)
            crash(sup, "openai")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_soon)
            events = await events_of(sup, ask())
    assert [event.code for event in events if isinstance(event, Notice)] == ["maybe_billed_twice"]
    assert isinstance(events[-1], StreamComplete)
    assert len(server.exchanges) == 2


async def test_a_request_that_may_not_be_billed_twice_fails_instead() -> None:
    async with house([Answer("x", fault=Stall(after="head"))], provider={"retry_unsafe": False}) as (sup, server):
        async with trio.open_nursery() as nursery:

            async def crash_soon() -> None:
                await until(lambda: server.exchanges)
                crash(sup, "openai")

            nursery.start_soon(crash_soon)
            error = failure_of(await events_of(sup, ask()))
        assert (error.kind, error.reason, error.retryable, error.emitted) == ("actor_crashed", "sent", True, False)


async def test_a_request_that_is_there_at_two_crashes_is_poison() -> None:
    async with house(lambda _: Answer("x", fault=Stall(after="head"))) as (sup, server):
        async with trio.open_nursery() as nursery:

            async def crash_twice() -> None:
                await until(lambda: len(server.exchanges) == 1)
                crash(sup, "openai")
                await until(lambda: len(server.exchanges) == 2)
                crash(sup, "openai")

            nursery.start_soon(crash_twice)
            error = failure_of(await events_of(sup, ask()))
        assert (error.kind, error.reason, error.retryable) == ("actor_crashed", "poison_request", False)


async def test_queued_requests_are_kept_over_a_crash_in_their_order() -> None:
    first = iter([Answer("x", fault=Stall(after=1))])
    async with house(lambda _: next(first, HELLO), provider={"max_connections": 1}) as (sup, server):
        ends: list[str] = []

        async def one(name: str) -> None:
            events = await events_of(sup, ask(name))
            ends.append(f"{name} {type(events[-1]).__name__}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "a")
            await until(lambda: server.exchanges)
            for name in ("b", "c", "d"):
                nursery.start_soon(one, name)
                await until(lambda: sup.snapshot().children["openai"].queued == "abcd".index(name))  # noqa: B023
            crash(sup, "openai")
        assert ends == ["a StreamFailed", "b StreamComplete", "c StreamComplete", "d StreamComplete"]


async def test_a_parked_actor_refuses_at_once_and_comes_back() -> None:
    settings = {"max_restarts": 1, "park_for": 0.3}
    async with house([HELLO], supervisor=settings) as (sup, _):
        crash(sup, "openai")
        await until(lambda: sup.snapshot().children["openai"].generation == 2)
        await until(lambda: sup.snapshot().children["openai"].state == "ready")
        crash(sup, "openai")
        await until(lambda: sup.snapshot().children["openai"].state == "parked")
        with pytest.raises(UnavailableError, match="parked"):
            await sup.complete(ask())
        assert (await sup.complete(ask(model="local-anthropic"))).message.content == "Hello"
        await until(lambda: sup.snapshot().children["openai"].state == "ready")
        assert (await sup.complete(ask())).message.content == "Hello"


# -- the block


async def test_leaving_cleanly_waits_for_accepted_requests_and_refuses_new_ones() -> None:
    async with open_loopback(script=[Answer(["a"] * 10, delay=0.02)]) as server:
        submission = Submission(ask())
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                async with submission.events as events:
                    found.extend([event async for event in events])

            found: list[StreamEvent] = []
            async with open_supervisor(server.config) as sup:
                async with sup.submissions() as submit:
                    await submit.send(submission)
                nursery.start_soon(read)
            assert sup.snapshot().counters == {"accepted": 1, "settled": 1, "outcome.completed": 1}
        assert isinstance(found[-1], StreamComplete)
        with pytest.raises(UnavailableError):
            await sup.complete(ask())
        with pytest.raises(UnavailableError):
            async with sup.submissions():
                pass


async def test_leaving_by_an_exception_settles_everything_at_once() -> None:
    error = RuntimeError("mine")
    async with open_loopback(script=lambda _: Answer(["a"] * 5, fault=Stall(after=2))) as server:
        submissions = [Submission(ask()) for _ in range(30)]
        send, receive = trio.open_memory_channel[StreamEvent](64)
        caught: BaseException | None = None
        left = 0.0
        try:
            async with open_supervisor(server.config) as sup, sup.submissions() as submit:
                for submission in submissions:
                    await submit.send(submission)
                await submit.send(Submission(ask(), reply_to=send))
                await until(lambda: len(server.exchanges) == 31)
                left = trio.current_time()
                raise error
        except RuntimeError as raised:
            caught = raised
        took = trio.current_time() - left
        assert caught is error
        assert took < 0.5
        for submission in submissions:
            async with submission.events as events:
                assert failure_of([event async for event in events]).kind == "unavailable"
        brought = [event async for event in receive]
        assert failure_of(brought).kind == "unavailable"
        await until(lambda: server.open_connections == 0)


async def test_cancelling_the_block_cuts_its_drain() -> None:
    async with open_loopback(script=[Answer("x", fault=Stall(after="head"))]) as server:
        submission = Submission(ask())
        with trio.move_on_after(0.3) as scope:
            async with open_supervisor(server.config) as sup, sup.submissions() as submit:
                await submit.send(submission)
        assert scope.cancelled_caught
        async with submission.events as events:
            assert failure_of([event async for event in events]).kind == "unavailable"


async def test_it_can_run_as_a_task() -> None:
    async with open_loopback(script=[HELLO]) as server, trio.open_nursery() as nursery:
        sup = await nursery.start(run_supervisor, server.config)
        assert (await sup.complete(ask())).message.content == "Hello"
        nursery.cancel_scope.cancel()


async def test_the_bundled_provider_answers_when_it_is_named() -> None:
    async with open_supervisor("loopback") as sup:
        assert "hello" in (await sup.complete(ask("say hello"))).message.text
    error = RuntimeError("mine")
    caught: BaseException | None = None
    try:
        async with open_supervisor("loopback"):
            raise error
    except RuntimeError as raised:
        caught = raised
    assert caught is error


async def test_nothing_is_left_behind() -> None:
    async with open_loopback(script=[HELLO]) as server:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        async with open_supervisor(server.config) as sup:
            for _ in range(20):
                await sup.complete(ask())
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= before)
        # Two and not one: a request that starts while the last one's connection is being drained takes another.
        assert len({exchange.connection for exchange in server.exchanges}) <= 2, "connections are reused"
