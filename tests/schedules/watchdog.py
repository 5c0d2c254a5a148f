"""Real time's watch over virtual time: a run that livelocks, or waits for nothing, is ended with its stack."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 25
"""Exceptions, five in a second, that a run may outlive before the process is aborted (and pytest prints its stack)."""


class Hung(SystemExit):
    """The supervisor restarts whatever dies of anything but the program's own end."""


@contextmanager
def real_time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`Hung` in the main thread after ``seconds``, and five times a second from then on.

    One exception ends one task; where there are too many to end, or one is restarted each time, the process is aborted.
    """
    barks = 0

    def bark(_: int, frame: FrameType | None) -> None:
        nonlocal barks
        barks += 1
        if barks > PATIENCE:
            os.abort()
        raise Hung(f"nothing came of it within {seconds:g} s of real time")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if barks:
        raise Hung("somebody swallowed the alarm")
