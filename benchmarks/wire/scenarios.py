"""What is measured: CPU time of this process, wall time where waiting is the point, and memory.

A scenario returns named figures, all of the measured section only: imports and a warm-up come before it. One that
counts text checks that all of it came.
"""

import functools
import gc
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks.wire.contestant import Contestant

Figures = dict[str, float]
Scenario = Callable[..., Awaitable[Figures]]

TEXT = 16
"""Characters of each text delta."""


class Incomplete(Exception):  # noqa: N818 - what it says of an answer
    """Less text came than was sent, or more."""


async def burst(contestant: Contestant, *, events: int = 20_000) -> Figures:
    """One stream, as fast as it goes."""
    return await _one_stream(contestant, f"/c/{events}/burst/0/0", events)


async def single(contestant: Contestant, *, events: int = 1500, rate: int = 1000) -> Figures:
    """One stream at a pace at which each event is a network read of its own, as answers of models are."""
    return await _one_stream(contestant, f"/c/{events}/paced/{rate}/0", events)


async def _one_stream(contestant: Contestant, prompt: str, events: int) -> Figures:
    await contestant.stream("/c/300/burst/0/0", lambda text: None)
    characters = 0

    def sink(text: str) -> None:
        nonlocal characters
        characters += len(text)

    gc.collect()
    began = time.process_time()
    await contestant.stream(prompt, sink)
    cpu = time.process_time() - began
    _check(contestant, characters, events * TEXT)
    return {"us/event": cpu / events * 1e6}


async def requests(contestant: Contestant, *, requests: int = 500) -> Figures:
    """Short unstreamed requests, one after the other."""
    for _ in range(20):
        await contestant.request("hello")
    gc.collect()
    return await _short_requests(contestant, requests, "ms/request")


async def _short_requests(contestant: Contestant, requests: int, name: str) -> Figures:
    began = time.process_time()
    for _ in range(requests):
        if not await contestant.request("hello"):
            raise Incomplete("an empty answer")
    return {name: (time.process_time() - began) / requests * 1e3}


async def first_event(contestant: Contestant, *, streams: int = 300) -> Figures:
    """Streams of one event, one after the other: how long until it is there, and what such a stream costs."""
    arrived = 0.0

    def sink(text: str) -> None:
        nonlocal arrived
        arrived = time.perf_counter()

    for _ in range(20):
        await contestant.stream("/c/1/burst/0/0", sink)
    waits = []
    gc.collect()
    cpu = time.process_time()
    for _ in range(streams):
        began = time.perf_counter()
        await contestant.stream("/c/1/burst/0/0", sink)
        waits.append(arrived - began)
    cpu = time.process_time() - cpu
    if min(waits) <= 0:
        raise Incomplete("a stream without its event")
    return {"first event, ms": statistics.median(waits) * 1e3, "ms/stream": cpu / streams * 1e3}


async def many(contestant: Contestant, *, streams: int, events: int = 100, rate: int = 20) -> Figures:
    """Many paced streams at once: CPU, how late events are seen, and the memory of a stream."""
    await contestant.stream("/c/20/burst/0/0", lambda text: None)
    lags: list[int] = []

    def sink(text: str) -> None:
        lags.append(time.monotonic_ns() // 1000 - int(text))

    async def one() -> None:
        await contestant.stream(f"/c/{events}/paced/{rate}/{streams}", sink)

    gc.collect()
    resident = _resident_kib()
    began = time.process_time()
    await at_once(contestant, [one] * streams)
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _check(contestant, len(lags), streams * events)
    lags.sort()
    return {
        "us/event": cpu / (streams * events) * 1e6,
        "lag p50, ms": lags[len(lags) // 2] / 1e3,
        "lag p99, ms": lags[int(len(lags) * 0.99)] / 1e3,
        "KiB/stream": (peak - resident) / streams,
    }


async def beside_live(contestant: Contestant, *, streams: int, requests: int = 200) -> Figures:
    """Short requests while streams that say nothing are open on the same client."""

    async def silent() -> None:
        await contestant.stream("/c/1/silent/0/0", lambda text: None)

    figures: Figures = {}

    async def ask() -> None:
        await sleep(contestant, 1.0)
        for _ in range(10):
            await contestant.request("hello")
        figures.update(await _short_requests(contestant, requests, f"ms beside {streams}"))

    alone = await _short_requests(contestant, requests, "ms alone")
    await until(contestant, ask, [silent] * streams)
    return figures | alone


async def beside_idle(contestant: Contestant, *, connections: int, requests: int = 200) -> Figures:
    """Short requests while idle connections lie in the same pool."""
    await contestant.request("hello")
    alone = await _short_requests(contestant, requests, "ms alone")

    async def short() -> None:
        await contestant.stream(f"/c/1/paced/100/{connections}", lambda text: None)

    await at_once(contestant, [short] * connections)
    for _ in range(10):
        await contestant.request("hello")
    return await _short_requests(contestant, requests, f"ms beside {connections}") | alone


SCENARIOS: dict[str, Scenario] = {
    "burst": burst,
    "single": single,
    "requests": requests,
    "first_event": first_event,
    "many": many,
    "beside_live": beside_live,
    "beside_idle": beside_idle,
}


def _check(contestant: Contestant, came: int, sent: int) -> None:
    if contestant.counts == "text" and came != sent:
        raise Incomplete(f"{came} of {sent} came")


def _resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


# -- concurrency in either library


Work = Callable[[], Awaitable[None]]


async def at_once(contestant: Contestant, works: Sequence[Work]) -> None:
    """Run all, and wait for all."""
    if contestant.runtime == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for work in works:
                nursery.start_soon(work)
    else:
        import asyncio

        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(_coroutine(work))


async def until(contestant: Contestant, work: Work, beside: Sequence[Work]) -> None:
    """Run ``work``; the others beside it are cancelled when it has ended."""
    if contestant.runtime == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for other in beside:
                nursery.start_soon(other)
            await work()
            nursery.cancel_scope.cancel()
    else:
        import asyncio

        tasks = [asyncio.create_task(_coroutine(other)) for other in beside]
        await work()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def sleep(contestant: Contestant, seconds: float) -> None:
    """In the contestant's library."""
    if contestant.runtime == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)


async def _coroutine(work: Work) -> None:
    await work()


def named(name: str, parameters: dict[str, int]) -> Callable[[Contestant], Awaitable[Figures]]:
    """The scenario ``name`` with its parameters."""
    return functools.partial(SCENARIOS[name], **parameters)
