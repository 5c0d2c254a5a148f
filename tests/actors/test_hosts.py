"""Other ways to host a trio run: from a worker thread, and as a guest of somebody else's loop."""

import queue
from collections.abc import Callable

import trio
from outcome import Outcome

from nexus3 import CompletionRequest, Message, Role, StreamComplete, open_supervisor

REQUEST = CompletionRequest(messages=(Message(role=Role.USER, content="hello"),))


async def test_a_worker_thread_may_ask() -> None:
    async with open_supervisor("loopback") as supervisor:
        done = await trio.to_thread.run_sync(lambda: trio.from_thread.run(supervisor.complete, REQUEST))
        assert "hello" in done.message.text


def test_it_runs_as_a_guest_of_another_loop() -> None:
    jobs: queue.Queue[Callable[[], object]] = queue.Queue()
    ended: list[Outcome[StreamComplete]] = []

    async def main() -> StreamComplete:
        async with open_supervisor("loopback") as supervisor:
            return await supervisor.complete(REQUEST)

    trio.lowlevel.start_guest_run(main, run_sync_soon_threadsafe=jobs.put, done_callback=ended.append)
    while not ended:
        jobs.get(timeout=10)()
    assert "hello" in ended[0].unwrap().message.text
