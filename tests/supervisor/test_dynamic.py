"""Any trio callable under the tree: start_soon, start, restart, stop, watch."""

import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3.supervisor.child import ChildStopped, Down
from nexus3.supervisor.spec import Backoff, ChildSpec, DynamicPolicy, Stages
from nexus3.supervisor.tree import Tree

QUICK = DynamicPolicy(backoff=Backoff(min=1, max=1), stages=Stages(cancel=2))


async def nothing() -> None:
    pass


@asynccontextmanager
async def running() -> AsyncIterator[Tree]:
    tree = Tree([], Random(1), dynamic=QUICK)
    async with tree.block(drain=nothing, abandon=lambda: None):
        yield tree


async def serve(value: object = None, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
    task_status.started(value)
    await trio.sleep_forever()


class Fragile:
    """Counts its lives; each ends by ``crash``."""

    def __init__(self) -> None:
        self.lives = 0
        self._crash = trio.Event()

    async def __call__(self, *, task_status: trio.TaskStatus[int]) -> None:
        self.lives += 1
        self._crash = trio.Event()
        task_status.started(self.lives)
        await self._crash.wait()
        raise ZeroDivisionError

    def crash(self) -> None:
        self._crash.set()


def stubborn(seconds: float, leave: trio.Event) -> Callable[[], Awaitable[None]]:
    """Ignores its cancellation for a while, or until ``leave``."""

    async def run() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(seconds, shield=True):
                await leave.wait()

    return run


async def test_start_returns_what_the_first_incarnation_reports(autojump_clock: MockClock) -> None:
    fragile = Fragile()
    async with running() as tree:
        assert await tree.start(serve, "port 80", name="server") == "port 80"
        assert await tree.start(fragile, name="fragile") == 1
        fragile.crash()
        await trio.sleep(5)
        assert fragile.lives == 2
        assert tree.children["fragile"].state == "ready"
        assert await tree.start(trio.sleep_forever) is None, "without task_status it is ready at once"


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_a_first_start_that_fails_raises_its_own_exception_and_leaves_no_child(
    restart: object, autojump_clock: MockClock
) -> None:
    lives = 0

    async def fails(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal lives
        lives += 1
        async with trio.open_nursery():
            raise LookupError("mine")

    async with running() as tree:
        with pytest.raises(LookupError, match="mine"):
            await tree.start(fails, name="x", restart=restart)  # type: ignore[arg-type]
        assert tree.children == {}
        await trio.sleep(100)
        assert lives == 1


async def test_a_start_that_never_reports(autojump_clock: MockClock) -> None:
    async def hangs(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    async def returns(*, task_status: trio.TaskStatus[None]) -> None:
        pass

    async def reports_twice(*, task_status: trio.TaskStatus[int]) -> None:
        task_status.started(1)
        task_status.started(2)

    async with running() as tree:
        with pytest.raises(TimeoutError, match="hangs"):
            await tree.start(hangs)
        assert trio.current_time() == pytest.approx(10)
        with pytest.raises(RuntimeError, match="without task_status"):
            await tree.start(returns)
        assert tree.children == {}
        assert await tree.start(reports_twice, name="twice", restart="temporary") == 1
        with tree.watch("twice") as watch:
            assert "twice on the same" in repr((await watch.receive()).reason)


async def test_cancelling_the_caller_of_start_takes_the_child_back(autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            log.append("cleaned up")

    async with running() as tree:
        with trio.move_on_after(3):
            await tree.start(slow, name="slow")
        assert log == ["cleaned up"], "it has ended when the cancellation goes on"
        assert tree.children == {}
        assert await tree.start(serve, 1, name="slow") == 1, "its name is free"


async def test_cancelling_start_of_a_child_that_ignores_it_does_not_deadlock(autojump_clock: MockClock) -> None:
    leave = trio.Event()

    async def deaf(*, task_status: trio.TaskStatus[None]) -> None:
        await stubborn(1e6, leave)()

    async with running() as tree:
        with trio.move_on_after(3):
            await tree.start(deaf)
        assert trio.current_time() == pytest.approx(5), "reported as stuck after two seconds"
        leave.set()


async def test_a_caller_that_leaves_while_the_child_becomes_ready(autojump_clock: MockClock) -> None:
    async def at_three(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(3)
        await serve(task_status=task_status)

    for _ in range(30):  # trio shuffles what is due at one time
        async with running() as tree:
            with trio.move_on_after(3) as scope:
                await tree.start(at_three)
            await wait_all_tasks_blocked()
            assert len(tree.children) == (0 if scope.cancelled_caught else 1)


async def test_stop_waits_for_the_end_and_frees_the_name(autojump_clock: MockClock) -> None:
    leave = trio.Event()
    async with running() as tree:
        tree.start_soon(stubborn(1, leave), name="x")
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await tree.stop("x")
        assert trio.current_time() - began == pytest.approx(1)
        assert "x" not in tree.children
        tree.start_soon(serve, name="x")
        with pytest.raises(LookupError, match="'y'"):
            await tree.stop("y")


async def test_a_child_is_drained_before_it_is_cancelled(autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            log.append(f"cancelled at {trio.current_time():g}")

    async def drain() -> None:
        log.append("drains")
        await trio.sleep_forever()

    tree = Tree([ChildSpec("a", run, drain=drain, stages=Stages(drain=7))], Random(1))
    async with tree.block(drain=nothing, abandon=lambda: None):
        await tree.stop("a")
    assert log == ["drains", "cancelled at 7"]


async def test_restart_begins_a_new_incarnation_at_once(autojump_clock: MockClock) -> None:
    fragile = Fragile()
    async with running() as tree:
        await tree.start(fragile, name="fragile")
        began = trio.current_time()
        for lives in range(2, 50):
            await tree.restart("fragile")
            assert fragile.lives == lives
        assert trio.current_time() == began, "no backoff, and nothing is counted"
        fragile.crash()
        await trio.sleep(0.1)
        assert tree.children["fragile"].state == "restarting"
        await tree.restart("fragile")
        assert trio.current_time() - began == pytest.approx(0.1), "what waits is tried now"
        tree.start_soon(serve, name="once", restart="temporary")
        with pytest.raises(ValueError, match="temporary"):
            await tree.restart("once")


async def test_a_restart_that_fails_raises_why_and_the_child_goes_on(autojump_clock: MockClock) -> None:
    well = True

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        if not well:
            raise OSError("port taken")
        await serve(task_status=task_status)

    async with running() as tree:
        await tree.start(run, name="x")
        well = False
        with pytest.raises(OSError, match="port taken"):
            await tree.restart("x")
        well = True
        await trio.sleep(2)
        assert tree.children["x"].state == "ready"


async def test_a_restart_fails_where_the_child_is_removed_meanwhile(autojump_clock: MockClock) -> None:
    async with running() as tree:
        tree.start_soon(stubborn(1, trio.Event()), name="x")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:

            async def remove() -> None:
                tree.remove("x")

            nursery.start_soon(trio.lowlevel.checkpoint)
            tree.spawn(remove)
            with pytest.raises(ChildStopped, match="'x'"):
                await tree.restart("x")
        assert tree.children == {}


async def test_names_are_unique_and_made_up_where_none_is_given(autojump_clock: MockClock) -> None:
    async with running() as tree:
        assert tree.start_soon(serve) == "serve"
        assert tree.start_soon(partial(serve, 1)) == "serve-1"
        assert tree.start_soon(Fragile()) == "Fragile"
        with pytest.raises(ValueError, match="'serve' exists already"):
            tree.start_soon(serve, name="serve")
        tree.remove("serve")
        tree.start_soon(serve, name="serve")
    with pytest.raises(RuntimeError, match="closed"):
        tree.start_soon(serve)
    with pytest.raises(RuntimeError, match="not running"):
        await Tree([], Random(1)).start(serve)


async def test_a_callable_runs_in_a_copy_of_its_adder_s_context(autojump_clock: MockClock) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []
    crash = trio.Event()

    async def run() -> None:
        seen.append(who.get())
        who.set("child")
        await crash.wait()
        raise OSError

    who.set("opener")
    async with running() as tree:
        who.set("adder")
        tree.start_soon(run)
        who.set("later")
        await wait_all_tasks_blocked()
        crash.set()
        await trio.sleep(1)
        assert seen[:2] == ["adder", "adder"], "the restarted one too, without what the first has set"
        await tree.restart("run")
        assert set(seen) == {"adder"}, "not that of who asks for a restart"
        assert who.get() == "later"


async def test_a_watch_gets_exactly_one_down_for_each_death(autojump_clock: MockClock) -> None:
    fragile = Fragile()
    async with running() as tree:
        await tree.start(fragile, name="x")
        first, second = tree.watch("x"), tree.watch("x")
        for _ in range(3):
            fragile.crash()
            await trio.sleep(1.5)
        closed = tree.watch("x")
        closed.close()
        await tree.stop("x")
        for watch in (first, second):
            downs = [down async for down in watch]
            assert [(down.name, down.generation) for down in downs] == [("x", 1), ("x", 2), ("x", 3), ("x", 4)]
            assert [type(down.reason) for down in downs[:3]] == [ZeroDivisionError] * 3
            assert downs[3].reason == "stopped"
        assert [down async for down in tree.watch("x")] == [Down("x", 0, "gone")]


async def test_a_watch_of_a_child_that_is_dead_for_good_is_told_at_once() -> None:
    async def returns(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    tree = Tree([ChildSpec("done", returns, restart="transient")], Random(1))
    watch = tree.watch("done")
    async with tree.block(drain=nothing, abandon=lambda: None):
        assert await watch.receive() == Down("done", 1, "returned")
        late = tree.watch("done")
        assert late.receive_nowait() == Down("done", 1, "gone")
        await tree.restart("done")
        assert await late.receive() == Down("done", 2, "returned")
    assert [down async for down in late] == []


@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_a_callable_that_has_ended_for_good_is_forgotten(restart: object) -> None:
    async with running() as tree:
        for _ in range(10):
            tree.start_soon(nothing, restart=restart)  # type: ignore[arg-type]
        await wait_all_tasks_blocked()
        assert tree.children == {}


async def test_blocks_nest_without_an_api(autojump_clock: MockClock) -> None:
    """A whole supervisor as one supervised callable: it escalates, and the outer one restarts it."""
    log: list[str] = []

    async def sick() -> None:
        await trio.sleep(1)
        raise OSError("inner")

    async def subtree(*, task_status: trio.TaskStatus[Tree]) -> None:
        inner = Tree([], Random(1), dynamic=DynamicPolicy(on_exhausted="escalate"))
        async with inner.block(drain=nothing, abandon=lambda: log.append("inner left")):
            inner.start_soon(serve, name="sound")
            task_status.started(inner)
            await trio.sleep_forever()

    async with running() as tree:
        first = await tree.start(subtree, name="subtree")
        assert isinstance(first, Tree)
        watch = tree.watch("subtree")
        first.start_soon(sick)
        down = await watch.receive()
        assert repr(down.reason).startswith("SupervisorEscalated")
        await trio.sleep(2)
        assert log == ["inner left"]
        assert tree.children["subtree"].generation == 2
    assert log == ["inner left", "inner left"]


async def test_a_child_may_stop_and_add_others_and_itself(autojump_clock: MockClock) -> None:
    async with running() as tree:

        async def replaces_itself() -> None:
            tree.start_soon(serve, name="successor")
            await tree.stop("predecessor")

        tree.start_soon(replaces_itself, name="predecessor")
        await wait_all_tasks_blocked()
        assert list(tree.children) == ["successor"]


async def test_on_state_may_call_the_tree(autojump_clock: MockClock) -> None:
    """What comes of it is decided after what is being acted upon."""
    log: list[str] = []

    def on_state(state: str, generation: int, error: BaseException | None) -> None:
        log.append(f"{state} {error!r}")
        if state == "ready":
            tree.start_soon(serve, name=f"helper-{generation}")
        if state == "restarting":
            tree.remove("x")

    async def crashes(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        raise OSError

    tree = Tree([ChildSpec("x", crashes, on_state)], Random(1))
    async with tree.block(drain=nothing, abandon=lambda: None):
        await wait_all_tasks_blocked()
        assert log == ["starting None", "ready None", "restarting OSError()", "stopped None"], "a crash is told once"
        assert list(tree.children) == ["helper-1"]


async def test_a_drain_that_fails_does_not_keep_the_child_alive(autojump_clock: MockClock) -> None:
    async def drain() -> None:
        raise OSError("cannot drain")

    tree = Tree([ChildSpec("a", serve, drain=drain)], Random(1))
    async with tree.block(drain=nothing, abandon=lambda: None):
        watch = tree.watch("a")
        await tree.stop("a")
        assert repr((await watch.receive()).reason) == "OSError('cannot drain')"


async def test_a_removed_child_s_name_is_free_while_it_still_ends(autojump_clock: MockClock) -> None:
    leave = trio.Event()
    async with running() as tree:
        tree.start_soon(stubborn(1, leave), name="x")
        await wait_all_tasks_blocked()
        tree.remove("x")
        tree.start_soon(serve, name="x")
        await wait_all_tasks_blocked()
        assert tree.children["x"].state == "ready"
        await trio.sleep(2)
        assert tree.children["x"].state == "ready", "the end of its namesake is not its own"
        await tree.stop("x")
        assert tree.children == {}


async def test_a_child_that_has_drained_and_ended_is_not_waited_for_longer(autojump_clock: MockClock) -> None:
    async def returns_soon(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(1)

    tree = Tree([ChildSpec("a", returns_soon, drain=trio.sleep_forever, stages=Stages(drain=5))], Random(1))
    async with tree.block(drain=nothing, abandon=lambda: None):
        await tree.stop("a")
        assert trio.current_time() == pytest.approx(1)
