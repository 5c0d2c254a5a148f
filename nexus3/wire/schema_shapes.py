"""What a JSON schema says of an object, as one list of arguments; and several of them as one.

``all_of`` and ``any_of`` lose no argument, and forbid nothing that was meant: what fits one way through the schemas
fits the shape. It may allow more. What one list cannot say is named in ``left_out``.

One thing is read as it is meant and not by the letter: an alternative that does not name an argument allows any value
for it. Where nothing else describes that argument, the alternatives that do name it are believed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

CONDITIONS = frozenset({"if", "then", "else", "dependentSchemas", "dependencies"})
_CONSTRAINTS = frozenset({"minProperties", "maxProperties", "propertyNames", "dependentRequired"})
_INNER = frozenset(
    {
        *("properties", "patternProperties", "additionalProperties", "items", "prefixItems"),
        *("$ref", "allOf", "anyOf", "oneOf"),
    }
)
"""Keywords by which a schema may describe arguments within an argument."""


class Shape(msgspec.Struct, frozen=True):
    """What is said of an object. Nothing in it is a copy, and nothing in it may be changed."""

    properties: Mapping[str, object] = {}
    """Schemas of arguments that hold whichever alternative is taken."""
    hints: Mapping[str, object] = {}
    """Schemas of arguments of which only some alternatives speak; they count where nothing else speaks."""
    named: frozenset[str] = frozenset()
    """Arguments that are demanded, whether or not a schema is given for them."""
    required: tuple[str, ...] = ()
    patterns: Mapping[str, object] = {}
    additional: object = True
    """The schema of all other arguments; ``True`` where they may be anything."""
    rest: Mapping[str, object] = {}
    """The other keywords, the first word on each."""
    left_out: tuple[str, ...] = ()
    """The keywords whose constraints the shape does not keep, in order of appearance."""

    @property
    def arguments(self) -> Mapping[str, object]:
        """All of them, each with what is known of it."""
        bare: dict[str, object] = {
            name: {} for name in sorted(self.named) if name not in self.properties and name not in self.hints
        }
        return {**self.properties, **self.hints, **bare} if self.hints or bare else self.properties


def values_shape(values: Sequence[object]) -> Shape | None:
    """The shape of the objects among listed values; ``None`` where there is none."""
    objects = [value for value in values if isinstance(value, Mapping)]
    if not objects:
        return None
    given = _by_name(objects)
    return Shape(
        properties={name: {"enum": _distinct(items)} for name, items in given.items()},
        required=tuple(name for name, items in given.items() if len(items) == len(objects)),
        additional=False,
    )


def optional(shape: Shape) -> Shape:
    """The arguments of what need not hold. Its constraints go, or stay, with the condition."""
    return Shape(hints={**shape.hints, **shape.properties}, named=shape.named)


def tested(shape: Shape) -> Shape:
    """The arguments of a condition, which demands nothing of them."""
    return Shape(hints={name: _either([hint, {}]) for name, hint in shape.arguments.items()})


def all_of(shapes: Sequence[Shape]) -> Shape:
    """The shape of what fits all of ``shapes``, of which there is at least one."""
    if len(shapes) == 1:
        return shapes[0]
    said, hinted = _by_name(shape.properties for shape in shapes), _by_name(shape.hints for shape in shapes)
    rest: dict[str, object] = {}
    twice: list[str] = []
    for shape in shapes:
        twice += [key for key, value in shape.rest.items() if key in rest and rest[key] != value]
        rest = {**shape.rest, **rest}
    additional = [shape.additional for shape in shapes if shape.additional is not True]
    return Shape(
        properties={name: _both([*schemas, *_may_be(hinted.get(name, ()))]) for name, schemas in said.items()},
        hints={name: _either(schemas) for name, schemas in hinted.items() if name not in said},
        named=frozenset().union(*(shape.named for shape in shapes)),
        required=tuple(dict.fromkeys(name for shape in shapes for name in shape.required)),
        patterns={name: _both(given) for name, given in _by_name(shape.patterns for shape in shapes).items()},
        # By the letter, a part that is closed forbids the arguments of all others; nobody means that.
        additional=False if False in additional else _both(additional) if additional else True,
        rest=rest,
        left_out=_left_out(shapes, twice),
    )


def any_of(shapes: Sequence[Shape]) -> Shape:
    """The shape of what fits one of ``shapes``, of which there is at least one."""
    if len(shapes) == 1:
        return shapes[0]
    said, hinted = _by_name(shape.properties for shape in shapes), _by_name(shape.hints for shape in shapes)
    # Of each argument: how many alternatives allow it without a word, and what the others say of all that is left.
    loose = [shape for shape in shapes if shape.additional is True or shape.patterns]
    typed = [shape for shape in shapes if isinstance(shape.additional, Mapping)]
    silent = dict.fromkeys([*said, *hinted], len(loose))
    for shape in loose:
        for name in shape.properties:
            silent[name] -= 1
    properties: dict[str, object] = {}
    hints: dict[str, object] = {}
    for name, others in silent.items():
        schemas = [*said.get(name, ()), *hinted.get(name, ())]
        schemas += [shape.additional for shape in typed if name not in shape.properties]
        (hints if others or name in hinted else properties)[name] = _either(schemas)
    required = set(shapes[0].required).intersection(*(shape.required for shape in shapes))
    gone = [key for shape in shapes for key in shape.rest]
    patterns, is_open = shapes[0].patterns, any(shape.additional is True for shape in shapes)
    if any(shape.patterns != patterns for shape in shapes):
        gone.append("patternProperties")
        patterns, is_open = {}, True
    return Shape(
        properties=properties,
        hints=hints,
        named=frozenset().union(*(shape.named for shape in shapes)),
        required=tuple(name for name in shapes[0].required if name in required),
        patterns=patterns,
        additional=True if is_open else _either([shape.additional for shape in shapes]),
        left_out=_left_out(shapes, gone),
    )


def _left_out(shapes: Iterable[Shape], gone: Iterable[str]) -> tuple[str, ...]:
    before = [key for shape in shapes for key in shape.left_out]
    # Titles, examples and their like constrain nothing.
    return tuple(dict.fromkeys([*before, *(key for key in gone if key in _CONSTRAINTS or key == "patternProperties")]))


def _by_name(mappings: Iterable[Mapping[str, object]]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for mapping in mappings:
        for name, schema in mapping.items():
            found.setdefault(name, []).append(schema)
    return found


def _may_be(hints: Sequence[object]) -> list[object]:
    """``hints`` beside a schema that always holds: they can demand nothing, but may describe arguments within."""
    inner = [hint for hint in hints if isinstance(hint, Mapping) and not _INNER.isdisjoint(hint)]
    return [_either([*inner, {}])] if inner else []


def _either(schemas: Sequence[object]) -> object:
    """A schema for what fits one of ``schemas``. None is dropped for being narrower than another: it names more."""
    fitting = [schema for schema in _distinct(_spliced(schemas, "anyOf")) if schema is not False]
    if len(fitting) < 2:
        return fitting[0] if fitting else False
    return {"anyOf": fitting}


def _both(schemas: Sequence[object]) -> object:
    """A schema for what fits all of ``schemas``."""
    telling = [schema for schema in _distinct(_spliced(schemas, "allOf")) if schema is not True and schema != {}]
    if len(telling) < 2:
        return telling[0] if telling else schemas[0]
    return {"allOf": telling}


def _spliced(schemas: Iterable[object], key: str) -> Iterator[object]:
    """``schemas``, and in place of those that are nothing but a combination by ``key``, its branches."""
    for schema in schemas:
        branches = schema.get(key) if isinstance(schema, Mapping) and len(schema) == 1 else None
        if isinstance(branches, list) and branches:
            yield from branches
        else:
            yield schema


def _distinct(values: Iterable[object]) -> list[object]:
    """``values`` without repetition. By their spelling, for in Python ``1 == True``, which in JSON are two values."""
    by_identity = {id(value): value for value in values}
    if len(by_identity) < 2:  # as mostly, and a spelling can be long
        return [*by_identity.values()]
    return [*{repr(value): value for value in by_identity.values()}.values()]
