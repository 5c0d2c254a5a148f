"""The four usage examples of the original's README, as written there; only the address comes from the environment."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from nexus3.core.types import ContentDelta, StreamComplete, ToolCallStarted
from nexus3.loopback import Loopback, open_loopback


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    def at(server: Loopback) -> None:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "loopback-key")
        monkeypatch.setenv("OPENROUTER_BASE_URL", f"{server.url}/api/v1")
        monkeypatch.setenv("OPENROUTER_API_KEY", "loopback-key")

    return at


async def test_factory(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_loopback() as server:
        environment(server)

        from nexus3.config.schema import ProviderConfig
        from nexus3.core.types import Message, Role
        from nexus3.provider import create_provider

        config = ProviderConfig(type="anthropic")
        provider = create_provider(config, "claude-sonnet-4-20250514")

        msg = await provider.complete([Message(role=Role.USER, content="Hello")])
        print(msg.content)

        await provider.aclose()
        assert "Hello" in capsys.readouterr().out
        assert server.exchanges[0].path == "/v1/messages"
        assert server.exchanges[0].headers["x-api-key"] == "loopback-key"


async def test_registry(environment: Any, tmp_path: Path) -> None:
    async with open_loopback() as server:
        environment(server)
        sample = {
            "providers": {"openrouter": {"type": "openrouter"}, "anthropic": {"type": "anthropic"}},
            "models": {"claude-sonnet": {"provider": "anthropic", "model_id": "claude-sonnet-4-20250514"}},
        }
        (tmp_path / "config.json").write_text(json.dumps(sample))
        loaded = json.loads((tmp_path / "config.json").read_text())

        from nexus3.config.schema import Config
        from nexus3.provider.registry import ProviderRegistry

        config = Config(**loaded)  # from config.json
        registry = ProviderRegistry(config)
        provider = registry.get_for_model("claude-sonnet")  # resolves via config
        from nexus3.core.types import Message, Role

        assert (await provider.complete([Message(role=Role.USER, content="Hi")])).content
        await registry.aclose()


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


async def test_streaming_with_tools(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_loopback() as server:
        environment(server)
        from nexus3.config.schema import ProviderConfig
        from nexus3.core.types import Message, Role
        from nexus3.provider import create_provider

        provider = create_provider(ProviderConfig(), "local-echo")
        messages = [Message(role=Role.USER, content="Please use the tool get_weather")]
        tools = TOOLS

        async for event in provider.stream(messages, tools):
            match event:
                case ContentDelta(text=t):
                    print(t, end="")
                case ToolCallStarted(id=id_, name=name):
                    print(f"\nTool: {name} {bool(id_)}")
                case StreamComplete(msg):
                    print(msg.tool_calls)

        out = capsys.readouterr().out
        assert "Tool: get_weather True" in out
        assert "ToolCall(id=" in out
        await provider.aclose()


async def test_tool_loop(environment: Any) -> None:
    async with open_loopback() as server:
        environment(server)
        from nexus3.config.schema import ProviderConfig
        from nexus3.core.types import Message, Role
        from nexus3.provider import create_provider

        provider = create_provider(ProviderConfig(type="anthropic"), "local-echo")
        tools = TOOLS

        async def execute_tool(tc: Any) -> str:
            await trio.lowlevel.checkpoint()
            return f"18 degrees in {tc.arguments['city']}"

        messages = [Message(role=Role.USER, content="Weather in SF? Use the tool.")]
        while True:
            msg = await provider.complete(messages, tools)
            messages.append(msg)
            if not msg.tool_calls:
                break
            for tc in msg.tool_calls:
                result = await execute_tool(tc)
                messages.append(Message(role=Role.TOOL, content=str(result), tool_call_id=tc.id))

        assert [message.role for message in messages] == ["user", "assistant", "tool", "assistant"]
        assert "18 degrees" in messages[-1].text
        await provider.aclose()
