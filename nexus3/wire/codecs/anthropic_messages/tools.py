"""Tools, the choice among them, and the answer that shall fit a schema, which for older models is a tool too."""

from collections.abc import Sequence

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.anthropic_messages.content import cache_control
from nexus3.wire.codecs.anthropic_messages.models import Traits
from nexus3.wire.codecs.anthropic_messages.replay import OUTPUT_TOOL, Block
from nexus3.wire.codecs.anthropic_messages.schema import Schema, strict_schema
from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER, HISTORY_CHANGED, Notice
from nexus3.wire.failures import ProviderError, error_of, fail
from nexus3.wire.requests import CompletionRequest, OutputSchema, Tool
from nexus3.wire.schema_cache import sendable
from nexus3.wire.toolschema import normalised


def spell_tools(tools: Sequence[Tool], target: Target, traits: Traits, notices: list[Notice]) -> list[Block]:
    """``tools`` of the body.

    Raises:
        ProviderError: ``bad_request`` for parameters that no object fits, and for the reserved name.
    """
    return [_spell(tool, target, traits, notices) for tool in tools]


def _spell(tool: Tool, target: Target, traits: Traits, notices: list[Notice]) -> Block:
    if tool.name == OUTPUT_TOOL:
        raise error_of(fail("bad_request", "reserved_name", f"The tool name {OUTPUT_TOOL!r} is reserved."))
    parameters = sendable(tool.name, tool.parameters)
    if parameters.changes:
        said = f"tools: the parameters of {tool.name!r} were sent as one plain object: {', '.join(parameters.changes)}."
        notices.append(Notice(CHANGED_PARAMETER, said))
    spelled: Block = {"name": tool.name}
    if tool.description:
        spelled["description"] = tool.description
    spelled["input_schema"] = parameters.schema
    if tool.strict and target.quirks.strict_tools and traits.native_schema:
        spelled["input_schema"] = _strict(f"tools: {tool.name!r}", normalised(tool.name, tool.parameters)[0], notices)
        spelled["strict"] = True
    elif tool.strict:
        notices.append(Notice(DROPPED_PARAMETER, f"tools: strict of {tool.name!r} is not taken by this model."))
    if tool.cache is not None:
        spelled["cache_control"] = cache_control(tool.cache)
    return spelled


def _strict(place: str, schema: Schema, notices: list[Notice]) -> Schema:
    strict, moved = strict_schema(schema)
    if moved:
        said = f"{place}: {', '.join(moved)} cannot be enforced and became part of the description."
        notices.append(Notice(CHANGED_PARAMETER, said))
    return strict


def tools_of_history(names: Sequence[str], notices: list[Notice]) -> tuple[list[Block], Block]:
    """Bare definitions of tools that the history calls but nobody offers, and the choice that keeps them from being
    called again: the API demands that every tool in a conversation is defined.
    """
    said = f"The history calls tools that are not offered ({', '.join(names)}); they were declared, and forbidden."
    notices.append(Notice(HISTORY_CHANGED, said))
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in names], {"type": "none"}


def spell_tool_choice(
    request: CompletionRequest, target: Target, notices: list[Notice], *, may_force: bool
) -> Block | None:
    """``tool_choice`` of the body; ``None`` leaves it to the API, which then takes auto."""
    choice = request.tool_choice
    if not request.tools:
        return None
    if choice == "none":
        return {"type": "none"}
    if choice not in (None, "auto") and not may_force:
        said = f"tool_choice: {choice} was sent as auto; this model, or one that thinks on a budget, takes no force."
        notices.append(Notice(CHANGED_PARAMETER, said))
        choice = "auto"
    spelled: Block | None = None
    if choice == "required":
        spelled = {"type": "any"}
    elif choice is not None:
        spelled = {"type": "auto"} if choice == "auto" else {"type": "tool", "name": choice}
    if request.parallel_tool_calls is False:
        if target.quirks.parallel_flag:
            return {**(spelled or {"type": "auto"}), "disable_parallel_tool_use": True}
        notices.append(Notice(DROPPED_PARAMETER, "parallel_tool_calls: this provider does not take it."))
    return spelled


def output_format(wanted: OutputSchema, notices: list[Notice]) -> Block:
    """``output_config.format``: the API itself holds the answer to the schema.

    Raises:
        ProviderError: ``unsupported`` where there is no schema.
    """
    schema = _strict("output_schema", _given(wanted), notices)
    if wanted.description:
        schema.setdefault("description", wanted.description)
    return {"type": "json_schema", "schema": schema}


def output_tool(wanted: OutputSchema, notices: list[Notice]) -> Block:
    """The reserved tool whose input is the answer, for models without structured outputs.

    Raises:
        ProviderError: ``unsupported`` where there is no schema, or one that no object fits.
    """
    schema = _given(wanted)
    try:
        input_schema, changes = normalised(OUTPUT_TOOL, schema)
    except ProviderError as error:
        problem = "This model answers with JSON objects only, by a tool; wrap the schema of the answer in an object."
        raise error_of(fail("unsupported", "output_schema", f"{problem} {error.message}")) from None
    if changes:
        said = f"output_schema: sent as one plain object: {', '.join(changes)}."
        notices.append(Notice(CHANGED_PARAMETER, said))
    description = wanted.description or "Give your final answer by calling this tool: its input is the answer."
    return {"name": OUTPUT_TOOL, "description": description, "input_schema": input_schema}


def choose_output_tool(choice: Block | None, *, is_alone: bool, may_force: bool, notices: list[Notice]) -> Block | None:
    """``tool_choice`` where the reserved tool is among the tools; ``choice`` is what was wanted without it."""
    if not may_force:
        said = "output_schema: asked for, but not enforced: this model, or one that thinks on a budget, takes no force."
        notices.append(Notice(CHANGED_PARAMETER, said))
        return None if is_alone or choice == {"type": "none"} else choice
    if is_alone or choice == {"type": "none"}:
        return {"type": "tool", "name": OUTPUT_TOOL, "disable_parallel_tool_use": True}
    if choice is None or choice["type"] == "auto":
        return {"type": "any", "disable_parallel_tool_use": True}
    return choice


def _given(wanted: OutputSchema) -> Schema:
    if wanted.schema_ is None:
        problem = "The Messages API has no mode for JSON without a schema; give a schema as output_schema."
        raise error_of(fail("unsupported", "json_object", problem))
    return dict(wanted.schema_)
