"""Raw JSON schemas that no pydantic model would give, each behind a model that asks jsonschema whether an answer fits.

The same way is open to every caller whose schemas come from elsewhere.
"""

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from pydantic import BaseModel, JsonValue, RootModel, model_validator

from engine.typed_schemas import Case


def problem_of(schema: dict[str, Any], answer: JsonValue) -> str | None:
    """Where and why the answer does not fit, by jsonschema; ``None`` where it does."""
    judge = validator_for(schema, default=Draft202012Validator)
    judge.check_schema(schema)
    error = next(iter(judge(schema).iter_errors(answer)), None)
    return None if error is None else f"{error.json_path}: breaks {error.validator}"


def model_of(name: str, schema: dict[str, Any]) -> type[BaseModel]:
    """The model of every JSON value that fits ``schema``."""

    class Raw(RootModel[JsonValue]):
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:  # type: ignore[override] # it is asked for without options
            return schema

        @model_validator(mode="after")
        def _fits(self) -> "Raw":
            if problem := problem_of(schema, self.root):
                raise ValueError(problem)
            return self

    Raw.__name__ = name
    return Raw


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A closed object whose properties are all required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


_WORD = {"type": "string", "maxLength": 6}
_LINK = {"type": "object", "properties": {"value": {"type": "boolean"}}, "required": ["value"]}

HELD: dict[str, dict[str, Any]] = {
    "scalar_at_the_top": {"type": "boolean"},
    "text_at_the_top": _WORD,
    "enum_at_the_top": {"enum": ["one", 2, 3.5, None, True]},
    "constant_object": {"const": {"a": [1, "b", None]}},
    "list_of_types": _object({"value": {"type": ["boolean", "null"]}}),
    "union_at_the_top": {"anyOf": [_object({"a": _WORD}), _object({"b": {"type": "boolean"}})]},
    "draft_7": _object(
        {"pair": {"type": "array", "items": [{"type": "boolean"}, _WORD], "minItems": 2}},
        **{"$schema": "http://json-schema.org/draft-07/schema#"},
    ),
    "definitions": _object({"link": {"$ref": "#/definitions/link"}}, definitions={"link": _LINK}),
    "allOf": {"allOf": [_object({"a": _WORD}) | {"additionalProperties": True}, _LINK]},
}
"""What the grammar holds an answer to."""

NOT_HELD: dict[str, dict[str, Any]] = {
    "recursive_by_its_own_root": _object({"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}),
    "escapes": _object({"value": {"enum": ["a\\b", "c\nd"]}}),
    "condition": _object({"a": {"type": "boolean"}, "b": _WORD})
    | {"if": {"properties": {"a": {"const": True}}}, "then": {"properties": {"b": {"const": "yes"}}}},
    "patterns_of_names": {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "minProperties": 1},
    "multiples": _object({"value": {"type": "integer", "multipleOf": 7}}),
    "negation": {"type": "object", "not": {"required": ["a"]}},
}
"""What it does not hold it to. It writes the ``escapes`` unescaped. A double quote in an enum or in a name is not among
these: this server writes a grammar that it cannot read, and its process dies."""

RAW = tuple(
    Case(model_of(name, schema), schemas is HELD) for schemas in (HELD, NOT_HELD) for name, schema in schemas.items()
)
