"""JSON schemas as the API takes them: of a tool's input, and of an answer under structured outputs.

Structured outputs compile a schema into a grammar and answer 400 to keywords that it does not know. What must go is
moved into the description, where the model still reads it.
"""

from collections.abc import Iterator, Mapping

from nexus3.wire.failures import error_of, fail

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


def tool_schema(name: str, parameters: Mapping[str, object]) -> tuple[Schema, list[str]]:
    """A tool's parameters as ``input_schema``, and the names of the top-level keywords that were folded in.

    The API takes type object alone, and no reference or combination at the top: their properties are joined.

    Raises:
        ProviderError: ``bad_request`` where the schema is of another type than object.
    """
    schema = dict(parameters)
    folded: list[str] = []
    ref = schema.pop("$ref", None)
    if ref is not None:
        folded.append("$ref")
        schema = {**_resolve(ref, parameters), **schema}
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            folded.append(key)
            _fold(schema, key, parameters)
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        problem = f"The parameters of the tool {name!r} are a schema of type {kind!r}; wrap them in an object."
        raise error_of(fail("bad_request", "tool_schema", problem))
    properties = schema.get("properties")
    return {**schema, "type": "object", "properties": properties if isinstance(properties, Mapping) else {}}, folded


def _fold(schema: Schema, key: str, root: Mapping[str, object]) -> None:
    """Join the branches of a combination into ``schema``: all properties; required is what every branch demands, or
    under ``allOf`` what any demands.
    """
    branches = list(_branches(schema.pop(key), root))
    own = schema.get("properties")
    properties = {**own} if isinstance(own, Mapping) else {}
    demands: list[set[object]] = []
    for branch in branches:
        given, required = branch.get("properties"), branch.get("required")
        properties = {**(given if isinstance(given, Mapping) else {}), **properties}
        demands.append(set(required) if isinstance(required, list) else set())
    if properties:
        schema["properties"] = properties
    common = (
        set[object]().union(*demands) if key == "allOf" else set[object].intersection(*demands) if demands else set()
    )
    before = schema.get("required")
    required = [*before] if isinstance(before, list) else []
    required += sorted((word for word in common if word not in required), key=str)
    if required:
        schema["required"] = required


def _branches(value: object, root: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for branch in value if isinstance(value, list) else ():
        if isinstance(branch, Mapping):
            yield _resolve(branch["$ref"], root) if "$ref" in branch else branch


def _resolve(ref: object, root: Mapping[str, object]) -> Mapping[str, object]:
    """What a reference within the document points to, one step; nothing where it points elsewhere."""
    found: object = root
    if not (isinstance(ref, str) and ref.startswith("#/")):
        return {}
    for name in ref[2:].split("/"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
