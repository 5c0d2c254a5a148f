"""Our own stall is not the provider's: a clock that stands still while the run's loop does, and timers kept by it.

A program that computes for half a second, or calls what blocks, reads nothing meanwhile: a limit that passes then says
nothing about the provider. trio cannot know that: what has a deadline in the past it cancels, before anybody may read
what has come. So the limits of steps are no deadlines of trio's. One task of the run keeps them. While a timer is set
it wakes every :data:`BEAT` seconds; by what it comes too late the loop has stood still, and that is *lag*. Where a
timer is due, what is readable or finished is taken first, and may renew it.

That task exists while requests are in flight, and a beat longer. With a virtual clock it does not beat, and there is no
lag: the program's stalls take no virtual time, and a clock with nothing to do can jump.
"""

import math
import threading
from types import TracebackType

import trio

BEAT = 0.05
"""Seconds. A stall is measured from the next beat on: up to so much of each is missed, and none is invented."""

UNNOTICED = 0.02
"""Seconds of lateness that are no stall: a busy turn of the loop, a coarse timer of the system."""


class LoopClock:
    """One per run: :func:`loop_clock`. Its seconds are trio's without those in which the loop stood still."""

    def __init__(self, clock: trio.abc.Clock) -> None:
        self.trio_now = clock.current_time
        """May be called from any thread."""
        self.is_virtual = clock.deadline_to_sleep_time(clock.current_time() + 60) > 120
        """Its seconds do not pass by themselves."""
        self.beat_due = math.inf
        """In trio's time: when the loop will have run, unless it stands still. Infinite where nobody keeps the time."""
        self.watchdogs: list[threading.Event] = []
        """The first is on duty, and woken when the time begins to be kept; see :mod:`nexus3.actors.watchdog`."""
        self.lost = 0.0
        """Seconds in which the loop stood still while the time was kept, as of the last :meth:`now`."""
        self._timers: set[Timer] = set()
        self.earliest = math.inf
        """In this clock's time: no timer that was entered is due before."""
        self._is_kept = False
        self._alarm = trio.CancelScope()

    def now(self) -> float:
        """Seconds in which the loop ran, as far as is known.

        Whoever asks first after a stall has it counted, so that no reading is ever taken back.
        """
        now = self.trio_now()
        late = now - self.beat_due
        if late > UNNOTICED:
            self.lost += late
            self.beat_due = now
        return now - self.lost

    def enter(self, timer: "Timer") -> None:
        """Keep the time for ``timer`` until :meth:`leave`."""
        self._timers.add(timer)
        if not self._is_kept:
            trio.lowlevel.spawn_system_task(self._keep, name="nexus3 timekeeper")
            self._is_kept = True
            self._expect_beat()
            if self.watchdogs:
                self.watchdogs[0].set()

    def leave(self, timer: "Timer") -> None:
        """``timer`` rings no more."""
        self._timers.discard(timer)
        if self.is_virtual and not self._timers:
            self._alarm.deadline = -math.inf  # where seconds pass, the next beat will do

    def look_at(self, due: float) -> None:
        """A timer that was entered is due at ``due``, before all others."""
        self.earliest = due
        self._alarm.deadline = self._next_look()

    def _next_look(self) -> float:
        return min(self.earliest + self.lost, self.beat_due)

    def _expect_beat(self) -> None:
        if not self.is_virtual:
            self.beat_due = self.trio_now() + BEAT

    async def _keep(self) -> None:
        """Lets no exception out: it is a task of trio's own nursery."""
        try:
            while self._timers:
                with trio.CancelScope(deadline=self._next_look()) as self._alarm:
                    await trio.sleep_forever()
                now = self.now()
                self._expect_beat()
                if now >= self.earliest:
                    await self._ring(now)
        finally:
            self._is_kept = False
            self.beat_due = self.earliest = math.inf

    async def _ring(self, now: float) -> None:
        due = [timer for timer in self._timers if timer.due <= now]
        if due:
            # A task runs in the turn after the one that saw its socket readable. Tasks of one turn run in any order, so
            # those that were readable when we woke have run by the second turn from here.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            now = self.now()
            for timer in due:
                if timer.due <= now:
                    timer.ring()
        self.earliest = min((timer.due for timer in self._timers), default=math.inf)


class Timer:
    """A cancel scope and a limit that the loop's stalls do not use up: ``with Timer() as scope:``, then :meth:`set`.

    The scope's own ``deadline`` is trio's, and for what must hold whatever happens; it is free for the owner's use.
    """

    __slots__ = ("clock", "due", "has_rung", "scope")

    def __init__(self, *, deadline: float = math.inf) -> None:
        self.clock = loop_clock()
        self.due = math.inf
        """In the :class:`LoopClock`'s time."""
        self.has_rung = False
        self.scope = trio.CancelScope(deadline=deadline)

    def set(self, due: float) -> None:
        """Once entered: cancel the scope at ``due``, unless it is set anew by what has come until then."""
        self.due = due
        if due < self.clock.earliest:
            self.clock.look_at(due)

    def set_in(self, seconds: float) -> None:
        """:meth:`set` so many seconds from now."""
        self.set(self.clock.now() + seconds)

    def ring(self) -> None:
        """The keeper's: the limit is reached."""
        self.due = math.inf
        self.has_rung = True
        self.scope.cancel(reason="a limit of nexus3 was reached")

    def __enter__(self) -> trio.CancelScope:
        self.clock.enter(self)
        return self.scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.clock.leave(self)
        return self.scope.__exit__(kind, error, trace)


_CLOCK: trio.lowlevel.RunVar[LoopClock | None] = trio.lowlevel.RunVar("nexus3 loop clock", None)


def loop_clock() -> LoopClock:
    """The one of this run. Call it inside ``trio.run``."""
    clock = _CLOCK.get()
    if clock is None:
        clock = LoopClock(trio.lowlevel.current_clock())
        _CLOCK.set(clock)
    return clock
