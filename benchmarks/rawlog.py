"""What a raw log costs a request, whatever its hooks do. Real sockets, a server in a process of its own.

usage: python -m benchmarks.rawlog [--rounds 30]

Three raw logs are compared with none: one that writes a file, one whose hooks block, one whose hooks raise. In each
round every contestant streams one answer, one after the other in an order that is drawn anew, and each figure is the
median over the rounds of its ratio to its own round's request without a raw log: a machine that slows down slows both.
The row ``none, again`` is a second supervisor without one, and says how far such a ratio can be trusted here.

*paced* is an answer at the speed of a fast model, and has the bar: no more than 1 % is added. *burst* comes as fast as
sockets allow: nothing is waited for, so that all CPU time, that of the hooks' own thread included, shows. It has none.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from nexus3 import CompletionRequest, Message, Role, StreamComplete, Supervisor, open_supervisor
from nexus3.loopback import Answer, Received
from nexus3.loopback.process import open_loopback_process
from nexus3.rawlog import JsonlRecorder, RawLogCallback
from nexus3.wire.messages import JsonObject

BAR = 1.01

FIRST_DELAY, DELAY, PIECES = 0.05, 0.005, 40
"""Of a paced answer: seconds, and deltas: 200 of them a second, about what the fastest hosted models give."""

REQUESTS = {
    model: CompletionRequest(model=f"openai:{model}", messages=(Message(role=Role.USER, content="go"),))
    for model in ("paced", "burst")
}


def script(received: Received) -> Answer:
    """The server's side; it is loaded there from this file."""
    words = [f"word {number} " for number in range(PIECES)]
    if received.asked.model == "paced":
        return Answer(words, first_delay=FIRST_DELAY, delay=DELAY)
    return Answer(words * 5)


class Blocking(RawLogCallback):
    """The first call does not come back before all is measured."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def on_request(self, endpoint: str, payload: JsonObject) -> None:
        self.go_on.wait()


class Raising(RawLogCallback):
    """Each call fails. After ten in a row they are given a rest, so this is mostly the price of resting."""

    def on_chunk(self, chunk: JsonObject) -> None:
        raise RuntimeError("a hook")


@asynccontextmanager
async def supervisors(url: str, folder: Path) -> AsyncIterator[Mapping[str, Supervisor]]:
    """One for each contestant, of which the first is what the others are compared with."""
    provider = {"type": "openai", "base_url": f"{url}/v1", "api_key": "sk-bench", "allow_loopback": True}
    config = {"providers": {"openai": provider}}
    blocking = Blocking()
    async with AsyncExitStack() as stack:
        raw_logs: dict[str, RawLogCallback | None] = {
            "none": None,
            "none, again": None,
            "writes a file": stack.enter_context(JsonlRecorder(folder / "raw.jsonl")),
            "blocks": blocking,
            "raises": Raising(),
        }
        made = {
            name: await stack.enter_async_context(open_supervisor(config, raw_log=raw_log))
            for name, raw_log in raw_logs.items()
        }
        try:
            yield made
        finally:
            blocking.go_on.set()


async def seconds(supervisor: Supervisor, request: CompletionRequest) -> float:
    """Of one streamed answer, from asking to its end."""
    began = time.perf_counter()
    async with supervisor.stream(request) as events:
        async for event in events:
            if isinstance(event, StreamComplete):
                return time.perf_counter() - began
    raise AssertionError("a stream without a terminal")


async def measure(
    contestants: Mapping[str, Supervisor],
    request: CompletionRequest,
    rounds: int,
    shuffle: Callable[[list[str]], None],
) -> dict[str, list[float]]:
    """Seconds by contestant, one for each round."""
    order = list(contestants)
    taken: dict[str, list[float]] = {name: [] for name in order}
    for number in range(rounds + 1):
        shuffle(order)
        for name in order:
            took = await seconds(contestants[name], request)
            if number:  # the first round opens connections
                taken[name].append(took)
    return taken


def table(taken: Mapping[str, Sequence[float]], bar: float | None) -> list[str]:
    """A line for each contestant: median in ms, median ratio to the first one, and the verdict where there is a bar."""
    (_, reference), *_ = taken.items()
    lines: list[str] = []
    for name, values in taken.items():
        ratio = statistics.median(one / none for one, none in zip(values, reference, strict=True))
        verdict = "" if bar is None or values is reference else f"  {'met' if ratio <= bar else 'MISSED'}"
        lines.append(f"{name:16}{statistics.median(values) * 1000:>10.2f}{ratio:>9.4f}{verdict}")
    return lines


async def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="medians of so many (default 30, about a minute)")
    rounds: int = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_loopback_process(script=f"{__file__}:script") as server,
            supervisors(server.url, Path(folder)) as contestants,
        ):
            for model, request in REQUESTS.items():
                taken = await measure(contestants, request, rounds, random.Random(1).shuffle)
                bar = BAR if model == "paced" else None
                print(f"{model}, medians of {rounds} rounds" + (f"; the bar is {bar}" if bar else ""))
                print(f"{'raw log':16}{'ms':>10}{'ratio':>9}")
                print("\n".join(table(taken, bar)), flush=True)


if __name__ == "__main__":
    trio.run(main)
