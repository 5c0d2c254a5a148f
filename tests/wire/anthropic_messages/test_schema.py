"""Schemas of tools and of answers, within what the API takes."""

from copy import deepcopy
from typing import Any

import pytest
from pydantic import BaseModel, Field

from nexus3.wire.codecs.anthropic_messages.schema import strict_schema, tool_schema
from nexus3.wire.failures import ProviderError


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


@pytest.mark.parametrize(
    ("parameters", "schema", "folded"),
    [
        ({}, {"type": "object", "properties": {}}, []),
        (
            {"properties": {"a": {"type": "string", "minLength": 3}}, "required": ["a"], "additionalProperties": True},
            {
                "type": "object",
                "properties": {"a": {"type": "string", "minLength": 3}},
                "required": ["a"],
                "additionalProperties": True,
            },
            [],
        ),
        ({"type": ["object", "null"], "properties": None}, {"type": "object", "properties": {}}, []),
        (
            {
                "anyOf": [
                    {"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]},
                    {"properties": {"b": {"type": "string"}}, "required": ["b"]},
                ],
                "properties": {"c": {}},
                "required": ["c"],
            },
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}, "c": {}}, "required": ["c", "b"]},
            ["anyOf"],
        ),
        (
            {
                "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {}}, "required": ["b"]}],
                "$defs": {"A": {"properties": {"a": {}}, "required": ["a"]}},
            },
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                "required": ["a", "b"],
                "$defs": {"A": {"properties": {"a": {}}, "required": ["a"]}},
            },
            ["allOf"],
        ),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {}}}}},
            {"type": "object", "properties": {"a": {}}, "$defs": {"A": {"type": "object", "properties": {"a": {}}}}},
            ["$ref"],
        ),
        ({"$ref": "https://elsewhere"}, {"type": "object", "properties": {}}, ["$ref"]),
        ({"oneOf": "nonsense"}, {"type": "object", "properties": {}}, ["oneOf"]),
    ],
)
def test_tool_schemas(parameters: dict[str, Any], schema: dict[str, object], folded: list[str]) -> None:
    given = deepcopy(parameters)
    assert tool_schema("f", parameters) == (schema, folded)
    assert parameters == given, "what was given is not changed"


def test_parameters_that_are_no_object_are_refused() -> None:
    with pytest.raises(ProviderError, match="wrap them in an object") as caught:
        tool_schema("f", {"type": "array"})
    assert (caught.value.kind, caught.value.reason) == ("bad_request", "tool_schema")
