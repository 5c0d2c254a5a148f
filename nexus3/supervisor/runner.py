"""One incarnation, from its start to exactly one report of its end, however it ends.

A kernel task minds the user's callable: it times the start, and ends it in stages (drain, cancel, report). Nothing here
is ever killed: a callable that ignores cancellation is reported with its stack, and minded until it ends.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from traceback import StackSummary

import trio

from nexus3.supervisor.spec import ChildSpec

Interrupt = KeyboardInterrupt | SystemExit
"""The end of the program, not of one child: never a crash."""


class Incarnation:
    """One run of a child's callable. ``error`` and ``interrupt`` are final once ``has_ended`` has been called."""

    def __init__(
        self,
        spec: ChildSpec,
        *,
        became_ready: Callable[[], None],
        is_stuck: Callable[[str], None],
        has_ended: Callable[[], None],
    ) -> None:
        self.value: object = None
        """What it reported itself ready with."""
        self.error: BaseException | None = None
        """The crash that ended it, a group only where there were several."""
        self.interrupt: Interrupt | None = None
        self.was_asked = False
        """It was told to stop."""
        self._spec = spec
        self._became_ready = became_ready
        self._is_stuck = is_stuck
        self._has_ended = has_ended
        self._is_ready = False
        self._drains = False
        self._is_cancelled = False
        self._scope = trio.CancelScope()
        """Around the user's callable."""
        self._wait = trio.CancelScope()
        """Around whatever the minder waits for; cancelled to wake it."""
        self._ended = trio.Event()
        self._task: trio.lowlevel.Task | None = None

    def stop(self, *, drain: bool) -> None:
        """End it in stages. Synchronous. Again without ``drain``: cut the drain stage short."""
        if self._is_cancelled:
            return
        self.was_asked = True
        self._drains = drain and self._spec.drain is not None
        if not self._drains:
            self._cancel("its supervisor stops it")
        self._wait.cancel()

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """The minder's task. Must not be cancelled from outside while the callable runs, but by the end of all."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._live, name=f"nexus3 {self._spec.name}")
                await self._mind()
        finally:
            self._has_ended()

    async def _mind(self) -> None:
        self._wait.deadline = trio.current_time() + self._spec.start_timeout
        await self._sleep_until_woken()
        if self._is_ready and not self.was_asked:
            self._wait = trio.CancelScope()
            await self._sleep_until_woken()
        if self._ended.is_set():
            return
        if not self.was_asked:
            self.error = TimeoutError(f"{self._spec.name!r} was not ready within {self._spec.start_timeout:g} s")
        elif self._drains and self._spec.drain is not None:
            self._wait = trio.CancelScope(deadline=trio.current_time() + self._spec.stages.drain)
            try:
                with self._wait:
                    await _as_user(self._spec.drain)
            except Exception as error:  # noqa: BLE001 - a drain that fails must not keep the child alive
                self.error = error
            except (KeyboardInterrupt, SystemExit) as interrupt:
                self.interrupt = interrupt
        self._cancel("its start took too long" if not self.was_asked else "its supervisor stops it")
        with trio.move_on_after(self._spec.stages.cancel):
            await self._ended.wait()
        if not self._ended.is_set():
            assert self._task is not None
            self._is_stuck("".join(_stacks(self._task)))

    async def _sleep_until_woken(self) -> None:
        with self._wait:
            await self._ended.wait()

    def _cancel(self, reason: str) -> None:
        self._is_cancelled = True
        self._scope.cancel(reason=reason)

    @trio.lowlevel.enable_ki_protection
    async def _live(self) -> None:  # noqa: ASYNC910 - it ends at once where it was stopped before it began
        self._task = trio.lowlevel.current_task()
        try:
            with self._scope:
                if not self._scope.cancel_called:
                    await _as_user(partial(self._spec.run, task_status=_Status(self._started)))
                    if not self._is_ready and not self._scope.cancel_called:
                        self.error = RuntimeError(f"{self._spec.name!r} returned without task_status.started()")
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - this is the place where anything is let crash
            self._take(error)
        finally:
            self._task = None
            self._ended.set()
            if self._drains:
                self._wait.cancel()  # nothing is left to drain

    def _started(self, value: object) -> None:
        if self._is_ready:
            raise RuntimeError("called 'started' twice on the same task status")
        self._is_ready = True
        self._wait.deadline = float("inf")
        self.value = value
        self._became_ready()

    def _take(self, error: BaseException) -> None:
        """Sort what came out of the callable: an interrupt goes up, the rest is a crash, a Cancelled is neither."""
        self.interrupt = interrupt_in(error)
        if self.interrupt is not None:
            return
        if isinstance(error, BaseExceptionGroup):
            rest = error.split(trio.Cancelled)[1]
            if rest is None:
                return
            error = rest
        if self.error is None:  # a start that took too long is the cause of what followed
            self.error = innermost(error)


class _Status:
    """The ``task_status`` of one incarnation."""

    def __init__(self, started: Callable[[object], None]) -> None:
        self._started = started

    @trio.lowlevel.enable_ki_protection
    def started(self, value: object = None) -> None:
        self._started(value)


@trio.lowlevel.disable_ki_protection
async def _as_user(call: Callable[[], Awaitable[object]]) -> None:
    """A user's code takes Ctrl-C as if it were called from the user's own."""
    await call()


def innermost(error: BaseException) -> BaseException:
    """The one exception inside nested groups of one; a group of several stays one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def interrupt_in(error: BaseException) -> Interrupt | None:
    """The first KeyboardInterrupt or SystemExit in ``error``, which may be a group."""
    return next((leaf for leaf in _leaves(error) if isinstance(leaf, KeyboardInterrupt | SystemExit)), None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _stacks(task: trio.lowlevel.Task) -> Iterator[str]:
    """Where a task stands, and all tasks below it: without the values of locals, which may hold a key."""
    yield f"task {task.name}\n"
    yield from StackSummary.extract(task.iter_await_frames()).format()
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _stacks(child)
