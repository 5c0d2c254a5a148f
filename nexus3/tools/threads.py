"""Functions that block, as async ones: ``Tool.from_function(in_thread(read_file))``."""

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import trio

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(fn: Callable[P, T], *, limiter: trio.CapacityLimiter | None = None) -> Callable[P, Awaitable[T]]:
    """``fn``, to be run in a thread of trio's; name, signature and docstring stay.

    A call that is cancelled, or outlives its time, is abandoned: the thread goes on to its end, and its result is
    dropped. ``limiter`` bounds how many run at once; trio's own default is 40.
    """

    @functools.wraps(fn)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return await trio.to_thread.run_sync(
            functools.partial(fn, *args, **kwargs), abandon_on_cancel=True, limiter=limiter
        )

    return run
