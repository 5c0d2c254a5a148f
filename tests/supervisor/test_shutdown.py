"""The end: reverse order, stages, the total deadline, children that ignore it, and the end of the program."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3.errors import SupervisorEscalated
from nexus3.supervisor.child import StuckChild
from nexus3.supervisor.spec import ChildSpec, Intensity, Run, Stages, Strategy
from nexus3.supervisor.tree import Tree


async def nothing() -> None:
    pass


@asynccontextmanager
async def block(tree: Tree) -> AsyncIterator[Tree]:
    async with tree.block(drain=nothing, abandon=lambda: None):
        yield tree


def ends_after(seconds: float, log: list[str], name: str) -> Run:
    """Takes its time to end, whatever cancels it."""

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
            log.append(name)

    return run


def deaf(leave: trio.Event) -> Run:
    async def where_it_hangs() -> None:
        with trio.CancelScope(shield=True):
            await leave.wait()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(where_it_hangs)

    return run


async def test_a_child_that_ignores_cancellation_is_reported_and_the_others_go_on(autojump_clock: MockClock) -> None:
    leave = trio.Event()
    stuck: list[StuckChild] = []
    log: list[str] = []
    tree = Tree(
        [
            ChildSpec("first", ends_after(1, log, "first")),
            ChildSpec("deaf", deaf(leave), stages=Stages(cancel=2)),
            ChildSpec("last", ends_after(1, log, "last")),
        ],
        Random(1),
        on_stuck=stuck.append,
    )

    async def let_go() -> None:
        await trio.sleep(100)
        log.append("let go")
        leave.set()

    async with trio.open_nursery() as nursery:
        async with block(tree):
            nursery.start_soon(let_go)
        assert log == ["last", "first", "let go"], "the block waits, as any nursery would; the others do not"
    assert [(report.name, report.generation) for report in stuck] == [("deaf", 1)]
    assert "where_it_hangs" in stuck[0].stack
    assert "leave.wait()" in stuck[0].stack


async def test_a_child_that_hangs_at_its_restart_is_started_again_when_it_has_ended(autojump_clock: MockClock) -> None:
    leave = trio.Event()
    stuck: list[StuckChild] = []
    states: list[tuple[str, int]] = []
    tree = Tree(
        [ChildSpec("deaf", deaf(leave), lambda state, generation, _: states.append((state, generation)))],
        Random(1),
        on_stuck=stuck.append,
    )
    async with trio.open_nursery() as nursery, block(tree):
        states.clear()
        nursery.start_soon(tree.restart, "deaf")
        await trio.sleep(50)
        assert len(stuck) == 1
        assert states == [], "nothing is told while a task of the old incarnation lives"
        leave.set()
        await wait_all_tasks_blocked()
        assert states[:3] == [("restarting", 1), ("starting", 2), ("ready", 2)]


async def test_the_total_deadline_bounds_the_ordered_stop(autojump_clock: MockClock) -> None:
    log: list[str] = []
    specs = [ChildSpec(str(n), ends_after(4, log, str(n)), stages=Stages(cancel=60)) for n in range(5)]
    async with block(Tree(specs, Random(1), shutdown_timeout=10)):
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(10 + 4)
    assert log[:2] == ["4", "3"]
    assert sorted(log) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("clean", [True, False])
async def test_leaving_by_an_exception_skips_the_children_s_drain(clean: bool, autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def drain() -> None:
        log.append("drain")
        await trio.sleep(3)

    async def run_block(tree: Tree) -> None:
        async with block(tree):
            if not clean:
                raise KeyError

    tree = Tree([ChildSpec(name, ends_after(0, log, name), drain=drain) for name in "ab"], Random(1))
    if clean:
        await run_block(tree)
        assert log == ["drain", "b", "drain", "a"]
    else:
        with pytest.raises(KeyError):
            await run_block(tree)
        assert log == ["b", "a"]


async def test_leaving_by_an_exception_cuts_a_drain_that_has_begun(autojump_clock: MockClock) -> None:
    log: list[str] = []
    tree = Tree([ChildSpec("a", ends_after(0, log, "a"), drain=trio.sleep_forever)], Random(1))
    with trio.move_on_after(1):
        async with block(tree):
            await tree.stop("a")
    assert log == ["a"]
    assert trio.current_time() == pytest.approx(1)


async def test_a_cancel_that_comes_while_the_children_end_finds_nothing_to_cancel(autojump_clock: MockClock) -> None:
    log: list[str] = []
    with trio.CancelScope() as outer:
        async with block(Tree([ChildSpec("a", ends_after(2, log, "a"))], Random(1))):
            outer.deadline = trio.current_time() + 1
    assert log == ["a"]
    assert trio.current_time() == pytest.approx(2)
    assert not outer.cancelled_caught, "the body had ended, and so has the block"


def raises(error: BaseException) -> Callable[[], object]:
    async def run() -> None:
        await trio.sleep(1)
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "flat"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(3), SystemExit),
        (BaseExceptionGroup("two", [OSError(), BaseExceptionGroup("one", [KeyboardInterrupt()])]), KeyboardInterrupt),
    ],
    ids=lambda case: getattr(case, "__name__", type(case).__name__),
)
async def test_the_end_of_the_program_is_no_crash_and_leaves_the_block_flat(
    error: BaseException, flat: type[BaseException], autojump_clock: MockClock
) -> None:
    states: list[str] = []
    tree = Tree([], Random(1))
    with pytest.raises(flat) as caught:
        async with block(tree):
            tree.start_soon(raises(error), name="x")  # type: ignore[arg-type]
            watch = tree.watch("x")
            try:
                await trio.sleep_forever()
            finally:
                states.append("body cancelled")
    assert type(caught.value) is flat
    assert states == ["body cancelled"]
    downs = [down async for down in watch]
    assert [(down.generation, type(down.reason)) for down in downs] == [(1, flat)], "not restarted"


def test_ctrl_c_in_a_child_strikes_it_as_if_it_were_the_user_s_own() -> None:
    protected: list[bool] = []

    async def child(*, task_status: trio.TaskStatus[None]) -> None:
        protected.append(trio.lowlevel.currently_ki_protected())
        task_status.started()
        protected.append(trio.lowlevel.currently_ki_protected())
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    async def main() -> None:
        async with block(Tree([ChildSpec("x", child)], Random(1))):
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt) as caught:
        trio.run(main)
    assert type(caught.value) is KeyboardInterrupt
    assert protected == [False, False]


def test_ctrl_c_while_the_children_end_leaves_the_block_flat_when_all_have_ended() -> None:
    """It strikes our own code, which is protected; the main task, which waits in our nursery, gets it."""
    log: list[str] = []

    def on_state(state: str, generation: int, error: BaseException | None) -> None:
        if state == "stopped":
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        specs = [ChildSpec("a", ends_after(0.01, log, "a")), ChildSpec("b", ends_after(0.01, log, "b"), on_state)]
        async with block(Tree(specs, Random(1))):
            pass

    with pytest.raises(KeyboardInterrupt) as caught:
        trio.run(main)
    assert type(caught.value) is KeyboardInterrupt
    assert log == ["b", "a"]


@pytest.mark.parametrize(("how", "ends"), [("any_significant", "a"), ("all_significant", "b")])
async def test_the_block_ends_with_its_significant_children(how: object, ends: str, autojump_clock: MockClock) -> None:
    log: list[str] = []

    def lives(seconds: float, name: str) -> Run:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            await trio.sleep(seconds)
            log.append(name)

        return run

    specs = [
        ChildSpec("a", lives(1, "a"), restart="transient", significant=True),
        ChildSpec("b", lives(2, "b"), restart="temporary", significant=True),
        ChildSpec("c", ends_after(0, log, "c")),
    ]
    async with block(Tree(specs, Random(1), auto_shutdown=how)):  # type: ignore[arg-type]
        await trio.sleep(1000)
    assert log == (["a", "c"] if ends == "a" else ["a", "b", "c"])


def test_what_makes_no_sense_is_refused() -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None: ...

    def tree(*specs: ChildSpec) -> None:
        Tree(specs, Random(1), auto_shutdown="any_significant")

    with pytest.raises(ValueError, match="permanent"):
        tree(ChildSpec("a", run, significant=True))
    with pytest.raises(ValueError, match="never"):
        Tree([ChildSpec("a", run, restart="transient", significant=True)], Random(1))
    with pytest.raises(ValueError, match="exists already"):
        tree(ChildSpec("a", run), ChildSpec("a", run))


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
async def test_escalation_before_the_block_is_entered_leaves_it_unentered(
    strategy: Strategy, autojump_clock: MockClock
) -> None:
    log: list[str] = []

    async def fails(*, task_status: trio.TaskStatus[None]) -> None:
        raise OSError("no port")

    specs = [
        ChildSpec("a", ends_after(0, log, "a")),
        ChildSpec("b", fails, intensity=Intensity(0, 1), on_exhausted="escalate"),
        ChildSpec("c", ends_after(0, log, "c")),
    ]
    with pytest.raises(SupervisorEscalated, match="'b'") as caught:
        async with block(Tree(specs, Random(1), strategy=strategy)):
            log.append("body")
    assert repr(caught.value.__cause__) == "OSError('no port')"
    assert log == ["a"]


async def test_a_block_that_ends_before_it_is_entered_has_a_cancelled_body(autojump_clock: MockClock) -> None:
    async def returns(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(1)
        task_status.started()

    log: list[str] = []
    specs = [ChildSpec("a", returns, restart="transient", significant=True), ChildSpec("b", slow)]
    async with block(Tree(specs, Random(1), auto_shutdown="any_significant")):
        log.append("body")
        await trio.lowlevel.checkpoint()
        log.append("not reached")
    assert log == ["body"]


async def test_an_error_of_the_house_s_own_closing_does_not_hang_the_block(autojump_clock: MockClock) -> None:
    log: list[str] = []

    def abandon() -> None:
        raise OSError("cannot abandon")

    with pytest.raises(OSError, match="cannot abandon"):
        async with Tree([ChildSpec("a", ends_after(0, log, "a"))], Random(1)).block(drain=nothing, abandon=abandon):
            pass
    assert log == ["a"]


async def test_ctrl_c_while_a_child_drains(autojump_clock: MockClock) -> None:
    async def drain() -> None:
        raise KeyboardInterrupt

    log: list[str] = []
    tree = Tree([ChildSpec("a", ends_after(0, log, "a"), drain=drain)], Random(1))
    with pytest.raises(KeyboardInterrupt):
        async with block(tree):
            pass
    assert log == ["a"]
