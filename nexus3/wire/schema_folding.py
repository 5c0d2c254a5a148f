"""A JSON schema of an object with its references, combinations and listed values folded into one list of arguments.

Providers read the arguments of a tool off one list of properties. A schema may spread them over ``$ref``, ``allOf``,
``anyOf``, ``oneOf``, ``enum``, ``const``, ``if`` and their like; here they come together, as :mod:`.schema_shapes`
joins them. Only what is said of the object itself is folded: the schemas of its arguments stay as they are.
"""

from collections.abc import Iterator, Mapping

from nexus3.wire import json_pointer
from nexus3.wire.schema_shapes import CONDITIONS, Shape, all_of, any_of, optional, tested, values_shape

MAX_DEPTH = 64
"""Containers within one another, and references and combinations that lead on to others: as in the answers we read."""
_MAX_WORK = 10_000
"""Schemas and names that are looked at. References that fan out could otherwise be made to take for ever."""

FOLDED = ("$ref", "allOf", "anyOf", "oneOf", "enum", "const")
"""What is taken apart: providers want none of these, nor ``not``, at the top of a tool's parameters."""
_GONE = frozenset({"not", "unevaluatedProperties"})
HANDLED = _GONE.union(FOLDED, ("type", "properties", "required", "additionalProperties", "patternProperties"))
"""Keywords whose meaning is in the shape, or had to be left out."""
OF_THE_PLACE = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$defs", "definitions"})
"""What a schema says of where it stands. References are paths from the top, so definitions are found where they are."""

_Path = tuple[str, ...]


class FoldingError(ValueError):
    """The schema cannot be folded. The text goes on a sentence whose subject is the tool's parameters."""


def shape_of(document: Mapping[str, object]) -> Shape | None:
    """The shape of a whole document; ``None`` where no object fits. Conditions at its top are not left out: they can
    stay, and their arguments are in the shape as well.

    Recursion does not loop: a reference within its own expansion adds no way to fit that is not there without it.

    Raises:
        FoldingError: a reference leads nowhere, or the schema takes too much work or depth.
    """
    return _Folding(document).shape(document, ((),), 0)


def allows_object(schema: Mapping[str, object]) -> bool:
    """Whether the type of ``schema`` leaves room for objects."""
    kind = schema.get("type")
    return kind is None or kind == "object" or (isinstance(kind, list) and "object" in kind)


class _Folding:
    """One document, and the work that was done on it."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document
        self._work = 0

    def shape(self, schema: object, within: tuple[_Path, ...], depth: int) -> Shape | None:
        """``within`` holds the paths of the references that are being expanded, outermost first."""
        self._spend(1)
        if depth > MAX_DEPTH:
            raise FoldingError(f"combine schemas more than {MAX_DEPTH} deep")
        if schema is False:
            return None
        if not isinstance(schema, Mapping):
            return Shape()
        if not allows_object(schema):
            return None
        parts = [self._own(schema, gone=_GONE | CONDITIONS if depth else _GONE)]
        for part in self._parts(schema, within, depth + 1):
            if part is None:
                return None
            parts.append(part)
        return all_of(parts)

    def _own(self, schema: Mapping[str, object], *, gone: frozenset[str]) -> Shape:
        """What the keywords of ``schema`` itself say, its combinations aside."""
        properties = _mapping(schema.get("properties"))
        required = tuple(name for name in _listed(schema.get("required")) if isinstance(name, str))
        self._spend(len(properties) + len(required))
        additional = schema.get("additionalProperties")
        is_open = additional is not False and not (isinstance(additional, Mapping) and additional)
        aside = HANDLED | OF_THE_PLACE | CONDITIONS
        return Shape(
            properties=properties,
            named=frozenset(required),
            required=required,
            patterns=_mapping(schema.get("patternProperties")),
            additional=is_open or additional,
            rest={key: value for key, value in schema.items() if key not in aside},
            left_out=tuple(key for key in schema if key in gone),
        )

    def _parts(self, schema: Mapping[str, object], within: tuple[_Path, ...], depth: int) -> Iterator[Shape | None]:
        """What else must fit, for ``schema`` to fit."""
        if isinstance(ref := schema.get("$ref"), str):
            yield self._referred(ref, within, depth)
        for branch in _listed(schema.get("allOf")):
            yield self.shape(branch, within, depth)
        for key in ("anyOf", "oneOf"):
            if branches := _listed(schema.get(key)):
                yield self._alternatives(branches, within, depth)
        if values := _listed(schema.get("enum")):
            self._spend(sum(len(value) for value in values if isinstance(value, Mapping)))
            yield values_shape(values)
        if "const" in schema:
            yield values_shape([schema["const"]])
        conditional = [schema.get("then"), schema.get("else"), *_mapping(schema.get("dependentSchemas")).values()]
        conditional += _mapping(schema.get("dependencies")).values()
        for branch in conditional:
            if isinstance(branch, Mapping) and (shape := self.shape(branch, within, depth)) is not None:
                yield optional(shape)
        if isinstance(schema.get("if"), Mapping) and (shape := self.shape(schema["if"], within, depth)) is not None:
            yield tested(shape)

    def _alternatives(self, branches: list[object], within: tuple[_Path, ...], depth: int) -> Shape | None:
        found = [self.shape(branch, within, depth) for branch in branches]
        shapes = [shape for shape in found if shape is not None]
        # What an alternative says of all other arguments is said of each argument of all the others.
        typed = sum(isinstance(shape.additional, Mapping) for shape in shapes)
        self._spend(typed * sum(len(shape.properties) + len(shape.hints) for shape in shapes))
        return any_of(shapes) if shapes else None

    def _referred(self, ref: str, within: tuple[_Path, ...], depth: int) -> Shape | None:
        path = json_pointer.path_of(ref)
        if path in within:
            return None
        try:
            found = json_pointer.find(self._document, path) if path is not None else None
        except LookupError:
            found = None
        if path is None or not isinstance(found, Mapping | bool):
            raise FoldingError(f"refer to {ref[:200]!r}, which is not a schema within them")
        return self.shape(found, (*within, path), depth)

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > _MAX_WORK:
            raise FoldingError("combine too many schemas to be sent as one object")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
