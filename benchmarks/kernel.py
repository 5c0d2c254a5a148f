"""What tickets, mailboxes, channels and supervision cost, in trio checkpoints. No sockets.

usage: python -m benchmarks.kernel [--only ask] [--rounds 7] [--scale 1.0] [--profile]

The unit is the CPU time of one ``trio.lowlevel.checkpoint()``. Unit and measurements take turns, and each figure is the
median over the rounds of its ratio to its own round's unit: a machine that slows down slows both. Everything goes
through the public API on the leanest transport there can be (:mod:`benchmarks.memory`).

A request is encoded and an answer decoded on this way, so **every figure contains the codec**. What the codec alone
costs, on the same bytes and without trio, is printed beside it, and the difference is what the kernel costs. A bar is
*met* by the whole figure, or *met by the kernel* where only the difference is below it. *Steps* are the task steps of
all tasks per operation, the measuring one included.
"""

import argparse
import cProfile
import gc
import pstats
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from unittest import mock

import trio

from benchmarks.codec import REQUEST, code_asks, code_full_reads, code_single_reads
from benchmarks.counts import counting_steps, growth_over, hearing_of_bugs
from benchmarks.memory import MemoryTransport, event_per_read, full_reads, one_event
from nexus3 import (
    ContentDelta,
    Message,
    Role,
    StreamComplete,
    StreamEvent,
    Submission,
    Supervisor,
    open_supervisor,
)
from nexus3.actors import provider
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket
from nexus3.testing import crash

_MESSAGE = Message(role=Role.ASSISTANT, content="sixteen letters.")

CONFIG: dict[str, object] = {
    "default_model": "m",
    "providers": {
        "memory": {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "allow_loopback": True, "api_key": "none"}
    },
    "models": {"m": {"provider": "memory", "model_id": "m"}},
    # Crashes are wanted here, and no wait between them.
    "supervisor": {"max_restarts": 1_000_000, "restart_window": 0.001, "backoff_min": 1e-6, "backoff_max": 1e-6},
}


@dataclass
class Kernel:
    """What the measurements work with."""

    supervisor: Supervisor
    transport: MemoryTransport
    submit: trio.MemorySendChannel[Submission]


@dataclass
class Measurement:
    """``run(kernel, n)`` does ``n`` operations; ``codec(n)`` the coding that these contain."""

    name: str
    unit: str
    n: int
    run: Callable[[Kernel, int], Awaitable[None]]
    codec: Callable[[int], None] | None = None
    bar: float | None = None
    """In checkpoints; the greatest value that is still good."""
    ratios: list[float] = field(default_factory=list)
    codec_ratios: list[float] = field(default_factory=list)
    steps: float = 0.0
    """Task steps per operation: counted, so without noise."""


async def checkpoints(n: int) -> None:
    """The unit."""
    for _ in range(n):
        await trio.lowlevel.checkpoint()


# -- what is measured


async def ask_complete(kernel: Kernel, n: int) -> None:
    """``sup.complete``: one content event and the terminal."""
    kernel.transport.reads, kernel.transport.wakes = one_event(), False
    for _ in range(n):
        await kernel.supervisor.complete(REQUEST)


async def ask_kernel(kernel: Kernel, n: int) -> None:
    """``sup.complete`` of an actor that answers by itself: ticket, gates, mailbox, loop, task, reply, log, and nothing
    of HTTP and codecs. This is what other actor systems call an ask."""
    with mock.patch.object(provider, "exchange", answer_at_once):
        for _ in range(n):
            await kernel.supervisor.complete(REQUEST)


async def answer_at_once(slot: Slot, ticket: Ticket, *_: object, **__: object) -> None:
    """In the place of an exchange: one event and the terminal, under a scope with the ticket's deadline."""
    ticket.attempts += 1
    with trio.CancelScope(deadline=ticket.deadline) as ticket.scope:
        await ticket.deliver([ContentDelta("sixteen letters.")], 60.0)
    ticket.scope = None
    ticket.settle(StreamComplete(_MESSAGE, attempts=ticket.attempts))


async def ask_submission(kernel: Kernel, n: int) -> None:
    """A submission, its own reply stream read to the end."""
    kernel.transport.reads, kernel.transport.wakes = one_event(), False
    for _ in range(n):
        assert await _submit_and_count(kernel) == 1


async def ask_reply_to(kernel: Kernel, n: int) -> None:
    """A submission that replies on a channel of the caller's own."""
    kernel.transport.reads, kernel.transport.wakes = one_event(), False
    for _ in range(n):
        assert await _reply_to_and_count(kernel) == 1


async def reader_behind(kernel: Kernel, n: int) -> None:
    """Full reads: the reader always finds something in its buffer."""
    kernel.transport.reads, kernel.transport.wakes = full_reads(n), True
    assert await _submit_and_count(kernel) == n


async def reader_keeps_up(kernel: Kernel, n: int) -> None:
    """One event per network read: the reader waits for each."""
    kernel.transport.reads, kernel.transport.wakes = event_per_read(n), True
    assert await _submit_and_count(kernel) == n


async def reply_to_behind(kernel: Kernel, n: int) -> None:
    """As ``reader_behind``, on a channel of the caller's own."""
    kernel.transport.reads, kernel.transport.wakes = full_reads(n), True
    assert await _reply_to_and_count(kernel) == n


async def reply_to_keeps_up(kernel: Kernel, n: int) -> None:
    """As ``reader_keeps_up``, on a channel of the caller's own."""
    kernel.transport.reads, kernel.transport.wakes = event_per_read(n), True
    assert await _reply_to_and_count(kernel) == n


async def restarts(kernel: Kernel, n: int) -> None:
    """A crash, until the next incarnation is ready."""
    slot = kernel.supervisor.slot("memory")
    for _ in range(n):
        opened = kernel.transport.opened
        crash(kernel.supervisor, "memory")
        await opened.wait()
        while slot.state != "ready":
            await trio.lowlevel.checkpoint()


async def _submit_and_count(kernel: Kernel) -> int:
    submission = Submission(REQUEST)
    await kernel.submit.send(submission)
    deltas = 0
    async with submission.events as events:
        async for event in events:
            deltas += type(event) is ContentDelta
    return deltas


async def _reply_to_and_count(kernel: Kernel) -> int:
    send, receive = trio.open_memory_channel[StreamEvent](64)
    await kernel.submit.send(Submission(REQUEST, reply_to=send))
    deltas = 0
    async for event in receive:
        deltas += type(event) is ContentDelta
    return deltas


# -- the table


def measurements(scale: float) -> list[Measurement]:
    """All that is measured, in the order of printing; ``scale`` stretches every count."""

    def times(n: int) -> int:
        return max(1, round(n * scale))

    asks, events, single = times(300), times(20_000), times(4_000)
    return [
        Measurement("ask, the kernel alone", "request", asks, ask_kernel, None, 30),
        Measurement("ask, complete", "request", asks, ask_complete, code_asks, 30),
        Measurement("ask, Submission", "request", asks, ask_submission, code_asks, 30),
        Measurement("ask, literal reply_to", "request", asks, ask_reply_to, code_asks),
        Measurement("delivery, reader behind", "event", events, reader_behind, code_full_reads, 0.5),
        Measurement("delivery, reader keeps up", "event", single, reader_keeps_up, code_single_reads, 2.5),
        Measurement("delivery, reply_to, behind", "event", events, reply_to_behind, code_full_reads),
        Measurement("delivery, reply_to, keeps up", "event", single, reply_to_keeps_up, code_single_reads),
        Measurement("restart, crash to ready", "crash", times(150), restarts, None, 40),
    ]


# -- running and printing


async def cpu_of(work: Awaitable[None]) -> float:
    """CPU seconds of this process while ``work`` runs."""
    began = time.process_time()
    await work
    return time.process_time() - began


async def measure(kernel: Kernel, chosen: Sequence[Measurement], rounds: int, scale: float) -> float:
    """Fill in the ratios; returns the unit in microseconds, the median of all."""
    units = []
    n = max(100, round(10_000 * scale))
    for number in range(-1, rounds):  # the round -1 warms up
        for each in chosen:
            gc.collect()  # each pays for its own garbage only
            unit = await cpu_of(checkpoints(n)) / n
            whole = await cpu_of(each.run(kernel, each.n)) / each.n
            began = time.process_time()
            if each.codec is not None:
                each.codec(each.n)
            codec = (time.process_time() - began) / each.n
            if number >= 0:
                units.append(unit)
                each.ratios.append(whole / unit)
                each.codec_ratios.append(codec / unit)
    for each in chosen:
        with counting_steps() as steps:
            await each.run(kernel, each.n)
        each.steps = steps.count / each.n
    return statistics.median(units) * 1e6


def line(each: Measurement) -> str:
    """One line of the table: whole figure, its spread, the codec's part, the kernel's, bar and verdict."""
    whole, codec = statistics.median(each.ratios), statistics.median(each.codec_ratios)
    spread = f"{min(each.ratios):.2f} to {max(each.ratios):.2f}"
    figures = f"{each.name:30}{whole:>9.2f}  {spread:>18}{codec:>9.2f}{whole - codec:>9.2f}{each.steps:>8.2f}"
    if each.bar is None:
        return figures + f"{'':>8}  per {each.unit}"
    return figures + f"{each.bar:>8g}  {verdict(whole, codec, each.bar)}, per {each.unit}"


def verdict(whole: float, codec: float, bar: float) -> str:
    """Whether ``bar`` is met by the whole figure, by what the kernel adds to the codec, or missed."""
    if whole <= bar:
        return "met"
    if whole - codec <= bar:
        return "met by the kernel"
    return f"MISSED by {(whole - codec) / bar - 1:.0%}"


async def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print what the arguments ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="only lines whose name begins so: ask, delivery, restart")
    parser.add_argument("--rounds", type=int, default=7, help="medians of so many (default 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="operations per round, relative to the default")
    parser.add_argument("--profile", action="store_true", help="no figures: a profile of one round of each line")
    options = parser.parse_args(arguments)
    chosen = [each for each in measurements(options.scale) if each.name.startswith(options.only)]
    transport = MemoryTransport()
    with hearing_of_bugs() as bugs:
        async with (
            open_supervisor(CONFIG, open_transport=transport.open) as supervisor,
            supervisor.submissions() as submit,
        ):
            kernel = Kernel(supervisor, transport, submit)
            if options.profile:
                for each in chosen:
                    await profile(kernel, each)
                return
            unit = await measure(kernel, chosen, options.rounds, options.scale)
            print(f"in trio checkpoints (1 is {unit:.2f} us of CPU here); medians of {options.rounds} rounds\n")
            print(f"{'':30}{'whole':>9}  {'min to max':>18}{'codec':>9}{'kernel':>9}{'steps':>8}{'bar':>8}")
            for each in chosen:
                print(line(each))
            if bugs:
                sys.exit(f"these figures are worth nothing, {len(bugs)} requests met a bug: {bugs[0]}")
            if "restart".startswith(options.only):
                n = max(1, round(1000 * options.scale))
                print(f"\n{n} restarts: {await growth_over(n, partial(restarts, kernel))}")


async def profile(kernel: Kernel, each: Measurement) -> None:
    """Print where the time of one measurement goes, by own time."""
    await each.run(kernel, each.n)
    profiler = cProfile.Profile()
    profiler.enable()
    await each.run(kernel, each.n)
    profiler.disable()
    print(f"== {each.name}, {each.n} operations")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    trio.run(main)
