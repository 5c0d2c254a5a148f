"""JSON schemas for tests: a generator of odd ones, a validator, and what a schema says of an argument.

Written for tests alone and apart from the package: one walks a schema with a value in hand, the other without.
"""

import copy
import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import unquote

NAMES = ("a", "b", "c", "type", "items", "properties", "$ref", "default")
"""Names of arguments, some of which look like keywords."""
DEFINITIONS = ("A", "B", "a/b", "x~y", "p q", "50%")
_SCALARS: tuple[Any, ...] = ("s", "t", 1, 2, True, None)
_ONE = ("additionalProperties", "items", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

Schema = Any
"""A JSON schema: a dict or a bool."""


def alike(a: object, b: object) -> bool:
    """Equality of JSON: ``1`` is not ``true``."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def places(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every schema within ``schema``, itself included, and the path to it."""
    yield path, schema
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in _ONE and isinstance(value, dict | bool):
            yield from places(value, (*path, key))
        elif key in (*_LISTED, "items") and isinstance(value, list):
            for place, item in enumerate(value):
                yield from places(item, (*path, key, str(place)))
        elif key in _NAMED and isinstance(value, dict):
            for name, item in value.items():
                yield from places(item, (*path, key, name))


def pointer(path: tuple[str, ...]) -> str:
    escaped = (name.replace("~", "~0").replace("/", "~1").replace("%", "%25").replace(" ", "%20") for name in path)
    return "#" + "".join("/" + name for name in escaped)


def resolved(ref: str, root: Schema) -> Schema:
    found = root
    for name in unquote(ref).split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
    return found


# -- schemas


def random_schema(rng: Random) -> dict[str, Any]:
    """Parameters as careless tools have them: deep, recursive, of several drafts, and mostly an object."""
    root = _object(rng, 3, combine=0.7)
    root["$defs"] = {name: _object(rng, 2) if rng.random() < 0.7 else _any(rng, 2) for name in DEFINITIONS}
    targets = [path for path, _ in places(root)]
    far = [("$defs", name) for name in DEFINITIONS]
    for _, schema in [*places(root)]:
        if isinstance(schema, dict) and schema.get("$ref") == "?":
            schema["$ref"] = pointer(rng.choice(targets if rng.random() < 0.4 else far))
    return root


def _any(rng: Random, depth: int) -> Schema:
    if depth <= 0 or rng.random() < 0.3:
        return _scalar(rng)
    kind = rng.choice(("object", "object", "array", "ref", "combined"))
    if kind == "object":
        return _object(rng, depth)
    if kind == "array":
        return _array(rng, depth)
    if kind == "ref":
        return {"$ref": "?", **({"description": "beside"} if rng.random() < 0.2 else {})}
    key = rng.choice(("anyOf", "oneOf", "allOf"))
    return {key: [_any(rng, depth - 1) for _ in range(rng.randint(1, 3))]}


def _scalar(rng: Random) -> Schema:
    return rng.choice(
        (
            {"type": "string"},
            {"type": "integer"},
            {"type": ["boolean", "null"]},
            {"type": "null"},
            {"enum": rng.sample(_SCALARS, 2)},
            {"const": rng.choice(_SCALARS)},
            {"type": "string", "default": {"type": "object"}, "examples": [{"type": "array"}]},
            {},
            True,
        )
    )


def _array(rng: Random, depth: int) -> Schema:
    schema: dict[str, Any] = {"type": "array"}
    form = rng.randint(0, 3)
    if form == 1:
        schema["items"] = _any(rng, depth - 1)
    elif form == 2:
        schema["items"] = [_any(rng, depth - 1) for _ in range(rng.randint(1, 2))]
        if rng.random() < 0.5:
            schema["additionalItems"] = rng.choice((False, _any(rng, depth - 1)))
    elif form == 3 and rng.random() < 0.2:
        schema["items"] = None
    return schema


def _object(rng: Random, depth: int, combine: float = 0.4) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if rng.random() < 0.7:
        schema["type"] = rng.choice(("object", "object", ["object", "null"]))
    if rng.random() < 0.8:
        schema["properties"] = {name: _any(rng, depth - 1) for name in rng.sample(NAMES, rng.randint(0, 3))}
    if rng.random() < 0.3:
        schema["required"] = rng.sample([*schema.get("properties", {}), "a"], 1)
    if rng.random() < 0.3:
        schema["additionalProperties"] = rng.choice((False, True, {}, _any(rng, depth - 1)))
    if rng.random() < 0.1:
        schema["patternProperties"] = {"^x-": _any(rng, depth - 1)}
    if rng.random() < 0.1:
        schema[rng.choice(("minProperties", "maxProperties"))] = rng.randint(1, 2)
    while depth > 0 and rng.random() < combine:
        combine -= 0.25
        match rng.choice(("anyOf", "oneOf", "allOf", "$ref", "if", "dependentSchemas", "not", "enum", "const")):
            case "anyOf" | "oneOf" | "allOf" as key:
                schema[key] = [_branch(rng, depth) for _ in range(rng.randint(1, 3))]
            case "$ref":
                schema["$ref"] = "?"
            case "if":
                schema |= {"if": _object(rng, depth - 1, 0), "then": _branch(rng, depth), "else": _branch(rng, depth)}
            case "dependentSchemas":
                schema["dependentSchemas"] = {rng.choice(NAMES): _branch(rng, depth)}
            case "not":
                schema["not"] = {"required": [rng.choice(NAMES)]}
            case "enum":
                schema["enum"] = [rng.choice(({"a": 1}, {"a": True, "b": [1]}, "text")), {"b": {"type": "object"}}]
            case _:
                schema["const"] = {"a": 1, "c": "s"}
    return schema


def _branch(rng: Random, depth: int) -> Schema:
    return _object(rng, depth - 1) if rng.random() < 0.7 else _any(rng, depth - 1)


# -- values


class GiveUp(Exception):  # noqa: N818 - not an error
    """This way through the schema leads to no value."""


def random_value(schema: Schema, root: Schema, rng: Random, fuel: int = 8, *, is_top: bool = True) -> Any:
    """A value that is meant by ``schema``: each argument is described on one way through it, and the value fits.

    Beside the described arguments there may be ``x-1`` and ``other``, by a pattern or as additional ones.

    Raises:
        GiveUp: none was found this time.
    """
    if fuel <= 0:
        raise GiveUp
    owed: list[tuple[Schema, bool]] = [(schema, True)]
    parts = [*_way(schema, root, rng, fuel, owed)]
    fixed = [part["const"] for part in parts if "const" in part]
    fixed += [rng.choice(part["enum"]) for part in parts if "enum" in part]
    value = copy.deepcopy(fixed[0]) if fixed else _made(parts, root, rng, fuel, is_top=is_top)
    if (is_top and not isinstance(value, dict)) or any(fits(value, other, root) != wanted for other, wanted in owed):
        raise GiveUp
    return value


def _way(
    schema: Schema, root: Schema, rng: Random, fuel: int, owed: list[tuple[Schema, bool]]
) -> Iterator[dict[str, Any]]:
    """The schemas that one way through ``schema`` goes by; ``owed`` gets what must fit, or must not."""
    if schema is False or fuel <= 0:
        raise GiveUp
    if schema is True:
        return
    yield schema
    branches = [resolved(schema["$ref"], root)] if "$ref" in schema else []
    branches += schema.get("allOf", [])
    branches += [rng.choice(schema[key]) for key in ("anyOf", "oneOf") if key in schema]
    if "if" in schema:
        holds = rng.random() < 0.5
        owed.append((schema["if"], holds))
        branches += [schema["if"], schema["then"]] if holds else [schema["else"]]
    for name, branch in schema.get("dependentSchemas", {}).items():
        if rng.random() < 0.5:
            owed.append(({"required": [name], "type": "object"}, True))
            branches.append(branch)
    for branch in branches:
        owed.append((branch, True))
        yield from _way(branch, root, rng, fuel - 1, owed)


def _made(parts: list[dict[str, Any]], root: Schema, rng: Random, fuel: int, *, is_top: bool) -> Any:
    types = [part["type"] if isinstance(part["type"], list) else [part["type"]] for part in parts if "type" in part]
    kind = rng.choice(types)[0] if types else rng.choice(("object", "array", "string", "null"))
    if is_top:
        kind = "object"
    match kind:
        case "object":
            return _made_object(parts, root, rng, fuel)
        case "array":
            return _made_array(parts, root, rng, fuel)
        case "string":
            return rng.choice(("s", "t"))
        case "integer":
            return rng.choice((1, 2))
        case "boolean":
            return rng.choice((True, None))
        case _:
            return None


def _made_object(parts: list[dict[str, Any]], root: Schema, rng: Random, fuel: int) -> dict[str, Any]:
    required = {name for part in parts for name in part.get("required", ())}
    schemas: dict[str, list[Schema]] = {}
    for part in parts:
        for name, schema in (part.get("properties") or {}).items():
            schemas.setdefault(name, []).append(schema)
        for schema in part.get("patternProperties", {}).values():
            schemas.setdefault("x-1", []).append(schema)
        schemas.setdefault("other", []).append(part.get("additionalProperties", True))
    return {
        name: random_value(rng.choice(described), root, rng, fuel - 1, is_top=False)
        for name, described in sorted(schemas.items())
        if name in required or rng.random() < (0.2 if name == "other" else 0.6)
    }


def _made_array(parts: list[dict[str, Any]], root: Schema, rng: Random, fuel: int) -> list[Any]:
    items = rng.choice([part.get("items") for part in parts] or [None])
    if items is None:
        return [rng.choice(_SCALARS) for _ in range(rng.randint(0, 2))]
    if not isinstance(items, list):
        return [random_value(items, root, rng, fuel - 1, is_top=False) for _ in range(rng.randint(0, 2))]
    return [random_value(item, root, rng, fuel - 1, is_top=False) for item in items]


# -- the validator

_TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def fits(value: Any, schema: Schema, root: Schema, within: frozenset[tuple[str, int]] = frozenset()) -> bool:
    """Whether ``value`` is valid. A reference that comes back to the same value on its own account holds nowhere."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        here = (schema["$ref"], id(value))
        if here in within or not fits(value, resolved(schema["$ref"], root), root, within | {here}):
            return False

    def ok(branch: Schema) -> bool:
        return fits(value, branch, root, within)

    if schema.get("type") is not None and not _is_a(value, schema["type"]):
        return False
    if "const" in schema and not alike(value, schema["const"]):
        return False
    if "enum" in schema and not any(alike(value, item) for item in schema["enum"]):
        return False
    if not all(ok(branch) for branch in schema.get("allOf", [])):
        return False
    if "anyOf" in schema and not any(ok(branch) for branch in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(ok(branch) for branch in schema["oneOf"]) != 1:
        return False
    if "not" in schema and ok(schema["not"]):
        return False
    if "if" in schema and not ok(schema["then"] if ok(schema["if"]) else schema["else"]):
        return False
    if isinstance(value, dict):
        return _fits_object(value, schema, root, within)
    return not isinstance(value, list) or _fits_array(value, schema, root)


def _is_a(value: Any, kinds: str | list[str]) -> bool:
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "integer":
            if isinstance(value, int) and not isinstance(value, bool):
                return True
        elif isinstance(value, _TYPES[kind]):
            return True
    return False


def _fits_object(value: dict[str, Any], schema: Schema, root: Schema, within: frozenset[tuple[str, int]]) -> bool:
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        return False
    if not all(name in value for name in schema.get("required") or ()):
        return False
    for name, branch in schema.get("dependentSchemas", {}).items():
        if name in value and not fits(value, branch, root, within):
            return False
    for name, item in value.items():
        described = [schema["properties"][name]] if name in (schema.get("properties") or {}) else []
        described += [s for pattern, s in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
        additional = schema.get("additionalProperties")
        if not all(fits(item, s, root) for s in described or [True if additional is None else additional]):
            return False
    return True


def _fits_array(value: list[Any], schema: Schema, root: Schema) -> bool:
    items, tail = schema.get("prefixItems", []), schema.get("items")
    if isinstance(tail, list):
        items, tail = tail, schema.get("additionalItems")
    heads = zip(items, value, strict=False)
    rest = [] if tail is None else value[len(items) :]
    return all(fits(item, s, root) for s, item in heads) and all(fits(item, tail, root) for item in rest)


# -- what is said of an argument


def described(schema: Schema, root: Schema, name: str, seen: frozenset[str] = frozenset()) -> list[Schema]:
    """The schemas of the argument ``name``, wherever in ``schema`` they are said of the same object."""
    if not isinstance(schema, dict):
        return []
    found = [schema["properties"][name]] if name in (schema.get("properties") or {}) else []
    branches = [*schema.get("allOf", []), *schema.get("anyOf", []), *schema.get("oneOf", [])]
    branches += [schema[key] for key in ("if", "then", "else") if key in schema]
    branches += schema.get("dependentSchemas", {}).values()
    for branch in branches:
        found += described(branch, root, name, seen)
    ref = schema.get("$ref")
    if ref is not None and ref not in seen:
        found += described(resolved(ref, root), root, name, seen | {ref})
    values = [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]
    found += [{"const": value[name]} for value in values if isinstance(value, dict) and name in value]
    return found


def lost(value: Any, before: Schema, after: Schema, roots: tuple[Schema, Schema], path: str = "") -> list[str]:
    """The arguments in ``value`` that ``before`` describes and ``after`` does not, at any depth."""
    if not isinstance(value, dict):
        return []
    gone: list[str] = []
    for name, item in value.items():
        was, now = described(before, roots[0], name), described(after, roots[1], name)
        if was and not now:
            gone.append(f"{path}/{name}")
        elif was := [schema for schema in was if not isinstance(schema, dict) or not {"const", "enum"} & schema.keys()]:
            # (A value that is given whole describes nothing within.)
            gone += lost(item, {"anyOf": was}, {"anyOf": now}, roots, f"{path}/{name}")
    return gone
