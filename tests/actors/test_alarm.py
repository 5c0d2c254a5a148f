"""The slot's one alarm: it rings at the earliest time that was asked for, and not at all while nothing is due."""

import math

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3.actors.slot.alarm import Alarm


async def rung_at(alarm: Alarm, *following: float) -> list[float]:
    """Run the alarm until it has rung once more than there are ``following`` times; when it rang."""
    times: list[float] = []

    def ring(now: float) -> float:
        times.append(now)
        if len(times) > len(following):
            alarm.stop()
            return math.inf
        return following[len(times) - 1]

    await alarm.run(ring)
    return times


async def test_it_rings_at_the_earliest_time_that_was_set_before_it_ran(autojump_clock: MockClock) -> None:
    alarm = Alarm()
    for time in (9.0, 3.0, 5.0):
        alarm.by(time)
    assert alarm.at == 3
    assert await rung_at(alarm) == [3]


async def test_each_ring_says_when_the_next_one_is(autojump_clock: MockClock) -> None:
    alarm = Alarm()
    alarm.by(1)
    assert await rung_at(alarm, 4.0, 4.5) == [1, 4, 4.5]


async def test_an_earlier_time_moves_it_while_it_waits_and_a_later_one_does_not(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    alarm = Alarm()

    async def others() -> None:
        await wait_all_tasks_blocked()
        alarm.by(6)
        alarm.by(60)

    alarm.by(30)
    nursery.start_soon(others)
    assert await rung_at(alarm) == [6]


async def test_off_it_does_not_ring_until_it_is_set_anew(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    alarm = Alarm()

    async def others() -> None:
        await trio.sleep(1)
        alarm.off()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
        alarm.by(20)

    alarm.by(2)
    nursery.start_soon(others)
    assert await rung_at(alarm) == [20]


async def test_by_a_clock_that_runs_it_stays_set_when_it_is_off_and_rings_for_nothing() -> None:
    alarm = Alarm()
    soon = trio.current_time() + 0.01
    alarm.by(soon)
    alarm.off()
    alarm.by(soon + 60)
    assert alarm.at == soon
    (rang_at,) = await rung_at(alarm)
    assert soon <= rang_at < soon + 30


async def test_stopped_it_ends_without_a_ring(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    alarm = Alarm()
    alarm.by(1000)
    nursery.start_soon(rung_at, alarm)
    await wait_all_tasks_blocked()
    alarm.stop()
    await wait_all_tasks_blocked()
    assert not nursery.child_tasks
