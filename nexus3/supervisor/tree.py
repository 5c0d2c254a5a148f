"""The thin trio shell of supervision: the block, and one runner task per child.

All tasks live in one nursery inside :meth:`Tree.block`. Their root has a shielded scope of its own, so that the body
stays cancellable while the children end in order, never the other way round.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from nexus3.errors import SupervisorEscalated
from nexus3.supervisor.decide import Ending, Escalate, History, Park, RestartIn, Stop, decide
from nexus3.supervisor.spec import ChildSpec, ChildState


class Child:
    """One child as it stands. Written by its runner only."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state: ChildState = "starting"
        self.generation = 0
        self.restarts = 0
        self.scope = trio.CancelScope()
        """Around all of its incarnations."""
        self.has_started = trio.Event()
        """The first start has succeeded or failed."""

    def enter(self, state: ChildState, error: BaseException | None = None) -> None:
        self.state = state
        self.spec.on_state(state, self.generation, error)


class Tree:
    """The children of one block, and its end."""

    def __init__(self, specs: Sequence[ChildSpec], rng: Random) -> None:
        self.children: dict[str, Child] = {spec.name: Child(spec) for spec in specs}
        self._escalation: SupervisorEscalated | None = None
        self._rng = rng
        self._root = trio.CancelScope(shield=True)
        self._body = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._waiting: list[Callable[[], Awaitable[None]]] = []

    def add(self, spec: ChildSpec) -> None:
        """Supervise one more child, from now on or from the block's start. Synchronous; does not wait for readiness."""
        assert spec.name not in self.children, "names are unique"
        child = self.children[spec.name] = Child(spec)
        if self._nursery is not None:
            self._start(child, self._nursery)

    def remove(self, name: str) -> None:
        """Cancel a child and forget it. Synchronous; does not wait for its end."""
        self.children.pop(name).scope.cancel(reason="the child was removed")

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the house itself beside the children, in the present context. It must not raise."""
        if self._nursery is None:
            self._waiting.append(task)
        else:
            self._nursery.start_soon(task)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        """The root: every runner under one shielded scope."""
        with self._root:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for child in self.children.values():
                    self._start(child, nursery)
                for task in self._waiting:
                    nursery.start_soon(task)
                task_status.started()
                # Keeps the nursery open for later tasks when every child has ended.
                await trio.sleep_forever()

    def _start(self, child: Child, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._keep_running, child, name=f"nexus3 runner of {child.spec.name}")

    async def _keep_running(self, child: Child) -> None:
        with child.scope:
            await self._incarnations(child)

    async def _incarnations(self, child: Child) -> None:
        spec = child.spec
        history = History()
        error: BaseException | None = None
        try:
            while True:
                child.generation += 1
                child.enter("starting")
                ready_at: float | None = None

                def became_ready() -> None:
                    nonlocal ready_at
                    ready_at = trio.current_time()
                    child.enter("ready")
                    child.has_started.set()

                error = await _incarnate(spec, became_ready)
                child.has_started.set()  # it has failed once; nobody waits for the restart
                now = trio.current_time()
                ending: Ending = "returned" if error is None else "crashed"
                ready_for = 0.0 if ready_at is None else now - ready_at
                history, decision = decide(spec, history, ending, ready_for=ready_for, now=now, rng=self._rng)
                match decision:
                    case RestartIn(delay):
                        child.restarts += 1
                        child.enter("restarting", error)
                        await trio.sleep(delay)
                    case Park(seconds):
                        child.enter("parked", error)
                        await trio.sleep(seconds)
                    case Stop():
                        return
                    case Escalate():
                        escalation = SupervisorEscalated(
                            f"child {spec.name!r} crashed too often; the supervisor gave up"
                        )
                        escalation.__cause__ = error
                        self._escalation = escalation
                        self._body.cancel(reason="the supervisor escalated")
                        return
        finally:
            child.has_started.set()
            child.enter("stopped", error)

    @asynccontextmanager
    async def block(self, *, drain: Callable[[], Awaitable[None]], abandon: Callable[[], None]) -> AsyncIterator[None]:
        """The block. Entered when every child is ready or has failed once; left when all of its tasks have ended.

        Leaving cleanly awaits ``drain`` first, which any outer scope cuts. Leaving by exception, cancellation or
        KeyboardInterrupt skips it. Then ``abandon`` is called, and everything is cancelled. The body's exception, a
        group included, leaves as the same object. Escalation cancels the body and raises one ``SupervisorEscalated``;
        where both happen the body's wins, with a note.
        """
        body_error: BaseException | None = None
        with trio.CancelScope() as guard:
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(self._run, name="nexus3 root")
                    with self._body:
                        for child in self.children.values():
                            await child.has_started.wait()
                        yield
                        await drain()
                except BaseException as error:  # noqa: BLE001 - re-raised below, as the same object
                    body_error = error
                finally:
                    # From here the children end within their own bounds; an outer cancel must not cut that short.
                    guard.shield = True
                    abandon()
                    self._root.cancel(reason="the supervisor's block was left")
        if body_error is not None:
            if self._escalation is not None:
                body_error.add_note(f"meanwhile: {self._escalation} ({self._escalation.__cause__!r})")
            raise body_error
        if self._escalation is not None:
            raise self._escalation


async def _incarnate(spec: ChildSpec, became_ready: Callable[[], None]) -> BaseException | None:
    """Run one incarnation to its end; the crash that ended it, or ``None`` where it returned."""
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(spec.start_timeout) as starting:
                await nursery.start(spec.run, name=f"nexus3 {spec.name}")
                became_ready()
            if starting.cancelled_caught:
                return TimeoutError(f"{spec.name!r} was not ready within {spec.start_timeout:g} s")
    except Exception as error:  # noqa: BLE001 - this is the place where anything is let crash
        return _innermost(error)
    except BaseExceptionGroup as group:
        crashes, others = group.split(Exception)
        if others is not None:
            raise others from None
        return _innermost(crashes)
    return None


def _innermost(error: BaseException | None) -> BaseException | None:
    """The one exception inside nested groups of one; a group of several stays one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
