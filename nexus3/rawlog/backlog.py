"""Work for a thread of its own, in a bounded queue: whoever puts it there never waits, whatever the work does.

The thread is there only while there is work, and for a moment after. It lets those go first that it works for: it
begins a little later, and gives the interpreter's lock back after each piece.
"""

import atexit
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

import trio

MOST_ITEMS = 10_000
"""Pieces of work that wait: some seconds of a hundred streams at fifty network reads a second each."""

MOST_BYTES = 32 << 20
"""And what they hold."""

PAUSE = 0.02
"""Seconds between the first piece and the start of work: an attempt has sent its request by then."""

IDLE = 5.0
"""Seconds without work after which the thread ends."""

Work = Callable[[], None]
"""Called in the thread. Must not raise."""


class Backlog:
    """One thread's work, done in order.

    :meth:`offer` and :meth:`push` never wait and never raise, from any thread.
    """

    def __init__(self, name: str, *, most_items: int = MOST_ITEMS, most_bytes: int = MOST_BYTES) -> None:
        self._name = name
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._queue: SimpleQueue[tuple[Work, int] | None] = SimpleQueue()
        self._bytes_in = 0
        self._bytes_out = 0  # its own counter, which only the thread writes
        self._lock = threading.Lock()  # around the thread's coming and going
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._give_up_at: float | None = None
        self._undone = 0

    @property
    def is_half_empty(self) -> bool:
        """There is room again, and for more than one piece."""
        return self._queue.qsize() <= self._most_items // 2 and self._bytes_held <= self._most_bytes // 2

    @property
    def is_done(self) -> bool:
        """It was closed, and its thread has ended."""
        return self._closing.is_set() and (self._thread is None or not self._thread.is_alive())

    @property
    def _bytes_held(self) -> int:
        return self._bytes_in - self._bytes_out

    def offer(self, work: Work, size_bytes: int) -> bool:
        """Queue ``work`` where there is room for it."""
        if self._queue.qsize() >= self._most_items or self._bytes_held + size_bytes > self._most_bytes:
            return False
        return self.push(work, size_bytes)

    def hold(self, size_bytes: int) -> bool:
        """Room for bytes that work which is queued, or will be now, looks for elsewhere; it must :meth:`release` them.

        By the thread of the run only.
        """
        if self._bytes_in - self._bytes_out + size_bytes > self._most_bytes:
            return False
        self._bytes_in += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """By this backlog's work only."""
        self._bytes_out += size_bytes

    def push(self, work: Work, size_bytes: int) -> bool:
        """Queue ``work``, room or not: for what is rare. False where the backlog is closed."""
        with self._lock:
            if self._closing.is_set() or not self._has_thread():
                return False
            self._bytes_in += size_bytes
            self._queue.put((work, size_bytes))
        return True

    def close(self, within: float) -> None:
        """Take no more. What is queued is still done if it can be begun within ``within`` seconds. Safe to repeat."""
        with self._lock:
            if not self._closing.is_set():
                self._give_up_at = time.monotonic() + within
                self._closing.set()
                self._queue.put(None)

    async def wait_closed(self, within: float) -> int:
        """Wait until the thread has ended, for at most ``within`` seconds of real time; what was left undone.

        Cancelling leaves the thread to it.
        """
        thread = self._thread
        if thread is not None:
            # A limiter of its own: threads of the application's that hang may hold all places of trio's.
            limiter = trio.CapacityLimiter(1)
            await trio.to_thread.run_sync(thread.join, within, abandon_on_cancel=True, limiter=limiter)
            if thread.is_alive():
                return self._queue.qsize() - 1 + self._undone  # one of them is the mark of the end
        return self._undone

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends: nothing that a request shall fail of
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        # So that the last lines of a process are not lost with the daemon thread.
        atexit.register(self._at_exit)
        try:
            while (item := self._next()) is not None:
                work, size_bytes = item
                if self._give_up_at is None or time.monotonic() < self._give_up_at:
                    work()
                else:
                    self._undone += 1
                self._bytes_out += size_bytes
                del item, work  # the thread that waits holds nobody's answer
                time.sleep(0)
        finally:
            atexit.unregister(self._at_exit)

    def _next(self) -> tuple[Work, int] | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            pass
        try:
            item = self._queue.get(timeout=IDLE)
        except Empty:
            with self._lock:  # nobody can put anything now
                if self._queue.empty():
                    self._thread = None
                    return None
            return self._queue.get()
        self._closing.wait(PAUSE)
        return item

    def _at_exit(self) -> None:
        thread = self._thread
        self.close(_AT_EXIT)
        if thread is not None:
            thread.join(_AT_EXIT)


_AT_EXIT = 1.0
"""Seconds that the end of the process waits for what is queued."""
