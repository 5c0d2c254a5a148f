"""One alarm for everything in a slot that is due at some time: deadlines in the queue, waits, the backstop.

A timer for each request would cost as much as the rest of its way through the mailbox. It is off while nothing is due,
so that virtual clocks can jump.
"""

import math
from collections.abc import Callable

import trio


class Alarm:
    """Set by anyone in the run; rings in the task that :meth:`run`s it, which may not have begun yet."""

    def __init__(self) -> None:
        self.at = math.inf
        """When it rings."""
        self._wait = trio.CancelScope()
        self._running = trio.CancelScope()

    def by(self, time: float) -> None:
        """Ring at ``time`` at the latest."""
        if time < self.at:
            self._set(time)

    def off(self) -> None:
        """Nothing is due any more."""
        if self.at != math.inf:
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
