"""The original's fourth example: ask, run the tools that were called for, ask again.

usage: ANTHROPIC_API_KEY=... python examples/seed_tool_loop.py

With ANTHROPIC_BASE_URL it asks another server, for example the bundled one (``nexus3 loopback`` prints its address).
The original leaves out ``provider``, ``tools`` and ``execute_tool``; its loop stands here word for word.
``nexus3.tools.run_tools`` does more: see ``examples/agent.py``.
"""

import trio

# ruff: noqa: I001, E701 - the original's words in the original's order
# fmt: off
from nexus3.provider import create_provider
from nexus3.config.schema import ProviderConfig
from nexus3.core.types import Message, Role, ToolCall

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

tools = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]


async def execute_tool(tc: ToolCall) -> str:
    await trio.sleep(0.01)
    return f"18 degrees in {(tc.arguments or {}).get('city')}"


async def main() -> None:
    provider = create_provider(ProviderConfig(type="anthropic"), "claude-sonnet-4-20250514")

    messages = [Message(role=Role.USER, content="Weather in SF?")]
    while True:
        msg = await provider.complete(messages, tools)
        messages.append(msg)
        if not msg.tool_calls: break
        for tc in msg.tool_calls:
            result = await execute_tool(tc)
            messages.append(Message(role=Role.TOOL, content=str(result), tool_call_id=tc.id))
# fmt: on

    for message in messages:
        print(f"{message.role}: {message.content or [call.name for call in message.tool_calls]}")


if __name__ == "__main__":
    trio.run(main)
