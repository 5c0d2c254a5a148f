"""What type checkers must make of the public names. Checked, never run."""

from typing import assert_type

import trio

from nexus3 import (
    AsyncProvider,
    CompletionRequest,
    ContentDelta,
    Message,
    ProviderError,
    ProviderRegistry,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    ToolCall,
    Usage,
    create_provider,
    open_supervisor,
)
from nexus3.config.schema import Config, ProviderConfig
from nexus3.provider import AnthropicProvider, Provider
from nexus3.rawlog import JsonlRecorder, LoggedAttempt, RawLogCallback, logged_attempt
from nexus3.wire.messages import JsonObject


async def three_ways(request: CompletionRequest) -> None:
    async with open_supervisor("loopback") as supervisor:
        assert_type(supervisor, Supervisor)
        done = await supervisor.complete(request)
        assert_type(done, StreamComplete)
        assert_type(done.message, Message)
        assert_type(done.usage, Usage | None)
        async with supervisor.stream(request) as events:
            async for event in events:
                assert_type(event, StreamEvent)
                match event:
                    case ContentDelta(text):
                        assert_type(text, str)
                    case StreamComplete(message, _, usage):
                        assert_type(message, Message)
                        assert_type(usage, Usage | None)
                    case StreamFailed(error, partial):
                        assert_type(error, ProviderError)
                        assert_type(partial, Message | None)
                    case _:
                        pass
        async with supervisor.submissions(caller="me") as submit:
            assert_type(submit, trio.MemorySendChannel[Submission])


async def provider() -> None:
    made: AsyncProvider = create_provider(ProviderConfig(type="anthropic"), "model")
    message = await made.complete([Message(role=Role.USER, content="hi")])
    assert_type(message.tool_calls, tuple[ToolCall, ...])


class OnlyRequests(RawLogCallback):
    def on_request(self, endpoint: str, payload: JsonObject) -> None:
        assert_type(logged_attempt(), LoggedAttempt)


async def raw_logs(config: Config) -> None:
    hooks = OnlyRequests()
    with JsonlRecorder("raw.jsonl") as file:
        async with open_supervisor("loopback", raw_log=file, raw_log_bodies=False) as supervisor:
            supervisor.set_raw_log_callback(hooks, bodies=False)
            supervisor.set_raw_log_callback(None)
    made = create_provider(ProviderConfig(type="anthropic"), "model", raw_log=hooks, reasoning="low")
    assert_type(made, Provider)
    made.set_raw_log_callback(None)
    if isinstance(made, AnthropicProvider):
        assert_type(made, AnthropicProvider)
    async with ProviderRegistry(config, raw_log=hooks) as registry:
        registry.set_raw_log_callback(hooks, bodies=False)
        assert_type(registry.get_for_model(), Provider)
