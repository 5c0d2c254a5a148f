"""A1 to A7: one stream of each provider, with its own extras around what matters."""

from nexus3.wire.events import (
    ContentDelta,
    ReasoningDelta,
    ResponseStarted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.messages import Usage
from tests.wire.openai_chat.build import DONE, call, calls, chunk, sse
from tests.wire.openai_chat.vectors.vector import (
    AZURE_BLOCK,
    CALLS,
    HELLO,
    OVERLOADED,
    SAID,
    START,
    Ends,
    Fails,
    Vector,
    done,
)

PROVIDERS: list[Vector] = [
    Vector(
        "A1 OpenAI, text and usage",
        b'data: {"id":"chatcmpl-a1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x",'
        b'"service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},'
        b'"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"k3"}\n\n'
        b'data: {"id":"chatcmpl-a1","model":"gpt-x","choices":[{"index":0,"delta":{"content":"Hel"},'
        b'"finish_reason":null}],"usage":null}\n\n'
        b'data: {"id":"chatcmpl-a1","model":"gpt-x","choices":[{"index":0,"delta":{"content":"lo"},'
        b'"finish_reason":null}],"usage":null}\n\n'
        b'data: {"id":"chatcmpl-a1","model":"gpt-x","choices":[{"index":0,"delta":{},'
        b'"finish_reason":"stop"}],"usage":null}\n\n'
        b'data: {"id":"chatcmpl-a1","model":"gpt-x","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":70,'
        b'"total_tokens":82,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":64}}}\n\n'
        b"data: [DONE]\n\n",
        [
            ResponseStarted("chatcmpl-a1", "gpt-x", "req-1"),
            ContentDelta("Hel"),
            ContentDelta("lo"),
            UsageUpdated(Usage(input_tokens=12, output_tokens=70, cache_read_tokens=4, reasoning_tokens=64)),
        ],
        Ends("stop", "stop", Usage(input_tokens=12, output_tokens=70, cache_read_tokens=4, reasoning_tokens=64)),
        "openai",
    ),
    Vector(
        "A2 OpenAI, two parallel calls",
        sse(
            chunk({"role": "assistant", "content": None, "tool_calls": [call(0, "call_A", "get_weather", "")]}),
            calls(call(0, args='{"city":')),
            calls(call(0, args='"SF"}')),
            calls(call(1, "call_B", "get_time", "")),
            calls(call(1, args="{}")),
            CALLS,
            DONE,
        ),
        [
            START,
            ToolCallStarted(0, "call_A", "get_weather"),
            ToolCallDelta(0, '{"city":'),
            ToolCallDelta(0, '"SF"}'),
            ToolCallStarted(1, "call_B", "get_time"),
            ToolCallDelta(1, "{}"),
            done(0, "call_A", "get_weather", '{"city":"SF"}'),
            done(1, "call_B", "get_time", "{}"),
        ],
        Ends("tool_calls", "tool_calls"),
        "openai",
    ),
    Vector(
        "A3 OpenRouter, reasoning details and a signature, then a failure",
        b": OPENROUTER PROCESSING\n\n"
        + sse(
            {
                "id": "gen-1",
                "provider": "Anthropic",
                "model": "anthropic/claude-x",
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "role": "assistant",
                            "content": "",
                            "reasoning": "Think",
                            "reasoning_details": [
                                {"type": "reasoning.text", "text": "Think", "format": "anthropic-claude-v1", "index": 0}
                            ],
                        },
                        "finish_reason": None,
                    }
                ],
            },
            {
                "id": "gen-1",
                "model": "anthropic/claude-x",
                "choices": [
                    {
                        "index": 0,
                        "delta": {
                            "role": "assistant",
                            "content": "",
                            "reasoning": None,
                            "reasoning_details": [
                                {
                                    "type": "reasoning.text",
                                    "signature": "c2ln",
                                    "format": "anthropic-claude-v1",
                                    "index": 0,
                                }
                            ],
                        },
                        "finish_reason": None,
                    }
                ],
            },
            {
                "id": "gen-1",
                "model": "anthropic/claude-x",
                "error": OVERLOADED,
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0.00002},
            },
            DONE,
        ),
        [
            ResponseStarted("gen-1", "anthropic/claude-x", "req-1"),
            ReasoningDelta("Think"),
            UsageUpdated(Usage(input_tokens=9, output_tokens=3, cost=0.00002)),
        ],
        Fails("overloaded", "provider_overloaded", True),
        "openrouter",
    ),
    Vector(
        "A4 Azure, the asynchronous filter blocks late",
        sse(
            {
                "id": "",
                "object": "",
                "created": 0,
                "model": "",
                "choices": [],
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}],
                "usage": None,
            },
            {
                "id": "chatcmpl-z",
                "model": "gpt-x-2026",
                "choices": [{"index": 0, "finish_reason": None, "delta": {"role": "assistant"}}],
            },
            {
                "id": "chatcmpl-z",
                "model": "gpt-x-2026",
                "choices": [{"index": 0, "finish_reason": None, "delta": {"content": "La la"}}],
            },
            AZURE_BLOCK,
            DONE,
        ),
        [ResponseStarted("chatcmpl-z", "gpt-x-2026", "req-1"), ContentDelta("La la")],
        Ends("content_filter", "content_filter"),
        "azure",
    ),
    Vector(
        "A5 ollama, two whole calls on index 0",
        sse(
            chunk({"role": "assistant", "content": "", "tool_calls": [call(0, "call_aa", "write", '{"p":"a"}')]}),
            chunk({"role": "assistant", "content": "", "tool_calls": [call(0, "call_bb", "write", '{"p":"b"}')]}),
            chunk({"role": "assistant", "content": ""}, "tool_calls"),
            DONE,
        ),
        [
            START,
            ToolCallStarted(0, "call_aa", "write"),
            ToolCallDelta(0, '{"p":"a"}'),
            ToolCallStarted(1, "call_bb", "write"),
            ToolCallDelta(1, '{"p":"b"}'),
            done(0, "call_aa", "write", '{"p":"a"}'),
            done(1, "call_bb", "write", '{"p":"b"}'),
        ],
        Ends("tool_calls", "tool_calls"),
        "ollama",
    ),
    Vector(
        "A6 ollama hides an error",
        sse(
            *SAID,
            {
                "id": "chatcmpl-12",
                "model": "",
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}],
            },
        ),
        HELLO,
        Fails("protocol", "stream_truncated", True),
        "ollama",
    ),
    Vector(
        "A7 vLLM, an error after content",
        sse(
            *SAID,
            {"error": {"message": "Internal server error", "type": "InternalServerError", "param": None, "code": 500}},
            DONE,
        ),
        HELLO,
        Fails("server", "internal_server_error", True),
    ),
]
