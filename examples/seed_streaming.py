"""The original's third example: an answer as it comes, with a tool that the model may call.

usage: OPENROUTER_API_KEY=... python examples/seed_streaming.py

With OPENROUTER_BASE_URL it asks another server, for example the bundled one (``nexus3 loopback`` prints its address).
The original leaves out the schema, ``provider`` and ``messages``; its loop stands here word for word.
"""

import trio

# ruff: noqa: I001, E701, F841 - the original's words in the original's order
# fmt: off
from nexus3.provider import create_provider
from nexus3.config.schema import ProviderConfig
from nexus3.core.types import ContentDelta, Message, Role, StreamComplete, ToolCallStarted

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

tools = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
messages = [Message(role=Role.USER, content="Weather in SF? Use the tool get_weather.")]


async def main() -> None:
    provider = create_provider(ProviderConfig(), "anthropic/claude-sonnet-4")

    async for event in provider.stream(messages, tools):
        match event:
            case ContentDelta(text=t): print(t, end="")
            case ToolCallStarted(id=id_, name=name): print(f"\nTool: {name}")
            case StreamComplete(msg): print(msg.tool_calls)
# fmt: on


if __name__ == "__main__":
    trio.run(main)
