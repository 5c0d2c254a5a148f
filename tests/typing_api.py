"""What type checkers must make of the public names. Checked, never run."""

from typing import assert_type

import trio

from nexus3 import (
    AsyncProvider,
    CompletionRequest,
    ContentDelta,
    Message,
    ProviderError,
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
from nexus3.config.schema import ProviderConfig


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
