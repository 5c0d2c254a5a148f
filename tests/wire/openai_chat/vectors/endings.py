"""Filters, failures and broken tails."""

from nexus3.wire.events import TAIL_LOST, Notice, UsageUpdated
from nexus3.wire.messages import Usage
from tests.wire.openai_chat.build import DONE, chunk, sse
from tests.wire.openai_chat.vectors.vector import AZURE_BLOCK, HELLO, OVERLOADED, SAID, STOP, Ends, Fails, Vector, usage

_AZURE_FILTER = {
    "id": "",
    "model": "",
    "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 1}}],
}

FILTERS: list[Vector] = [
    Vector(
        "41 Azure's annotations, between and behind",
        sse(*SAID[:2], _AZURE_FILTER, SAID[2], STOP, _AZURE_FILTER, DONE),
        HELLO,
        Ends("stop", "stop"),
        "azure",
    ),
    Vector(
        "42 Azure filters late, without a delta",
        sse(*SAID, AZURE_BLOCK, DONE),
        HELLO,
        Ends("content_filter", "content_filter"),
        "azure",
    ),
    Vector(
        "42 Azure filters later than its stop",
        sse(*SAID, STOP, AZURE_BLOCK, DONE),
        HELLO,
        Ends("content_filter", "content_filter"),
        "azure",
    ),
    Vector(
        "a later reason is no reason", sse(*SAID, chunk(finish="length"), STOP, DONE), HELLO, Ends("length", "length")
    ),
]

FAILURES: list[Vector] = [
    Vector(
        "30 OpenRouter fails in the middle",
        sse(*SAID, chunk({"content": ""}, "error", error=OVERLOADED, usage=usage() | {"cost": 0.25}), DONE),
        [*HELLO, UsageUpdated(Usage(input_tokens=5, output_tokens=7, cost=0.25))],
        Fails("overloaded", "provider_overloaded", True),
        "openrouter",
    ),
    Vector(
        "12 an error before any content leaves no trace",
        sse(SAID[0], {"error": OVERLOADED}),
        [],
        Fails("overloaded", "provider_overloaded", True),
        "openrouter",
    ),
    Vector(
        "61 vLLM fails in the middle",
        sse(
            *SAID,
            {"error": {"message": "Internal server error", "type": "InternalServerError", "param": None, "code": 500}},
            DONE,
        ),
        HELLO,
        Fails("server", "internal_server_error", True),
    ),
    Vector(
        "Groq names the event",
        sse(*SAID)
        + b"event: error\n"
        + sse({"error": {"message": "no", "type": "invalid_request_error", "code": "tool_use_failed"}}),
        HELLO,
        Fails("bad_request", "tool_use_failed", False),
    ),
    Vector(
        "a named error without JSON",
        b"event: error\ndata: upstream is gone\n\n",
        [],
        Fails("server", "provider_error", True),
    ),
    Vector(
        "vLLM's old flat error",
        sse({"object": "error", "message": "boom", "type": "InternalServerError", "param": None, "code": 500}),
        [],
        Fails("server", "internal_server_error", True),
    ),
    Vector(
        "an error inside the choice",
        sse(SAID[0], {"choices": [{"index": 0, "delta": {}, "error": OVERLOADED, "finish_reason": "error"}]}),
        [],
        Fails("overloaded", "provider_overloaded", True),
        "openrouter",
    ),
    Vector(
        "finish_reason error without more",
        sse(*SAID, chunk(finish="error"), DONE),
        HELLO,
        Fails("server", "finish_error", True),
    ),
    Vector(
        "DeepSeek lacks resources",
        sse(SAID[0], chunk(finish="insufficient_system_resource"), DONE),
        [],
        Fails("overloaded", "insufficient_system_resource", True),
    ),
    Vector(
        "67 garbage after content",
        sse(*SAID, '{"choices": [', DONE),
        HELLO,
        Fails("protocol", "malformed_event", False),
    ),
    Vector("not an object", sse(*SAID, "null", DONE), HELLO, Fails("protocol", "malformed_event", False)),
    Vector("NaN", sse('{"choices": [], "x": NaN}'), [], Fails("protocol", "malformed_event", False)),
    Vector(
        "a number out of range",
        sse('{"choices": [], "usage": {"cost": 1e999}}'),
        [],
        Fails("protocol", "malformed_event", False),
    ),
    Vector("too deep", sse('{"x": ' + "[" * 64 + "]" * 64 + "}"), [], Fails("limit", "max_json_depth", False)),
    Vector(
        "too deep for any parser",
        sse('{"choices": [], "x": ' + "[" * 5000),
        [],
        Fails("limit", "max_json_depth", False),
    ),
    Vector(
        "68 an error behind the end is no failure",
        sse(*SAID, chunk(finish="length"), {"error": {"code": 400, "message": "Token limit reached"}}, DONE),
        [*HELLO, Notice(TAIL_LOST, "the answer is complete, but what followed it was lost: Token limit reached")],
        Ends("length", "length"),
        "openrouter",
    ),
    Vector(
        "an event that is cut off behind the end",
        sse(*SAID, STOP) + b'data: {"choices": [], "usa',
        [*HELLO, Notice(TAIL_LOST, "the answer is complete, but what followed it was lost: an event was cut off")],
        Ends("stop", "stop"),
    ),
    Vector(
        "what follows the end marker is not read",
        sse(*SAID, STOP, DONE, "garbage", chunk({"content": "more"})),
        HELLO,
        Ends("stop", "stop"),
    ),
]
