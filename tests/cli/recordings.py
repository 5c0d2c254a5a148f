"""Recordings written by hand, of the kinds that the demo looks for."""

import json
from collections.abc import Mapping
from pathlib import Path

Record = dict[str, object]


def record(
    name: str, provider: str, dialect: str, response: Mapping[str, object], expected: Mapping[str, object]
) -> Record:
    return {
        "id": name,
        "provider_type": provider,
        "dialect": dialect,
        "fidelity": "recorded-verbatim",
        "response": {"headers": {"content-type": "text/event-stream"}, **response},
        "expected": expected,
    }


def chunk(delta: Mapping[str, object], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = {"id": "c1", "object": "chat.completion.chunk", "model": "hand-1", "choices": [choice]}
    return f"data: {json.dumps(data)}\n\n"


def frame(kind: str, **fields: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def block(index: int, start: Mapping[str, object], *deltas: Mapping[str, object]) -> str:
    return (
        frame("content_block_start", index=index, content_block=start)
        + "".join(frame("content_block_delta", index=index, delta=delta) for delta in deltas)
        + frame("content_block_stop", index=index)
    )


def message(stop_reason: str, *blocks: str) -> str:
    head: dict[str, object] = {
        "id": "m1", "type": "message", "role": "assistant", "model": "hand-2", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1},
    }  # fmt: skip
    end = frame("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, usage={"output_tokens": 9})
    return frame("message_start", message=head) + "".join(blocks) + end + frame("message_stop")


OPENAI_CALL = record(
    "hand-openai-call",
    "openai",
    "openai-chat",
    {
        "status": 200,
        "sse": chunk(
            {
                "role": "assistant",
                "tool_calls": [
                    {"index": 0, "id": "t1", "type": "function", "function": {"name": "weather", "arguments": ""}}
                ],
            }
        )
        + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]})
        + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Bern"}'}}]})
        + chunk({}, "tool_calls")
        + "data: [DONE]\n\n",
    },
    {"text": "", "tool_calls": [{"id": "t1", "name": "weather", "arguments": {"city": "Bern"}}]},
)
ANTHROPIC_CALL = record(
    "hand-anthropic-call",
    "anthropic",
    "anthropic-messages",
    {
        "status": 200,
        "sse": message(
            "tool_use",
            block(
                0,
                {"type": "tool_use", "id": "t2", "name": "add", "input": {}},
                {"type": "input_json_delta", "partial_json": '{"a": 1, '},
                {"type": "input_json_delta", "partial_json": '"b": 2}'},
            ),
        ),
    },
    {"text": "", "tool_calls": [{"id": "t2", "name": "add", "arguments": {"a": 1, "b": 2}}]},
)
OLLAMA_REASONING = record(
    "hand-ollama-reasoning",
    "ollama",
    "openai-chat",
    {
        "status": 200,
        "sse": chunk({"role": "assistant", "reasoning": "Let me think."})
        + chunk({"content": "Four."})
        + chunk({}, "stop")
        + "data: [DONE]\n\n",
    },
    {"text": "Four.", "reasoning": "Let me think."},
)
ANTHROPIC_REASONING = record(
    "hand-anthropic-reasoning",
    "anthropic",
    "anthropic-messages",
    {
        "status": 200,
        "sse": message(
            "end_turn",
            block(
                0,
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "thinking_delta", "thinking": "Two and two."},
                {"type": "signature_delta", "signature": "c2ln"},
            ),
            block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "It is four."}),
        ),
    },
    {"text": "It is four.", "reasoning": "Two and two."},
)
AZURE_ERROR = record(
    "hand-azure-error",
    "azure",
    "openai-chat",
    {
        "status": 404,
        "headers": {"content-type": "application/json"},
        "body_json": {"error": {"code": "DeploymentNotFound", "message": "The deployment does not exist."}},
    },
    {"error": {"status": 404}},
)

ALL = [OPENAI_CALL, ANTHROPIC_CALL, OLLAMA_REASONING, ANTHROPIC_REASONING, AZURE_ERROR]


def write(folder: Path, *records: Record) -> Path:
    """The folder, with one file per record."""
    for item in records:
        (folder / f"{item['id']}.json").write_text(json.dumps(item), "utf-8")
    return folder
