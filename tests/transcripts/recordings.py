"""Recorded provider exchanges: where they are, and what each of them must come out as.

They are data to test against and no part of the project: set ``NEXUS3_TRANSCRIPTS``, or have them in
``../shared/transcripts`` beside the checkout.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nexus3.wire.events import StreamComplete
from nexus3.wire.messages import Message, Usage

FOLDER = Path(os.environ.get("NEXUS3_TRANSCRIPTS") or Path(__file__).parents[3] / "shared" / "transcripts")

needs_recordings = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded transcripts in {FOLDER}; set NEXUS3_TRANSCRIPTS"
)

DISPUTED: dict[str, str] = {
    "openrouter-s-dd5c195f68": "an error follows the finish reason: the answer was complete, so success stands",
    "anthropic-s-b494c0c7ed": "the call's JSON is cut off: arguments are None and the text is kept, not half a dict",
}
"""Where the recorded expectation is held to be wrong, and why."""


@cache
def recordings() -> dict[str, dict[str, Any]]:
    """By id; empty where there are none."""
    if not FOLDER.is_dir():
        return {}
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*-*.json"))}


def provider_type(record: dict[str, Any]) -> str:
    """The type that reads it; ``vllm`` is the plain OpenAI-compatible one."""
    name: str = record["provider_type"]
    return "vllm" if name == "openai-compatible" else name


def is_failure(record: dict[str, Any]) -> bool:
    return "error" in record["expected"] and record["id"] not in DISPUTED


def seen(done: StreamComplete) -> dict[str, object]:
    """What came out, in the terms of :func:`expected`."""
    message = done.message
    assert isinstance(message.content, str)
    return {
        "text": message.content + (message.refusal or ""),
        "reasoning": "".join(block.text for block in message.reasoning),
        "tool_calls": [(call.id, call.name, call.arguments, call.raw_arguments) for call in message.tool_calls],
        "raw_stop_reason": done.raw_stop_reason or None,
        "usage": done.usage,
    }


def expected(record: dict[str, Any], message: Message) -> dict[str, object]:
    """What must come out. Ids that the provider left blank are ours, so they are taken from what came out."""
    want = record["expected"]
    calls = [(call["id"], call["name"], call["arguments"], call.get("arguments_raw")) for call in want["tool_calls"]]
    legacy = want.get("function_call")
    if legacy and legacy["name"]:
        calls = [("", legacy["name"], legacy["arguments"], legacy["arguments_raw"])]
    text = want["text"] if want["text"] is not None else None
    if text is None and "content_raw" in want:
        assert isinstance(message.content, str)
        text = message.content if json.loads(message.content) == want["content_raw"] else "not the recorded object"
    return {
        "text": (text or "") + (want.get("refusal") or ""),
        "reasoning": want["reasoning"] or "",
        "tool_calls": [
            (
                call_id or _made_up_id(message, place),
                name,
                _arguments(arguments, raw),
                _raw(raw, arguments, message, place),
            )
            for place, (call_id, name, arguments, raw) in enumerate(calls)
        ],
        "raw_stop_reason": want["finish_reason"] or None,
        "usage": usage_of(record),
    }


def _made_up_id(message: Message, place: int) -> str:
    call = message.tool_calls[place]
    assert call.id, "a call without an id gets one"
    return call.id


def _raw(raw: str | None, arguments: object, message: Message, place: int) -> str:
    """The text as received; where the recording kept none, any text that means the same."""
    received = message.tool_calls[place].raw_arguments
    if raw is None or (raw and received != raw and _parsed(received) == arguments):
        return received
    return raw


def _arguments(arguments: object, raw: str | None) -> object:
    """By the contract: an object, ``{}`` for blank text, ``None`` for text that is not a JSON object."""
    if raw is None:
        return {} if arguments is None else arguments
    if not raw.strip():
        return {}
    parsed = _parsed(raw)
    return parsed if isinstance(parsed, dict) else None


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def usage_of(record: dict[str, Any]) -> Usage | None:
    """The recorded usage by the contract's rules: input includes the cache, output includes reasoning."""
    usage = record["expected"]["usage"]
    if not usage:
        return None
    if record["dialect"] == "anthropic-messages":
        parts = [usage.get(key) for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")]
        details = usage.get("output_tokens_details") or {}
        return Usage(
            input_tokens=sum(part or 0 for part in parts) if parts[0] is not None else None,
            output_tokens=usage.get("output_tokens"),
            cache_read_tokens=usage.get("cache_read_input_tokens"),
            cache_write_tokens=usage.get("cache_creation_input_tokens"),
            reasoning_tokens=details.get("thinking_tokens"),
        )
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    # Beside OpenAI's own places: flat names of DeepSeek, Moonshot, Groq, gateways to Anthropic, Perplexity's cost.
    reasoning = _first(completion.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    output = usage.get("completion_tokens")
    if reasoning and usage.get("total_tokens") == usage.get("prompt_tokens", 0) + (output or 0) + reasoning:
        output = (output or 0) + reasoning
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    return Usage(
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=output,
        cache_read_tokens=_first(
            prompt.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),
            usage.get("cached_tokens"),
            usage.get("cache_read_input_tokens"),
        ),
        cache_write_tokens=_first(prompt.get("cache_write_tokens"), usage.get("cache_creation_input_tokens")),
        reasoning_tokens=reasoning,
        cost=float(cost) if isinstance(cost, int | float) else None,
    )


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
