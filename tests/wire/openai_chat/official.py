"""The official client's own parameter type as the judge of what is encoded."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from nexus3.wire.catalog import ProviderTypeName, Target
from nexus3.wire.codecs import Encoded
from nexus3.wire.codecs.openai_chat import encode
from nexus3.wire.requests import CompletionRequest

_STREAMED: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)
_UNSTREAMED: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)

EXTENSIONS: dict[ProviderTypeName, set[str]] = {
    # https://openrouter.ai/docs: the reasoning object, reasoning of earlier turns, cache marks, PDFs by URL (no key).
    "openrouter": {"reasoning", "reasoning_details", "reasoning_content", "cache_control"},
    # vLLM and ollama take reasoning of earlier turns back in the field they sent it in.
    "vllm": {"reasoning", "reasoning_content", "extra_content"},
    "ollama": {"reasoning"},
    "openai": set(),
    "azure": set(),
}
"""Keys that are sent to a type and that the official parameter type does not know."""


def encoded(where: Target, *, stream: bool = False, **request: object) -> tuple[dict[str, Any], Encoded]:
    """The body and the rest of what ``request`` becomes, once the official type has accepted it."""
    result = encode(CompletionRequest.model_validate(request), where, stream=stream)
    body = json.loads(result.body)
    accept(body, EXTENSIONS[where.type.name], streamed=stream)
    return body, result


def accept(body: Mapping[str, Any], extensions: set[str], *, streamed: bool) -> None:
    """Fail unless the official type takes the body, and knows every key of it that is no extension."""
    plain = _without(body, extensions)
    adapter = _STREAMED if streamed else _UNSTREAMED
    # The type leaves out what it does not know: what comes back equal was known, key by key.
    assert _consumed(adapter.validate_python(plain)) == plain


def _without(value: Any, keys: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, keys) for key, item in value.items() if key not in keys}
    return [_without(item, keys) for item in value] if isinstance(value, list) else value


def _consumed(value: Any) -> Any:
    """Iterables of the type are read as lists; they are validated while they are read."""
    if isinstance(value, dict):
        return {key: _consumed(item) for key, item in value.items()}
    if isinstance(value, list | Iterator) or type(value).__name__ == "ValidatorIterator":
        return [_consumed(item) for item in value]
    return value
