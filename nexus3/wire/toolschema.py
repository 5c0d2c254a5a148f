"""A tool's parameters as every provider takes them.

The strictest readers agree on this much: at the top type ``object``, and no reference, combination or list of values;
``properties`` with every object and ``items`` with every array; valid by JSON Schema 2020-12. OpenAI answers 400 to a
missing ``properties`` or ``items`` and to a combination at the top, Anthropic also to keywords of older drafts in the
wrong form, and tools that come from elsewhere (MCP servers, OpenAPI documents) have all of them. All dialects send the
same, so that a tool which works at one provider works at the next.

Nothing is lost on the way: every argument of the schema stays in it (:mod:`.schema_folding`). Below the top only what
is missing is put in; what cannot be enforced there is the provider's to say.
"""

from collections.abc import Mapping

from nexus3.wire import json_pointer
from nexus3.wire.failures import ProviderError, error_of, fail
from nexus3.wire.schema_folding import FOLDED, HANDLED, MAX_DEPTH, OF_THE_PLACE, FoldingError, allows_object, shape_of
from nexus3.wire.schema_shapes import Shape

Schema = dict[str, object]

_ONE = frozenset(
    {
        *("additionalProperties", "unevaluatedProperties", "propertyNames"),
        *("items", "unevaluatedItems", "contains", "contentSchema", "not", "if", "then", "else"),
    }
)
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Where schemas stand in a schema. Nothing else is walked: a value of ``default`` may look like a schema."""
_UNSET = frozenset({"type", "required", "enum", "$ref", "additionalItems", *_ONE, *_LISTED, *_NAMED})
"""Serialisers that write out unset fields give these as null, which is no value of any of them."""
_SCALARS, _CONTAINERS = (str, int, float), (dict, list, Mapping)


def normalised(name: str, parameters: Mapping[str, object] | None) -> tuple[Schema, list[str]]:
    """``parameters`` of the tool ``name`` as an object schema, and what had to change, in words for a notice.

    Parameters that are in order already are returned as they are, the same object; ``parameters`` is never changed,
    and may share parts with the result. What is only put in, without a change of meaning, is no change.

    Raises:
        ProviderError: ``bad_request`` (``tool_schema``) where no object fits the schema, where a reference that the
            arguments depend on leads nowhere, and where the schema is nested or entangled beyond reason.
    """
    if not parameters:
        return {"type": "object", "properties": {}}, []
    try:
        return _normalised(parameters)
    except FoldingError as problem:
        raise _refused(name, str(problem)) from None


def _refused(name: str, problem: str) -> ProviderError:
    return error_of(fail("bad_request", "tool_schema", f"The parameters of the tool {name!r} {problem}."))


def _normalised(parameters: Mapping[str, object]) -> tuple[Schema, list[str]]:
    _check_depth(parameters)
    if not allows_object(parameters):
        kind = str(parameters["type"])[:80]
        raise FoldingError(f"are a schema of type {kind!r}; wrap them in an object")
    sent, changes = _as_object(parameters)
    walk = _Walk(parameters, sent)
    schema = walk.schema(sent)
    if walk.whole_is_needed:
        definitions = schema.get("$defs")
        whole = {key: value for key, value in parameters.items() if key not in OF_THE_PLACE}
        named = {**(definitions if isinstance(definitions, Mapping) else {}), walk.whole: walk.schema(whole)}
        schema = {**schema, "$defs": named}
    return schema, changes + walk.changes


def _as_object(parameters: Mapping[str, object]) -> tuple[Mapping[str, object], list[str]]:
    """``parameters`` with type object and nothing to fold at the top, and what that changed."""
    given = [key for key in FOLDED if parameters.get(key) is not None or (key == "const" and key in parameters)]
    if not given and parameters.get("not") is None:
        return parameters if parameters.get("type") == "object" else {**parameters, "type": "object"}, []
    shape = shape_of(parameters)
    if shape is None:
        raise FoldingError("are a schema that no object fits; wrap them in an object")
    folded = _spelled(shape, parameters)
    _check_depth(folded)
    return folded, [*(f"{key} was folded in" for key in given), *(f"{key} was left out" for key in shape.left_out)]


def _spelled(shape: Shape, parameters: Mapping[str, object]) -> Schema:
    """``shape`` as a schema, with all that ``parameters`` say beside it."""
    kept = {key: value for key, value in parameters.items() if key not in HANDLED}
    folded: Schema = {"type": "object", **shape.rest, **kept, "properties": shape.arguments}
    if shape.required:
        folded["required"] = [*shape.required]
    if shape.patterns:
        folded["patternProperties"] = shape.patterns
    if shape.additional is not True or parameters.get("additionalProperties") is True:
        folded["additionalProperties"] = shape.additional
    return folded


def _check_depth(schema: Mapping[str, object]) -> None:
    """Refuse what is nested so deep that reading it, here or in an encoder, could exhaust the stack. Empty containers
    do not count, so that putting them in takes nothing over the limit.

    Raises:
        FoldingError: there is a value more than :data:`MAX_DEPTH` containers deep.
    """
    level: list[Mapping[str, object] | list[object]] = [schema]
    for _ in range(MAX_DEPTH):
        inner: list[Mapping[str, object] | list[object]] = []
        for container in level:
            values = container.values() if isinstance(container, Mapping) else container
            # Scalars first: to ask whether one is a Mapping is slow, and they are the most.
            inner += [
                value
                for value in values
                if value and not isinstance(value, _SCALARS) and isinstance(value, _CONTAINERS)
            ]
        if not inner:
            return
        level = inner
    raise FoldingError(f"are nested more than {MAX_DEPTH} deep")


class _Walk:
    """Puts in what is missing, wherever a schema stands, and keeps references true. What needs nothing stays itself.

    ``given`` is the document that references were written for, ``sent`` the one that they will be in.
    """

    def __init__(self, given: Mapping[str, object], sent: Mapping[str, object]) -> None:
        self._given = given
        self._sent = sent
        definitions = given.get("$defs")
        self.whole = "whole"
        """The name of a definition that is the given document, for references to what was folded."""
        while isinstance(definitions, Mapping) and self.whole in definitions:
            self.whole += "_"
        self.whole_is_needed = False
        self._has_replaced = False

    @property
    def changes(self) -> list[str]:
        return ["what is no schema was taken as any value"] if self._has_replaced else []

    def schema(self, schema: Mapping[str, object]) -> Schema:
        new: Schema = {}
        unset: list[str] = []
        for key, value in schema.items():
            if value is None and key in _UNSET:
                unset.append(key)
            elif (walked := self._keyword(key, value)) is not value:
                new[key] = walked
        if isinstance(schema.get("items"), list):
            unset += [key for key in ("items", "additionalItems") if key in schema]
            new |= self._tuple(schema)
        kind = schema.get("type")
        kinds = kind if isinstance(kind, list) else (kind,)
        if "object" in kinds and schema.get("properties") is None:
            new["properties"] = {}
        if "array" in kinds and (schema.get("items") is None or "items" in unset):
            new.setdefault("items", {})
        if unset:
            return {**{key: value for key, value in schema.items() if key not in unset}, **new}
        if new or not isinstance(schema, dict):
            return {**schema, **new}
        return schema

    def _tuple(self, schema: Mapping[str, object]) -> Schema:
        """A list of ``items``, the form of the drafts before 2020-12."""
        new: Schema = {"prefixItems": self._keyword("prefixItems", schema["items"])}
        if schema.get("additionalItems") is not None:
            new["items"] = self._schema_or_any(schema["additionalItems"])
        return new

    def _keyword(self, key: str, value: object) -> object:
        """The value of a keyword, walked; the same object where nothing is missing in it."""
        if key in _ONE:
            return value if key == "items" and isinstance(value, list) else self._schema_or_any(value)
        if key in _LISTED and isinstance(value, list):
            items = [self._schema_or_any(item) for item in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        if key in _NAMED:
            if not isinstance(value, Mapping):
                return self._schema_or_any(value)
            named = {
                # Of old, a dependency may also be a list of names.
                name: item if key == "dependencies" and isinstance(item, list) else self._schema_or_any(item)
                for name, item in value.items()
            }
            return value if all(item is value[name] for name, item in named.items()) else named
        if key == "$ref" and isinstance(value, str):
            return self._ref(value)
        return value

    def _schema_or_any(self, value: object) -> object:
        if isinstance(value, Mapping):
            return self.schema(value)
        if isinstance(value, bool):
            return value
        self._has_replaced = True
        return {}

    def _ref(self, ref: str) -> str:
        """``ref``, or where the same schema stands now."""
        path = json_pointer.path_of(ref)
        if path is None:
            return ref
        place: list[str] = []
        if not path or self._sent.get(path[0]) is not self._given.get(path[0]):
            self.whole_is_needed = self._sent is not self._given
            place += ["$defs", self.whole] if self.whole_is_needed else []
        found: object = self._given
        for depth, name in enumerate(path):
            if found is None:  # it leads nowhere, or through what is no schema
                place += path[depth:]
                break
            of_tuple = isinstance(found, Mapping) and isinstance(found.get("items"), list)
            moved = {"items": "prefixItems", "additionalItems": "items"} if of_tuple else {}
            place.append(moved.get(name, name))
            found = _step(found, name)
        return ref if place == [*path] else json_pointer.ref_to(place)


def _step(found: object, name: str) -> object:
    try:
        return json_pointer.find(found, (name,))
    except LookupError:
        return None
