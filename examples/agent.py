"""An agent app that embeds the supervisor, with a task of its own beside the providers.

usage: python examples/agent.py ["your question"]

Runs against the bundled local provider; give ``open_supervisor`` a configuration to run against real ones. The clock is
a tool server in miniature: it lives under the same tree as the provider actors, is restarted when it crashes, and ends
with the block. ``run_tools`` asks the model, runs the tool calls that come back, and asks again.
"""

import sys
from datetime import UTC, datetime

import trio

from nexus3 import CompletionRequest, ContentDelta, Message, Role, Tool, open_supervisor
from nexus3.tools import ToolFinished, run_tools


async def clock(
    calls: trio.MemoryReceiveChannel[trio.MemorySendChannel[str]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer each call with the time. The channel outlives a crash of this task: the next incarnation reads on."""
    task_status.started()
    async for reply_to in calls:
        with reply_to:
            await reply_to.send(datetime.now(UTC).strftime("%H:%M UTC"))


async def main(question: str) -> None:
    clock_calls, calls = trio.open_memory_channel[trio.MemorySendChannel[str]](0)

    async def ask_clock() -> str:
        """The time of day in UTC."""
        reply_to, reply = trio.open_memory_channel[str](1)
        await clock_calls.send(reply_to)
        return await reply.receive()

    tool = Tool.from_function(ask_clock, name="clock", timeout=10)
    request = CompletionRequest(messages=(Message(role=Role.USER, content=question),), timeout=60)
    async with open_supervisor("loopback") as supervisor:
        await supervisor.start(clock, calls, name="clock")
        async with run_tools(supervisor, request, [tool]) as run:
            async for event in run:
                match event:
                    case ContentDelta(text):
                        print(text, end="", flush=True)
                    case ToolFinished(_, call, result):
                        print(f"[{call.name}: {result.content}]")
                    case _:
                        pass
        print()
        print({name: child.state for name, child in supervisor.snapshot().children.items()})


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "What time is it? Please use the tool clock.")
