"""Schemas within the subset of structured outputs."""

from copy import deepcopy

import pytest
from pydantic import BaseModel, Field

from nexus3.wire.codecs.anthropic_messages.schema import strict_schema


@pytest.mark.parametrize(
    ("schema", "strict", "moved"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 10, "description": "A number"},
            {"type": "integer", "description": "A number (minimum: 1; maximum: 10)"},
            ["maximum", "minimum"],
        ),
        (
            {"type": "string", "pattern": "^a", "format": "ipv7", "minLength": 2},
            {"type": "string", "description": "(pattern: ^a; format: ipv7; minLength: 2)"},
            ["format", "minLength", "pattern"],
        ),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}, []),
        ({"type": "string", "format": ["odd"]}, {"type": "string", "description": "(format: ['odd'])"}, ["format"]),
        (
            {"type": "array", "items": {"type": "number", "multipleOf": 2}, "minItems": 1},
            {"type": "array", "items": {"type": "number", "description": "(multipleOf: 2)"}, "minItems": 1},
            ["multipleOf"],
        ),
        (
            {"type": "array", "items": True, "minItems": 2, "uniqueItems": True},
            {"type": "array", "items": True, "description": "(minItems: 2; uniqueItems: True)"},
            ["minItems", "uniqueItems"],
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "null"}], "title": "Name"},
            {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Name"},
            [],
        ),
        ({"type": "object"}, {"type": "object", "properties": {}, "additionalProperties": False}, []),
        (
            {"type": ["object", "null"], "additionalProperties": {"type": "integer"}, "$schema": "x"},
            {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
            ["additionalProperties"],
        ),
        (
            {"properties": {"minimum": {"type": "integer", "minimum": 0}}, "required": ["minimum"]},
            {
                "properties": {"minimum": {"type": "integer", "description": "(minimum: 0)"}},
                "required": ["minimum"],
                "additionalProperties": False,
            },
            ["minimum"],
        ),
        ({"$ref": "#/$defs/A", "description": "beside"}, {"$ref": "#/$defs/A"}, []),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"enum": ["a", 1, None]}}},
            {"$ref": "#/$defs/A", "$defs": {"A": {"enum": ["a", 1, None]}}},
            [],
        ),
        (
            {"allOf": [{"const": 3}, {"maximum": 4}]},
            {"allOf": [{"const": 3}, {"description": "(maximum: 4)"}]},
            ["maximum"],
        ),
    ],
)
def test_strict_schemas(schema: dict[str, object], strict: dict[str, object], moved: list[str]) -> None:
    given = deepcopy(schema)
    assert strict_schema(schema) == (strict, moved)
    assert schema == given, "what was given is not changed"


def test_a_strict_schema_is_strict_already() -> None:
    class Inner(BaseModel):
        size: int = Field(ge=1, le=9)

    class Outer(BaseModel):
        name: str = Field(pattern="^[a-z]+$", default="x")
        inner: list[Inner] | None = None

    strict, moved = strict_schema(Outer.model_json_schema())
    assert moved == ["default", "maximum", "minimum", "pattern"]
    assert strict_schema(strict) == (strict, [])
