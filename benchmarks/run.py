"""What an event and a request cost: nexus3 beside bare httpx, interleaved, medians, client CPU time only.

usage: python benchmarks/run.py [--events 5000] [--requests 200] [--repetitions 5]

The server is the bundled provider in a process of its own, so its work is not counted. Bare httpx reads the same bytes
and decodes each event with the same decoder; what nexus3 costs beyond it is tickets, channels, supervision, and what it
saves is in its pool. Figures from one run on one machine: compare them with each other only.
"""

import argparse
import statistics
import time
from collections.abc import Awaitable, Callable

import httpx
import trio

from nexus3 import CompletionRequest, ContentDelta, Message, Role, StreamEvent, Submission, Supervisor, open_supervisor
from nexus3.loopback import open_loopback_process
from nexus3.wire.catalog import CATALOG, Target
from nexus3.wire.codecs.dialects import CODECS
from nexus3.wire.limits import DEFAULT_LIMITS

Contestant = Callable[[str], Awaitable[int]]
"""Runs one request with the given user text; the number of text deltas seen."""


def nexus3_stream(supervisor: Supervisor, model: str) -> Contestant:
    async def run(text: str) -> int:
        request = CompletionRequest(model=model, messages=(Message(role=Role.USER, content=text),))
        submission = Submission(request)
        deltas = 0
        async with supervisor.submissions() as submit:
            await submit.send(submission)
        async with submission.events as events:
            async for event in events:
                deltas += type(event) is ContentDelta
        return deltas

    return run


def nexus3_reply_to(supervisor: Supervisor, model: str) -> Contestant:
    async def run(text: str) -> int:
        request = CompletionRequest(model=model, messages=(Message(role=Role.USER, content=text),))
        send, receive = trio.open_memory_channel[StreamEvent](64)
        async with supervisor.submissions() as submit:
            await submit.send(Submission(request, reply_to=send))
        deltas = 0
        async for event in receive:
            deltas += type(event) is ContentDelta
        return deltas

    return run


def bare_httpx(client: httpx.AsyncClient, base_url: str) -> Contestant:
    row = CATALOG["openai"]
    target = Target(provider="bare", type=row, model="local-echo", url=base_url, quirks=row.quirks)
    codec = CODECS[row.dialect]

    async def run(text: str) -> int:
        request = CompletionRequest(messages=(Message(role=Role.USER, content=text),))
        encoded = codec.encode(request, target, stream=True)
        decoder = codec.open_decoder(target, request_id=None, limits=DEFAULT_LIMITS)
        deltas = 0
        headers = dict(encoded.headers)
        async with client.stream("POST", encoded.url, content=encoded.body, headers=headers) as response:
            async for data in response.aiter_raw():
                deltas += sum(type(event) is ContentDelta for event in decoder.feed(data))
        return deltas

    return run


async def measure(contestant: Contestant, text: str, times: int) -> tuple[float, int]:
    """CPU seconds of this process for ``times`` requests, after one to warm up; and the deltas seen."""
    await contestant(text)
    began, deltas = time.process_time(), 0
    for _ in range(times):
        deltas += await contestant(text)
    return time.process_time() - began, deltas


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=5000, help="events of the burst (default 5000)")
    parser.add_argument("--requests", type=int, default=200, help="short requests in a row (default 200)")
    parser.add_argument("--repetitions", type=int, default=5, help="medians of so many (default 5)")
    options = parser.parse_args()
    async with (
        open_loopback_process() as server,
        open_supervisor(server.config) as supervisor,
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        contestants = {
            "nexus3, openai dialect": nexus3_stream(supervisor, "local-openai"),
            "nexus3, anthropic dialect": nexus3_stream(supervisor, "local-anthropic"),
            "nexus3, literal reply_to": nexus3_reply_to(supervisor, "local-openai"),
            "bare httpx, same decoder": bare_httpx(client, f"{server.url}/v1/chat/completions"),
        }
        burst = " ".join(["word"] * options.events)
        per_event: dict[str, list[float]] = {name: [] for name in contestants}
        per_request: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.repetitions):
            for name, contestant in contestants.items():
                seconds, deltas = await measure(contestant, burst, 1)
                per_event[name].append(seconds / deltas * 1e6)
                seconds, _ = await measure(contestant, "hi", options.requests)
                per_request[name].append(seconds / options.requests * 1e3)
    print(f"{options.events} events in a burst, {options.requests} short streams; medians of {options.repetitions}\n")
    print(f"{'':28}{'CPU us/event':>14}{'CPU ms/request':>16}")
    for name in contestants:
        print(f"{name:28}{statistics.median(per_event[name]):>14.2f}{statistics.median(per_request[name]):>16.3f}")


if __name__ == "__main__":
    trio.run(main)
