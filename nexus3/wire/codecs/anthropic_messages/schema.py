"""JSON schemas within the subset of structured outputs: of an answer, and of the input of a strict tool.

Structured outputs compile a schema into a grammar and answer 400 to keywords that it does not know. What must go is
moved into the description, where the model still reads it.
"""

from collections.abc import Mapping

Schema = dict[str, object]

_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
_KEPT = frozenset({"type", "enum", "const", "title", "required", "$ref"})
_KEPT_VALUES: list[tuple[str, object]] = [("minItems", 0), ("minItems", 1), *(("format", name) for name in _FORMATS)]
_NESTED = frozenset({"properties", "$defs", "definitions"})
_SILENT = frozenset({"$schema", "$id", "$comment", "additionalProperties", "description"})


def strict_schema(schema: Mapping[str, object]) -> tuple[Schema, list[str]]:
    """``schema`` within the subset of structured outputs, and the names of the keywords that had to go."""
    dropped: list[str] = []
    return _strict(schema, dropped), sorted(set(dropped))


def _strict(schema: Mapping[str, object], dropped: list[str]) -> Schema:
    if isinstance(schema.get("$ref"), str) and not ("$defs" in schema or "definitions" in schema):
        return {"$ref": schema["$ref"]}  # nothing may stand beside a reference
    strict: Schema = {}
    moved: list[str] = []
    for key, value in schema.items():
        if key in _NESTED and isinstance(value, Mapping):
            strict[key] = {name: _strict_or_same(item, dropped) for name, item in value.items()}
        elif key in ("anyOf", "oneOf") and isinstance(value, list):
            strict["anyOf"] = [_strict_or_same(item, dropped) for item in value]
        elif key == "allOf" and isinstance(value, list):
            strict[key] = [_strict_or_same(item, dropped) for item in value]
        elif key == "items":
            strict[key] = _strict_or_same(value, dropped)
        elif key in _KEPT or (key, value) in _KEPT_VALUES:
            strict[key] = value
        elif key not in _SILENT:
            moved.append(f"{key}: {value}")
            dropped.append(key)
    kind = schema.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema:
        strict.setdefault("properties", {})
        strict["additionalProperties"] = False
        if schema.get("additionalProperties", False) is not False:
            dropped.append("additionalProperties")
    words = [str(schema["description"])] if schema.get("description") else []
    if moved:
        words.append(f"({'; '.join(moved)})")
    if words:
        strict["description"] = " ".join(words)
    return strict


def _strict_or_same(schema: object, dropped: list[str]) -> object:
    return _strict(schema, dropped) if isinstance(schema, Mapping) else schema
