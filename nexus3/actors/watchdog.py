"""Says that the loop stands still while it does, and where: a thread that logs ``loop.blocked`` with the guilty stack.

It works only while requests are in flight: it looks whether the beat of :mod:`nexus3.actors.lag` comes, up to four
times a second. Else it waits without a timeout. A call that blocks without releasing the interpreter's lock, and a
process that is stopped as a whole, stop the thread too: these are counted as lag, but nobody sees the culprit.
"""

import math
import sys
import threading
import traceback

from nexus3.actors.lag import LoopClock, loop_clock
from nexus3.observe import catalog
from nexus3.observe.log import Log

BLOCKED = 0.25
"""Seconds after a beat was due from which on the loop is said to be blocked."""

SAY_AGAIN = 1.0
"""Seconds between two lines."""

STACK_FRAMES = 30
"""Of the innermost; the loop's own are the outermost, and say nothing."""


class Watchdog:
    """Of the run and the thread it is made in; it watches from then on, until :meth:`stop`.

    Of several in one run, the oldest is on duty. With a virtual clock there is no thread. Lines are written in the
    thread.
    """

    def __init__(self, log: Log) -> None:
        self._clock: LoopClock = loop_clock()
        self._log = log
        self._run_thread = threading.get_ident()
        self._awake = threading.Event()
        self._is_over = False
        self._said_at = -math.inf
        self._thread: threading.Thread | None = None
        if not self._clock.is_virtual:
            self._clock.watchdogs.append(self._awake)
            self._thread = threading.Thread(target=self._watch, name="nexus3 watchdog", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; it has ended when this returns, unless the log's sink holds it. Once."""
        if self._thread is not None:
            self._is_over = True
            self._clock.watchdogs.remove(self._awake)
            for event in (self._awake, *self._clock.watchdogs[:1]):
                event.set()
            self._thread.join(timeout=0.1)

    def _watch(self) -> None:
        while not self._is_over:
            self._awake.clear()
            wait = self._look(self._clock.trio_now())
            if not self._is_over:
                self._awake.wait(wait)

    def _look(self, now: float) -> float | None:
        """Say what is to be said; the seconds until the next look, or ``None``: until woken."""
        due = self._clock.beat_due
        if due == math.inf or self._clock.watchdogs[:1] != [self._awake]:
            return None
        next_look = max(due + BLOCKED, self._said_at + SAY_AGAIN)
        if now < next_look:
            return next_look - now
        stack = self._stack()
        if self._clock.beat_due == due:  # it stood still all the while: it is the stack of what blocks
            self._said_at = now
            self._log(catalog.LOOP_BLOCKED, {"seconds": now - due, "stack": stack})
        return SAY_AGAIN

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._run_thread)  # noqa: SLF001 - a public function for debuggers
        return "".join(traceback.format_stack(frame, limit=STACK_FRAMES)) if frame is not None else ""
