"""Requests of both dialects are understood in the same words, and refused in their own."""

import msgspec
import pytest

from nexus3.loopback.body import error_of
from nexus3.loopback.dialects import SPEAKERS
from nexus3.loopback.received import Asked, OfferedTool, Route, asked_in
from nexus3.loopback.routes import refusal, route_of
from tests.loopback.raw import CHAT, MESSAGES, chat_body, received

OPENAI = Route("completion", "openai_chat", "openai")
ANTHROPIC = Route("completion", "anthropic_messages", "anthropic")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("target", "headers", "route"),
    [
        ("/v1/chat/completions", {}, OPENAI),
        ("/some/gateway/chat/completions?x=1", {}, OPENAI),
        ("/api/v1/chat/completions", {}, Route("completion", "openai_chat", "openrouter")),
        ("/ollama/v1/chat/completions", {}, Route("completion", "openai_chat", "ollama")),
        ("/vllm/v1/chat/completions", {}, Route("completion", "openai_chat", "vllm")),
        ("/openai/v1/chat/completions", {}, Route("completion", "openai_chat", "azure")),
        (
            "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
            {},
            Route("completion", "openai_chat", "azure", "my gpt"),
        ),
        ("/v1/messages", {}, ANTHROPIC),
        ("/v1/models", {}, Route("models", "openai_chat", "openai")),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, Route("models", "anthropic_messages", "anthropic")),
        ("/v2/nothing", {}, Route("unknown", "openai_chat", "openai")),
        ("/v2/nothing", {"anthropic-version": "2023-06-01"}, Route("unknown", "anthropic_messages", "anthropic")),
    ],
)
def test_the_path_says_who_is_meant(target: str, headers: dict[str, str], route: Route) -> None:
    assert route_of(target, headers) == route


def test_both_dialects_say_the_same() -> None:
    chat = {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Weather "}, {"type": "text", "text": "in Bonn?"}]},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "tool_call_id": "c", "content": "rain"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    }
    messages = {
        "model": "m",
        "stream": True,
        "system": [{"type": "text", "text": "Be brief"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather "}, {"type": "text", "text": "in Bonn?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "rain"}]},
        ],
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "weather"},
        "thinking": {"type": "adaptive"},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }
    said = Asked(
        model="m",
        stream=True,
        user_text="Weather in Bonn?",
        tool_results=("rain",),
        prompt_words=6,
        tools=(OfferedTool("weather", SCHEMA),),
        tool_choice="weather",
        reasoning=True,
        json="schema",
        schema=SCHEMA,
    )
    assert asked_in(messages, ANTHROPIC) == said
    assert asked_in(chat, OPENAI) == msgspec.structs.replace(said, include_usage=True)


def test_text_after_tool_results_is_a_new_turn_even_within_one_message() -> None:
    results = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "rain"}]}
    asked = asked_in(
        {"messages": [{"role": "user", "content": [results, {"type": "text", "text": "And?"}]}]}, ANTHROPIC
    )
    assert (asked.user_text, asked.tool_results) == ("And?", ())


@pytest.mark.parametrize("route", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        [],
        {},
        {"messages": 3},
        {"messages": [1, None, {}]},
        {"messages": [{"role": "user", "content": [2, {}]}]},
        {"model": 1, "tools": [1, {}], "tool_choice": [], "reasoning": 1, "response_format": 2},
    ],
)
def test_what_is_malformed_is_empty(body: object, route: Route) -> None:
    assert asked_in(body, route) == Asked()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"reasoning_effort": "none"}, False),
        ({"reasoning": {}}, False),
        ({"reasoning": {"effort": "high"}}, True),
        ({"reasoning": {"effort": "high", "exclude": True}}, False),
        ({"reasoning": {"enabled": False}}, False),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, False),
    ],
)
def test_reasoning_is_shown_to_who_asks(body: dict[str, object], shown: bool) -> None:
    assert asked_in(body, OPENAI).reasoning is shown


@pytest.mark.parametrize(
    ("path", "body", "headers", "method", "status"),
    [
        ("/v1/completions", {}, {}, "POST", 404),
        (CHAT, {}, {}, "GET", 405),
        ("/v1/models", {}, {}, "POST", 405),
        (CHAT, chat_body(), {"authorization": "Bearer bad-key"}, "POST", 401),
        ("/v1/models", {}, {"authorization": "Bearer bad-key"}, "GET", 401),
        ("/openai/deployments/d/chat/completions?api-version=1", chat_body(), {"api-key": "bad-key"}, "POST", 401),
        (MESSAGES, {}, {"x-api-key": "bad-key"}, "POST", 401),
        ("/openai/deployments/d/chat/completions", chat_body(), {}, "POST", 404),
        (CHAT, {"messages": []}, {}, "POST", 400),
        (CHAT, {"model": "m"}, {}, "POST", 400),
        (MESSAGES, chat_body(max_tokens=9), {}, "POST", 400),
        (MESSAGES, chat_body(), {"anthropic-version": "2023-06-01"}, "POST", 400),
    ],
)
def test_what_every_provider_refuses(
    path: str, body: dict[str, object], headers: dict[str, str], method: str, status: int
) -> None:
    answer = refusal(received(body, path, headers, method))
    assert answer is not None
    assert answer.status == status


def test_a_deployment_needs_no_model() -> None:
    request = received({"messages": []}, "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21")
    assert (refusal(request), request.model) == (None, "my-gpt")


ERRORS: list[tuple[str, int, object]] = [
    (
        CHAT,
        429,
        {
            "error": {
                "message": "rate_limit_exceeded, says the loopback provider",
                "type": "requests",
                "param": None,
                "code": "rate_limit_exceeded",
            }
        },
    ),
    (
        "/api/v1/chat/completions",
        429,
        {
            "error": {
                "code": 429,
                "message": "rate_limit_exceeded, says the loopback provider",
                "metadata": {"error_type": "rate_limit_exceeded"},
            }
        },
    ),
    (
        "/openai/v1/chat/completions",
        401,
        {"error": {"code": "401", "message": "invalid_api_key, says the loopback provider"}},
    ),
    (
        "/ollama/v1/chat/completions",
        404,
        {
            "error": {
                "message": "model_not_found, says the loopback provider",
                "type": "not_found_error",
                "param": None,
                "code": None,
            }
        },
    ),
    (
        "/vllm/v1/chat/completions",
        400,
        {
            "error": {
                "message": "invalid_request_error, says the loopback provider",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            }
        },
    ),
    ("/vllm/v1/chat/completions", 401, {"error": "Unauthorized"}),
    (
        MESSAGES,
        529,
        {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "overloaded_error, says the loopback provider"},
            "request_id": "req_loopback_000000",
        },
    ),
]


@pytest.mark.parametrize(("path", "status", "body"), ERRORS)
def test_errors_have_the_vendor_s_shape(path: str, status: int, body: object) -> None:
    request = received(path=path)
    said = SPEAKERS[request.route.dialect].error_document(status, error_of(None), request)
    assert msgspec.json.decode(said) == body
