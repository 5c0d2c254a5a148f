"""The reply's pipe: in order, bounded, woken once, and nothing lost or repeated."""

import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from nexus3.actors.pipe import Batch, Pipe
from nexus3.wire.events import ContentDelta

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))


def batch(number: int) -> Batch:
    return [ContentDelta(str(number))]


async def test_what_is_put_is_taken_in_order_without_waiting() -> None:
    pipe = Pipe(2)
    with assert_no_checkpoints():
        assert [pipe.offer(batch(number)) for number in range(3)] == [True, True, False]
        assert [await pipe.take(), await pipe.take()] == [batch(0), batch(1)]
        assert pipe.poll() is None


async def test_a_full_pipe_keeps_the_putter_waiting_and_a_closed_one_gives_what_is_in(nursery: trio.Nursery) -> None:
    pipe = Pipe(1)
    pipe.offer(batch(0))
    nursery.start_soon(pipe.put, batch(1))
    await wait_all_tasks_blocked()
    assert pipe.statistics() == (1, 1, 1)
    assert await pipe.take() == batch(0)
    await wait_all_tasks_blocked()
    pipe.close()
    assert not pipe.offer(batch(2))
    assert await pipe.take() == batch(1)
    with pytest.raises(trio.EndOfChannel):
        await pipe.take()


async def test_after_either_end_is_closed_nothing_goes_in_and_nobody_waits() -> None:
    closed, left = Pipe(2), Pipe(2)
    closed.offer(batch(0))
    left.offer(batch(0))
    closed.close()
    left.leave()
    with trio.fail_after(1):
        for pipe in (closed, left):
            assert not pipe.offer(batch(1))
            with pytest.raises(trio.BrokenResourceError):
                await pipe.put(batch(1))
        assert await closed.take() == batch(0)
        for pipe, end in ((closed, trio.EndOfChannel), (left, trio.ClosedResourceError)):
            with pytest.raises(end):
                await pipe.take()
    assert (closed.statistics(), left.statistics()) == ((0, 0, 1), (0, 1, 0))


@pytest.mark.parametrize(
    ("end", "what_the_taker_hears"), [(Pipe.close, trio.EndOfChannel), (Pipe.leave, trio.ClosedResourceError)]
)
async def test_whoever_waits_is_woken_by_either_end(
    end: Callable[[Pipe], None], what_the_taker_hears: type[Exception], nursery: trio.Nursery
) -> None:
    heard: list[type[Exception]] = []

    async def wait(what: Callable[[], Awaitable[object]]) -> None:
        try:
            await what()
        except (trio.EndOfChannel, trio.ClosedResourceError, trio.BrokenResourceError) as error:
            heard.append(type(error))

    empty, full = Pipe(1), Pipe(1)
    full.offer(batch(0))
    nursery.start_soon(wait, empty.take)
    nursery.start_soon(wait, partial(full.put, batch(1)))
    await wait_all_tasks_blocked()
    end(empty)
    await wait_all_tasks_blocked()
    assert heard == [what_the_taker_hears]
    end(full)
    await wait_all_tasks_blocked()
    assert heard == [what_the_taker_hears, trio.BrokenResourceError]


async def test_who_waits_is_woken_by_the_first_batch(nursery: trio.Nursery) -> None:
    pipe, taken = Pipe(1), list[Batch]()

    async def take() -> None:
        taken.append(await pipe.take())

    nursery.start_soon(take)
    await wait_all_tasks_blocked()
    pipe.offer(batch(0))
    await wait_all_tasks_blocked()
    assert taken == [batch(0)]


async def test_who_passes_over_frees_the_putter_and_hears_of_the_end_only(nursery: trio.Nursery) -> None:
    pipe = Pipe(1)
    pipe.offer(batch(0))
    nursery.start_soon(pipe.put, batch(1))
    await wait_all_tasks_blocked()
    pipe.pass_over()
    await wait_all_tasks_blocked()
    assert [pipe.offer(batch(number)) for number in range(9)] == [True] * 9
    assert pipe.statistics() == (0, 1, 1)
    pipe.close()
    with pytest.raises(trio.EndOfChannel):
        await pipe.take()


async def test_each_end_is_for_one_task(nursery: trio.Nursery) -> None:
    pipe = Pipe(1)
    nursery.start_soon(pipe.take)
    await wait_all_tasks_blocked()
    with trio.fail_after(1), pytest.raises(trio.BusyResourceError):
        await pipe.take()
    pipe.offer(batch(0))
    await wait_all_tasks_blocked()
    pipe.offer(batch(1))
    nursery.start_soon(pipe.put, batch(2))
    await wait_all_tasks_blocked()
    with trio.fail_after(1), pytest.raises(trio.BusyResourceError):
        await pipe.put(batch(3))
    nursery.cancel_scope.cancel(reason="the test is over")


@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("way", ["pipe", "memory channel"])
async def test_cancelling_at_either_end_loses_and_repeats_nothing(
    way: str, number: int, autojump_clock: MockClock
) -> None:
    """Random work, most waits of which are cut short. A memory channel passes the same test, so the test is fair."""
    seed = f"{SEED}-{number}"
    print(f"seed {seed}")
    rng = random.Random(seed)
    capacity = rng.randint(1, 4)
    pipe = Pipe(capacity)
    send, receive = trio.open_memory_channel[Batch](capacity)
    put, take, close = (pipe.put, pipe.take, pipe.close) if way == "pipe" else (send.send, receive.receive, send.close)
    went_in: list[Batch] = []
    came_out: list[Batch] = []

    async def dawdle() -> None:
        if rng.random() < 0.5:
            await trio.sleep(rng.choice((0.0, 0.5, 1.0, 1.5)))

    async def putter() -> None:
        for item in range(200):
            with trio.move_on_after(rng.choice((0.0, 0.5, 1.0, 9.0))):
                await put(batch(item))
                went_in.append(batch(item))
            await dawdle()
        close()

    async def taker() -> None:
        with suppress(trio.EndOfChannel):
            while True:
                with trio.move_on_after(rng.choice((0.0, 0.5, 1.0, 9.0))):
                    came_out.append(await take())
                await dawdle()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(putter)
        nursery.start_soon(taker)
    assert len(went_in) > 50
    assert came_out == went_in
