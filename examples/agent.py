"""An agent app that embeds the supervisor, with a task of its own beside the providers.

usage: python examples/agent.py ["your question"]

Runs against the bundled local provider; give ``open_supervisor`` a configuration to run against real ones. The clock is
a tool server in miniature: it lives under the same tree as the provider actors, is restarted when it crashes, and ends
with the block. The agent asks the model, runs the tool calls that come back, and asks again.
"""

import sys
from datetime import UTC, datetime

import trio

from nexus3 import CompletionRequest, ContentDelta, Message, Role, StreamComplete, Tool, ToolCall, open_supervisor

CLOCK = Tool(name="clock", description="The time of day in UTC.", parameters={"type": "object", "properties": {}})


async def clock(
    calls: trio.MemoryReceiveChannel[trio.MemorySendChannel[str]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer each call with the time. The channel outlives a crash of this task, so callers notice nothing."""
    task_status.started()
    async for reply_to in calls:
        with reply_to:
            await reply_to.send(datetime.now(UTC).strftime("%H:%M UTC"))


async def run_tool(call: ToolCall, clock_calls: trio.MemorySendChannel[trio.MemorySendChannel[str]]) -> Message:
    if call.name != CLOCK.name:
        return Message(role=Role.TOOL, tool_call_id=call.id, content=f"no tool {call.name}", is_error=True)
    reply_to, reply = trio.open_memory_channel[str](1)
    await clock_calls.send(reply_to)
    return Message(role=Role.TOOL, tool_call_id=call.id, content=await reply.receive())


async def main(question: str) -> None:
    clock_calls, calls = trio.open_memory_channel[trio.MemorySendChannel[str]](0)
    async with open_supervisor("loopback") as supervisor:
        await supervisor.start(clock, calls, name="clock")
        history = [Message(role=Role.USER, content=question)]
        while history[-1].role is not Role.ASSISTANT or history[-1].tool_calls:
            if history[-1].role is Role.ASSISTANT:
                history += [await run_tool(call, clock_calls) for call in history[-1].tool_calls]
            request = CompletionRequest(messages=tuple(history), tools=(CLOCK,), timeout=60)
            async with supervisor.stream(request) as events:
                async for event in events:
                    match event:
                        case ContentDelta(text):
                            print(text, end="", flush=True)
                        case StreamComplete(message):
                            history.append(message)
                        case _:
                            pass
        print()
        print({name: child.state for name, child in supervisor.snapshot().children.items()})


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "What time is it? Please use the tool clock.")
