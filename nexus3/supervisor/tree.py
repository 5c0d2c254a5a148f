"""The thin trio shell of supervision: the block, and the children in it. What to do is for :mod:`decide` to say.

All tasks live in one nursery inside :meth:`Tree.block`. Their root has a shielded scope of its own, so that the body
stays cancellable while the children end in order, never the other way round. Decisions are synchronous: an event is
taken, decided and acted upon without a checkpoint, by whichever task brings it.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import assert_never

import trio
from msgspec.structs import replace
from trio.lowlevel import enable_ki_protection

from nexus3.errors import SupervisorEscalated
from nexus3.supervisor import state as s
from nexus3.supervisor.child import Down, StuckChild, SupervisedChild, never_heard_of
from nexus3.supervisor.decide import decide, first_pass_is_over
from nexus3.supervisor.dynamic import dynamic_spec, name_of
from nexus3.supervisor.runner import Incarnation, Interrupt, innermost, interrupt_in
from nexus3.supervisor.spec import (
    AutoShutdown,
    ChildSpec,
    DynamicPolicy,
    Intensity,
    Restart,
    Strategy,
    SupervisorSpec,
    check_child,
)


def _nobody_listens(stuck: StuckChild) -> None:
    pass


class Tree:
    """The children of one block, and its end. All methods belong to the block's trio run and thread.

    ``shutdown_timeout``: seconds that the ordered stop at the block's end may take together; past it all that still
    runs is cancelled at once. ``on_stuck`` is told, synchronously, of each child that ignores cancellation; it must not
    raise. ``dynamic``: how callables added by :meth:`start_soon` and :meth:`start` are kept running.

    Raises:
        ValueError: two specs have one name, or one is significant where that has no meaning.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        rng: Random,
        *,
        strategy: Strategy = "one_for_one",
        intensity: Intensity | None = None,
        auto_shutdown: AutoShutdown = "never",
        shutdown_timeout: float = 30.0,
        on_stuck: Callable[[StuckChild], None] = _nobody_listens,
        dynamic: DynamicPolicy | None = None,
    ) -> None:
        self.children: dict[str, SupervisedChild] = {}
        """By name; those that have ended for good are gone."""
        self._state = s.State(SupervisorSpec(strategy, intensity, auto_shutdown))
        self._rng = rng
        self._shutdown_timeout = shutdown_timeout
        self._on_stuck = on_stuck
        self._dynamic = dynamic or DynamicPolicy()
        self._by_key: dict[str, SupervisedChild] = {}
        self._events: deque[s.Event] = deque()
        self._is_deciding = False
        self._named = 0
        self._entered = trio.Event()
        """The first pass over the children is over."""
        self._escalation: SupervisorEscalated | None = None
        self._interrupt: Interrupt | None = None
        self._root = trio.CancelScope(shield=True)
        self._body = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._waiting: list[Callable[[], Awaitable[None]]] = []
        for spec in specs:
            self.add(spec)

    # -- children

    @property
    def is_open(self) -> bool:
        """Children may be added. False from the moment at which the block ends, by whatever cause."""
        return self._state.stage in ("new", "open")

    @enable_ki_protection
    def add(self, spec: ChildSpec) -> None:
        """Supervise one more child, from now on or from the block's start. Synchronous; does not wait for readiness.

        Raises:
            ValueError: the name is taken, or the child is significant where that has no meaning.
            RuntimeError: the supervisor is closed.
        """
        child = self._register(spec)
        self._take(s.Add(self._keyed(child)))

    @enable_ki_protection
    def remove(self, name: str) -> None:
        """Cancel a child and forget it: its name is free at once. Synchronous; does not wait for its end.

        Raises:
            LookupError: no child has that name.
        """
        child = self._find(name)
        del self.children[name]
        self._take(s.Remove(child.key, drain=False))

    @enable_ki_protection
    def start_soon(
        self,
        fn: Callable[..., Awaitable[object]],
        *args: object,
        name: str | None = None,
        restart: Restart = "permanent",
        significant: bool = False,
    ) -> str:
        """Supervise ``fn(*args)``, any async callable, in a copy of the present context. Returns the child's name.

        One that takes ``task_status`` is ready when it calls ``task_status.started()``; any other at once. It is
        forgotten when it has ended for good. ``significant``: that counts for the supervisor's ``auto_shutdown``.

        Raises:
            ValueError: the name is taken, or the callable is significant where that has no meaning.
            RuntimeError: the supervisor is closed.
        """
        spec = self._dynamic_spec(fn, args, name, restart, significant=significant)
        self.add(spec)
        return spec.name

    @enable_ki_protection
    async def start(
        self,
        fn: Callable[..., Awaitable[object]],
        *args: object,
        name: str | None = None,
        restart: Restart = "permanent",
        significant: bool = False,
    ) -> object:
        """The same, and wait until it is ready. Returns what the first incarnation was started with.

        A first start that fails raises the callable's own exception and leaves no child behind. Cancelling takes the
        child back: it has ended, or is reported as stuck, when the cancellation goes on.

        Raises:
            ValueError: the name is taken, or the callable is significant where that has no meaning.
            RuntimeError: the supervisor is not running.
            ChildStopped: it was stopped before it was ready.
            TimeoutError: it was not ready in time.
        """
        if self._nursery is None:
            raise RuntimeError("the supervisor is not running")
        child = self._register(self._dynamic_spec(fn, args, name, restart, significant=significant))
        pending = child.expect_start()
        self._take(s.Add(self._keyed(child), first_or_never=True))
        try:
            await pending.done.wait()
        except BaseException:
            self._take_back(child)
            with trio.CancelScope(shield=True):  # bounded: it ends, or is reported
                await child.released.wait()
            raise
        if pending.error is not None:
            raise pending.error
        return pending.value

    @enable_ki_protection
    async def restart(self, name: str) -> None:
        """End the child in stages and start it anew, at once; return when it is ready. Nothing is counted.

        Siblings are left alone, whatever the strategy. Cancelling is safe: the restart goes on.

        Raises:
            LookupError: no child has that name.
            ValueError: it is temporary.
            Exception: the start failed with this; the child is then restarted as after any crash.
        """
        child = self._find(name)
        if child.spec.restart == "temporary":
            raise ValueError(f"child {name!r} is temporary: it is never restarted")
        pending = child.expect_start()
        self._take(s.Restart(child.key))
        await pending.done.wait()
        if pending.error is not None:
            raise pending.error

    @enable_ki_protection
    async def stop(self, name: str) -> None:
        """End the child in stages (drain, cancel, report), forget it, and return when all of its tasks have ended.

        Cancelling is safe: the stop goes on. A child that is stuck is waited for.

        Raises:
            LookupError: no child has that name.
        """
        child = self._find(name)
        self._take(s.Remove(child.key, drain=True))
        await child.gone.wait()

    @enable_ki_protection
    def watch(self, name: str) -> trio.MemoryReceiveChannel[Down]:
        """Exactly one Down for each death of the child from now on, and at once if it is dead for good already.

        The channel ends when the child is forgotten, and with the block. Close it to stop watching.
        """
        child = self.children.get(name)
        return never_heard_of(name) if child is None else child.watch()

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the house itself beside the children, in the present context. It must not raise."""
        if self._nursery is None:
            self._waiting.append(task)
        else:
            self._nursery.start_soon(task)

    # -- the block

    @asynccontextmanager
    @enable_ki_protection
    async def block(self, *, drain: Callable[[], Awaitable[None]], abandon: Callable[[], None]) -> AsyncIterator[None]:
        """The block. Entered when every child is ready or has failed once; left when all of its tasks have ended.

        Leaving cleanly awaits ``drain`` first, which any outer scope cuts. Leaving by exception, cancellation or
        KeyboardInterrupt skips it, and the children's own drain stages. Then ``abandon`` is called, and the children
        are stopped in reverse order. The body's exception, a group included, leaves as the same object. Escalation
        cancels the body and raises one ``SupervisorEscalated``; where both happen the body's wins, with a note.
        Auto-shutdown cancels the body, and the block is left without an exception. A KeyboardInterrupt or SystemExit in
        a child cancels the body and leaves the block as itself, before anything else.
        """
        body_error: BaseException | None = None
        house_error: BaseException | None = None
        with trio.CancelScope() as guard:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._run, name="nexus3 root")
                    try:
                        await self._entered.wait()
                        if self._escalation is None and self._interrupt is None:
                            with self._body:
                                yield
                                await drain()
                    except BaseException as error:  # noqa: BLE001, ASYNC103 - re-raised below, as the same object
                        body_error = error
                    finally:
                        # From here the children end within their own bounds; an outer cancel must not cut that short.
                        guard.shield = True
                        try:
                            abandon()
                        finally:
                            self._end(drain=body_error is None and not self._body.cancel_called)
            except BaseException as error:  # noqa: BLE001, ASYNC103 - re-raised below
                house_error = error
        self._raise(body_error, house_error)

    def _raise(self, body_error: BaseException | None, house_error: BaseException | None) -> None:
        """What leaves the block: the program's end, else the body's error, else ours."""
        interrupt = self._interrupt or (interrupt_in(house_error) if house_error is not None else None)
        if interrupt is not None:
            raise interrupt
        if house_error is not None and (body_error is None or isinstance(body_error, trio.Cancelled)):
            raise innermost(house_error)  # a bug of ours; it has cancelled the body
        if body_error is not None:
            if self._escalation is not None:
                body_error.add_note(f"meanwhile: {self._escalation} ({self._escalation.__cause__!r})")
            raise body_error
        if self._escalation is not None:
            raise self._escalation

    @enable_ki_protection
    async def _run(self) -> None:
        """The root: everything under one shielded scope."""
        with self._root:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for task in self._waiting:
                    nursery.start_soon(task)
                self._take(s.Begin())
                # Keeps the nursery open for later tasks when every child has ended.
                await trio.sleep_forever()

    def _end(self, *, drain: bool) -> None:
        self._take(s.Shutdown(drain=drain))
        if not drain:
            for child in self._by_key.values():
                if child.incarnation is not None and child.incarnation.was_asked:
                    child.incarnation.stop(drain=False)
        if self._nursery is not None:
            self._nursery.start_soon(self._hurry, name="nexus3 shutdown deadline")

    @enable_ki_protection
    async def _hurry(self) -> None:
        await trio.sleep(self._shutdown_timeout)
        for child in self._by_key.values():
            if child.incarnation is not None:
                child.incarnation.stop(drain=False)

    # -- events and actions

    def _take(self, event: s.Event) -> None:
        """Decide and act. What an action brings about in its turn (``on_state`` may call us) is taken after it."""
        self._events.append(event)
        if self._is_deciding:
            return
        self._is_deciding = True
        try:
            while self._events:
                event = self._events.popleft()
                now = 0.0 if self._state.stage == "new" else trio.current_time()
                self._state, actions = decide(self._state, event, now, self._rng)
                for action in actions:
                    self._act(action)
                if not self._entered.is_set() and first_pass_is_over(self._state):
                    self._entered.set()
        finally:
            self._is_deciding = False

    def _act(self, action: s.Action) -> None:
        match action:
            case s.Tell(key, state, generation):
                self._by_key[key].enter(state, generation)
            case s.Start(key, serial):
                self._incarnate(self._by_key[key], serial)
            case s.Stop(key, _, drain):
                incarnation = self._by_key[key].incarnation
                assert incarnation is not None
                incarnation.stop(drain=drain)
            case s.SetTimer(key, serial, delay):
                self._set_timer(self._by_key[key], serial, delay)
            case s.Forget(key):
                child = self._by_key.pop(key)
                if self.children.get(child.spec.name) is child:
                    del self.children[child.spec.name]
                child.forget()
            case s.Escalate(key):
                child = self._by_key[key]
                self._escalation = SupervisorEscalated(
                    f"child {child.spec.name!r} crashed too often; the supervisor gave up"
                )
                self._escalation.__cause__ = child.last_crash
                self._body.cancel(reason="the supervisor escalated")
            case s.AutoShutdown():
                self._body.cancel(reason="the significant children have ended")
            case s.Finished():
                self._root.cancel(reason="the supervisor's block was left")
            case _:
                assert_never(action)

    def _incarnate(self, child: SupervisedChild, serial: int) -> None:
        assert self._nursery is not None
        child.stop_timer()
        generation = child.generation

        def is_stuck(stack: str) -> None:
            self._on_stuck(StuckChild(child.spec.name, generation, stack))
            child.is_stuck()
            self._take(s.Stuck(child.key, serial))

        def has_ended() -> None:
            self._has_ended(child, incarnation, serial)

        incarnation = child.incarnation = Incarnation(
            child.spec,
            became_ready=lambda: self._take(s.Ready(child.key, serial)),
            is_stuck=is_stuck,
            has_ended=has_ended,
        )
        # A task runs in a copy of the context that it is started from.
        child.context.copy().run(
            lambda: self._start_task(incarnation.run, f"nexus3 runner of {child.spec.name}"),
        )

    def _has_ended(self, child: SupervisedChild, incarnation: Incarnation, serial: int) -> None:
        child.incarnation = None
        child.crash = incarnation.error
        if incarnation.error is not None:
            child.last_crash = incarnation.error
        if incarnation.interrupt is not None:
            self._interrupt = self._interrupt or incarnation.interrupt
            self._body.cancel(reason="the program was interrupted")
            self._take(s.Close())
        child.died(
            incarnation.error or incarnation.interrupt or ("stopped" if incarnation.was_asked else "returned"),
        )
        self._take(s.Exited(child.key, serial, "returned" if incarnation.error is None else "crashed"))

    def _set_timer(self, child: SupervisedChild, serial: int, delay: float) -> None:
        child.stop_timer()
        scope = child.timer = trio.CancelScope()

        @enable_ki_protection
        async def ring() -> None:
            with scope:
                await trio.sleep(delay)
                self._take(s.TimerFired(child.key, serial))

        self._start_task(ring, f"nexus3 timer of {child.spec.name}")

    def _start_task(self, task: Callable[[], Awaitable[None]], name: str) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(task, name=name)

    # -- names

    def _register(self, spec: ChildSpec) -> SupervisedChild:
        if not self.is_open:
            raise RuntimeError("the supervisor is closed: it takes no more children")
        check_child(spec, self.children, self._state.spec.auto_shutdown)
        key = spec.name
        while key in self._by_key:  # a namesake that was removed has not quite ended
            self._named += 1
            key = f"{spec.name} ({self._named})"
        child = self.children[spec.name] = self._by_key[key] = SupervisedChild(spec, key)
        return child

    def _keyed(self, child: SupervisedChild) -> ChildSpec:
        return child.spec if child.key == child.spec.name else replace(child.spec, name=child.key)

    def _dynamic_spec(
        self,
        fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
        name: str | None,
        restart: Restart,
        *,
        significant: bool,
    ) -> ChildSpec:
        if name is None:
            name = name_of(fn)
            while name in self.children:
                self._named += 1
                name = f"{name_of(fn)}-{self._named}"
        return dynamic_spec(name, fn, args, self._dynamic, restart=restart, significant=significant)

    def _find(self, name: str) -> SupervisedChild:
        try:
            return self.children[name]
        except KeyError:
            raise LookupError(f"no child is named {name!r}") from None

    def _take_back(self, child: SupervisedChild) -> None:
        if child.key in self._by_key:
            self._take(s.Remove(child.key, drain=False))
