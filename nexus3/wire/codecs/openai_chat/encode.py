"""Spells a completion request for one target.

What a type cannot do is refused where the answer would mean something else without it, and left out with a notice
where it was a wish. Nothing is left out in silence.
"""

from nexus3.wire.body import merge_body
from nexus3.wire.catalog import Target
from nexus3.wire.codecs import Encoded
from nexus3.wire.codecs.openai_chat.conversation import spell_messages
from nexus3.wire.codecs.openai_chat.effort import spell_reasoning
from nexus3.wire.codecs.openai_chat.families import family_of, is_openai
from nexus3.wire.codecs.openai_chat.notes import changed, dropped
from nexus3.wire.codecs.openai_chat.parts import WireObject, cache_control, takes_cache_marks, unsupported
from nexus3.wire.codecs.openai_chat.surrogates import json_bytes
from nexus3.wire.events import Notice
from nexus3.wire.requests import CompletionRequest, Effort, Tool
from nexus3.wire.schema_cache import sendable


def encode(request: CompletionRequest, target: Target, *, stream: bool) -> Encoded:
    """Spell ``request`` for ``target``; ``extra_body`` of the provider, then of the request, is laid over the result.

    Raises:
        ProviderError: ``unsupported`` for what this provider type or model cannot do and that would change the
            meaning if left out; ``bad_request`` where no message is left to send, or a tool's parameters are a schema
            that no object fits.
    """
    notices: list[Notice] = []
    caching = target.prompt_caching if request.prompt_caching is None else request.prompt_caching
    body: WireObject = {
        "model": target.model,
        "messages": spell_messages(request.messages, target, notices, mark_system=caching),
    }
    body |= _tools(request, target, notices)
    body |= _sampling(request, target, notices)
    body |= _response_format(request, target)
    effort, reasoning = spell_reasoning(request, target, notices)
    body |= reasoning
    body |= _caller(request, target, notices)
    if target.quirks.gate_parameters:
        _gate(body, effort, target, notices)
    if stream:
        body["stream"] = True
        if target.quirks.stream_usage:
            body["stream_options"] = {"include_usage": True}
    if target.extra_body or request.extra_body:
        body = merge_body(body, target.extra_body, request.extra_body)
    return Encoded(target.url, _headers(target, stream=stream), json_bytes(body), tuple(notices))


def _tools(request: CompletionRequest, target: Target, notices: list[Notice]) -> WireObject:
    name, quirks = target.type.name, target.quirks
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if not request.tools:  # then servers refuse the other two
        if choice is not None:
            notices.append(dropped("tool_choice", "there are no tools"))
        if parallel is not None:
            notices.append(dropped("parallel_tool_calls", "there are no tools"))
        return {}
    if choice == "none" and quirks.tool_choice == "auto_only":
        notices.append(changed("tool_choice none", "no tools at all", f"{name} ignores the choice"))
        return {}
    wire: WireObject = {"tools": [_tool(tool, target, notices) for tool in request.tools]}
    if choice is not None:
        wire["tool_choice"] = _tool_choice(choice, target)
    if parallel is not None:
        if quirks.parallel_flag:
            wire["parallel_tool_calls"] = parallel
        else:
            notices.append(dropped("parallel_tool_calls", f"{name} does not know it"))
    return wire


def _tool(tool: Tool, target: Target, notices: list[Notice]) -> WireObject:
    name = target.type.name
    function: WireObject = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    parameters = sendable(tool.name, tool.parameters)
    function["parameters"] = parameters.schema
    if parameters.changes:
        notices.append(changed(f"the schema of tool {tool.name}", "one plain object", ", ".join(parameters.changes)))
    if tool.strict is not None:
        if target.quirks.strict_tools:
            function["strict"] = tool.strict
        elif tool.strict:
            notices.append(dropped(f"strict of tool {tool.name}", f"{name} does not know it"))
    wire: WireObject = {"type": "function", "function": function}
    if tool.cache is not None:
        if takes_cache_marks(target):
            wire["cache_control"] = cache_control(tool.cache)
        else:
            notices.append(dropped(f"cache mark of tool {tool.name}", f"{name} takes none for {target.model}"))
    return wire


def _tool_choice(choice: str, target: Target) -> object:
    if choice in ("auto", "none"):
        return choice
    if target.quirks.tool_choice == "auto_only":
        raise unsupported(
            "tool_choice",
            f"{target.type.name} ignores tool_choice {choice!r}: ask for the call in the prompt, "
            "or use a provider that can force one",
        )
    return "required" if choice == "required" else {"type": "function", "function": {"name": choice}}


def _sampling(request: CompletionRequest, target: Target, notices: list[Notice]) -> WireObject:
    wire: WireObject = {}
    max_tokens = target.max_tokens if request.max_tokens is None else request.max_tokens
    if max_tokens is not None:
        wire[_max_tokens_field(target)] = max_tokens
    if request.temperature is not None:
        wire["temperature"] = request.temperature
    if request.top_p is not None:
        wire["top_p"] = request.top_p
    if request.stop:
        wire["stop"] = list(request.stop)
    if request.seed is not None:
        if target.quirks.seed:
            wire["seed"] = request.seed
        else:
            notices.append(dropped("seed", f"{target.type.name} does not know it"))
    return wire


def _max_tokens_field(target: Target) -> str:
    match target.quirks.max_tokens_field:
        case "auto":
            return "max_completion_tokens" if is_openai(target.family) else "max_tokens"
        case field:
            return field


def _response_format(request: CompletionRequest, target: Target) -> WireObject:
    output = request.output_schema
    if output is None:
        return {}
    name, ability = target.type.name, target.quirks.json_output
    if ability == "none":
        raise unsupported("json_output", f"{name} has no JSON mode: ask for JSON in the prompt and check the answer")
    if output.schema_ is None:
        return {"response_format": {"type": "json_object"}}
    if ability == "object":
        raise unsupported(
            "output_schema",
            f"{name} takes no JSON schema: describe it in the prompt and ask for any JSON object (schema null)",
        )
    if ability == "schema_in_object":
        return {"response_format": {"type": "json_object", "schema": output.schema_}}
    schema: WireObject = {"name": output.name, "schema": output.schema_}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _caller(request: CompletionRequest, target: Target, notices: list[Notice]) -> WireObject:
    wire: WireObject = {}
    if request.user is not None:
        if target.quirks.user_field == "none":
            notices.append(dropped("user", f"{target.type.name} does not know it"))
        else:
            wire[target.quirks.user_field] = request.user
    if request.metadata:
        if target.quirks.metadata:
            wire["metadata"] = request.metadata
        else:
            notices.append(dropped("metadata", f"{target.type.name} does not know it"))
    return wire


def _gate(body: WireObject, effort: Effort | None, target: Target, notices: list[Notice]) -> None:
    """Take out what the model's family would refuse."""
    refused = family_of(target.family).refused(effort)
    if not refused.isdisjoint(body):
        for key in [key for key in body if key in refused]:
            del body[key]
            notices.append(dropped(key, f"{target.model} refuses it"))


def _headers(target: Target, *, stream: bool) -> tuple[tuple[str, str], ...]:
    own = _STREAMED_HEADERS if stream else _HEADERS
    if not target.headers:
        return own
    return own + tuple(pair for pair in target.headers if pair[0].lower() not in ("content-type", "accept"))


_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))
_STREAMED_HEADERS = (("content-type", "application/json"), ("accept", "text/event-stream"))
