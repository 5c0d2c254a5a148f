"""Every body that we spell fits the official client's own parameter types, and has no key that they do not know.

pydantic checks the values; it passes over unknown keys of a TypedDict, so these are looked for by hand.
"""

import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import pydantic
import pytest
from anthropic.types import message_create_params
from typing_extensions import is_typeddict

from nexus3.wire.codecs.anthropic_messages import encode
from nexus3.wire.requests import CompletionRequest
from tests.wire.anthropic_messages.helpers import (
    a_target,
    block_start,
    block_stop,
    body_of,
    finish,
    read,
    sse,
    start,
    text_block,
    thinking_block,
    tool_block,
)

STREAMING: Any = message_create_params.MessageCreateParamsStreaming
WHOLE: Any = message_create_params.MessageCreateParamsNonStreaming
ADAPTERS = {True: pydantic.TypeAdapter(STREAMING), False: pydantic.TypeAdapter(WHOLE)}

# Not in the client's types any more, for its newest models refuse them; the older models that we send them to do not.
SAMPLING = {"temperature", "top_p"}


def unknown_keys(value: object, shape: Any, path: str = "") -> Iterator[str]:
    """The keys in ``value`` that ``shape`` does not name."""
    origin = get_origin(shape)
    if origin in (Required, NotRequired, Annotated):
        yield from unknown_keys(value, get_args(shape)[0], path)
    elif origin in (Union, types.UnionType):
        fitting = [variant for variant in get_args(shape) if _may_be(value, variant)]
        found = [list(unknown_keys(value, variant, path)) for variant in fitting]
        yield from min(found, key=len) if found else [f"{path}: no variant fits"]
    elif is_typeddict(shape) and isinstance(value, dict):
        hints = get_type_hints(shape, include_extras=True)
        for key, item in value.items():
            if key in hints:
                yield from unknown_keys(item, hints[key], f"{path}.{key}")
            elif getattr(shape, "__pydantic_config__", {}).get("extra") != "allow":
                yield f"{path}.{key}"
    elif isinstance(value, list) and get_args(shape):
        for place, item in enumerate(value):
            yield from unknown_keys(item, get_args(shape)[0], f"{path}[{place}]")


def _may_be(value: object, shape: Any) -> bool:
    origin = get_origin(shape)
    if is_typeddict(shape):
        if not isinstance(value, dict):
            return False
        tag = get_type_hints(shape).get("type")
        return get_origin(tag) is not Literal or value.get("type") in get_args(tag)
    if origin is Literal:
        return value in get_args(shape)
    if shape is type(None):
        return value is None
    if isinstance(value, list):
        return origin is not None and issubclass(origin, Iterable) and origin is not dict
    if isinstance(value, dict):
        return origin is dict
    return origin is None and isinstance(value, shape)


def exhaust(value: object) -> None:
    """pydantic validates the items of an Iterable only when they are asked for."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str):
        for item in value:
            exhaust(item)


def test_the_search_for_unknown_keys_finds_them() -> None:
    sound = {
        "model": "m",
        "max_tokens": 1,
        "stream": True,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object", "anything": 1}}],
    }
    assert list(unknown_keys(sound, STREAMING)) == []
    exhaust(ADAPTERS[True].validate_python(sound))
    with pytest.raises(pydantic.ValidationError):
        exhaust(
            ADAPTERS[True].validate_python({**sound, "messages": [{"role": "user", "content": [{"type": "text"}]}]})
        )
    broken = {**sound, "top_q": 1, "thinking": {"type": "adaptive", "budget": 1}, "tool_choice": {"type": "some"}}
    broken["messages"] = [{"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}], "name": "n"}]
    assert list(unknown_keys(broken, STREAMING)) == [
        ".messages[0].content[0].cache",
        ".messages[0].name",
        ".top_q",
        ".thinking.budget",
        ".tool_choice: no variant fits",
    ]


TOOLS = [
    {"name": "f", "description": "d", "parameters": {"properties": {"a": {"type": "string"}}}, "strict": True},
    {"name": "g", "cache": "1h"},
]
CALLS = [{"id": "a:1", "name": "f", "arguments": {"a": "b"}}, {"id": "a:2", "name": "g", "raw_arguments": "{oops"}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
USER = {
    "role": "user",
    "content": [
        {"type": "text", "text": "see", "cache": "5m"},
        {"type": "image", "data": "AAAA", "media_type": "image/png"},
        {"type": "image", "url": "https://x/y.png"},
        {"type": "file", "data": "JVBERi0x", "media_type": "application/pdf", "title": "t"},
        {"type": "file", "url": "https://x/y.pdf"},
        {"type": "file", "data": "YWJj", "media_type": "text/plain"},
    ],
}
FILES = {"role": "user", "content": [{"type": "image", "file_id": "i"}, {"type": "file", "file_id": "f"}]}
LOOP = [
    {"role": "system", "content": "s"},
    "go",
    {"role": "assistant", "content": "ok", "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "a:1", "content": "1", "is_error": True},
    {"role": "tool", "tool_call_id": "a:2", "content": [{"type": "image", "data": "AAAA", "media_type": "image/png"}]},
    {"role": "system", "content": "later"},
    "next",
]
REPLY = read(
    sse(
        start(),
        *thinking_block(0, "c2ln", "Hm."),
        *text_block(1, "a"),
        block_start(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={"query": "x"}),
        block_stop(2),
        block_start(3, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
        block_stop(3),
        block_start(4, type="redacted_thinking", data="ZW5j"),
        block_stop(4),
        *tool_block(5, "toolu_1", "f", "{}"),
        *finish("tool_use"),
    )
).reply.message

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {"messages": ["hi"]},
    "parts": {"messages": [USER]},
    "files by id": {"messages": [FILES]},
    "tool loop": {"messages": LOOP, "tools": TOOLS, "prompt_caching": True},
    "tool loop without tools": {"messages": LOOP},
    "replay": {"messages": ["go", REPLY, {"role": "tool", "tool_call_id": "toolu_1", "content": "1"}], "tools": TOOLS},
    "required": {"messages": ["hi"], "tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
    "named": {"messages": ["hi"], "tools": TOOLS, "tool_choice": "f", "parallel_tool_calls": False},
    "auto": {"messages": ["hi"], "tools": TOOLS, "parallel_tool_calls": False},
    "none": {"messages": ["hi"], "tools": TOOLS, "tool_choice": "none"},
    "schema": {"messages": ["hi"], "output_schema": SCHEMA},
    "schema and tools": {"messages": ["hi"], "output_schema": SCHEMA, "tools": TOOLS},
    "sampling": {"messages": ["hi"], "temperature": 0.5, "stop": ["X"], "seed": 1},
    "top_p": {"messages": ["hi"], "top_p": 0.5, "user": "u", "metadata": {"a": "b"}},
    "effort": {"messages": ["hi"], "reasoning": {"effort": "xhigh", "visible": True}},
    "budget": {"messages": ["hi"], "reasoning": {"budget_tokens": 3000, "visible": False}},
    "off": {"messages": ["hi"], "reasoning": "none"},
    "everything": {
        "messages": LOOP,
        "tools": TOOLS,
        "tool_choice": "required",
        "output_schema": SCHEMA,
        "reasoning": "low",
        "max_tokens": 100,
        "temperature": 0.5,
        "user": "u",
    },
}
MODELS = [
    "claude-3-5-sonnet-20241022",
    "claude-sonnet-4-20250514",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "glm-5",
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_body_fits_the_official_types(name: str, model: str, stream: bool) -> None:
    fields = REQUESTS[name]
    messages = [{"role": "user", "content": item} if isinstance(item, str) else item for item in fields["messages"]]
    request = CompletionRequest.model_validate({**fields, "messages": messages})
    body = body_of(encode(request, a_target(model), stream=stream))
    body = {key: value for key, value in body.items() if key not in SAMPLING}
    shape: Any = STREAMING if stream else WHOLE
    exhaust(ADAPTERS[stream].validate_python(body))
    assert list(unknown_keys(body, shape)) == []
