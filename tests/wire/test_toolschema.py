"""A tool's parameters, as every provider takes them."""

import copy
import importlib
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from nexus3.wire.codecs import anthropic_messages, openai_chat
from nexus3.wire.codecs.openai_chat.surrogates import json_bytes
from nexus3.wire.events import CHANGED_PARAMETER
from nexus3.wire.failures import ProviderError
from nexus3.wire.requests import CompletionRequest, Tool
from nexus3.wire.schema_cache import sendable
from nexus3.wire.toolschema import normalised
from tests.wire import json_schemas
from tests.wire.anthropic_messages.helpers import a_target
from tests.wire.openai_chat.build import target

SEED = 20_251_122
HI = [{"role": "user", "content": "Hi"}]
STRING, INTEGER = {"type": "string"}, {"type": "integer"}
A: dict[str, object] = {"type": "object", "properties": {"a": STRING}, "required": ["a"]}
B: dict[str, object] = {"type": "object", "properties": {"b": INTEGER}, "required": ["b"]}


def an_object(properties: object, **more: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, **more}


def sent(parameters: dict[str, Any] | None) -> tuple[dict[str, object], list[str]]:
    """Normalised, and what holds for all that is: it is so already, and nothing given was touched."""
    before = copy.deepcopy(parameters)
    schema, changes = normalised("f", parameters)
    assert parameters == before
    assert normalised("f", schema) == (schema, [])
    return schema, changes


def refused(parameters: dict[str, Any]) -> str:
    with pytest.raises(ProviderError) as caught:
        normalised("get_weather", parameters)
    error = caught.value
    assert (error.kind, error.reason, error.retryable) == ("bad_request", "tool_schema", False)
    assert error.message.startswith("The parameters of the tool 'get_weather' ")
    return error.message.removeprefix("The parameters of the tool 'get_weather' ")


def test_what_is_in_order_is_returned_itself() -> None:
    inner = an_object({"d": {"type": "array", "items": STRING}, "e": True})
    parameters = an_object({"a": {"$ref": "#/$defs/A"}, "b": inner}, required=["a"], **{"$defs": {"A": A}})
    schema, changes = normalised("f", parameters)
    assert schema is parameters
    assert changes == []


# -- what is sent is made once, for as long as it says the same


def as_sent(parameters: dict[str, Any]) -> tuple[object, list[str]]:
    ready = sendable("f", parameters)
    return json.loads(json_bytes(ready.schema)), [*ready.changes]


@pytest.mark.parametrize(
    "parameters", [{}, A, {"$ref": "#/$defs/A", "$defs": {"A": A}}, {"default": 2**70, "type": "object"}]
)
def test_what_is_sent_is_what_is_normalised_the_first_time_and_every_time(parameters: dict[str, Any]) -> None:
    for _ in range(2):
        assert as_sent(parameters) == normalised("f", parameters)


def test_equal_parameters_are_made_ready_once() -> None:
    assert sendable("f", an_object({"a": STRING})) is sendable("f", an_object({"a": STRING}))


def test_a_longer_schema_is_made_ready_but_not_kept() -> None:
    long = an_object({"a": {"type": "string", "description": "x" * 20_000}})
    assert as_sent(long) == (long, [])
    assert sendable("f", long) is not sendable("f", long)


def test_a_refusal_names_the_tool_that_asks() -> None:
    for name in ("f", "g"):
        with pytest.raises(ProviderError, match=f"parameters of the tool '{name}' are a schema of type 'array'"):
            sendable(name, {"type": "array"})


def test_half_a_character_in_a_schema_is_left_to_the_codec() -> None:
    cut = an_object({"a": {"type": "string", "description": "cut \ud83d"}})
    assert sendable("f", cut).schema is cut
    assert as_sent(cut) == (an_object({"a": {"type": "string", "description": "cut "}}), [])


def test_a_tool_changed_in_place_is_sent_as_it_is_now() -> None:
    tool = Tool(name="f", parameters={"type": "object", "properties": {"a": {"type": "string"}}})
    request = CompletionRequest.model_validate({"messages": HI, "tools": (tool,)})

    def description() -> object:
        body = json.loads(openai_chat.encode(request, target("openai"), stream=False).body)
        return body["tools"][0]["function"]["parameters"]["properties"]["a"].get("description")

    assert description() is None
    tool.parameters["properties"]["a"]["description"] = "said later"  # type: ignore[index, call-overload] # an object
    assert description() == "said later"
    assert sendable("f", tool.model_copy(update={"parameters": A}).parameters).schema == Raw(json_bytes(A))


# -- what is missing is put in, without a word

MISSING: dict[str, tuple[dict[str, Any] | None, dict[str, object]]] = {
    "no parameters": (None, an_object({})),
    "empty parameters": ({}, an_object({})),
    "no type": ({"properties": {"a": STRING}, "required": ["a"]}, an_object({"a": STRING}, required=["a"])),
    "an object that may be null": ({"type": ["object", "null"], "title": "T"}, an_object({}, title="T")),
    "no properties": ({"type": "object"}, an_object({})),
    "properties that are null": ({"type": "object", "properties": None}, an_object({})),
    "an inner object without properties": (
        an_object({"a": {"type": ["object", "null"], "additionalProperties": STRING}}),
        an_object({"a": {"type": ["object", "null"], "additionalProperties": STRING, "properties": {}}}),
    ),
    "an inner array without items": (
        an_object({"a": {"type": ["array", "null"], "maxItems": 3}}),
        an_object({"a": {"type": ["array", "null"], "maxItems": 3, "items": {}}}),
    ),
    "wherever a schema stands": (
        an_object(
            {"a": {"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "array"}]}}},
            additionalProperties={"type": "array"},
            **{"$defs": {"A": {"not": {"type": "object"}}}, "definitions": {"B": {"if": {"type": "array"}}}},
        ),
        an_object(
            {"a": {"type": "array", "items": {"anyOf": [an_object({}), {"type": "array", "items": {}}]}}},
            additionalProperties={"type": "array", "items": {}},
            **{
                "$defs": {"A": {"not": an_object({})}},
                "definitions": {"B": {"if": {"type": "array", "items": {}}}},
            },
        ),
    ),
    "a tuple of the older drafts": (
        an_object({"a": {"type": "array", "items": [STRING, {"type": "object"}], "additionalItems": False}}),
        an_object({"a": {"type": "array", "prefixItems": [STRING, an_object({})], "items": False}}),
    ),
    "a reference into such a tuple": (
        an_object({"a": {"type": "array", "items": [STRING]}, "b": {"$ref": "#/properties/a/items/0"}}),
        an_object(
            {
                "a": {"type": "array", "prefixItems": [STRING], "items": {}},
                "b": {"$ref": "#/properties/a/prefixItems/0"},
            }
        ),
    ),
    "keywords that a serialiser left null": (
        an_object({"a": {"type": "array", "items": None, "$ref": None, "anyOf": None}}, required=None),
        an_object({"a": {"type": "array", "items": {}}}),
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_put_in(case: str) -> None:
    parameters, schema = MISSING[case]
    assert sent(parameters) == (schema, [])


def test_what_only_looks_like_a_schema_is_left_alone() -> None:
    odd = {"type": "object"}
    values = {"default": odd, "const": odd, "enum": [odd, {"type": "array"}], "examples": [odd], "x-note": odd}
    named = dict.fromkeys(("type", "properties", "items", "$ref", "anyOf", "required", "default", "not"), STRING)
    parameters = an_object({**named, "a": values, "b": {"const": None, "default": None}}, default=odd, examples=[odd])
    parameters["dependencies"] = {"a": ["type"], "b": STRING}
    schema, changes = normalised("f", parameters)
    assert schema is parameters
    assert changes == []


def test_what_is_no_schema_is_taken_as_any_value() -> None:
    schema = an_object({"a": {}, "b": {"type": "array", "items": {}}})
    given = an_object({"a": "string", "b": {"type": "array", "items": "string"}})
    assert sent(given) == (schema, ["what is no schema was taken as any value"])


# -- at the top: references, combinations, listed values

TOP: dict[str, tuple[dict[str, Any], dict[str, object], list[str]]] = {
    "a reference": (
        {"$ref": "#/$defs/A", "$defs": {"A": {**A, "title": "T", "minProperties": 1}}, "title": "Mine"},
        an_object(
            {"a": STRING}, required=["a"], title="Mine", minProperties=1,
            **{"$defs": {"A": {**A, "title": "T", "minProperties": 1}}},
        ),
        ["$ref was folded in"],
    ),
    "a chain of references with every escape": (
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"$ref": "#/$defs/x~01"}, "x~1": A}},
        an_object({"a": STRING}, required=["a"], **{"$defs": {"a/b c": {"$ref": "#/$defs/x~01"}, "x~1": A}}),
        ["$ref was folded in"],
    ),
    "a reference into a list": (
        {"anyOf": [B, {"$ref": "#/x/0"}], "x": [A]},
        an_object({"a": STRING, "b": INTEGER}, x=[A]),
        ["anyOf was folded in"],
    ),
    "allOf: every part counts": (
        {"allOf": [A, B], "properties": {"c": {}}, "required": ["c"]},
        an_object({"a": STRING, "b": INTEGER, "c": {}}, required=["c", "a", "b"]),
        ["allOf was folded in"],
    ),
    "allOf: what is said twice must both fit": (
        {"allOf": [A, {"properties": {"a": {"minLength": 1}}}, {"properties": {"a": {}}}, A]},
        an_object({"a": {"allOf": [STRING, {"minLength": 1}]}}, required=["a"]),
        ["allOf was folded in"],
    ),
    "allOf: parts that are closed are closed together": (
        {"allOf": [{**A, "additionalProperties": False}, {**B, "additionalProperties": False}]},
        an_object({"a": STRING, "b": INTEGER}, required=["a", "b"], additionalProperties=False),
        ["allOf was folded in"],
    ),
    "anyOf: required is what all alternatives demand": (
        {"anyOf": [{**A, "required": ["a", "c"]}, {**B, "required": ["c", "b"]}], "properties": {"c": {}}},
        an_object({"a": STRING, "b": INTEGER, "c": {}}, required=["c"]),
        ["anyOf was folded in"],
    ),
    "anyOf: an argument of several kinds": (
        {"anyOf": [{"properties": {"a": STRING}}, {"properties": {"a": INTEGER}}, {"properties": {"a": STRING}}]},
        an_object({"a": {"anyOf": [STRING, INTEGER]}}),
        ["anyOf was folded in"],
    ),
    "anyOf: one and true are two values": (
        {"anyOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": True}}}]},
        an_object({"a": {"anyOf": [{"const": 1}, {"const": True}]}}),
        ["anyOf was folded in"],
    ),
    "anyOf: what is not an object was never an argument list": (
        {"anyOf": [A, {"type": "null"}, {"type": ["string", "array"]}, False]},
        an_object({"a": STRING}, required=["a"]),
        ["anyOf was folded in"],
    ),
    "anyOf: closed where every alternative is": (
        {"anyOf": [{**A, "additionalProperties": False}, {**B, "additionalProperties": False}]},
        an_object({"a": STRING, "b": INTEGER}, additionalProperties=False),
        ["anyOf was folded in"],
    ),
    "anyOf: open where one alternative is": (
        {"anyOf": [{**A, "additionalProperties": False}, B]},
        an_object({"a": STRING, "b": INTEGER}),
        ["anyOf was folded in"],
    ),
    "anyOf: named by one, additional in another": (
        {"anyOf": [{**A, "additionalProperties": False}, an_object({}, additionalProperties=INTEGER)]},
        an_object({"a": {"anyOf": [STRING, INTEGER]}}, additionalProperties=INTEGER),
        ["anyOf was folded in"],
    ),
    "anyOf: a pattern of one alternative": (
        {"anyOf": [{**A, "patternProperties": {"^x": STRING}, "additionalProperties": False}, B]},
        an_object({"a": STRING, "b": INTEGER}),
        ["anyOf was folded in", "patternProperties was left out"],
    ),
    "anyOf: an alternative narrows what is described beside it": (
        {"properties": {"a": STRING, "b": {}}, "anyOf": [{"properties": {"a": {"const": "x"}}}, {"required": ["b"]}]},
        an_object({"a": STRING, "b": {}}),
        ["anyOf was folded in"],
    ),
    "anyOf: an alternative describes arguments within": (
        {"properties": {"a": {"type": "object"}}, "anyOf": [{"properties": {"a": B}}, {"maxProperties": 1}]},
        an_object({"a": {"allOf": [an_object({}), {"anyOf": [B, {}]}]}}),
        ["anyOf was folded in", "maxProperties was left out"],
    ),
    "anyOf: arguments that are only demanded": (
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        an_object({"a": {}, "b": {}}),
        ["anyOf was folded in"],
    ),
    "oneOf: told apart by a word": (
        {
            "oneOf": [
                {"properties": {"kind": {"const": "a"}, "a": STRING}, "required": ["kind"]},
                {"properties": {"kind": {"const": "b"}, "b": INTEGER}, "required": ["kind", "b"]},
            ]
        },
        an_object(
            {"kind": {"anyOf": [{"const": "a"}, {"const": "b"}]}, "a": STRING, "b": INTEGER}, required=["kind"]
        ),
        ["oneOf was folded in"],
    ),
    "combinations within combinations": (
        {"allOf": [{"anyOf": [A, {"oneOf": [B, {"$ref": "#/$defs/C"}]}]}], "$defs": {"C": an_object({"c": {}})}},
        an_object({"a": STRING, "b": INTEGER, "c": {}}, **{"$defs": {"C": an_object({"c": {}})}}),
        ["allOf was folded in"],
    ),
    "conditions of a part": (
        {"allOf": [A, {"if": {"required": ["k"]}, "then": B, "dependentSchemas": {"a": an_object({"d": {}})}}]},
        an_object({"a": STRING, "b": INTEGER, "d": {}, "k": {}}, required=["a"]),
        ["allOf was folded in", "if was left out", "then was left out", "dependentSchemas was left out"],
    ),
    "enum": (
        {"enum": [{"a": 1, "b": "x"}, {"a": True}, {"a": 1}, "no object"]},
        an_object({"a": {"enum": [1, True]}, "b": {"enum": ["x"]}}, required=["a"], additionalProperties=False),
        ["enum was folded in"],
    ),
    "const": (
        {"type": "object", "const": {"a": {"type": "object"}}},
        an_object({"a": {"enum": [{"type": "object"}]}}, required=["a"], additionalProperties=False),
        ["const was folded in"],
    ),
    "not": ({**A, "not": {"required": ["b"]}}, A, ["not was left out"]),
    "a combination that is none": ({"oneOf": "nonsense"}, an_object({}), ["oneOf was folded in"]),
    "constraints on closed parts": (
        {"allOf": [A], "unevaluatedProperties": False},
        A,
        ["allOf was folded in", "unevaluatedProperties was left out"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOP)
def test_no_argument_is_lost_at_the_top(case: str) -> None:
    parameters, schema, changes = TOP[case]
    assert sent(parameters) == (schema, changes)


def test_references_within_a_definition_still_resolve() -> None:
    definitions: dict[str, Any] = {
        "Tree": an_object({"leaf": {"$ref": "#/$defs/Leaf"}, "next": {"$ref": "#/$defs/Tree"}}),
        "Leaf": A,
    }
    schema, _ = sent({"$ref": "#/$defs/Tree", "$defs": definitions})
    assert schema == {**definitions["Tree"], "$defs": definitions}


def test_a_reference_to_the_whole_keeps_its_meaning() -> None:
    nodes = {"anyOf": [an_object({"next": {"$ref": "#"}, "first": {"$ref": "#/anyOf/0"}}), {"type": "null"}]}
    node = {"next": {"$ref": "#/$defs/whole_"}, "first": {"$ref": "#/$defs/whole_/anyOf/0"}}
    whole = {"description": "A list", "anyOf": [an_object(node), {"type": "null"}]}
    given = {"$id": "urn:x", "description": "A list", **nodes, "$defs": {"whole": STRING}}
    assert sent(given) == (
        an_object(node, description="A list", **{"$id": "urn:x", "$defs": {"whole": STRING, "whole_": whole}}),
        ["anyOf was folded in"],
    )


def test_recursion_that_describes_nothing_does_not_loop() -> None:
    circle = {"X": {"$ref": "#/$defs/Y"}, "Y": {"anyOf": [{"$ref": "#/$defs/X"}, A, {"$ref": "#"}]}}
    named = {"X": circle["X"], "Y": {"anyOf": [{"$ref": "#/$defs/X"}, A, {"$ref": "#/$defs/whole"}]}}
    whole = {"$ref": "#/$defs/X"}
    assert sent({**whole, "$defs": circle})[0] == {**A, "$defs": {**named, "whole": whole}}
    assert refused({"$ref": "#"}).startswith("are a schema that no object fits")
    assert refused({"$ref": "#/$defs/X", "$defs": {"X": {"$ref": "#/$defs/X"}}}).startswith("are a schema that no")


# -- what is refused


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "array", "items": A},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"allOf": [A, {"type": "array"}]},
        {"$ref": "#/$defs/L", "$defs": {"L": {"type": "array", "items": A}}},
        {"enum": ["a", "b"]},
        {"const": None},
        {"allOf": [False]},
    ],
    ids=json.dumps,
)
def test_parameters_that_are_no_object_are_refused(parameters: dict[str, Any]) -> None:
    assert refused(parameters).endswith("; wrap them in an object.")


@pytest.mark.parametrize(
    "ref", ["#/$defs/B", "#/$defs/A/type", "#A", "https://elsewhere/a.json", "#/x/01", "#/x/9", ""]
)
def test_a_reference_that_arguments_depend_on_must_lead_somewhere(ref: str) -> None:
    parameters = {"anyOf": [B, {"$ref": ref}], "$defs": {"A": A}, "x": [A, A]}
    assert refused(parameters) == f"refer to {ref!r}, which is not a schema within them."


def nest(wrap: Callable[[object], dict[str, Any]], times: int, inner: object) -> dict[str, Any]:
    for _ in range(times):
        inner = wrap(inner)
    assert isinstance(inner, dict)
    return inner


WRAPS: dict[str, tuple[Callable[[object], dict[str, Any]], int]] = {
    "objects": (lambda inner: an_object({"a": inner}), 2),
    "arrays": (lambda inner: {"type": "array", "items": inner}, 1),
    "combinations": (lambda inner: {"allOf": [inner, {"properties": {"b": {}}}]}, 2),
    "negations": (lambda inner: {"not": inner}, 1),
    "values": (lambda inner: {"default": inner}, 1),
}


@pytest.mark.parametrize("case", WRAPS)
def test_nesting_has_a_limit_and_never_exhausts_the_stack(case: str) -> None:
    wrap, containers = WRAPS[case]
    deepest = (64 - 5) // containers
    fits, too_deep = nest(wrap, deepest, {"title": "in"}), nest(wrap, 10_000, {"title": "in"})
    assert sent(an_object({"p": fits}))[1] == []
    assert sent({"allOf": [an_object({"p": fits})]})[0] == sent(an_object({"p": fits}))[0]
    assert refused(an_object({"p": too_deep})) == "are nested more than 64 deep."
    if case == "combinations":
        assert sent(fits)[0] == an_object({"b": {}}, title="in")
        assert refused(too_deep) == "are nested more than 64 deep."


def test_chains_of_references_have_a_limit() -> None:
    def chain(length: int) -> dict[str, Any]:
        links = {str(place): {"$ref": f"#/$defs/{place + 1}"} for place in range(length)}
        return {"$ref": "#/$defs/0", "$defs": {**links, str(length): A}}

    assert sent(chain(60))[0]["properties"] == {"a": STRING}
    assert refused(chain(10_000)) == "combine schemas more than 64 deep."


def test_folding_does_not_nest_deeper_than_the_limit() -> None:
    def winding(turns: int) -> dict[str, Any]:
        definitions: dict[str, Any] = {str(turns): {"properties": {"p": STRING}}}
        for turn in range(turns):
            other = {"anyOf": [{"$ref": f"#/$defs/{turn + 1}"}, {"properties": {"p": {"const": -turn}}}]}
            definitions[str(turn)] = {"allOf": [{"properties": {"p": {"const": turn}}}, other]}
        return {"$ref": "#/$defs/0", "$defs": definitions}

    assert sent(winding(10))[1] == ["$ref was folded in"]
    assert refused(winding(18)) == "are nested more than 64 deep."


def test_so_many_alternatives_are_taken_and_no_more() -> None:
    def alternatives(count: int) -> dict[str, Any]:
        return {"anyOf": [{"properties": {f"a{place}": STRING}} for place in range(count)]}

    assert sent(alternatives(4_500))[0] == an_object({f"a{place}": STRING for place in range(4_500)})
    assert refused(alternatives(5_500)) == "combine too many schemas to be sent as one object."


@pytest.mark.parametrize("key", ["anyOf", "allOf", "oneOf"])
def test_references_that_fan_out_have_a_limit(key: str) -> None:
    fan: dict[str, Any] = {str(place): {key: [{"$ref": f"#/$defs/{place + 1}"}] * 2} for place in range(30)}
    fan["30"] = A
    assert refused({"$ref": "#/$defs/0", "$defs": fan}) == "combine too many schemas to be sent as one object."
    assert sent({"$ref": "#/$defs/22", "$defs": fan})[0]["properties"] == {"a": STRING}


# -- both dialects


def as_sent_by_both(parameters: dict[str, Any]) -> tuple[object, list[str]]:
    """What the body of either dialect has as the tool's parameters, and the codes of the notices."""
    request = CompletionRequest.model_validate({"messages": HI, "tools": [{"name": "f", "parameters": parameters}]})
    chat = openai_chat.encode(request, target(), stream=True)
    messages = anthropic_messages.encode(request, a_target(), stream=True)
    ours = json.loads(chat.body)["tools"][0]["function"]["parameters"]
    assert ours == json.loads(messages.body)["tools"][0]["input_schema"]
    codes = [notice.code for notice in chat.notices]
    assert codes == [notice.code for notice in messages.notices]
    return ours, codes


MATRIX: dict[str, tuple[dict[str, Any], dict[str, object], list[str]]] = {
    "empty": ({}, an_object({}), []),
    "an object without properties": ({"type": "object"}, an_object({}), []),
    "a nested array and object": (
        an_object({"a": {"type": "array"}, "b": {"type": "object"}}),
        an_object({"a": {"type": "array", "items": {}}, "b": an_object({})}),
        [],
    ),
    "combinators": ({"anyOf": [A, B], "not": {}}, an_object({"a": STRING, "b": INTEGER}), [CHANGED_PARAMETER]),
    "a reference": ({"$ref": "#/$defs/A", "$defs": {"A": A}}, {**A, "$defs": {"A": A}}, [CHANGED_PARAMETER]),
    "preserved properties": ({**A, "title": "T", "default": {"a": 1}}, {**A, "title": "T", "default": {"a": 1}}, []),
}  # fmt: skip


@pytest.mark.parametrize("case", MATRIX)
def test_scenario_23_the_matrix_is_the_same_in_both_dialects(case: str) -> None:
    parameters, schema, codes = MATRIX[case]
    assert as_sent_by_both(parameters) == (schema, codes)


def test_scenario_23_a_list_at_the_top_is_refused_in_both_dialects() -> None:
    tools = [{"name": "f", "parameters": {"type": "array", "items": A}}]
    request = CompletionRequest.model_validate({"messages": HI, "tools": tools})
    with pytest.raises(ProviderError, match="'f' are a schema of type 'array'; wrap them in an object") as ours:
        openai_chat.encode(request, target(), stream=True)
    with pytest.raises(ProviderError) as theirs:
        anthropic_messages.encode(request, a_target(), stream=True)
    assert ours.value == theirs.value


def test_lesson_24_one_normaliser_says_what_it_changed() -> None:
    parameters = {"oneOf": [A, B], "minProperties": 1, "$defs": {"E": {"type": "object"}}}
    schema = an_object({"a": STRING, "b": INTEGER}, minProperties=1, **{"$defs": {"E": an_object({})}})
    assert as_sent_by_both(parameters) == (schema, [CHANGED_PARAMETER])
    tools = [{"name": "f", "parameters": parameters}]
    request = CompletionRequest.model_validate({"messages": HI, "tools": tools})
    (said,) = openai_chat.encode(request, target(), stream=True).notices
    assert said.text == "the schema of tool f was sent as one plain object: oneOf was folded in"
    (said,) = anthropic_messages.encode(request, a_target(), stream=True).notices
    assert said.text == "tools: the parameters of 'f' were sent as one plain object: oneOf was folded in."


def test_an_answer_by_tool_takes_a_reference_at_the_top_and_says_so() -> None:
    shape = {"$ref": "#/$defs/A", "$defs": {"A": A}}
    request = CompletionRequest.model_validate({"messages": HI, "output_schema": shape})
    encoded = anthropic_messages.encode(request, a_target("claude-3-haiku"), stream=True)
    assert json.loads(encoded.body)["tools"][0]["input_schema"] == {**A, "$defs": {"A": A}}
    assert [notice.text for notice in encoded.notices] == [
        "output_schema: sent as one plain object: $ref was folded in."
    ]
    texts = CompletionRequest.model_validate({"messages": HI, "output_schema": {"enum": ["yes", "no"]}})
    with pytest.raises(ProviderError, match="in an object") as caught:
        anthropic_messages.encode(texts, a_target("claude-3-haiku"), stream=True)
    assert (caught.value.kind, caught.value.reason) == ("unsupported", "output_schema")


# -- any schema


def rules_broken(schema: dict[str, Any]) -> list[str]:
    """What the strictest providers answer 400 to."""
    broken = ["top"] if schema.get("type") != "object" else []
    broken += [key for key in ("$ref", "anyOf", "allOf", "oneOf", "enum", "const", "not") if key in schema]
    for path, place in json_schemas.places(schema):
        kinds = place.get("type", ()) if isinstance(place, dict) else ()
        if "object" in kinds and not isinstance(place.get("properties"), dict):
            broken.append(f"no properties at {path}")
        if "array" in kinds and not isinstance(place.get("items"), dict | bool):
            broken.append(f"no items at {path}")
    return broken


def check(rng: Random) -> int:
    """Hold one random schema to all that is promised; how many values were tried on it."""
    given = json_schemas.random_schema(rng)
    before = copy.deepcopy(given)
    values: list[dict[str, Any]] = []
    for _ in range(8):
        try:
            values.append(json_schemas.random_value(given, given, rng))
        except json_schemas.GiveUp:
            continue
    try:
        schema, changes = normalised("f", given)
    except ProviderError:
        assert values == [], "refused, though an object fits"
        return 0
    assert given == before
    assert as_sent(given) == (schema, changes)
    assert normalised("f", schema) == (schema, [])
    assert rules_broken(schema) == []
    for value in values:
        why = f"{json.dumps(given)} became {json.dumps(schema)} ({changes})"
        assert json_schemas.fits(value, schema, schema), f"{value} fits no more: {why}"
        assert json_schemas.lost(value, given, schema, (given, schema)) == [], why
    return len(values)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(0, 2**64))
def test_whatever_fits_a_schema_fits_it_normalised_and_no_argument_is_lost(seed: int) -> None:
    check(Random(seed))


def test_random_schemas_have_values_to_try() -> None:
    assert sum(check(Random(seed)) for seed in range(300)) > 600


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_whatever_fits_any_of_100_000_schemas_fits_it_normalised(part: int) -> None:
    print(f"seed {SEED + part}")
    rng = Random(SEED + part)
    assert sum(check(rng) for _ in range(25_000)) > 50_000


def test_a_second_opinion_on_what_is_sent() -> None:
    """The validator of these tests, against jsonschema; what is sent is valid by the metaschema of 2020-12."""
    pytest.importorskip("jsonschema", reason="jsonschema, the second opinion, is not installed")
    judge: Any = importlib.import_module("jsonschema").Draft202012Validator
    agreed = 0
    for seed in range(300):
        rng = Random(seed)
        given = json_schemas.random_schema(rng)
        try:
            schema, _ = normalised("f", given)
        except ProviderError:
            continue
        judge.check_schema(schema)
        for _ in range(4):
            try:
                value = json_schemas.random_value(schema, schema, rng)
            except json_schemas.GiveUp:
                continue
            try:
                verdict = judge(schema).is_valid(value)
            except RecursionError:  # of a schema that refers to itself on its own account
                continue
            assert json_schemas.fits(value, schema, schema) == verdict, (seed, value)
            agreed += 1
    assert agreed > 400
