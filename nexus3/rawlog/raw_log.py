"""The tap of a callback: copies of what goes over the wire, on their way to the callback's thread."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from time import sleep, time

from nexus3.actors.tap import AttemptId, Ending
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.observe.redact import Redactor
from nexus3.rawlog.backlog import Backlog, Work
from nexus3.rawlog.hooks import Hooks, RawLogCallback
from nexus3.rawlog.reading import MAX_BODY_BYTES, Reading
from nexus3.rawlog.redaction import Redaction

FLUSH_TIMEOUT = 1.0
"""Seconds that whoever closes a raw log waits for what is queued; after them it is dropped."""


_PIECE_BYTES = 256
"""What a piece takes beside its data, so that the bound on bytes bounds small ones as well."""


class RawLog:
    """A :data:`~nexus3.actors.tap.Tap` for one callback. Its methods belong to the trio run; none waits but the
    last.

    Counted are, as ``raw_log.raised``, hooks that raised; as ``raw_log.dropped``, what there was no room for, and
    attempts that began while the hooks were resting; as ``raw_log.skipped``, calls that they were spared.
    """

    def __init__(
        self,
        callback: RawLogCallback,
        log: Log,
        *,
        bodies: bool = True,
        known: Redactor | None = None,
        counters: Counter[str] | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        """``known`` has secrets beyond those of the attempts themselves. ``bodies`` false shows their lengths only.

        Raises:
            TypeError: the callback has no hook, or one that is not a plain function.
        """
        self._log = log
        self._counters = Counter[str]() if counters is None else counters
        self._hooks = Hooks(callback, log, self._counters)
        self._bodies = bodies
        self._redact = Redaction(known)
        self._backlog = backlog or Backlog("nexus3 raw log")
        self._open = 0
        self._is_closing = False
        self._said_full = False

    def __call__(self, about: AttemptId, secrets: Sequence[str]) -> "Recording":
        """See :data:`~nexus3.actors.tap.Tap`."""
        self._redact.learn(secrets)
        reading = Reading(self._hooks, about, copy_context(), self._redact, bodies=self._bodies)
        return Recording(self, self._backlog, reading)

    def close(self) -> None:
        """Record no new attempt. Those that run are recorded to their end; the thread goes on for a bounded time."""
        self._is_closing = True
        if not self._open:
            self._backlog.close(FLUSH_TIMEOUT)

    @property
    def is_over(self) -> bool:
        """It was closed, and all that it had was told or dropped."""
        return self._is_closing and not self._open and self._backlog.is_done

    async def aclose(self, within: float = FLUSH_TIMEOUT) -> None:
        """:meth:`close`, and wait for up to ``within`` seconds until the hooks have heard all.

        What they have not heard by then is dropped, counted and logged. Cancelling leaves it to the thread.
        """
        self.close()
        lost = await self._backlog.wait_closed(within)
        if lost:
            self._counters["raw_log.dropped"] += lost
            self._log(catalog.RAW_LOG_LOST, {"lost": lost})

    def begin(self, work: Work, size_bytes: int) -> bool:
        """Record an attempt, from its first piece on; true obliges to :meth:`end`."""
        if self._is_closing:
            return False
        if self._hooks.are_resting:
            self._counters["raw_log.dropped"] += 1
            return False
        if not self.offer(work, size_bytes):
            return False
        self._open += 1
        return True

    def offer(self, work: Work, size_bytes: int) -> bool:
        """Queue a piece, or drop and count it."""
        if self._backlog.offer(work, size_bytes):
            if self._said_full and self._backlog.is_half_empty:
                self._said_full = False
            return True
        self.drop()
        return False

    def drop(self) -> None:
        """Count a piece for which there is no room, and say so."""
        self._counters["raw_log.dropped"] += 1
        if not self._said_full:
            self._said_full = True
            self._log(catalog.RAW_LOG_FULL, {"dropped": self._counters["raw_log.dropped"]})

    def end(self, work: Work) -> None:
        """Queue the last piece of an attempt, though there be no room: there are no more of them than attempts."""
        self._backlog.push(work, 0)
        self._open -= 1
        if self._is_closing and not self._open:
            self._backlog.close(FLUSH_TIMEOUT)


class Recording:
    """A :class:`~nexus3.actors.tap.Listener`: hands pieces on while there is room; after a gap no more."""

    def __init__(self, raw_log: RawLog, backlog: Backlog, reading: Reading) -> None:
        self._raw_log = raw_log
        self._backlog = backlog
        self._reading = reading
        self._is_begun = False
        self._has_gap = False
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._is_awaited = False

    def sent(self, url: str, body: bytes) -> None:
        """See :class:`~nexus3.actors.tap.Listener`; so for the others."""
        kept = body if len(body) <= MAX_BODY_BYTES else body[:MAX_BODY_BYTES]
        work = partial(self._reading.sent, time(), url, kept, len(body))
        self._is_begun = self._raw_log.begin(work, len(kept))

    def head_came(self, status: int, content_type: str) -> None:
        self._offer(partial(self._reading.head_came, status, content_type), 0)

    def bytes_came(self, data: bytes) -> None:
        # Once per network read. A stream that is faster than the thread is read by it as a whole, for one queued piece.
        if self._has_gap or not self._is_begun:
            return
        if not self._backlog.hold(len(data) + _PIECE_BYTES):
            self._has_gap = True
            self._raw_log.drop()
            return
        self._pieces.append((time(), data))
        if not self._is_awaited:
            self._is_awaited = True
            self._offer(self._read_pieces, 0)

    def _read_pieces(self) -> None:
        """In the thread."""
        self._is_awaited = False  # before it looks: what comes from now on is queued again
        pieces = self._pieces
        while pieces:
            at, data = pieces.popleft()
            self._reading.bytes_came(at, data)
            self._backlog.release(len(data) + _PIECE_BYTES)
            sleep(0)  # the run may have the interpreter's lock

    def _read_end(self, at: float, ending: Ending, *, is_cut: bool) -> None:
        """In the thread."""
        self._read_pieces()  # that there was no room to ask for
        self._reading.ended(at, ending, is_cut=is_cut)

    def ended(self, ending: Ending) -> None:
        if self._is_begun:
            self._raw_log.end(partial(self._read_end, time(), ending, is_cut=self._has_gap))

    def _offer(self, work: Callable[[], None], size_bytes: int) -> None:
        if self._is_begun and not self._has_gap:
            self._has_gap = not self._raw_log.offer(work, size_bytes)
