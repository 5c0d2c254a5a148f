"""Runs that hang, in a process of their own: what is left of a run that was shot complains for as long as it lives.

usage: python -m tests.schedules.hanging livelock|wait_for_nothing
"""

import os
import sys

import trio
import trio.testing

from tests.schedules.watchdog import Hung, real_time_limit


def hung(error: BaseException | None) -> bool:
    """:class:`Hung` is at the bottom of whatever trio made of it."""
    while error is not None and not isinstance(error, Hung):
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    return error is not None


async def livelock() -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def wait_for_nothing() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


def main(name: str) -> None:
    """Ends the process at once, with 0 where the watchdog has ended the run."""
    run = {"livelock": livelock, "wait_for_nothing": wait_for_nothing}[name]
    try:
        with real_time_limit(0.05):
            trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    except BaseException as error:
        os._exit(0 if hung(error) else 1)
    os._exit(2)


if __name__ == "__main__":
    main(sys.argv[1])
