"""The smallest sensible value for a JSON schema: arguments for a tool, a structured answer. Pure.

Covers what schemas of tools use (objects, arrays, enums, defaults, bounds, formats, references, unions). It does not
read ``pattern`` or ``not``.
"""

import math
import re
from datetime import UTC, datetime

_MAX_DEPTH = 10
"""Deeper than tools' schemas go; one that requires itself ends here."""

_OPTIONAL_DEPTH = 3
"""Below, only required members are shown, so that a schema which may contain itself does not grow a tree."""

_MAX_SIZE = 10_000
"""Of one array or string, whatever the schema demands."""

_FORMATS = {
    "date": "2026-01-01",
    "date-time": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    "time": "12:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example_value(schema: object, *, prompt: str) -> object:
    """A value that fits ``schema``; free strings are filled with what ``prompt`` seems to be about."""
    return _value(schema, schema, subject_of(prompt), 0)


def subject_of(prompt: str) -> str:
    """The last proper name in a text ("What is the weather in Berlin?"), else its first three words."""
    names = re.findall(r"(?<=[\w,;:] )[A-Z][\w-]+", prompt)
    words = re.findall(r"[\w'-]+", prompt)
    return names[-1] if names else " ".join(words[:3]) or "Berlin"


def _value(schema: object, root: object, subject: str, depth: int) -> object:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None if depth > _MAX_DEPTH else subject
    schema = _flattened(schema, root, depth)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    match schema:
        case {"enum": [first, *_]}:
            return first
        case {"type": "object"} | {"properties": dict()}:
            return _object(schema, root, subject, depth)
        case {"type": "array"}:
            count = _number(schema, "minItems", 1)
            item = _value(schema.get("items", {}), root, subject, depth + 1)
            return [item] * int(min(count, _MAX_SIZE))
        case {"type": "integer" | "number" as kind}:
            return _bounded(schema, integer=kind == "integer")
        case {"type": "boolean"}:
            return True
        case {"type": "null"}:
            return None
        case _:
            return _string(schema, subject)


def _flattened(schema: dict[str, object], root: object, depth: int) -> dict[str, object]:
    """References followed, ``allOf`` merged, the first branch of a union taken (``null`` last)."""
    for _ in range(_MAX_DEPTH):
        match schema:
            case {"$ref": str(path), **rest}:
                schema = {**_resolved(path, root), **rest}
            case {"allOf": [*parts], **rest}:
                schema = {**rest}
                for part in parts:
                    if isinstance(part, dict):
                        flat = _flattened(part, root, depth)
                        schema |= {**flat, **_joined_members(schema, flat)}
            case {"anyOf": [*branches], **rest} | {"oneOf": [*branches], **rest} if branches:
                branch = next((item for item in branches if item != {"type": "null"}), branches[0])
                schema = {**rest, **(branch if isinstance(branch, dict) else {})}
            case {"type": [*kinds], **rest} if kinds:
                schema = {**rest, "type": next((kind for kind in kinds if kind != "null"), "null")}
            case _:
                break
    return schema


def _joined_members(one: dict[str, object], other: dict[str, object]) -> dict[str, object]:
    """``properties`` and ``required`` of two schemas that both hold."""
    joined: dict[str, object] = {}
    members, more_members = one.get("properties"), other.get("properties")
    if isinstance(members, dict) and isinstance(more_members, dict):
        joined["properties"] = {**members, **more_members}
    required, more_required = one.get("required"), other.get("required")
    if isinstance(required, list) and isinstance(more_required, list):
        joined["required"] = [*required, *more_required]
    return joined


def _resolved(path: str, root: object) -> dict[str, object]:
    """``#/$defs/Name`` within the whole schema; nothing is ever fetched."""
    found = root
    for key in path.removeprefix("#").strip("/").split("/"):
        if key:
            name = key.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _object(schema: dict[str, object], root: object, subject: str, depth: int) -> object:
    properties = schema.get("properties")
    members = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    if isinstance(required, list):
        names = [name for name in required if isinstance(name, str)]
    else:  # an empty object would tell a reader nothing
        names = list(members) if depth <= _OPTIONAL_DEPTH else []
    return {name: _value(members.get(name, {}), root, subject, depth + 1) for name in names}


def _bounded(schema: dict[str, object], *, integer: bool) -> int | float:
    """1, or the nearest plain number within the bounds; a multiple where one is asked."""
    low, high = _number(schema, "minimum", -math.inf), _number(schema, "maximum", math.inf)
    above, below = _number(schema, "exclusiveMinimum", -math.inf), _number(schema, "exclusiveMaximum", math.inf)
    step = _number(schema, "multipleOf", 1 if integer else 0)
    bottom, top = max(low, above), min(high, below)
    for candidate in (1, bottom, bottom + 1, top, top - 1, (bottom + top) / 2):
        if math.isfinite(candidate):
            value = math.ceil(candidate / step) * step if step else candidate
            if low <= value <= high and above < value < below:
                return int(value) if value == int(value) else value
    return 1


def _string(schema: dict[str, object], subject: str) -> str:
    name = schema.get("format")
    text = _FORMATS.get(name, subject) if isinstance(name, str) else subject
    text = text.ljust(int(min(_number(schema, "minLength", 0), _MAX_SIZE)), ".")
    return text[: int(_number(schema, "maxLength", len(text)))]


def _number(schema: dict[str, object], key: str, default: float) -> float:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default
