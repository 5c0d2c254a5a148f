"""What of a request becomes which field of the body; what is left out or changed, and said so; what is refused."""

import json
from typing import Any

import pytest

from nexus3.wire.codecs.anthropic_messages import encode
from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER, Notice
from nexus3.wire.failures import ProviderError
from tests.wire.anthropic_messages.helpers import a_request, a_target, body, body_of, codes, spelled

WEATHER = {"name": "get_weather", "description": "Now", "parameters": {"properties": {"city": {"type": "string"}}}}
WEATHER_SPELLED = {
    "name": "get_weather",
    "description": "Now",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}


def texts(encoded: Any) -> list[str]:
    return [notice.text for notice in encoded.notices]


def test_the_least_request() -> None:
    encoded = spelled(a_request())
    assert encoded.url == "https://api.anthropic.com/v1/messages"
    assert encoded.headers == (
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("anthropic-version", "2023-06-01"),
    )
    assert body_of(encoded) == {
        "model": "claude-sonnet-5",
        "max_tokens": 16_384,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }
    assert encoded.notices == ()


def test_an_unstreamed_request_says_nothing_of_streams() -> None:
    encoded = encode(a_request(), a_target(), stream=False)
    assert "stream" not in body_of(encoded)
    assert ("accept", "application/json") in encoded.headers


def test_much_at_once_on_a_model_that_thinks_adaptively_and_on_one_with_budgets() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]},
    ]
    wanted = {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 512}
    request = a_request(messages, **wanted, reasoning="medium", user="u1")
    expected = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 512,
        "system": "Be brief",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ],
            }
        ],
        "tools": [WEATHER_SPELLED],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "medium"},
        "metadata": {"user_id": "u1"},
        "stream": True,
    }
    encoded = spelled(request, a_target("claude-sonnet-4-6"))
    assert (body_of(encoded), encoded.notices) == (expected, ())

    on_a_budget = spelled(request, a_target("claude-sonnet-4-5"))
    del expected["output_config"]
    assert body_of(on_a_budget) == {
        **expected,
        "model": "claude-sonnet-4-5",
        "max_tokens": 10_512,
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 10_000},
    }
    assert codes(on_a_budget) == [CHANGED_PARAMETER] * 3


@pytest.mark.parametrize(
    ("model", "asked", "configured", "sent"),
    [
        ("claude-sonnet-5", None, None, 16_384),
        ("claude-3-haiku-20240307", None, None, 4096),
        ("glm-5", None, None, 4096),
        ("claude-sonnet-5", None, 900, 900),
        ("claude-sonnet-5", 70, 900, 70),
        ("claude-sonnet-5", 1_000_000, None, 1_000_000),
    ],
)
def test_max_tokens(model: str, asked: int | None, configured: int | None, sent: int) -> None:
    assert body(target=a_target(model, max_tokens=configured), max_tokens=asked)["max_tokens"] == sent


@pytest.mark.parametrize(
    ("model", "reasoning", "sent", "said"),
    [
        ("claude-sonnet-5", None, {}, []),
        ("claude-sonnet-5", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, []),
        ("claude-sonnet-5", "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, []),
        (
            "claude-sonnet-4-6",
            "xhigh",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            ["reasoning: effort xhigh was sent as max."],
        ),
        (
            "claude-sonnet-5",
            "minimal",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            ["reasoning: effort minimal was sent as low."],
        ),
        ("claude-sonnet-5", "none", {"thinking": {"type": "disabled"}}, []),
        ("claude-sonnet-4-5", False, {"thinking": {"type": "disabled"}}, []),
        ("claude-3-haiku", "none", {}, []),
        ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}, []),
        (
            "claude-opus-5-5",
            "none",
            {"output_config": {"effort": "low"}},
            ["reasoning: this model always thinks; sent as effort low."],
        ),
        (
            "claude-sonnet-5",
            {"effort": "low", "visible": True},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            [],
        ),
        ("claude-sonnet-5", {"visible": False}, {"thinking": {"type": "adaptive", "display": "omitted"}}, []),
        ("claude-opus-4-7", {"visible": False}, {}, []),
        ("claude-opus-4-7", {"visible": True}, {"thinking": {"type": "adaptive", "display": "summarized"}}, []),
        (
            "claude-sonnet-5",
            {"budget_tokens": 9000},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
            ["reasoning: this model takes no budget; 9000 tokens were sent as effort medium."],
        ),
        (
            "claude-sonnet-5",
            {"budget_tokens": 9_000_000},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            ["reasoning: this model takes no budget; 9000000 tokens were sent as effort max."],
        ),
        ("claude-3-haiku", "high", {}, ["reasoning: this model does not think."]),
    ],
)
def test_reasoning(model: str, reasoning: object, sent: dict[str, object], said: list[str]) -> None:
    encoded = spelled(a_request(reasoning=reasoning, max_tokens=500), a_target(model))
    shown = body_of(encoded)
    assert {name: shown[name] for name in ("thinking", "output_config") if name in shown} == sent
    assert shown["max_tokens"] == 500
    assert texts(encoded) == said


@pytest.mark.parametrize(
    ("model", "reasoning", "max_tokens", "budget", "total"),
    [
        ("claude-sonnet-4-5", "minimal", 500, 1024, 1524),
        ("claude-sonnet-4-5", "low", None, 2048, 18_432),
        ("claude-sonnet-4-5", "high", 500, 16_384, 16_884),
        ("claude-sonnet-4-5", "xhigh", 500, 32_768, 33_268),
        ("claude-sonnet-4-5", "max", None, 47_616, 64_000),
        ("claude-sonnet-4-5", "high", 60_000, 16_384, 64_000),
        ("claude-sonnet-4-5", "high", 90_000, 16_384, 90_000),
        ("claude-opus-4-1", "max", None, 16_000, 32_000),
        ("claude-sonnet-4-5", {"budget_tokens": 5000}, 1000, 5000, 6000),
        ("claude-sonnet-4-5", {"budget_tokens": 7}, 1000, 1024, 2024),
        ("claude-sonnet-4-6", {"budget_tokens": 5000}, 1000, 5000, 6000),
        ("glm-5", "high", 1000, 16_384, 17_384),
        ("claude-sonnet-4-5", {"visible": True}, 1000, 10_000, 11_000),
    ],
)
def test_budgets_leave_room_for_the_answer(
    model: str, reasoning: object, max_tokens: int | None, budget: int, total: int
) -> None:
    sent = body(target=a_target(model), reasoning=reasoning, max_tokens=max_tokens)
    display = {"display": "summarized"} if reasoning == {"visible": True} else {}
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": budget, **display}
    assert sent["max_tokens"] == total


def test_a_budget_that_fits_is_sent_without_a_word_but_for_max_tokens() -> None:
    target = a_target("claude-sonnet-4-5")
    assert texts(spelled(a_request(reasoning={"budget_tokens": 5000}), target)) == []
    assert texts(spelled(a_request(reasoning={"budget_tokens": 5000}, max_tokens=100), target)) == [
        "max_tokens: raised from 100 to 5100, for it counts the thinking in."
    ]


@pytest.mark.parametrize(
    ("model", "given", "sent", "said"),
    [
        ("claude-sonnet-4-5", {"temperature": 0.0}, {"temperature": 0.0}, []),
        (
            "claude-sonnet-4-5",
            {"temperature": 1.7},
            {"temperature": 1.0},
            [Notice(CHANGED_PARAMETER, "temperature: 1.7 was sent as 1, the highest here.")],
        ),
        (
            "claude-sonnet-4-5",
            {"temperature": 0.5, "top_p": 0.9},
            {"temperature": 0.5},
            [Notice(DROPPED_PARAMETER, "top_p: this model takes temperature or top_p, not both.")],
        ),
        ("claude-sonnet-4-5", {"top_p": 0.9}, {"top_p": 0.9}, []),
        ("claude-3-haiku", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, []),
        (
            "claude-opus-5",
            {"temperature": 0.5, "top_p": 0.9},
            {},
            [Notice(DROPPED_PARAMETER, "temperature, top_p: this model takes no sampling parameters.")],
        ),
        (
            "claude-sonnet-4-6",
            {"temperature": 0.5, "reasoning": "high"},
            {},
            [Notice(DROPPED_PARAMETER, "temperature: not taken while thinking.")],
        ),
        ("claude-sonnet-4-6", {"temperature": 0.5, "reasoning": "none"}, {"temperature": 0.5}, []),
        ("claude-sonnet-5", {"stop": ["END", "\n\n"]}, {"stop_sequences": ["END"]}, ["stop"]),
        ("claude-sonnet-5", {"stop": "END"}, {"stop_sequences": ["END"]}, []),
        ("claude-sonnet-5", {"seed": 7}, {}, [Notice(DROPPED_PARAMETER, "seed: the Messages API has none.")]),
    ],
)
def test_vector_72_sampling(model: str, given: dict[str, Any], sent: dict[str, object], said: list[Any]) -> None:
    encoded = spelled(a_request(**given), a_target(model))
    shown = body_of(encoded)
    assert {name: shown[name] for name in ("temperature", "top_p", "stop_sequences") if name in shown} == sent
    if said == ["stop"]:
        assert codes(encoded) == [DROPPED_PARAMETER]
    else:
        assert list(encoded.notices) == said


@pytest.mark.parametrize(
    ("given", "sent", "said"),
    [
        ({"user": "u1"}, {"user_id": "u1"}, []),
        ({"metadata": {"user_id": "u2"}}, {"user_id": "u2"}, []),
        (
            {"user": "u1", "metadata": {"user_id": "u2", "trace": "t", "app": "a"}},
            {"user_id": "u1"},
            ["metadata: app, trace: only user_id is taken."],
        ),
    ],
)
def test_metadata_holds_the_user_alone(given: dict[str, Any], sent: dict[str, object], said: list[str]) -> None:
    encoded = spelled(a_request(**given))
    assert body_of(encoded)["metadata"] == sent
    assert texts(encoded) == said


@pytest.mark.parametrize(
    ("model", "choice", "parallel", "sent"),
    [
        ("claude-sonnet-5", None, None, None),
        ("claude-sonnet-5", "auto", None, {"type": "auto"}),
        ("claude-sonnet-5", "none", False, {"type": "none"}),
        ("claude-sonnet-5", "required", None, {"type": "any"}),
        ("claude-sonnet-5", "get_weather", None, {"type": "tool", "name": "get_weather"}),
        (
            "claude-sonnet-5",
            "get_weather",
            False,
            {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        ),
        ("claude-sonnet-5", None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("claude-sonnet-5", None, True, None),
        ("claude-opus-5-5", "required", None, {"type": "auto"}),
        ("claude-fable-5", "get_weather", None, {"type": "auto"}),
    ],
)
def test_tool_choice(model: str, choice: str | None, parallel: bool | None, sent: object) -> None:
    request = a_request(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=parallel)
    encoded = spelled(request, a_target(model))
    assert body_of(encoded).get("tool_choice") == sent
    downgraded = choice in ("required", "get_weather") and sent == {"type": "auto"}
    assert codes(encoded) == ([CHANGED_PARAMETER] if downgraded else [])


def test_settings_of_tools_are_not_sent_without_tools() -> None:
    sent = body(tool_choice="auto", parallel_tool_calls=False)
    assert not sent.keys() & {"tools", "tool_choice"}


def test_strict_tools_are_held_to_the_subset() -> None:
    tool = {"name": "f", "parameters": SCHEMA, "strict": True, "cache": "default"}
    strict = spelled(a_request(tools=[tool]), a_target("claude-sonnet-4-5"))
    assert body_of(strict)["tools"] == [
        {
            "name": "f",
            "input_schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "(minimum: 1)"}},
                "additionalProperties": False,
            },
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        }
    ]
    assert codes(strict) == [CHANGED_PARAMETER]
    loose = spelled(a_request(tools=[{**tool, "cache": None}]), a_target("claude-sonnet-4"))
    assert body_of(loose)["tools"] == [{"name": "f", "input_schema": SCHEMA}]
    assert codes(loose) == [DROPPED_PARAMETER]


def test_combinations_at_the_top_of_parameters_are_folded_with_a_notice() -> None:
    tool = {"name": "f", "parameters": {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}}
    encoded = spelled(a_request(tools=[tool]))
    assert body_of(encoded)["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {"a": {}, "b": {}}}}
    ]
    assert codes(encoded) == [CHANGED_PARAMETER]


def test_an_answer_by_schema_where_the_model_has_structured_outputs() -> None:
    wanted = {"schema": SCHEMA, "description": "A count"}
    encoded = spelled(a_request(output_schema=wanted, reasoning="low"))
    assert body_of(encoded)["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "(minimum: 1)"}},
                "additionalProperties": False,
                "description": "A count",
            },
        },
    }
    assert texts(encoded) == ["output_schema: minimum cannot be enforced and became part of the description."]


OUTPUT_TOOL = {
    "name": "nexus3_output",
    "description": "Give your final answer by calling this tool: its input is the answer.",
    "input_schema": SCHEMA,
}
FORCED = {"type": "tool", "name": "nexus3_output", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({}, FORCED),
        ({"tools": [WEATHER]}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tools": [WEATHER], "tool_choice": "auto"}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"tools": [WEATHER], "tool_choice": "none"}, FORCED),
        ({"tools": [WEATHER], "tool_choice": "get_weather"}, {"type": "tool", "name": "get_weather"}),
        ({"reasoning": "low"}, None),
        ({"tools": [WEATHER], "tool_choice": "none", "reasoning": "low"}, None),
    ],
)
def test_an_answer_by_schema_where_the_model_has_no_structured_outputs(given: dict[str, Any], choice: object) -> None:
    encoded = spelled(a_request(output_schema=SCHEMA, **given), a_target("claude-sonnet-4"))
    sent = body_of(encoded)
    assert sent["tools"] == ([WEATHER_SPELLED] if "tools" in given else []) + [OUTPUT_TOOL]
    assert sent.get("tool_choice") == choice
    assert "output_config" not in sent
    assert (CHANGED_PARAMETER in codes(encoded)) == ("reasoning" in given)


def test_an_answer_by_schema_where_the_gateway_has_no_structured_outputs() -> None:
    sent = body(target=a_target("claude-sonnet-5", quirks={"json_output": "none"}), output_schema=SCHEMA)
    assert sent["tools"] == [OUTPUT_TOOL]
    assert "output_config" not in sent


def test_extra_bodies_are_laid_over_last() -> None:
    target = a_target("claude-sonnet-4-5", extra_body={"service_tier": "auto", "metadata": {"user_id": "p", "x": 1}})
    sent = body(
        target=target, user="u1", temperature=0.2, extra_body={"metadata": {"x": None}, "temperature": None, "top_k": 5}
    )
    assert sent["metadata"] == {"user_id": "p"}
    assert (sent["service_tier"], sent["top_k"]) == ("auto", 5)
    assert "temperature" not in sent


def test_headers_of_the_provider_are_kept_where_they_are_not_ours() -> None:
    given = (("X-Team", "a"), ("Anthropic-Version", "1999"), ("Anthropic-Beta", "b-2, files-api-2025-04-14,b-1,b-2"))
    target = a_target(headers=given)
    image = {"type": "image", "file_id": "file_1"}
    for content, beta in (("hi", "b-2,files-api-2025-04-14,b-1"), ([image], "files-api-2025-04-14,b-2,b-1")):
        encoded = spelled(a_request([{"role": "user", "content": content}]), target)
        assert encoded.headers == (
            ("content-type", "application/json"),
            ("accept", "text/event-stream"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", beta),
            ("X-Team", "a"),
        )


@pytest.mark.parametrize(
    ("quirks", "given", "without"),
    [
        ({"user_field": "none"}, {"user": "u1"}, "metadata"),
        ({"reasoning_param": "none"}, {"reasoning": "high"}, "thinking"),
        ({"strict_tools": False}, {"tools": [{**WEATHER, "strict": True}]}, None),
        ({"parallel_flag": False}, {"tools": [WEATHER], "parallel_tool_calls": False}, "tool_choice"),
    ],
)
def test_what_a_gateway_does_not_take_is_left_out(quirks: object, given: dict[str, Any], without: str | None) -> None:
    encoded = spelled(a_request(**given), a_target(quirks=quirks))
    sent = body_of(encoded)
    assert without not in sent
    assert "strict" not in json.dumps(sent)
    assert codes(encoded) == [DROPPED_PARAMETER]


def test_a_gateway_that_takes_no_force_gets_auto() -> None:
    target = a_target("claude-sonnet-4-5", quirks={"tool_choice": "auto_only"})
    assert body(target=target, tools=[WEATHER], tool_choice="required")["tool_choice"] == {"type": "auto"}


def test_a_family_can_be_named_where_the_model_does_not_reveal_it() -> None:
    target = a_target("our-deployment", quirks={"model_family": "claude-opus-5"})
    sent = body(target=target, temperature=0.3, reasoning="high")
    assert sent["model"] == "our-deployment"
    assert sent["thinking"] == {"type": "adaptive"}
    assert "temperature" not in sent


@pytest.mark.parametrize(
    ("given", "model", "kind", "reason", "remedy"),
    [
        ({"output_schema": {"type": "json_object"}}, "claude-sonnet-5", "unsupported", "json_object", "give a schema"),
        ({"output_schema": {"type": "json_object"}}, "claude-3-haiku", "unsupported", "json_object", "give a schema"),
        ({"output_schema": {"type": "array"}}, "claude-3-haiku", "unsupported", "output_schema", "in an object"),
        (
            {"tools": [{"name": "f", "parameters": {"type": "string"}}]},
            "claude-sonnet-5",
            "bad_request",
            "tool_schema",
            "in an object",
        ),
        ({"tools": [{"name": "nexus3_output"}]}, "claude-sonnet-5", "bad_request", "reserved_name", "reserved"),
    ],
)
def test_what_cannot_be_asked(given: dict[str, Any], model: str, kind: str, reason: str, remedy: str) -> None:
    with pytest.raises(ProviderError, match=remedy) as caught:
        spelled(a_request(**given), a_target(model))
    assert (caught.value.kind, caught.value.reason, caught.value.retryable) == (kind, reason, False)


def test_vector_75_half_surrogates_are_replaced_wherever_they_are() -> None:
    request = a_request(["a\ud83db"], user="\ude00", tools=[{"name": "f", "description": "\ud83d\ude00"}])
    sent = body_of(spelled(request))
    assert sent["messages"] == [{"role": "user", "content": "a\ufffdb"}]
    assert sent["metadata"] == {"user_id": "\ufffd"}
    assert sent["tools"] == [{"name": "f", "description": "😀", "input_schema": {"type": "object", "properties": {}}}]
