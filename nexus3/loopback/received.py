"""A request as the loopback server understood it: what a script looks at to decide its answer.

Both dialects are read into one :class:`Received`. Reading never fails: what is absent or malformed is empty here, and
:mod:`nexus3.loopback.routes` refuses what a real provider would refuse.
"""

from typing import Literal

import msgspec

from nexus3.wire.catalog import Dialect

Flavour = Literal["openai", "openrouter", "azure", "ollama", "vllm", "anthropic"]
"""Whose manners to take on within a dialect; told by the path (see :mod:`nexus3.loopback.routes`)."""

Endpoint = Literal["completion", "models", "unknown"]


class Route(msgspec.Struct, frozen=True):
    """Where a path leads."""

    endpoint: Endpoint
    dialect: Dialect
    flavour: Flavour
    deployment: str | None = None
    """Azure's classic URLs name the model in the path."""


class OfferedTool(msgspec.Struct, frozen=True):
    """A tool the model may call, with its JSON schema."""

    name: str
    parameters: object


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the body asks, in the same words for both dialects."""

    model: str = ""
    stream: bool = False
    include_usage: bool = False
    """OpenAI's ``stream_options``; Anthropic's streams always report."""
    user_text: str = ""
    """Of the last user turn."""
    tool_results: tuple[str, ...] = ()
    """The results given since the last user turn."""
    prompt_words: int = 0
    tools: tuple[OfferedTool, ...] = ()
    tool_choice: str = "auto"
    """``auto``, ``none``, ``required``, or a tool's name."""
    reasoning: bool = False
    """The request asks to see reasoning."""
    json: Literal["no", "object", "schema"] = "no"
    schema: object = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request."""

    number: int
    """Counts the server's requests from 0, in order of arrival; ids in answers are made from it."""
    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    """Names in lower case; repeated ones joined by ``", "``."""
    body: object
    """The parsed JSON; ``None`` where it is not JSON."""
    route: Route
    asked: Asked

    @property
    def model(self) -> str:
        return self.asked.model


class _Turn(msgspec.Struct, frozen=True):
    who: Literal["user", "result", "other"]
    text: str


def asked_in(body: object, route: Route) -> Asked:
    """Read the body by its dialect's rules."""
    if not isinstance(body, dict):
        return Asked(model=route.deployment or "")
    turns = _anthropic_turns(body) if route.dialect == "anthropic_messages" else _openai_turns(body)
    last_user = max((at for at, turn in enumerate(turns) if turn.who == "user"), default=-1)
    json, schema = _output(body)
    return Asked(
        model=_str(body.get("model")) or route.deployment or "",
        stream=body.get("stream") is True,
        include_usage=_get(body, "stream_options", "include_usage") is True,
        user_text=turns[last_user].text if last_user >= 0 else "",
        tool_results=tuple(turn.text for turn in turns[last_user + 1 :] if turn.who == "result"),
        prompt_words=sum(len(turn.text.split()) for turn in turns),
        tools=tuple(tool for item in _list(body.get("tools")) if (tool := _tool(item))),
        tool_choice=_tool_choice(body.get("tool_choice")),
        reasoning=_wants_reasoning(body),
        json=json,
        schema=schema,
    )


def _openai_turns(body: dict[str, object]) -> list[_Turn]:
    turns = []
    for message in _list(body.get("messages")):
        role, text = _get(message, "role"), _text(_get(message, "content"))
        turns.append(_Turn("user" if role == "user" else "result" if role == "tool" else "other", text))
    return turns


def _anthropic_turns(body: dict[str, object]) -> list[_Turn]:
    """Tool results come inside user messages; only what else is in those makes a user turn."""
    turns = [_Turn("other", _text(body.get("system")))]
    for message in _list(body.get("messages")):
        content = _get(message, "content")
        if _get(message, "role") != "user":
            turns.append(_Turn("other", _text(content)))
            continue
        results = [part for part in _list(content) if _get(part, "type") == "tool_result"]
        turns += [_Turn("result", _text(_get(part, "content"))) for part in results]
        if len(results) < len(_list(content)) or isinstance(content, str):
            turns.append(_Turn("user", _text(content)))
    return turns


def _tool(item: object) -> OfferedTool | None:
    match item:
        case {"function": {"name": str(name), **function}}:
            return OfferedTool(name, function.get("parameters"))
        case {"name": str(name), **tool}:
            return OfferedTool(name, tool.get("input_schema"))
        case _:
            return None


def _tool_choice(choice: object) -> str:
    match choice:
        case "none" | "required" | "auto":
            return str(choice)
        case {"function": {"name": str(name)}} | {"type": "tool", "name": str(name)}:
            return name
        case {"type": "any"}:
            return "required"
        case {"type": "none"}:
            return "none"
        case _:
            return "auto"


def _wants_reasoning(body: dict[str, object]) -> bool:
    match body:
        case {"reasoning_effort": str(effort)}:
            return effort != "none"
        case {"reasoning": dict(wish)}:
            return bool(wish) and not (
                wish.get("exclude") or wish.get("enabled") is False or wish.get("effort") == "none"
            )
        case {"thinking": dict(mode)}:
            return mode.get("type") in ("enabled", "adaptive") and mode.get("display") != "omitted"
        case _:
            return False


def _output(body: dict[str, object]) -> tuple[Literal["no", "object", "schema"], object]:
    match body:
        case {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}:
            return "schema", schema
        case {"output_config": {"format": {"type": "json_schema", "schema": schema}}}:
            return "schema", schema
        case {"response_format": {"type": "json_object"}}:
            return "object", None
        case _:
            return "no", None


def _text(content: object) -> str:
    """The text of a content: a str, or the text parts of a list, joined without separator."""
    if isinstance(content, list):
        return "".join(_str(_get(part, "text")) for part in content)
    return _str(content)


def _get(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""
