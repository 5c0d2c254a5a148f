"""What is counted rather than timed: task steps, and what a leak would make grow. Free of noise."""

import gc
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from nexus3.observe.catalog import REQUEST_BUG


class Steps(trio.abc.Instrument):
    """Counts how often any task of the run was stepped."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        self.count += 1


@contextmanager
def counting_steps() -> Iterator[Steps]:
    """Count within the block. It slows every step, so nothing is timed meanwhile."""
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)


class _Bugs(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line.startswith(REQUEST_BUG.name):
            self._lines.append(line)


@contextmanager
def hearing_of_bugs() -> Iterator[list[str]]:
    """The lines about bugs that requests met within the block: such a request may end well, and be slow."""
    lines: list[str] = []
    handler = _Bugs(lines)
    logger = logging.getLogger("nexus3")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


@dataclass(frozen=True)
class Census:
    """How many there are at one moment, what is unreachable collected before."""

    tasks: int
    descriptors: int
    objects: int
    """Those that the garbage collector tracks: containers, instances, closures, frames of suspended tasks."""

    @classmethod
    def now(cls) -> "Census":
        gc.collect()
        tasks = trio.lowlevel.current_statistics().tasks_living
        return cls(tasks, open_descriptors(), len(gc.get_objects()))


def open_descriptors() -> int:
    """Of this process."""
    return len(os.listdir(Path("/dev/fd").resolve()))


async def growth_over(n: int, run: Callable[[int], Awaitable[None]]) -> str:
    """Run ``n`` operations after a few to warm up; says what there is more of after them."""
    await run(20)
    before = Census.now()
    await run(n)
    after = Census.now()
    objects = after.objects - before.objects
    # One object in ten operations is a cache that fills; a leak leaves at least one each time.
    steady = after.tasks == before.tasks and after.descriptors == before.descriptors and objects < n / 10
    return (
        f"tasks {before.tasks} -> {after.tasks}, descriptors {before.descriptors} -> {after.descriptors}, "
        f"objects {before.objects} {objects:+d}: {'no growth' if steady else 'GROWTH'}"
    )
