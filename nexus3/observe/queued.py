"""A text stream that never makes its writer wait: a bounded queue, and a thread that empties it.

For sinks that may stall (a pipe nobody reads, a terminal that is stopped, a slow disk)::

    nexus3.observe.configure(stream=QueuedStream(sys.stderr))

Where the queue is full, what is written is dropped and counted in :attr:`QueuedStream.dropped`. The thread writes to
the stream's file descriptor where it has one: a thread that hangs inside a Python stream would hold a lock that the
interpreter takes when it exits.
"""

import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TextIO

QUEUE_LINES = 10_000
"""Writes that wait; at some 500 bytes a line, 5 MB at the most."""

CLOSE_TIMEOUT = 1.0
"""Seconds that the end of the process waits for lines that are still queued."""


class QueuedStream:
    """Takes the place of a text stream for whoever only writes, flushes and asks for ``isatty``.

    ``write`` may be called from any thread, and from a signal handler. The wrapped stream stays its owner's.
    """

    def __init__(self, stream: TextIO, *, lines: int = QUEUE_LINES) -> None:
        self._stream = stream
        self._lines = lines
        # SimpleQueue: its put neither waits nor can be left half done by a KeyboardInterrupt. It knows no bound, so
        # that is asked for first; racing threads can exceed it by one write each.
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._closed = False
        self.dropped = 0
        """Writes that never reached the stream: the queue was full or closed, or the stream raised."""
        self._thread = threading.Thread(target=self._empty, name="nexus3 log writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, text: str) -> int:
        """Queue ``text`` for the thread, or drop it where the queue is full or closed. Never raises, never waits."""
        if self._closed or self._queue.qsize() >= self._lines:
            self.dropped += 1
        else:
            self._queue.put(text)
        return len(text)

    def flush(self) -> None:
        """Nothing: the thread flushes what it writes."""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Take no more, and wait up to ``timeout`` seconds for what is queued. Safe to repeat."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            atexit.unregister(self.close)
        self._thread.join(timeout)

    def _empty(self) -> None:
        write = _writer(self._stream)
        while (text := self._queue.get()) is not None:
            try:
                write(text)
            except Exception:  # noqa: BLE001 - a broken sink costs its lines, nothing else
                self.dropped += 1


def _writer(stream: TextIO) -> Callable[[str], None]:
    """How the thread writes: past Python's buffers where there is a file descriptor."""
    descriptor: int | None = None
    with suppress(OSError, AttributeError, ValueError):  # io.UnsupportedOperation is both of the outer two
        descriptor = stream.fileno()

    def write_stream(text: str) -> None:
        stream.write(text)
        stream.flush()

    def write_descriptor(text: str) -> None:
        assert descriptor is not None
        data = memoryview(text.encode(stream.encoding or "utf-8", "backslashreplace"))
        while data:
            data = data[os.write(descriptor, data) :]

    return write_stream if descriptor is None else write_descriptor
