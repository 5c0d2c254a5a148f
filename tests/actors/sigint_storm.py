"""Interrupt a busy supervisor at a random moment, again and again; run as a program by test_interrupts.

usage: python -m tests.actors.sigint_storm TIMES SEED        prints one line of figures; exits 1 at the first violation
"""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter

import trio

from nexus3 import CompletionRequest, Message, ProviderError, Role, Supervisor, open_supervisor
from nexus3.loopback import Answer, open_loopback_process
from nexus3.loopback.received import Received

REQUEST = CompletionRequest(messages=(Message(role=Role.USER, content="hello"),))


def answer(_: Received) -> Answer:
    """A short stream with pauses, so that interrupts fall into all of its stages."""
    return Answer(["a"] * 6, delay=0.001)


async def busy(config: dict[str, object], seen: list[Supervisor]) -> None:
    async with open_supervisor(config) as supervisor:
        seen.append(supervisor)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask_for_ever, supervisor)


async def ask_for_ever(supervisor: Supervisor) -> None:
    while True:
        try:
            async with supervisor.stream(REQUEST) as events:
                async for _ in events:
                    pass
        except ProviderError:
            await trio.lowlevel.checkpoint()


def interrupts_only(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(interrupts_only(inner) for inner in error.exceptions)
    return isinstance(error, KeyboardInterrupt)


def once(config: dict[str, object], delay: float) -> str:
    seen: list[Supervisor] = []
    struck = [0.0]

    def strike() -> None:
        time.sleep(delay)
        struck[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=strike)
    left: BaseException | None = None
    try:
        thread.start()
        trio.run(busy, config, seen)
    except BaseException as error:
        left = error
    finally:
        thread.join()
    took = time.monotonic() - struck[0]
    assert left is not None, "the interrupt was lost"
    assert interrupts_only(left), f"left as {left!r}"
    assert took < 1, f"took {took:.3f} s to end"
    if not seen:
        return "before the block"
    counters = seen[0].snapshot().counters
    assert counters.get("accepted", 0) == counters.get("settled", 0), f"the ledger is {counters}"
    assert counters.get("outcome.internal", 0) == 0, f"the ledger is {counters}"
    assert all(not child.in_flight and not child.queued for child in seen[0].snapshot().children.values())
    return "busy" if counters else "idle"


async def serve(ready: threading.Event, over: threading.Event, config: dict[str, object]) -> None:
    async with open_loopback_process(script="tests/actors/sigint_storm.py:answer") as server:
        name, settings = "openai", dict(server.config)["providers"]
        config.update({"providers": {name: settings[name]}, "default_model": "openai:local-echo"})  # type: ignore[index]  # a dict of dicts
        ready.set()
        await trio.to_thread.run_sync(over.wait)


def main() -> None:
    times, seed = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    ready, over, config = threading.Event(), threading.Event(), dict[str, object]()
    server = threading.Thread(target=trio.run, args=(serve, ready, over, config))
    server.start()
    try:
        assert ready.wait(30), "the server did not start"
        found: Counter[str] = Counter()
        for _ in range(times):
            found[once(config, rng.uniform(0, 0.06))] += 1
        print(f"seed {seed}: {dict(found)}")
    finally:
        over.set()
        server.join()


if __name__ == "__main__":
    main()
