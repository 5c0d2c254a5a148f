"""Values made for schemas fit them."""

import pytest

from nexus3.loopback.example_value import example_value, subject_of

PROMPT = "What is the weather in Berlin?"

CASES: list[tuple[object, object]] = [
    ({"type": "object", "properties": {"city": {"type": "string"}}}, {"city": "Berlin"}),
    (
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]},
        {"b": 1},
    ),
    ({"type": "object"}, {}),
    ({"enum": ["celsius", "fahrenheit"]}, "celsius"),
    ({"type": "string", "default": "metric"}, "metric"),
    ({"const": 7}, 7),
    ({"type": ["null", "boolean"]}, True),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
    ({"oneOf": [{"type": "null"}]}, None),
    ({"type": "array", "items": {"type": "number"}, "minItems": 2}, [1, 1]),
    ({"type": "integer", "minimum": 5}, 5),
    ({"type": "integer", "exclusiveMinimum": 5}, 6),
    ({"type": "number", "exclusiveMinimum": 1, "maximum": 2}, 2),
    ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 1.5),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "integer", "minimum": 4, "multipleOf": 5}, 5),
    ({"type": "string", "format": "date"}, "2026-01-01"),
    ({"type": "string", "minLength": 8}, "Berlin.."),
    ({"type": "string", "maxLength": 3}, "Ber"),
    ({"$ref": "#/$defs/Unit", "$defs": {"Unit": {"enum": ["km"]}}}, "km"),
    (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
                {"properties": {"b": {"const": 2}}, "required": ["b"]},
            ]
        },
        {"a": 1, "b": 2},
    ),
    ({}, "Berlin"),
    (True, "Berlin"),
    (None, "Berlin"),
]


@pytest.mark.parametrize(("schema", "value"), CASES, ids=[str(schema) for schema, _ in CASES])
def test_the_value_fits_the_schema(schema: object, value: object) -> None:
    assert example_value(schema, prompt=PROMPT) == value


def test_a_schema_that_may_contain_itself_ends() -> None:
    tree = {
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {"type": "object", "properties": {name: {"$ref": "#/$defs/Node"} for name in "abcdef"}}},
    }
    value = example_value(tree, prompt=PROMPT)
    assert isinstance(value, dict)
    assert set(value) == set("abcdef")


def test_a_schema_that_requires_itself_ends() -> None:
    chain = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert str(example_value(chain, prompt=PROMPT)).count("next") == 11


def test_a_reference_in_a_circle_ends() -> None:
    assert example_value({"$ref": "#"}, prompt=PROMPT) == "Berlin"


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("What is the weather in Berlin?", "Berlin"),
        ("From Berlin to Paris, please", "Paris"),
        ("tell me a story about cats", "tell me a"),
        ("", "Berlin"),
    ],
)
def test_a_prompt_has_a_subject(prompt: str, subject: str) -> None:
    assert subject_of(prompt) == subject
