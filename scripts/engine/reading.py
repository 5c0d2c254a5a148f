"""Requests through nexus3, and what came of them: shared by all checks."""

from typing import NamedTuple

import trio

from engine.report import CheckError, expect
from engine.servers import Server, free_port
from nexus3 import (
    AttemptStarted,
    CompletionRequest,
    Config,
    ContentDelta,
    Notice,
    ResponseStarted,
    StreamComplete,
    StreamEvent,
    Supervisor,
    Usage,
    UsageUpdated,
)
from nexus3.wire.messages import JsonObject

RETRIES = 1
"""Few, so that a refusal is known soon; one, so that it shows what is retried."""


def config_of(server: Server) -> Config:
    """Models of type vllm: ``engine``, ``unstreamed``, ``misrouted`` (wrong path), ``dead`` (nobody listens); and
    ``by_tool``, as if the engine took no schema."""
    # llama.cpp's server punishes repetition unless told not to; then its greedy answer is the model's own.
    extra: JsonObject = {"repeat_penalty": 1.0} if server.engine == "llama.cpp" else {}
    # Its JSON mode takes a schema in a form of its own; OpenAI's is an error 500 to it.
    # And it refuses null for the text of a turn that has none.
    quirks: JsonObject = (
        {"json_output": "schema_in_object", "null_content": False} if server.engine == "llama.cpp" else {}
    )
    here = {
        "type": "vllm",
        "base_url": server.url,
        "max_retries": RETRIES,
        "extra_body": extra,
        "quirks": quirks,
    }
    return Config.model_validate(
        {
            "default_model": "engine",
            "providers": {
                "local": here,
                "schemaless": {**here, "quirks": {**quirks, "json_output": "none"}},
                "lost": {**here, "base_url": f"http://127.0.0.1:{server.port}/nowhere/v1"},
                "gone": {**here, "base_url": f"http://127.0.0.1:{free_port()}/v1"},
            },
            "models": {
                "engine": {"provider": "local", "model_id": server.model},
                "unstreamed": {"provider": "local", "model_id": server.model, "stream": "never"},
                "by_tool": {"provider": "schemaless", "model_id": server.model},
                "misrouted": {"provider": "lost", "model_id": server.model},
                "dead": {"provider": "gone", "model_id": server.model},
            },
        }
    )


def ask(
    text: str, *, max_tokens: int, model: str = "engine", stop: str | None = None, timeout: float | None = None
) -> CompletionRequest:
    """A request for the likeliest tokens: the same question has the same answer, streamed or not, on both engines."""
    return CompletionRequest.model_validate(
        {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stop": () if stop is None else (stop,),
            "timeout": timeout,
        }
    )


class Reading(NamedTuple):
    """A stream that was read to its end."""

    events: list[StreamEvent]
    """All but the terminal."""
    done: StreamComplete
    first_after: float
    """Seconds to the first content event; to the end where there was none."""
    took: float

    @property
    def text(self) -> str:
        """The deltas, joined."""
        return "".join(event.text for event in self.deltas)

    @property
    def deltas(self) -> list[ContentDelta]:
        """The text's pieces."""
        return [event for event in self.events if isinstance(event, ContentDelta)]


async def read(supervisor: Supervisor, request: CompletionRequest) -> Reading:
    """Read the stream to its end, and check what holds for every answer.

    Raises:
        CheckError: the events break the grammar, or do not add up to the message.
        ProviderError: the request failed.
    """
    events: list[StreamEvent] = []
    first: float | None = None
    began = trio.current_time()
    async with supervisor.stream(request) as stream:
        async for event in stream:
            events.append(event)
            if first is None and not isinstance(event, AttemptStarted | ResponseStarted | Notice | UsageUpdated):
                first = trio.current_time() - began
    took = trio.current_time() - began
    if not isinstance(events[-1], StreamComplete):
        raise CheckError(f"the last event is {events[-1]}")
    reading = Reading(events[:-1], events[-1], took if first is None else first, took)
    kinds = [type(event).__name__ for event in events]
    expect(kinds[:2] == ["AttemptStarted", "ResponseStarted"], f"the stream begins with {kinds[:4]}")
    expect(kinds.count("StreamComplete") == 1, f"terminals: {kinds.count('StreamComplete')}")
    expect(reading.text == reading.done.message.content, "the deltas are not the message's content")
    return reading


def in_tokens(usage: Usage | None) -> str:
    """Usage in a few words."""
    return "no usage told" if usage is None else f"usage {usage.input_tokens} in, {usage.output_tokens} out"
