"""The block: what leaves it, when, and in which order things end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from nexus3.errors import SupervisorEscalated
from nexus3.supervisor.spec import Backoff, ChildSpec, ChildState, Intensity
from nexus3.supervisor.tree import Tree

Told = list[tuple[str, ChildState, int, str | None]]


def listener(told: Told, name: str) -> Callable[[ChildState, int, BaseException | None], None]:
    def on_state(state: ChildState, generation: int, error: BaseException | None) -> None:
        told.append((name, state, generation, repr(error) if error else None))

    return on_state


async def run_for_ever(*, task_status: trio.TaskStatus[None]) -> None:
    task_status.started()
    await trio.sleep_forever()


@asynccontextmanager
async def block(
    *specs: ChildSpec, drain: Callable[[], object] | None = None, log: list[str] | None = None
) -> AsyncIterator[Tree]:
    log = log if log is not None else []

    async def wait() -> None:
        log.append("drain")
        if drain is not None:
            await drain()  # type: ignore[misc]  # the tests pass async functions

    tree = Tree(specs, Random(1))
    async with tree.block(drain=wait, abandon=lambda: log.append("abandon")):
        yield tree


async def test_it_is_entered_when_every_child_is_ready(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(3)
        await run_for_ever(task_status=task_status)

    told: Told = []
    began = trio.current_time()
    async with block(
        ChildSpec("slow", slow, listener(told, "slow")), ChildSpec("quick", run_for_ever, listener(told, "quick"))
    ):
        assert trio.current_time() - began == 3
        assert sorted(told) == [
            ("quick", "ready", 1, None),
            ("quick", "starting", 1, None),
            ("slow", "ready", 1, None),
            ("slow", "starting", 1, None),
        ]
    assert ("slow", "stopped", 1, None) in told


async def test_leaving_cleanly_drains_and_leaving_by_an_exception_does_not() -> None:
    log: list[str] = []
    async with block(log=log):
        pass
    assert log == ["drain", "abandon"]
    log.clear()
    with pytest.raises(KeyError):
        async with block(log=log):
            raise KeyError
    assert log == ["abandon"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        ExceptionGroup("mine", [ValueError("a"), KeyError("b")]),
        BaseExceptionGroup("mine", [KeyboardInterrupt()]),
        KeyboardInterrupt(),
        StopAsyncIteration(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_body_s_exception_leaves_as_the_same_object(error: BaseException) -> None:
    caught: BaseException | None = None
    try:
        async with block(ChildSpec("a", run_for_ever)):
            raise error
    except BaseException as left:
        caught = left
    assert caught is error


async def test_an_outer_cancel_cuts_the_drain_and_is_no_group(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(5) as scope:
        async with block(ChildSpec("a", run_for_ever), drain=trio.sleep_forever):
            pass
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(5)


async def test_a_crash_restarts_that_child_only(autojump_clock: trio.testing.MockClock) -> None:
    told: Told = []
    crash = trio.Event()

    async def fragile(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await crash.wait()
        raise ZeroDivisionError

    async with block(
        ChildSpec("fragile", fragile, listener(told, "fragile"), backoff=Backoff(min=1, max=1)),
        ChildSpec("sound", run_for_ever, listener(told, "sound")),
    ):
        told.clear()
        crash.set()
        crash = trio.Event()
        await trio.sleep(0.1)
        assert told == [("fragile", "restarting", 1, "ZeroDivisionError()")]
        told.clear()
        await trio.sleep(1)
        assert told == [("fragile", "starting", 2, None), ("fragile", "ready", 2, None)]


async def test_a_child_that_crashes_too_often_is_parked_and_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    starts: list[float] = []
    well = False

    async def sick(*, task_status: trio.TaskStatus[None]) -> None:
        starts.append(trio.current_time())
        if well:
            await run_for_ever(task_status=task_status)
        task_status.started()
        raise OSError

    spec = ChildSpec(
        "sick", sick, backoff=Backoff(min=0.1, max=0.1), intensity=Intensity(max_restarts=3, window=30), park_for=100
    )
    async with block(spec) as tree:

        def state() -> ChildState:
            return tree.children["sick"].state

        await trio.sleep(50)
        assert state() == "parked"
        assert len(starts) == 4, "the first start and three restarts"
        await trio.sleep(75)
        assert len(starts) == 5, "one start on trial"
        assert state() == "parked"
        well = True
        await trio.sleep(100)
        assert state() == "ready"


async def test_a_start_that_hangs_counts_as_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    async def hangs(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    told: Told = []
    async with block(ChildSpec("hangs", hangs, listener(told, "hangs"), start_timeout=10)):
        assert trio.current_time() == pytest.approx(10)
        assert told[1][:3] == ("hangs", "restarting", 1)


async def test_escalation_cancels_the_body_and_raises_one_flat_error(autojump_clock: trio.testing.MockClock) -> None:
    async def sick(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise OSError("broken")

    spec = ChildSpec("sick", sick, intensity=Intensity(max_restarts=2, window=30), on_exhausted="escalate")
    with pytest.raises(SupervisorEscalated, match="sick") as caught:
        async with block(spec):
            await trio.sleep_forever()
    assert repr(caught.value.__cause__) == "OSError('broken')"
    with pytest.raises(LookupError) as mine:
        async with block(spec):
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError("mine")
    assert "sick" in mine.value.__notes__[0]


async def test_a_temporary_child_is_never_restarted_and_a_transient_one_only_after_a_crash(
    autojump_clock: trio.testing.MockClock,
) -> None:
    runs: list[str] = []

    def ends(name: str, error: Exception | None) -> Callable[..., object]:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            runs.append(name)
            task_status.started()
            if error is not None:
                raise error

        return run

    async with block(
        ChildSpec("temporary", ends("temporary", OSError()), restart="temporary"),  # type: ignore[arg-type]
        ChildSpec("done", ends("done", None), restart="transient"),  # type: ignore[arg-type]
        ChildSpec("crashing", ends("crashing", OSError()), restart="transient", park_for=1e6),  # type: ignore[arg-type]
    ):
        await trio.sleep(1000)
        assert {name: runs.count(name) for name in set(runs)} == {"temporary": 1, "done": 1, "crashing": 6}
