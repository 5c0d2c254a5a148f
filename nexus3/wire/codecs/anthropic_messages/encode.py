"""A completion request as a body of the Messages API.

What a model does not take is left out or changed, with a notice, where the request means the same without it, and
refused where it does not. What models take is read from the rows of :mod:`.models`.
"""

from collections.abc import Sequence

import msgspec

from nexus3.wire.body import merge_body
from nexus3.wire.catalog import Target
from nexus3.wire.codecs import Encoded
from nexus3.wire.codecs.anthropic_messages.caching import place_marks, remove_marks
from nexus3.wire.codecs.anthropic_messages.content import names_files, plain
from nexus3.wire.codecs.anthropic_messages.history import History, spell_history
from nexus3.wire.codecs.anthropic_messages.models import Traits, traits_of
from nexus3.wire.codecs.anthropic_messages.payload import without_surrogates
from nexus3.wire.codecs.anthropic_messages.replay import Block
from nexus3.wire.codecs.anthropic_messages.thinking import Thinking, plan_thinking
from nexus3.wire.codecs.anthropic_messages.tools import (
    choose_output_tool,
    output_format,
    output_tool,
    spell_tool_choice,
    spell_tools,
    tools_of_history,
)
from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER, Notice
from nexus3.wire.requests import CompletionRequest

_VERSION = "2023-06-01"
_OUR_HEADERS = frozenset({"content-type", "accept", "anthropic-version"})
_FILES_BETA = "files-api-2025-04-14"


def encode(request: CompletionRequest, target: Target, *, stream: bool) -> Encoded:
    """Spell the request for ``target``.

    Raises:
        ProviderError: ``unsupported`` for what this provider or model cannot do and that would change the meaning if
            left out; ``bad_request`` for what can be sent to nobody.
    """
    notices: list[Notice] = []
    traits = traits_of(target.family)
    history = spell_history(request.messages, target, traits, notices)
    thinking = _thinking(request, target, traits, history, notices)
    tools = spell_tools(request.tools, target, traits, notices)
    may_force = traits.forced_tools and target.quirks.tool_choice == "full" and not thinking.has_budget
    choice = spell_tool_choice(request, target, notices, may_force=may_force)
    if not tools and history.tool_names:
        tools, choice = tools_of_history(history.tool_names, notices)
    output_config: Block = {"effort": thinking.effort} if thinking.effort else {}
    if request.output_schema is not None and traits.native_schema and target.quirks.json_output == "schema":
        output_config["format"] = output_format(request.output_schema, notices)
    elif request.output_schema is not None:
        tools.append(output_tool(request.output_schema, notices))
        choice = choose_output_tool(choice, is_alone=len(tools) == 1, may_force=may_force, notices=notices)
    _mark(request, target, tools, history, notices)

    body: dict[str, object] = {"model": target.model, "max_tokens": thinking.max_tokens}
    if history.system:
        body["system"] = plain(history.system)
    body["messages"] = [turn.spelled() for turn in history.turns]
    if tools:
        body["tools"] = tools
    if choice:
        body["tool_choice"] = choice
    if thinking.config:
        body["thinking"] = thinking.config
    if output_config:
        body["output_config"] = output_config
    body |= _sampling(request, traits, thinking, notices)
    if request.user or request.metadata:
        body |= _identity(request, target, notices)
    if stream:
        body["stream"] = True
    body = merge_body(body, target.extra_body, request.extra_body)

    betas = [_FILES_BETA] if any(map(names_files, request.messages)) else []
    return Encoded(target.url, _headers(target, betas, stream=stream), _bytes(body), tuple(notices))


def _thinking(
    request: CompletionRequest, target: Target, traits: Traits, history: History, notices: list[Notice]
) -> Thinking:
    default = min(traits.default_max_tokens, traits.max_output_tokens or traits.default_max_tokens)
    max_tokens = request.max_tokens or target.max_tokens or default
    asked = request.reasoning
    if asked is not None and target.quirks.reasoning_param == "none":
        notices.append(Notice(DROPPED_PARAMETER, "reasoning: this provider does not take it."))
        asked = None
    if asked is None:
        return Thinking(max_tokens=max_tokens)
    said: list[Notice] = []
    thinking = plan_thinking(asked, traits, max_tokens, said)
    if thinking.has_budget and history.breaks_thinking:
        problem = "reasoning: left out, for the turn that is being worked on did not begin with this model's thinking."
        notices.append(Notice(DROPPED_PARAMETER, problem))
        return Thinking(max_tokens=max_tokens)
    if request.max_tokens not in (None, thinking.max_tokens):
        raised = f"max_tokens: raised from {max_tokens} to {thinking.max_tokens}, for it counts the thinking in."
        said.append(Notice(CHANGED_PARAMETER, raised))
    notices += said
    return thinking


def _mark(
    request: CompletionRequest, target: Target, tools: Sequence[Block], history: History, notices: list[Notice]
) -> None:
    marks = target.quirks.cache_marks
    if marks == "none" or (marks == "anthropic_models" and "claude" not in target.family):
        remove_marks(tools, history, notices)
        return
    automatic = target.prompt_caching if request.prompt_caching is None else request.prompt_caching
    place_marks(tools, history, automatic=automatic, notices=notices)


def _sampling(request: CompletionRequest, traits: Traits, thinking: Thinking, notices: list[Notice]) -> Block:
    body: Block = {}
    temperature, top_p = request.temperature, request.top_p
    if not (temperature is None and top_p is None) and (traits.sampling == "none" or thinking.is_on):
        given = [name for name, value in (("temperature", temperature), ("top_p", top_p)) if value is not None]
        why = "this model takes no sampling parameters" if traits.sampling == "none" else "not taken while thinking"
        notices.append(Notice(DROPPED_PARAMETER, f"{', '.join(given)}: {why}."))
        temperature = top_p = None
    if temperature is not None and temperature > 1:
        notices.append(Notice(CHANGED_PARAMETER, f"temperature: {temperature} was sent as 1, the highest here."))
        temperature = 1.0
    if temperature is not None and top_p is not None and traits.sampling == "one":
        notices.append(Notice(DROPPED_PARAMETER, "top_p: this model takes temperature or top_p, not both."))
        top_p = None
    if temperature is not None:
        body["temperature"] = temperature
    if top_p is not None:
        body["top_p"] = top_p
    if request.stop:
        stop = [sequence for sequence in request.stop if sequence.strip()]
        if len(stop) < len(request.stop):
            notices.append(Notice(DROPPED_PARAMETER, "stop: sequences of white space alone are not taken."))
        if stop:
            body["stop_sequences"] = stop
    if request.seed is not None:
        notices.append(Notice(DROPPED_PARAMETER, "seed: the Messages API has none."))
    return body


def _identity(request: CompletionRequest, target: Target, notices: list[Notice]) -> Block:
    """``metadata``, which holds the end user's id and nothing else."""
    user = request.user or request.metadata.get("user_id")
    others = sorted(request.metadata.keys() - {"user_id"})
    if others:
        notices.append(Notice(DROPPED_PARAMETER, f"metadata: {', '.join(others)}: only user_id is taken."))
    if not user:
        return {}
    if target.quirks.user_field == "none":
        notices.append(Notice(DROPPED_PARAMETER, "user: this provider does not take it."))
        return {}
    return {"metadata": {"user_id": user}}


def _headers(target: Target, betas: list[str], *, stream: bool) -> tuple[tuple[str, str], ...]:
    headers = [
        ("content-type", "application/json"),
        ("accept", "text/event-stream" if stream else "application/json"),
        ("anthropic-version", _VERSION),
    ]
    theirs: list[tuple[str, str]] = []
    for name, value in target.headers:
        if name.lower() == "anthropic-beta":
            betas = [*betas, *(beta.strip() for beta in value.split(","))]
        elif name.lower() not in _OUR_HEADERS:
            theirs.append((name, value))
    if betas and (joined := ",".join(dict.fromkeys(beta for beta in betas if beta))):
        headers.append(("anthropic-beta", joined))
    return (*headers, *theirs)


def _bytes(body: dict[str, object]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # half of a surrogate pair, as some editors and JavaScript clients cut them
        return msgspec.json.encode(without_surrogates(body))
