"""Settings of a request, as each provider type gets them. Every body here has passed the official parameter type."""

import json
from typing import Any, ClassVar, Literal

import msgspec
import pytest
from pydantic import ValidationError

from nexus3.wire.catalog import ProviderTypeName
from nexus3.wire.codecs import Codec, openai_chat
from nexus3.wire.codecs.openai_chat import encode
from nexus3.wire.failures import ProviderError, UnsupportedError
from nexus3.wire.requests import CompletionRequest
from tests.wire.openai_chat.build import target
from tests.wire.openai_chat.official import accept, encoded

_FITS: Codec = openai_chat  # for the type checkers: the module is a codec

TYPES: tuple[ProviderTypeName, ...] = ("openai", "azure", "openrouter", "ollama", "vllm")
HI = [{"role": "user", "content": "Hi"}]
WEATHER = {"name": "get_weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}
WEATHER_WIRE = {"type": "function", "function": WEATHER}
DROP, CHANGE = "dropped_parameter", "changed_parameter"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}

Sent = tuple[dict[str, Any], list[str]]
"""The body but for model and messages, and the codes of the notices."""


def sent(type_name: ProviderTypeName, request: dict[str, Any], model: str = "gpt-x", **quirks: Any) -> Sent:
    body, result = encoded(target(type_name, model, **quirks), messages=HI, **request)
    assert body.pop("model") == model
    assert body.pop("messages") == HI
    return body, [notice.code for notice in result.notices]


def alike(keys: dict[str, Any]) -> dict[str, Sent]:
    return dict.fromkeys(TYPES, (keys, []))


def tools(**more: Any) -> dict[str, Any]:
    return {"tools": [WEATHER_WIRE], **more}


FEATURES: list[tuple[str, dict[str, Any], dict[str, Sent]]] = [
    ("nothing", {}, alike({})),
    (
        "max_tokens",
        {"max_tokens": 5},
        alike({"max_tokens": 5}) | dict.fromkeys(("openai", "azure"), ({"max_completion_tokens": 5}, [])),
    ),
    ("temperature and top_p", {"temperature": 0.5, "top_p": 0.9}, alike({"temperature": 0.5, "top_p": 0.9})),
    ("stop", {"stop": ["a", "b"]}, alike({"stop": ["a", "b"]})),
    ("one stop", {"stop": "a"}, alike({"stop": ["a"]})),
    ("seed", {"seed": 7}, alike({"seed": 7})),
    ("tools", {"tools": [WEATHER]}, alike(tools())),
    (
        "a tool without parameters",
        {"tools": [{"name": "f"}]},
        alike(
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
                ]
            }
        ),
    ),
    (
        "strict tool",
        {"tools": [WEATHER | {"strict": True}]},
        alike({"tools": [{"type": "function", "function": WEATHER | {"strict": True}}]})
        | dict.fromkeys(("ollama", "vllm"), (tools(), [DROP])),
    ),
    ("tool_choice auto", {"tools": [WEATHER], "tool_choice": "auto"}, alike(tools(tool_choice="auto"))),
    (
        "tool_choice none",
        {"tools": [WEATHER], "tool_choice": "none"},
        alike(tools(tool_choice="none")) | {"ollama": ({}, [CHANGE])},
    ),
    (
        "tool_choice without tools",
        {"tool_choice": "auto", "parallel_tool_calls": False},
        dict.fromkeys(TYPES, ({}, [DROP, DROP])),
    ),
    (
        "parallel_tool_calls",
        {"tools": [WEATHER], "parallel_tool_calls": False},
        alike(tools(parallel_tool_calls=False)) | {"ollama": (tools(), [DROP])},
    ),
    ("any JSON object", {"output_schema": {"schema": None}}, alike({"response_format": {"type": "json_object"}})),
    (
        "JSON by a schema",
        {"output_schema": {"schema": SCHEMA, "name": "answer", "description": "d", "strict": True}},
        alike(
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA, "description": "d", "strict": True},
                }
            }
        ),
    ),
    (
        "a bare schema",
        {"output_schema": SCHEMA},
        alike({"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA}}}),
    ),
    (
        "reasoning effort",
        {"reasoning": "low"},
        alike({"reasoning_effort": "low"}) | {"openrouter": ({"reasoning": {"effort": "low"}}, [])},
    ),
    (
        "reasoning off",
        {"reasoning": False},
        alike({"reasoning_effort": "none"}) | {"openrouter": ({"reasoning": {"effort": "none"}}, [])},
    ),
    (
        "reasoning budget",
        {"reasoning": {"budget_tokens": 9000}},
        dict.fromkeys(TYPES, ({"reasoning_effort": "medium"}, [CHANGE]))
        | {"openrouter": ({"reasoning": {"max_tokens": 9000}}, [])},
    ),
    (
        "reasoning budget of nothing",
        {"reasoning": {"budget_tokens": 0}},
        dict.fromkeys(TYPES, ({"reasoning_effort": "none"}, [CHANGE]))
        | {"openrouter": ({"reasoning": {"effort": "none"}}, [])},
    ),
    (
        "reasoning hidden",
        {"reasoning": {"effort": "high", "visible": False}},
        dict.fromkeys(TYPES, ({"reasoning_effort": "high"}, [DROP]))
        | {"openrouter": ({"reasoning": {"effort": "high", "exclude": True}}, [])},
    ),
    ("reasoning without a wish", {"reasoning": {}}, alike({})),
    (
        "user",
        {"user": "u1"},
        alike({"user": "u1"}) | {"openai": ({"safety_identifier": "u1"}, []), "ollama": ({}, [DROP])},
    ),
    (
        "metadata",
        {"metadata": {"k": "v"}},
        alike({"metadata": {"k": "v"}}) | dict.fromkeys(("ollama", "vllm"), ({}, [DROP])),
    ),
]


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": HI, "model": "m", "unheard_of": 1},
        {"messages": [HI[0] | {"unheard_of": 1}], "model": "m"},
        {"messages": HI, "model": "m", "tools": [{"type": "function", "function": {"name": "f", "unheard_of": 1}}]},
        {"messages": HI, "model": "m", "temperature": "warm"},
        {"messages": [{"role": "tool", "content": "x"}], "model": "m"},
        {"messages": HI},
    ],
)
def test_the_judge_can_tell(wrong: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, ValidationError)):
        accept(wrong, set(), streamed=False)


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(("name", "request_keys", "expected"), FEATURES, ids=[name for name, _, _ in FEATURES])
def test_each_type_gets_a_setting_in_its_own_words(
    name: str, request_keys: dict[str, Any], expected: dict[str, Sent], type_name: ProviderTypeName
) -> None:
    assert sent(type_name, request_keys) == expected[type_name]


@pytest.mark.parametrize("type_name", [name for name in TYPES if name != "ollama"])
def test_a_call_can_be_forced(type_name: ProviderTypeName) -> None:
    required = {"tools": [WEATHER], "tool_choice": "required"}
    assert sent(type_name, required) == (tools(tool_choice="required"), [])
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert sent(type_name, required | {"tool_choice": "get_weather"}) == (tools(tool_choice=named), [])


def refused(type_name: ProviderTypeName, request: dict[str, Any], **quirks: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        encode(CompletionRequest.model_validate({"messages": HI} | request), target(type_name, **quirks), stream=True)
    return caught.value


@pytest.mark.parametrize("choice", ["required", "get_weather"])
def test_ollama_cannot_force_a_call_and_says_so(choice: str) -> None:
    error = refused("ollama", {"tools": [WEATHER], "tool_choice": choice})
    assert isinstance(error, UnsupportedError)
    assert (error.reason, error.retryable) == ("tool_choice", False)
    assert "prompt" in error.message


@pytest.mark.parametrize(
    ("ability", "schema", "reason"),
    [("object", SCHEMA, "output_schema"), ("none", SCHEMA, "json_output"), ("none", None, "json_output")],
)
def test_json_that_cannot_be_had_is_refused(ability: str, schema: object, reason: str) -> None:
    error = refused("vllm", {"output_schema": {"schema": schema}}, json_output=ability)
    assert (error.kind, error.reason) == ("unsupported", reason)


def test_llama_cpp_wants_the_schema_elsewhere() -> None:
    request = CompletionRequest.model_validate({"messages": HI, "output_schema": SCHEMA})
    body = json.loads(encode(request, target("vllm", json_output="schema_in_object"), stream=False).body)
    assert body["response_format"] == {"type": "json_object", "schema": SCHEMA}


def test_any_object_can_be_had_where_schemas_cannot() -> None:
    assert sent("vllm", {"output_schema": {"schema": None}}, json_output="object")[0] == {
        "response_format": {"type": "json_object"}
    }


@pytest.mark.parametrize("type_name", TYPES)
def test_a_stream_asks_for_usage(type_name: ProviderTypeName) -> None:
    body, result = encoded(target(type_name), stream=True, messages=HI)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert result.url == "http://127.0.0.1/v1/chat/completions"
    assert result.headers == (("content-type", "application/json"), ("accept", "text/event-stream"))
    without, _ = encoded(target(type_name, stream_usage=False), stream=True, messages=HI)
    assert "stream_options" not in without
    whole, result = encoded(target(type_name), messages=HI)
    assert "stream" not in whole
    assert dict(result.headers)["accept"] == "application/json"


def test_headers_of_the_provider_follow_ours() -> None:
    where = msgspec.structs.replace(target(), headers=(("X-Title", "app"), ("Accept", "text/plain")))
    _, result = encoded(where, messages=HI)
    assert result.headers == (("content-type", "application/json"), ("accept", "application/json"), ("X-Title", "app"))


def test_extra_body_is_laid_over_what_was_encoded() -> None:
    where = msgspec.structs.replace(
        target("vllm"), extra_body={"top_k": 5, "options": {"a": 1, "b": {"c": 2}}, "seed": None, "stop": ["x"]}
    )
    request = CompletionRequest.model_validate(
        {
            "messages": HI,
            "seed": 1,
            "temperature": 1,
            "extra_body": {"options": {"b": {"c": 3, "d": None}}, "temperature": None, "fresh": {"e": None, "f": 0}},
        }
    )
    body = json.loads(encode(request, where, stream=False).body)
    assert body == {
        "model": "gpt-x",
        "messages": HI,
        "top_k": 5,
        "options": {"a": 1, "b": {"c": 3}},
        "stop": ["x"],
        "fresh": {"f": 0},
    }


def test_the_models_own_maximum_is_the_default() -> None:
    where = msgspec.structs.replace(target("vllm"), max_tokens=100)
    assert encoded(where, messages=HI)[0]["max_tokens"] == 100
    assert encoded(where, messages=HI, max_tokens=5)[0]["max_tokens"] == 5


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("gpt-4o", "max_completion_tokens"),
        ("o4-mini", "max_completion_tokens"),
        ("my-deployment", "max_completion_tokens"),
        ("mistral-large", "max_tokens"),
        ("Llama-3.3-70B", "max_tokens"),
    ],
)
def test_azure_serves_models_that_know_only_max_tokens(model: str, field: str) -> None:
    assert encoded(target("azure", model), messages=HI, max_tokens=5)[0][field] == 5
    assert encoded(target("azure", "deployment", model_family=model), messages=HI, max_tokens=5)[0][field] == 5


EVERYTHING: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["x"],
    "tools": [WEATHER],
    "parallel_tool_calls": False,
    "seed": 1,
    "max_tokens": 5,
}
SAMPLING = {"temperature", "top_p"}


@pytest.mark.parametrize(
    ("model", "effort", "refuses", "effort_sent"),
    [
        ("gpt-4o", None, set(), None),
        ("gpt-4o", "high", {"reasoning"}, None),
        ("gpt-5-chat-latest", None, set(), None),
        ("ft:gpt-4o:org", None, set(), None),
        ("gpt-9-turbo", "high", set(), "high"),
        ("o1", None, SAMPLING | {"parallel_tool_calls"}, None),
        ("o1-mini", "low", SAMPLING | {"parallel_tool_calls", "reasoning"}, None),
        ("o3", None, SAMPLING | {"parallel_tool_calls", "stop"}, None),
        ("o4-mini-2025-04-16", "high", SAMPLING | {"parallel_tool_calls", "stop"}, "high"),
        ("gpt-5", None, SAMPLING | {"stop"}, None),
        ("gpt-5-mini", "minimal", SAMPLING | {"stop"}, "minimal"),
        ("gpt-5.1", None, set(), None),
        ("gpt-5.1", "none", set(), "none"),
        ("gpt-5.1", "low", SAMPLING | {"stop"}, "low"),
        ("gpt-5.1-codex-max", None, SAMPLING | {"stop"}, None),
        ("gpt-5.2-pro", "none", SAMPLING | {"stop", "reasoning.effort none"}, None),
        ("gpt-5.3-codex", None, set(), None),
        ("gpt-5.5", None, SAMPLING | {"stop"}, None),
        ("gpt-5.6", "none", set(), "none"),
        ("gpt-4o-search-preview", None, {"temperature"}, None),
    ],
)
@pytest.mark.parametrize("type_name", ["openai", "azure"])
def test_what_a_family_refuses_is_left_out_and_told(
    model: str, effort: str | None, refuses: set[str], effort_sent: str | None, type_name: Literal["openai", "azure"]
) -> None:
    body, result = encoded(target(type_name, model), messages=HI, reasoning=effort, **EVERYTHING)
    told = {notice.text.partition(" was left out")[0] for notice in result.notices if notice.code == DROP}
    assert told == refuses
    assert {key for key in EVERYTHING if key not in body and key != "max_tokens"} == refuses & EVERYTHING.keys()
    assert body.get("reasoning_effort") == effort_sent


@pytest.mark.parametrize(
    ("model", "given", "sent_as"),
    [("o3", "none", "low"), ("o3", "max", "high"), ("gpt-5", "none", "minimal"), ("gpt-5.6", "minimal", "low")],
)
def test_an_effort_that_a_family_does_not_take_becomes_the_nearest(model: str, given: str, sent_as: str) -> None:
    body, result = encoded(target("openai", model), messages=HI, reasoning=given)
    assert body["reasoning_effort"] == sent_as
    assert [notice.code for notice in result.notices] == [CHANGE]
    assert given in result.notices[0].text


def test_gates_can_be_opened() -> None:
    body, result = encoded(
        target("openai", "gpt-5", gate_parameters=False), messages=HI, reasoning="none", **EVERYTHING
    )
    assert result.notices == ()
    assert body["temperature"] == 0.5
    assert body["reasoning_effort"] == "none"


def test_a_type_without_reasoning_says_so() -> None:
    assert sent("vllm", {"reasoning": "high"}, reasoning_param="none") == ({}, [DROP])


def test_the_router_drops_reasoning_where_a_call_is_forced_on_claude() -> None:
    forced = {"tools": [WEATHER], "tool_choice": "required", "reasoning": "high"}
    assert sent("openrouter", forced, "anthropic/claude-x")[1] == [DROP]
    assert sent("openrouter", forced, "openai/gpt-x")[1] == []
    assert sent("openrouter", forced | {"tool_choice": "auto"}, "anthropic/claude-x")[1] == []


class TestOneRequestForAll:
    """A request with a bit of everything."""

    REQUEST: ClassVar[dict[str, Any]] = {
        "messages": [
            {"role": "system", "content": "Be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "data": "AAAA", "media_type": "image/png"},
                ],
            },
        ],
        "tools": [WEATHER],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 512,
        "reasoning": "medium",
        "user": "u1",
    }
    USER: ClassVar[dict[str, Any]] = {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    }

    def body(self, type_name: ProviderTypeName, model: str, **changes: Any) -> dict[str, Any]:
        return encoded(target(type_name, model), stream=True, **self.REQUEST | changes)[0]

    def expected(self, model: str, role: str, **keys: Any) -> dict[str, Any]:
        return {
            "model": model,
            "messages": [{"role": role, "content": "Be brief"}, self.USER],
            "tools": [WEATHER_WIRE],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "stream": True,
            "stream_options": {"include_usage": True},
            **keys,
        }

    def test_openai(self) -> None:
        assert self.body("openai", "gpt-5.1") == self.expected(
            "gpt-5.1",
            "developer",
            max_completion_tokens=512,
            reasoning_effort="medium",
            safety_identifier="u1",
        )

    def test_azure(self) -> None:
        assert self.body("azure", "gpt-5.1") == self.expected(
            "gpt-5.1", "developer", max_completion_tokens=512, reasoning_effort="medium", user="u1"
        )

    def test_openrouter(self) -> None:
        assert self.body("openrouter", "openai/gpt-5.1") == self.expected(
            "openai/gpt-5.1", "system", max_tokens=512, reasoning={"effort": "medium"}, user="u1"
        )

    def test_vllm(self) -> None:
        assert self.body("vllm", "qwen3") == self.expected(
            "qwen3", "system", max_tokens=512, reasoning_effort="medium", user="u1"
        )

    def test_ollama(self) -> None:
        expected = self.expected("qwen3", "system", max_tokens=512, reasoning_effort="medium")
        del expected["tool_choice"], expected["parallel_tool_calls"]
        assert self.body("ollama", "qwen3", tool_choice=None) == expected
