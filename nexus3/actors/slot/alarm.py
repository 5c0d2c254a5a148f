"""One alarm for everything in a slot that is due at some time: deadlines in the queue, waits, the backstop.

A timer for each request would cost as much as the rest of its way through the mailbox. With a virtual clock it is off
while nothing is due, so that the clock can jump. With any other it stays set, for the next request is most likely due
later: to set it twice for each would cost more than to ring once in a while for nothing.
"""

import math
from collections.abc import Callable

import trio

from nexus3.actors.lag import loop_clock


class Alarm:
    """Set by anyone in the run; rings in the task that :meth:`run`s it, which may not have begun yet."""

    def __init__(self) -> None:
        self.at = math.inf
        """When it rings, at the latest."""
        self._is_virtual = loop_clock().is_virtual
        self._wait = trio.CancelScope()
        self._running = trio.CancelScope()

    def by(self, time: float) -> None:
        """Ring at ``time`` at the latest."""
        if time < self.at:
            self._set(time)

    def off(self) -> None:
        """Nothing is due any more: it may ring all the same, and is then told so by what it calls."""
        if self._is_virtual and self.at != math.inf:
            self._set(math.inf)

    def _set(self, time: float) -> None:
        self.at = self._wait.deadline = time

    async def run(self, ring: Callable[[float], float]) -> None:
        """Call ``ring`` with the time whenever it is due; it returns when to ring next. Until :meth:`stop`."""
        with self._running:
            while True:
                with trio.CancelScope(deadline=self.at) as self._wait:
                    await trio.sleep_forever()
                self.at = ring(trio.current_time())

    def stop(self) -> None:
        """End :meth:`run`."""
        self._running.cancel(reason="the slot is closed")
