"""Arguments of tool calls that are not quite JSON, read without guessing: opt-in, for models that write Python.

What is read has one meaning only; everything else is an :class:`Unresolved` that says why. Nothing is run: values are
literals. The table, in its order:

====================================  ================
nothing, or blank                     ``empty``: no arguments
a JSON object                         ``json_object``
a Python dict literal                 ``python_dict``
``city="Berlin", days=3``             ``python_kwargs``
``get_weather(city="Berlin")``        ``python_call``, where the callee is the tool that was called
====================================  ================

Each may stand in one Markdown fence. Python's tuples are read as arrays; sets, bytes and keys that are no strings are
not read, for JSON cannot say them, and neither are positional arguments and ``**``, for they name no parameter.
"""

import ast
import json
import math
import re
import warnings
from collections.abc import Callable
from typing import Literal

import msgspec
from pydantic import JsonValue

from nexus3.wire.messages import JsonObject, parse_arguments

Form = Literal["empty", "json_object", "python_dict", "python_kwargs", "python_call"]
Reason = Literal["json_malformed", "json_non_object", "wrong_callee", "not_literal", "raw_text"]

MAX_PYTHON_CHARS = 200_000
"""Longer text is read as JSON only, for Python's parser takes a hundred times as long."""

_FENCE = re.compile(r"\s*```[a-zA-Z]*\n(.*?)\n?```\s*", re.DOTALL)
_CALLEE = re.compile(r"[\w.-]+(?=\s*\()")


class Arguments(msgspec.Struct, frozen=True):
    """Arguments that were understood, and as what."""

    value: JsonObject
    form: Form


class Unresolved(msgspec.Struct, frozen=True):
    """Text without a certain meaning. ``detail`` tells a model what is wrong with it, and quotes none of it."""

    reason: Reason
    detail: str


def read_arguments(text: str | None, tool_name: str) -> Arguments | Unresolved:
    """The arguments in ``text``, as a model wrote it for a call of ``tool_name``. Never raises."""
    if text is None or not text.strip():
        return Arguments({}, "empty")
    fenced = _FENCE.fullmatch(text)
    inner = (fenced[1] if fenced else text).strip()
    value = parse_arguments(inner)
    if value is not None:
        return Arguments(value, "json_object")
    return _other_json(inner) or _python(inner, tool_name) or _neither(inner)


def _other_json(text: str) -> Unresolved | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) or (isinstance(value, float) and not math.isfinite(value)):
        return None  # Python's reader takes NaN, which is no JSON
    return Unresolved("json_non_object", "they are JSON, but not an object")


def _python(text: str, tool_name: str) -> Arguments | Unresolved | None:
    if len(text) > MAX_PYTHON_CHARS:
        return None
    # A placeholder stands for the callee, since names of tools may have hyphens.
    callee = _CALLEE.match(text)
    if callee and isinstance(call := _parsed(f"_{text[callee.end() :]}"), ast.Call):
        if callee[0] != tool_name:
            return Unresolved("wrong_callee", f"they are a call of another function than {tool_name}")
        return _keywords(call, "python_call")
    tree = _parsed(text)
    if isinstance(tree, ast.Dict):
        found = _literals(lambda: _literal(tree), "python_dict")
        return found if isinstance(found, Arguments) else None  # what is wrong is better told as of JSON
    # On a line of its own, the parenthesis is not lost in a comment.
    call_of_keywords = _parsed(f"_({text}\n)") if tree is None else None
    return _keywords(call_of_keywords, "python_kwargs") if isinstance(call_of_keywords, ast.Call) else None


def _parsed(text: str) -> ast.expr | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown escapes in strings
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _keywords(call: ast.Call, form: Form) -> Arguments | Unresolved | None:
    if not (isinstance(call.func, ast.Name) and call.func.id == "_"):
        return None
    named = [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg is not None]
    if call.args or len(named) < len(call.keywords):
        return Unresolved("not_literal", "some have no name; write each as name=value")
    return _literals(lambda: {name: _literal(value) for name, value in named}, form)


def _literals(read: Callable[[], JsonValue], form: Form) -> Arguments | Unresolved:
    try:
        value = read()
    except (ValueError, TypeError, RecursionError, MemoryError):
        return Unresolved("not_literal", "they hold something that JSON cannot say; write them as a JSON object")
    assert isinstance(value, dict)
    return Arguments(value, form)


def _literal(node: ast.expr) -> JsonValue:
    return _as_json(ast.literal_eval(node))


def _as_json(value: object) -> JsonValue:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case [*items]:
            return [_as_json(item) for item in items]
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise ValueError("JSON has keys of text only")
            return {key: _as_json(item) for key, item in value.items()}
        case _:
            raise ValueError("JSON cannot say it")


def _neither(text: str) -> Unresolved:
    if not text.startswith(("{", "[")):
        return Unresolved("raw_text", "they are plain text, not a JSON object")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        where = f"at line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError):
        where = "nested too deeply, or with a number too long"
    else:
        where = "NaN, Infinity or half a character are no JSON"
    return Unresolved("json_malformed", f"they are broken JSON ({where})")
