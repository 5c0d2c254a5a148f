"""Which callback is listening now: one switch for each thing that a callback can be set on."""

from collections import Counter
from collections.abc import Callable
from time import monotonic

from nexus3.actors.tap import Tap
from nexus3.observe.log import Log
from nexus3.observe.redact import Redactor
from nexus3.rawlog.hooks import RawLogCallback
from nexus3.rawlog.raw_log import FLUSH_TIMEOUT, RawLog


class RawLogSwitch:
    """Sets a callback in place of another; the raw log of the old one is flushed by its own thread."""

    def __init__(
        self,
        log: Callable[[], Log],
        *,
        known: Redactor | None = None,
        counters: Counter[str] | None = None,
        on_change: Callable[[Tap | None], None] = lambda _: None,
    ) -> None:
        """``log`` is asked when a callback is set. ``on_change`` hears of every new tap."""
        self._log = log
        self._known = known
        self._counters = counters
        self._on_change = on_change
        self._callback: RawLogCallback | None = None
        self._bodies = True
        self._replaced: list[RawLog] = []
        self.tap: RawLog | None = None
        """For attempts that begin from now on."""

    def set(self, callback: RawLogCallback | None, *, bodies: bool = True) -> None:
        """Let ``callback`` listen from the next attempt on; ``None`` lets nobody.

        Raises:
            TypeError: it has no hook, or one that is not a plain function. Nothing has changed.
        """
        before, self.tap = self.tap, self._raw_log(callback, bodies=bodies)
        self._callback, self._bodies = callback, bodies
        self._on_change(self.tap)
        if before is not None:
            before.close()
            self._replaced = [raw_log for raw_log in (*self._replaced, before) if not raw_log.is_over]

    def close(self) -> None:
        """Listen no more; what is queued is left to the thread, for a bounded time."""
        self.set(None)

    async def flush(self) -> None:
        """Wait until the hooks, those of callbacks that were replaced included, have heard what is queued.

        See :meth:`RawLog.aclose`. The callback stays set.
        """
        if self.tap is not None:
            self.set(self._callback, bodies=self._bodies)
        until = monotonic() + FLUSH_TIMEOUT
        while self._replaced:
            await self._replaced.pop().aclose(max(0.0, until - monotonic()))

    def _raw_log(self, callback: RawLogCallback | None, *, bodies: bool) -> RawLog | None:
        if callback is None:
            return None
        return RawLog(callback, self._log(), bodies=bodies, known=self._known, counters=self._counters)
