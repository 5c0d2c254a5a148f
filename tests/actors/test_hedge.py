"""A slow request is sent twice: one answer reaches the reader, and nothing of the other one is left. Virtual time."""

from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nexus3 import AttemptStarted, ContentDelta, Notice, StreamComplete, StreamFailed, Supervisor
from nexus3.actors.attempt.hedged import hedged
from nexus3.actors.gates.ask import Ask
from nexus3.actors.gates.budget import CAPACITY
from nexus3.actors.gates.hedge import MOST_SAVED, SAMPLES, SHARE
from nexus3.actors.pipe import Pipe
from nexus3.actors.ticket import Ticket
from nexus3.loopback import Answer
from nexus3.loopback.answers import Call
from nexus3.observe.log import host_log
from nexus3.testing import HANG, Chunk, Crash, Exchange, Head, Pause, Reply, Sent, Step, crash, open_house
from nexus3.testing import Cut as Broken
from nexus3.testing.house import House
from nexus3.wire.failures import fail
from tests.actors.house import house
from tests.actors.scripted import SILENT, SSE, ask, config, events_of, said

QUICK = 0.1
"""Seconds to the first event of the requests that teach how long one takes. So a second one is sent after a second."""
HEDGES_FROM = 1.0


def hedging(**provider: Any) -> dict[str, Any]:
    return config(hedge=True, max_retries=0, **provider)


def answer(text: str = "hello", *, after: float = QUICK) -> Answer:
    return Answer(text, first_delay=after)


class Play:
    """Answers quickly while it teaches; then the replies in order, the last of which is repeated."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.teaches = True
        self.began = list[Exchange]()

    def __call__(self, exchange: Exchange) -> Reply:
        if self.teaches:
            return answer()
        self.began.append(exchange)
        return self.replies[min(len(self.began), len(self.replies)) - 1]


def learn(house: House, play: Play) -> None:
    """Tell the gates of as many requests as it takes to know how long one takes."""
    gates, now = house.supervisor.slot("main").gates, trio.current_time()
    for _ in range(SAMPLES):
        stake = gates.begin(Ask(ask(), "x", None), now, is_first=True)
        gates.answered(stake, now + QUICK)
        gates.ended(stake, None, None, sent=True, time_given=600.0, now=now + QUICK)
    play.teaches = False


async def at_rest(supervisor: Supervisor) -> None:
    with trio.fail_after(5):
        while any(child.in_flight for child in supervisor.snapshot().children.values()):  # noqa: ASYNC110 - no event
            await trio.sleep(0.01)


def told(events: list[Any]) -> list[str]:
    """What the reader saw, in short."""
    shown = []
    for event in events:
        match event:
            case AttemptStarted(attempt):
                shown.append(f"attempt {attempt}")
            case Notice(code):
                shown.append(code)
            case ContentDelta(text):
                shown.append(text)
            case StreamComplete():
                shown.append("complete")
            case StreamFailed(error):
                shown.append(f"{error.kind} {error.reason}")
            case _:
                pass
    return shown


async def test_the_second_attempt_answers_and_the_first_is_closed_at_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nexus3")
    play = Play(SILENT, answer("second"))
    async with open_house(play, hedging()) as house:
        for _ in range(SAMPLES):  # from life; the other tests tell it
            await house.supervisor.complete(ask())
        await at_rest(house.supervisor)
        play.teaches = False
        began = trio.current_time()
        events = await events_of(house.supervisor, ask())
        assert told(events) == ["attempt 1", "hedged", "second", "complete"]
        first, second = play.began
        assert second.began - began == pytest.approx(HEDGES_FROM)
        assert trio.current_time() - began == pytest.approx(HEDGES_FROM + QUICK)
        assert first.ending == "left"
        assert first.ended_at == pytest.approx(trio.current_time())
        end = events[-1]
        assert isinstance(end, StreamComplete)
        assert end.attempts == 1
        await at_rest(house.supervisor)
        counters = house.supervisor.snapshot().counters
        assert (counters["hedges"], counters["hedges.won"]) == (1, 1)
        assert second.ending == "read", "its connection can be used again"
    assert "request.hedged request='r101' actor='main' attempt=1 delay=1.0" in caplog.text


async def test_the_first_attempt_answers_after_all_and_the_second_is_closed_at_once(autojump_clock: MockClock) -> None:
    play = Play(answer("first", after=3), SILENT)
    async with open_house(play, hedging(quirks={"seed": False})) as house:
        learn(house, play)
        shown = told(await events_of(house.supervisor, ask(seed=1)))
        assert shown == ["attempt 1", "dropped_parameter", "hedged", "first", "complete"]
        first, second = play.began
        await at_rest(house.supervisor)
        assert (first.ending, second.ending) == ("read", "left")
        assert second.ended_at == pytest.approx(first.began + 3)
        assert house.supervisor.slot("main").gates.budget(trio.current_time()) == CAPACITY - 1, "it was paid for"
        assert house.supervisor.snapshot().counters.get("hedges.won", 0) == 0


async def test_of_two_that_wake_at_once_one_is_heard(autojump_clock: MockClock) -> None:
    """Both have something in hand when one of them claims the ticket: too late for the other one to be cancelled."""
    play = Play(answer())
    async with open_house(play, hedging()) as house:
        learn(house, play)
        slot = house.supervisor.slot("main")
        ticket = Ticket(ask(), pipe := Pipe(8))
        ticket.ask, ticket.announced = Ask(ask(), "x", None), True
        go, heard, outrun = trio.Event(), list[bool](), list[bool]()

        async def send(lane: Ticket, *, is_hedge: bool = False) -> None:
            await go.wait()
            assert lane.claim is not None
            try:
                assert lane.claim() is ticket
            except Exception:
                outrun.append(is_hedge)
                raise
            heard.append(is_hedge)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(hedged, slot, ticket, send, delay=1.0, log=host_log()))
            await trio.sleep(2)
            go.set()
        assert sorted(heard + outrun) == [False, True]
        assert len(heard) == 1
        assert [event.code for event in pipe.poll() or [] if isinstance(event, Notice)] == ["hedged"]
        slot.dispatch.take_stake(ticket)
        assert not slot.places.holders


@pytest.mark.parametrize("quick", [QUICK, 0.9])
async def test_who_is_quick_is_sent_once(quick: float, autojump_clock: MockClock) -> None:
    play = Play(answer(after=quick))
    async with open_house(play, hedging()) as house:
        learn(house, play)
        assert told(await events_of(house.supervisor, ask())) == ["attempt 1", "hello", "complete"]
        await trio.sleep(5)
        assert len(play.began) == 1


async def test_nothing_is_sent_twice_where_it_was_not_asked_for(autojump_clock: MockClock) -> None:
    play = Play(answer(after=5), answer())
    async with open_house(play, config(max_retries=0)) as house:
        learn(house, play)
        await house.supervisor.complete(ask())
        assert len(play.began) == 1


async def test_nor_before_it_is_known_how_long_a_request_takes(autojump_clock: MockClock) -> None:
    play = Play(answer(after=5))
    play.teaches = False
    async with open_house(play, hedging()) as house:
        for _ in range(5):
            await house.supervisor.complete(ask())
        assert len(play.began) == 5


@pytest.mark.parametrize("after", [0.5, 1.5], ids=["before the second began", "after it"])
async def test_one_that_fails_before_any_event_leaves_it_to_the_other(after: float, autojump_clock: MockClock) -> None:
    broken: list[Step] = [Sent(), Pause(after), Broken()]
    play = Play(broken, answer("second", after=2))
    async with open_house(play, hedging()) as house:
        learn(house, play)
        shown = told(await events_of(house.supervisor, ask()))
        if after < HEDGES_FROM:
            assert shown == ["attempt 1", "transport reset"], "alone, it is an attempt like any other"
        else:
            assert shown == ["attempt 1", "hedged", "second", "complete"]


async def test_where_the_second_fails_the_first_goes_on(autojump_clock: MockClock) -> None:
    play = Play(answer("first", after=4), Answer(status=500))
    async with open_house(play, hedging()) as house:
        learn(house, play)
        assert told(await events_of(house.supervisor, ask())) == ["attempt 1", "hedged", "first", "complete"]


async def test_where_both_fail_the_last_failure_stands_and_is_retried(autojump_clock: MockClock) -> None:
    broken: list[Step] = [Sent(), Pause(1.5), Broken()]
    play = Play(broken, Answer(status=500, first_delay=1), answer("third"))
    async with open_house(play, config(hedge=True)) as house:
        learn(house, play)
        events = await events_of(house.supervisor, ask())
        assert told(events) == ["attempt 1", "hedged", "attempt 2", "third", "complete"]
        end = events[-1]
        assert isinstance(end, StreamComplete)
        assert end.attempts == 2
    async with open_house(play := Play(broken, Answer(status=503, first_delay=1)), hedging()) as house:
        learn(house, play)
        assert told(await events_of(house.supervisor, ask()))[-1].startswith("overloaded")


async def test_a_cut_after_the_second_one_spoke_fails_with_what_it_said(autojump_clock: MockClock) -> None:
    cut: list[Step] = [Sent(), Head(headers=SSE), Chunk(said("hel")), Pause(1), Broken()]
    play = Play(SILENT, cut)
    async with open_house(play, config(hedge=True)) as house:
        learn(house, play)
        events = await events_of(house.supervisor, ask())
        assert told(events) == ["attempt 1", "hedged", "hel", "transport reset"]
        end = events[-1]
        assert isinstance(end, StreamFailed)
        assert (end.error.emitted, end.error.phase, end.partial and end.partial.content) == (True, "stream", "hel")


async def test_who_settles_it_after_the_second_one_spoke_knows_what_it_said(autojump_clock: MockClock) -> None:
    play = Play(SILENT, [Sent(), Head(headers=SSE), Chunk(said("hel")), HANG])
    async with open_house(play, hedging()) as house:
        learn(house, play)
        seen: list[Any] = []

        async def one() -> None:
            seen.extend(await events_of(house.supervisor, ask()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.sleep(2)
            house.supervisor.slot("main").ledger.settle_all(fail("unavailable", "closed", "It is late."))
        assert told(seen) == ["attempt 1", "hedged", "hel", "unavailable closed"]
        assert seen[-1].partial.content == "hel"


async def test_the_deadline_ends_both(autojump_clock: MockClock) -> None:
    play = Play(SILENT)
    async with open_house(play, hedging()) as house:
        learn(house, play)
        began = trio.current_time()
        events = await events_of(house.supervisor, ask(timeout=5.0))
        assert told(events) == ["attempt 1", "hedged", "timeout deadline"]
        assert trio.current_time() - began == pytest.approx(5)
        await at_rest(house.supervisor)
        assert [exchange.ending for exchange in play.began] == ["left", "left"]


async def test_a_caller_that_leaves_ends_both(autojump_clock: MockClock) -> None:
    play = Play(SILENT)
    async with open_house(play, hedging()) as house:
        learn(house, play)
        with trio.move_on_after(3):
            await house.supervisor.complete(ask())
        await at_rest(house.supervisor)
        assert [exchange.ending for exchange in play.began] == ["left", "left"]


async def test_a_crash_ends_both_and_the_request_is_sent_again(autojump_clock: MockClock) -> None:
    play = Play(SILENT, SILENT, answer("third"))
    async with open_house(play, hedging()) as house:
        learn(house, play)
        seen: list[Any] = []

        async def one() -> None:
            seen.extend(await events_of(house.supervisor, ask()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.sleep(2)
            assert house.supervisor.snapshot().children["main"].in_flight == 2
            crash(house.supervisor, "main")
        assert told(seen) == ["attempt 1", "hedged", "attempt 2", "maybe_billed_twice", "third", "complete"]


async def test_a_crash_in_one_of_them_is_a_crash(autojump_clock: MockClock) -> None:
    play = Play(SILENT, [Sent(), Crash()], answer("third"))
    async with open_house(play, hedging()) as house:
        learn(house, play)
        assert told(await events_of(house.supervisor, ask()))[-2:] == ["third", "complete"]
        assert house.supervisor.snapshot().children["main"].restarts == 1


async def test_it_takes_a_place_and_waits_for_none(autojump_clock: MockClock) -> None:
    play = Play(answer(after=5))
    async with open_house(play, hedging(max_connections=2)) as house:
        learn(house, play)
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(house.supervisor.complete, ask())
        assert len(play.began) == 2, "both places are taken"
        play.began.clear()
        play.replies = [SILENT, Answer(["he", "llo"], first_delay=2, delay=10), answer(after=1)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.supervisor.complete, ask())
            await trio.sleep(2)
            nursery.start_soon(house.supervisor.complete, ask())
            await trio.sleep(1)
            child = house.supervisor.snapshot().children["main"]
            assert (child.in_flight, child.queued) == (2, 1)
            await trio.sleep(0.5)
            child = house.supervisor.snapshot().children["main"]
            assert (child.in_flight, child.queued) == (2, 0), "the winner keeps one place of the two"
            await trio.sleep(1)
            assert house.supervisor.snapshot().children["main"].in_flight == 1


async def test_nobody_who_is_behind_is_answered_twice_as_fast(autojump_clock: MockClock) -> None:
    """The reader has not even seen that the attempt began: a notice would find no room."""
    play = Play(answer(after=5))
    async with open_house(play, hedging(reply_buffer=1)) as house:
        learn(house, play)
        async with house.supervisor.stream(ask()) as stream:
            await trio.sleep(10)
            assert len(play.began) == 1
            assert told([event async for event in stream])[-1] == "complete"


async def test_an_unstreamed_answer_is_hedged_as_well(autojump_clock: MockClock) -> None:
    play = Play(answer(after=60), Answer(tool_calls=(Call("look", '{"at": 1}'),), first_delay=QUICK))
    async with open_house(play, hedging(stream="never")) as house:
        learn(house, play)
        done = await house.supervisor.complete(ask())
        assert [call.name for call in done.message.tool_calls] == ["look"]


async def test_both_are_charged_for(autojump_clock: MockClock) -> None:
    play = Play(SILENT, answer("second"))
    settings = hedging()
    settings["supervisor"]["spend_cap"] = {"tokens": 100_000}
    async with open_house(play, settings) as house:
        learn(house, play)
        before = house.supervisor.snapshot().spending[0].tokens
        usage = (await house.supervisor.complete(ask(max_tokens=64))).usage
        await at_rest(house.supervisor)
        account = house.supervisor.snapshot().spending[0]
        assert usage is not None
        assert account.reserved_tokens == 0
        # The answer as its provider stated it; the other, which said nothing, as it was expected: one token asked.
        assert account.tokens - before == (usage.input_tokens or 0) + (usage.output_tokens or 0) + 1 + 64


async def test_at_most_one_request_in_twenty_is_sent_twice(autojump_clock: MockClock) -> None:
    play = Play(answer(after=3))
    async with open_house(play, hedging(max_connections=100)) as house:
        learn(house, play)
        for _ in range(300):
            await house.supervisor.complete(ask())
        hedges = len(play.began) - 300
        assert 0 < hedges <= MOST_SAVED + SHARE * 300


@pytest.mark.parametrize("seed", range(10))
async def test_every_schedule_has_one_answer(seed: int, autojump_clock: MockClock) -> None:
    """Two attempts speak, break, stall and are cancelled at moments that often coincide. Twenty schedules a seed."""
    rng = Random(seed)
    seen = Counter[str]()
    for _ in range(20):
        await one_schedule(rng, seen, f"seed {seed}")
    assert min(seen["hedges"], seen["hedges.won"], seen["StreamComplete"], seen["StreamFailed"], seen["left"]) > 0, seen


MOMENTS = (0.0, 0.1, 0.5, 1.0, 1.1, 1.5, 2.0)


def steps(name: str, rng: Random) -> list[Step]:
    """A stream whose pieces say which it is, and where in it they stand."""
    made: list[Step] = [Sent(), Pause(rng.choice(MOMENTS)), Head(headers=SSE)]
    for number in range(rng.randint(0, 4)):
        made += [Pause(rng.choice(MOMENTS)), Chunk(said(f"{name}{number};"))]
    dice = rng.random()
    if dice < 0.6:
        return [*made, Chunk(said("end", finish="stop")), Chunk(b"data: [DONE]\n\n")]
    return [*made, *([Broken()] if dice < 0.8 else [HANG] if dice < 0.9 else [])]


async def one_schedule(rng: Random, seen: Counter[str], where: str) -> None:
    play = Play(*(steps(name, rng) for name in "abcdef"))
    async with open_house(play, config(hedge=True, retry_backoff=1.0, max_connections=rng.choice((2, 100)))) as house:
        learn(house, play)

        async def one(patience: float, timeout: float) -> None:
            with trio.move_on_after(patience) as scope:
                events = await events_of(house.supervisor, ask(timeout=timeout))  # which checks the grammar
                text = "".join(event.text for event in events if isinstance(event, ContentDelta))
                pieces = [piece for piece in text.split(";") if piece not in ("", "end")]
                assert len({piece[0] for piece in pieces}) <= 1, f"{where}: two attempts speak: {text}"
                assert [piece[1] for piece in pieces] == [*"0123"][: len(pieces)], f"{where}: {text}"
                seen[type(events[-1]).__name__] += 1
            seen["left"] += scope.cancelled_caught

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one, rng.choice((1.0, 1.1, 2.0, 100.0, 100.0)), rng.choice((3.0, 30.0)))
                await trio.sleep(rng.choice(MOMENTS))
            if rng.random() < 0.2:
                crash(house.supervisor, "main")
        await at_rest(house.supervisor)
        assert [each for each in play.began if each.ending is None] == [], where
        seen.update({name: house.supervisor.snapshot().counters.get(name, 0) for name in ("hedges", "hedges.won")})


# -- over real sockets


async def test_a_hedge_on_the_real_loopback_closes_the_loser_s_connection() -> None:
    slow = 0
    hits = 0

    def script(_: object) -> Answer:
        nonlocal hits
        hits += 1
        return Answer("slow", first_delay=30) if hits == slow else Answer("quick")

    async with house(script, provider={"hedge": True}) as (sup, server):
        for _ in range(SAMPLES):
            await sup.complete(ask())
        slow = hits + 1
        with trio.fail_after(10):
            began = trio.current_time()
            assert (await sup.complete(ask())).message.content == "quick"
            assert HEDGES_FROM <= trio.current_time() - began < HEDGES_FROM + 2
            while server.open_connections > 1:  # noqa: ASYNC110 - what is waited for happens in the server
                await trio.sleep(0.01)
        assert hits == SAMPLES + 2
