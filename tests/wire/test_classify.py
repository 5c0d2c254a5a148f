"""Every shape of error that providers send becomes the right kind; no input raises."""

import json
import os
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.classify import in_stream_failure, request_id_of, response_failure
from nexus3.wire.failures import RETRYABLE, Failure, Kind

PROPERTY = settings(max_examples=500, derandomize=True, deadline=None)
NOW = 1_790_000_000.0
"""Monday, 21 September 2026, 14:13:20 GMT."""

Body = dict[str, object] | list[object] | str | bytes


def answered(status: int, body: Body = b"", headers: dict[str, str] | None = None) -> Failure:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return response_failure(status, headers or {}, raw, wall_now=NOW)


def streamed(payload: object) -> Failure:
    return in_stream_failure(payload, phase="stream", request_id=None)


# One row for each shape of error body that the vendors' documents and sources describe.
SHAPES: dict[str, tuple[int, Body, Kind, str, str]] = {
    "OpenAI quota": (
        429,
        {
            "error": {
                "message": "You exceeded your current quota, please check your plan.",
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
        "quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan.",
    ),
    "OpenAI context": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        "context_length",
        "context_length_exceeded",
        "This model's maximum context length is 128000 tokens.",
    ),
    "OpenRouter credits": (
        402,
        {
            "error": {"code": 402, "message": "Insufficient credits.", "metadata": {"error_type": "payment_required"}},
            "user_id": "u",
        },
        "quota",
        "payment_required",
        "Insufficient credits.",
    ),
    "OpenRouter no endpoints": (
        404,
        {
            "error": {
                "message": "No endpoints found.",
                "error_type": "not_found",
                "http_status": 404,
                "availability": {"code": "no_endpoints", "retryable": False, "requested_models": ["a/b"]},
            }
        },
        "not_found",
        "not_found",
        "No endpoints found.",
    ),
    "Azure filter": (
        400,
        {
            "error": {
                "message": "The response was filtered due to our content management policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {
                    "code": "ResponsibleAIPolicyViolation",
                    "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
                },
            }
        },
        "content_filter",
        "content_filter",
        "The response was filtered due to our content management policy.",
    ),
    "Azure API Management": (
        429,
        {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 7 seconds."},
        "rate_limit",
        "too_many_requests",
        "Rate limit is exceeded. Try again in 7 seconds.",
    ),
    "Ollama model": (
        404,
        {
            "error": {
                "message": 'model "x" not found, try pulling it first',
                "type": "not_found_error",
                "param": None,
                "code": None,
            }
        },
        "not_found",
        "not_found_error",
        'model "x" not found, try pulling it first',
    ),
    "vLLM key": (401, {"error": "Unauthorized"}, "auth", "unauthorized", "Unauthorized"),
    "vLLM, old and flat": (
        400,
        {
            "object": "error",
            "message": "max_tokens must be at least 1, got -186.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        "bad_request",
        "bad_request_error",
        "max_tokens must be at least 1, got -186.",
    ),
    "FastAPI": (
        422,
        {"detail": [{"loc": ["body", "model"], "msg": "field required", "type": "missing"}]},
        "bad_request",
        "unprocessable",
        "body.model: field required",
    ),
    "Anthropic overloaded": (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_2"},
        "overloaded",
        "overloaded_error",
        "Overloaded",
    ),
    "nginx": (
        502,
        "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
        "server",
        "bad_gateway",
        "502 Bad Gateway 502 Bad Gateway",
    ),
    "Azure gateway, numeric code": (
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}},
        "auth",
        "unauthorized",
        "Access denied due to invalid subscription key.",
    ),
    "Azure deployment": (
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
        "not_found",
        "deployment_not_found",
        "The API deployment does not exist.",
    ),
    "Google, in an array": (
        400,
        [{"error": {"code": 400, "message": "API key not valid. Please pass one.", "status": "INVALID_ARGUMENT"}}],
        "auth",
        "invalid_argument",
        "API key not valid. Please pass one.",
    ),
    "Google, exhausted": (
        429,
        [{"error": {"code": 429, "message": "Resource exhausted.", "status": "RESOURCE_EXHAUSTED"}}],
        "rate_limit",
        "resource_exhausted",
        "Resource exhausted.",
    ),
    "a list of errors": (
        403,
        {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]},
        "permission",
        "forbidden",
        "Authentication error",
    ),
    "FastAPI, one sentence": (404, {"detail": "Not Found"}, "not_found", "not_found", "Not Found"),
    "FastAPI around OpenAI": (
        401,
        {"detail": {"error": {"message": "bad key", "code": "invalid_api_key"}}},
        "auth",
        "invalid_api_key",
        "bad key",
    ),
    "error names the status, message the cause": (
        400,
        {"statusCode": 400, "error": "Bad Request", "message": "querystring must not be empty"},
        "bad_request",
        "bad_request",
        "querystring must not be empty",
    ),
    "AWS": (
        429,
        {"__type": "com.amazon.coral.service#ThrottlingException", "message": "Rate exceeded"},
        "rate_limit",
        "throttling_exception",
        "Rate exceeded",
    ),
    "JSON text in the message": (
        400,
        {"error": {"message": '{"error":{"message":"the real one","code":"context_length_exceeded"}}', "code": 400}},
        "context_length",
        "context_length_exceeded",
        "the real one",
    ),
    "a flat error as JSON text in the message": (
        400,
        {"error": {"message": '{"message":"the real one","code":"context_length_exceeded"}'}},
        "context_length",
        "context_length_exceeded",
        "the real one",
    ),
    "JSON text at the end of the message": (
        429,
        {"error": {"message": 'OpenAIException - {"error":{"message":"no money","code":"insufficient_quota"}}'}},
        "quota",
        "insufficient_quota",
        "OpenAIException -: no money",
    ),
    "OpenRouter hands on what the provider said": (
        429,
        {
            "error": {
                "code": 429,
                "message": "Provider returned error",
                "metadata": {"provider_name": "Google", "raw": '{"error":{"message":"slow down please","code":429}}'},
            }
        },
        "rate_limit",
        "too_many_requests",
        "Provider returned error: slow down please",
    ),
    "OpenRouter hands on the same once more": (
        502,
        {"error": {"code": 502, "message": "upstream is down", "metadata": {"raw": "upstream is down"}}},
        "server",
        "bad_gateway",
        "upstream is down",
    ),
    "OpenRouter hands on text": (
        502,
        {"error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": "upstream connect error"}}},
        "server",
        "bad_gateway",
        "Provider returned error: upstream connect error",
    ),
    "OpenRouter moderation": (
        403,
        {
            "error": {
                "code": 403,
                "message": "Input flagged",
                "metadata": {"reasons": ["violence"], "flagged_input": "x"},
            }
        },
        "content_filter",
        "moderation",
        "Input flagged",
    ),
    "OpenRouter moderation, by its input alone": (
        403,
        {"error": {"code": 403, "message": "Input flagged", "metadata": {"flagged_input": "x"}}},
        "content_filter",
        "moderation",
        "Input flagged",
    ),
    "OpenRouter, billed by the provider behind": (
        403,
        {"error": {"code": 403, "message": "no", "metadata": {"error_type": "payment_required"}}},
        "quota",
        "payment_required",
        "no",
    ),
    "plain text": (503, "upstream connect error", "overloaded", "service_unavailable", "upstream connect error"),
    "a byte order mark": (401, '\ufeff{"error":"no"}'.encode(), "auth", "unauthorized", "no"),
    "blank lines before": (401, b'\n\n {"error":"no"}\n', "auth", "unauthorized", "no"),
    "bytes that are no UTF-8 in JSON": (
        400,
        b'{"error":{"message":"caf\xe9"}}',
        "bad_request",
        "bad_request",
        "caf\ufffd",
    ),
    "cut-off JSON": (
        429,
        b'{"error":{"message":"You exceeded it","type":"x","code":"insufficient_quota","param":nu',
        "quota",
        "insufficient_quota",
        "You exceeded it",
    ),
    "raw controls within JSON": (
        400,
        b'{"error":{"message":"a\nb","code":"context_length_exceeded"}}',
        "context_length",
        "context_length_exceeded",
        "a b",
    ),
    "compressed": (
        502,
        b"\x1f\x8b\x08\x00" + bytes(range(256)),
        "server",
        "bad_gateway",
        "260 bytes that are not text",
    ),
    "nothing": (
        500,
        b"",
        "server",
        "internal_server_error",
        "the provider answered HTTP 500 (internal_server_error), no more",
    ),
    "an empty object": (500, b"{}", "server", "internal_server_error", "{}"),
    "a code alone": (
        400,
        {"error": {"code": "weird_thing"}},
        "bad_request",
        "weird_thing",
        '{"error": {"code": "weird_thing"}}',
    ),
    "null": (404, b"null", "not_found", "not_found", "null"),
    "a number": (404, b"42", "not_found", "not_found", "42"),
    "a string": (404, b'"gone"', "not_found", "not_found", '"gone"'),
}


@pytest.mark.parametrize(("status", "body", "kind", "reason", "message"), SHAPES.values(), ids=SHAPES.keys())
def test_a_body_of_any_shape(status: int, body: Body, kind: Kind, reason: str, message: str) -> None:
    failure = answered(status, body)
    assert (failure.kind, failure.reason, failure.message) == (kind, reason, message)
    assert (failure.status, failure.phase, failure.emitted) == (status, "headers", False)
    assert failure.retryable == (kind in RETRYABLE)


# The table of failures by status, where the body says nothing.
STATUSES: dict[Kind, tuple[list[int], bool]] = {
    "bad_request": ([400, 405, 406, 410, 411, 412, 413, 414, 415, 418, 421, 422, 431, 451, 499], False),
    "auth": ([401], False),
    "quota": ([402], False),
    "permission": ([403], False),
    "not_found": ([404], False),
    "rate_limit": ([429], True),
    "overloaded": ([503, 529], True),
    "timeout": ([408, 504], True),
    "server": ([409, 425, 500, 502, 506, 507, 508, 510, 520, 521, 522, 523, 524, 525, 526, 530, 598, 599], True),
    "protocol": ([100, 200, 204, 300, 301, 302, 303, 304, 307, 308, 600, 999, 0, -1], False),
}


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(status, kind, retryable) for kind, (statuses, retryable) in STATUSES.items() for status in statuses]
    + [(501, "server", False), (505, "server", False), (511, "server", False)],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"<html><body>sorry</body></html>", b'{"error":{"message":"sorry"}}'])
def test_the_status_decides_where_the_body_says_nothing(status: int, kind: Kind, retryable: bool, body: bytes) -> None:
    failure = answered(status, body)
    assert (failure.kind, failure.retryable, failure.status) == (kind, retryable, status)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        # A code in the body beats the status.
        (500, {"code": "context_length_exceeded"}, "context_length"),
        (400, {"code": "rate_limit_exceeded"}, "rate_limit"),
        (400, {"type": "overloaded_error"}, "overloaded"),
        (403, {"code": "insufficient_quota"}, "quota"),
        (429, {"code": "billing_hard_limit_reached"}, "quota"),
        (429, {"code": "rate_limit_exceeded", "type": "insufficient_quota"}, "quota"),
        (500, {"error_type": "provider_overloaded"}, "overloaded"),
        (400, {"code": 429}, "rate_limit"),
        (502, {"code": "401"}, "auth"),
        (500, {"type": "invalid_request_error"}, "bad_request"),
        (429, {"code": "slow_down"}, "rate_limit"),
        (403, {"code": "unsupported_country_region_territory"}, "permission"),
        # A vague word does not.
        (401, {"type": "invalid_request_error"}, "auth"),
        (404, {"type": "invalid_request_error"}, "not_found"),
        (429, {"type": "invalid_request_error"}, "rate_limit"),
        (503, {"type": "server_error"}, "overloaded"),
        (504, {"type": "api_error"}, "timeout"),
        (400, {"type": "api_error"}, "bad_request"),
        (400, {"code": 1500, "type": "something_new"}, "bad_request"),
        (500, {"code": True}, "server"),
        # Wording, for what has no code of its own.
        (400, "prompt is too long: 213462 tokens > 200000 maximum", "context_length"),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000.", "context_length"),
        (400, "input length and `max_tokens` exceed context limit: 1 + 2 > 2", "context_length"),
        (500, "the request exceeds the available context size", "context_length"),
        (413, "Too many tokens", "context_length"),
        (413, {"code": "request_too_large", "message": "over 200000 tokens"}, "context_length"),
        (413, {"code": "request_too_large", "message": "over 32 MB"}, "bad_request"),
        (429, "Too many tokens, please wait", "rate_limit"),
        (404, "maximum context length", "not_found"),
        (400, "Your credit balance is too low to access the API.", "quota"),
        (429, "You have used all available credits", "quota"),
        (400, "Output blocked by content filtering policy", "content_filter"),
        (400, "a/b is not a valid model ID", "not_found"),
        (400, "Model Not Exist", "not_found"),
        (400, "The model `gpt-9` does not exist", "not_found"),
        (400, "Model not found", "not_found"),
        (400, "The model does not support images", "bad_request"),
        (500, {"message": "The model is overloaded"}, "overloaded"),
        (400, {"message": "The word overloaded"}, "bad_request"),
    ],
)
def test_what_beats_the_status_and_what_does_not(status: int, error: object, kind: Kind) -> None:
    assert answered(status, {"error": error}).kind == kind
    assert answered(status, [{"error": error}]).kind == kind


@pytest.mark.parametrize(
    ("payload", "kind", "retryable", "status"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded", True, None),
        ({"type": "error", "error": {"type": "api_error", "message": "Internal"}}, "server", True, None),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}, "bad_request", False, None),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "no"}}, "rate_limit", True, None),
        (
            {"id": "gen-1", "error": {"code": 503, "message": "x", "metadata": {"error_type": "provider_overloaded"}}},
            "overloaded",
            True,
            503,
        ),
        ({"error": {"code": "server_error", "message": "x"}, "choices": []}, "server", True, None),
        ({"error": {"message": "x", "type": "InternalServerError", "param": None, "code": 500}}, "server", True, 500),
        ({"error": {"code": 501}}, "server", False, 501),
        ({"code": 429, "message": "the error itself"}, "rate_limit", True, 429),
        ({"error": "Unauthorized"}, "auth", False, None),
        ({"error": "llama runner process has terminated"}, "server", True, None),
        ({"error": True, "message": "prompt is too long"}, "context_length", False, None),
        ({"error": {"code": "new_quota_code"}}, "quota", False, None),
        ({"error": {"code": "weird_rate_limit_thing"}}, "rate_limit", True, None),
        ({"error": {"code": "user_authentication_missing"}}, "auth", False, None),
        ({"error": {"code": "engine_overload"}}, "overloaded", True, None),
        ({"error": {"code": "upstream_timeout"}}, "timeout", True, None),
        ({"error": {"code": "invalid_thing"}}, "bad_request", False, None),
        ({"error": '{"message": "\ud800"}'}, "server", True, None),
        ("boom", "server", True, None),
        (None, "server", True, None),
        (["x"], "server", True, None),
    ],
)
def test_an_error_under_a_200(payload: object, kind: Kind, retryable: bool, status: int | None) -> None:
    failure = in_stream_failure(payload, phase="first_event", request_id="r")
    assert (failure.kind, failure.retryable, failure.status) == (kind, retryable, status)
    assert (failure.phase, failure.request_id) == ("first_event", "r")
    assert failure.message


@pytest.mark.parametrize(
    ("status", "headers", "error", "retryable"),
    [
        (503, {"x-should-retry": "false"}, {}, False),
        (400, {"x-should-retry": "true"}, {}, True),
        (400, {"x-should-retry": " TRUE "}, {}, True),
        (429, {"x-should-retry": "perhaps"}, {}, True),
        (404, {}, {"availability": {"retryable": True}}, True),
        (503, {}, {"availability": {"retryable": False}}, False),
        (404, {"x-should-retry": "false"}, {"availability": {"retryable": True}}, False),
        (503, {}, {"availability": {"retryable": "no"}}, True),
        (429, {"retry-after": "3"}, {"code": "insufficient_quota"}, False),
        (402, {"retry-after": "3"}, {}, False),
        (501, {}, {}, False),
        (511, {"x-should-retry": "true"}, {}, True),
        # No minute is long enough for it.
        (429, {}, {"code": "rate_limit_exceeded", "message": "Request too large for m on tokens per min (TPM)"}, False),
    ],
)
def test_whether_to_try_again(status: int, headers: dict[str, str], error: object, retryable: bool) -> None:
    assert answered(status, {"error": error}, headers).retryable is retryable


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"retry-after": "2"}, {}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "10"}, {}, 0.25),
        ({"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT", "date": "Mon, 21 Sep 2026 14:13:20 GMT"}, {}, 30.0),
        ({"retry-after": "abc"}, {}, None),
        ({"retry-after": "2"}, {"error": {"message": "Please try again in 9s"}}, 2.0),
        ({"retry-after": "0"}, {"error": {"message": "Please try again in 9s"}}, 0.0),
        ({}, {"error": {"retry_after": 4, "message": "Please try again in 9s"}}, 4.0),
        ({}, {"error": {"availability": {"retry_after": 4.5}}}, 4.5),
        ({}, {"error": {"metadata": {"retry_after_seconds": "4"}}}, 4.0),
        ({}, {"error": {"metadata": {"headers": {"Retry-After": "4", "X-RateLimit-Reset": "1790000120000"}}}}, 4.0),
        ({}, {"error": {"metadata": {"headers": {"Retry-After-Ms": "400"}}}}, 0.4),
        ({}, {"error": {"details": [{"@type": "x/Help"}, {"@type": "x/RetryInfo", "retryDelay": "5s"}]}}, 5.0),
        ({}, {"error": {"message": "Busy", "details": [{"@type": "x/RetryInfo", "retryDelay": "5s"}]}}, 5.0),
        ({}, {"error": {"retry_after": -4}}, None),
        ({}, {"error": {"retry_after": True}}, None),
        ({}, {"error": {"retry_after": "soon"}}, None),
        ({}, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 7 seconds."}, 7.0),
        ({}, {"error": {"message": "Please retry after 1 second."}}, 1.0),
        ({}, {"error": {"message": "Please try again in 1.242s. Visit"}}, 1.242),
        ({}, {"error": {"message": "Please try again in 6m0s."}}, 360.0),
        ({}, {"error": {"message": "Please try again in 20ms."}}, 0.02),
        ({}, {"error": {"message": "try again in about 2 minutes"}}, 120.0),
        ({}, {"error": {"message": "Try again in a moment"}}, None),
        ({}, {"error": {"message": "do not try again"}}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], body: dict[str, object], wait: float | None) -> None:
    assert answered(429, body, headers).retry_after == wait


def test_a_wait_in_words_counts_only_where_waiting_helps() -> None:
    assert answered(400, {"error": {"message": "fix it and try again in 5 seconds"}}).retry_after is None
    assert streamed({"error": {"code": 429, "message": "Try again in 5 seconds"}}).retry_after == 5.0


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"request-id": "req_1", "x-request-id": "x", "cf-ray": "ray"}, {}, "req_1"),
        ({"x-request-id": "x", "apim-request-id": "a"}, {}, "x"),
        ({"apim-request-id": "a", "x-ms-request-id": "m"}, {}, "a"),
        ({"x-generation-id": "gen-1", "cf-ray": "ray"}, {}, "gen-1"),
        ({"cf-ray": "ray"}, {"request_id": "req_2"}, "ray"),
        ({}, {"type": "error", "error": {"type": "x"}, "request_id": "req_2"}, "req_2"),
        ({}, {"error": {"request_id": "req_3"}}, "req_3"),
        ({"request-id": "", "x-request-id": "x"}, {}, "x"),
        ({"request-id": "a b\x1b[0m"}, {}, None),
        ({"request-id": "a" * 257}, {"request_id": 7}, None),
        ({}, {}, None),
    ],
)
def test_the_request_id_for_the_providers_support(headers: dict[str, str], body: Body, expected: str | None) -> None:
    assert answered(500, body, headers).request_id == expected
    if not body:
        assert request_id_of(headers) == expected


def test_a_redirect_is_refused_and_named_without_its_path() -> None:
    failure = answered(307, b"", {"location": "https://elsewhere.example/v1?key=secret"})
    assert (failure.kind, failure.reason, failure.retryable) == ("protocol", "redirect", False)
    assert "to https://elsewhere.example:443," in failure.message
    assert "secret" not in failure.message
    for location in ("/relative", "https://user:secret@h/", "::::", ""):
        assert "secret" not in answered(302, b"", {"location": location}).message


def test_keys_controls_and_markup_do_not_reach_the_message() -> None:
    error = {
        "message": "<b>Bad</b> key sk-proj-0123456789abcdef \x1b[31m\u202eevil",
        "code": "sk-proj-0123456789abcdef",
    }
    failure = answered(401, {"error": error})
    assert failure.message == "Bad key [redacted] \\x1b[31m\\u202eevil"
    assert failure.reason == "unauthorized"


def test_a_long_page_is_shown_by_its_beginning() -> None:
    failure = response_failure(503, {}, b"<p>busy</p>" + b"x" * 60_000, wall_now=NOW, truncated=True)
    assert failure.message.startswith("busy xxx")
    assert failure.message.endswith("…")
    assert len(failure.message) == 500
    assert len(answered(400, {"error": {"message": "y" * 50_000}}).message) == 2000


def test_a_short_body_that_was_cut_off_says_so() -> None:
    assert response_failure(503, {}, b"half a", wall_now=NOW, truncated=True).message == "half a (cut off)"


# What each recorded error is, by a reading of its body.
RECORDED: dict[str, tuple[Kind, str, bool]] = {
    "anthropic-n-9a1af30882": ("auth", "authentication_error", False),
    "anthropic-n-d75d2e2925": ("bad_request", "invalid_request_error", False),
    "anthropic-n-e82b4a5038": ("not_found", "not_found_error", False),
    "azure-n-3439a5d5f6": ("rate_limit", "rate_limit_reached", True),
    # A 200 whose body is a filtered prompt.
    "azure-n-8bd8358483": ("content_filter", "content_filter", False),
    "azure-n-922bd5241c": ("not_found", "not_found", False),
    # invalid_request_error, but the message says "exceeded max context length".
    "ollama-n-1d281ce609": ("context_length", "invalid_request_error", False),
    "openai-compatible-n-64bb3238fc": ("server", "server_error", True),
    "openai-compatible-n-dfe45b22e7": ("bad_request", "invalid_request_invalid_args", False),
    # In the stream: the model wrote a tool call that the server's own check refused; it says status_code 400.
    "openai-compatible-s-a53d2900c6": ("bad_request", "tool_use_failed", False),
    "openai-n-4429a9ba49": ("not_found", "model_not_found", False),
    "openai-n-97903098f0": ("auth", "invalid_api_key", False),
    # The image's URL could not be fetched: the same request fails again.
    "openai-n-b3c5d4e137": ("bad_request", "invalid_image_url", False),
    # A 400 that says "is not a valid model ID": an unknown model is not_found, whatever the status.
    "openrouter-n-72512bba20": ("not_found", "bad_request", False),
    "openrouter-n-f99c27a786": ("auth", "unauthorized", False),
    # In the stream, code 400, "Token limit reached": the output's limit, after finish_reason length. Not the context.
    "openrouter-s-dd5c195f68": ("bad_request", "bad_request", False),
}


def recorded_errors() -> list[dict[str, object]]:
    here = Path(__file__).parents[2]
    folder = Path(os.environ.get("NEXUS3_TRANSCRIPTS", here / "../shared/transcripts"))
    records = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return [record for record in records if record["expected"].get("error")]


def test_recorded_errors() -> None:
    records = recorded_errors()
    if not records:
        pytest.skip("no recorded transcripts on this machine (NEXUS3_TRANSCRIPTS)")
    found = {}
    for record in records:
        match record:
            case {"id": str(name), "response": {"status": int(status), "headers": dict(headers), **response}} if (
                status >= 400
            ):
                body = str(response.get("body_text") or json.dumps(response["body_json"]))
                failure = answered(status, body, {key.lower(): value for key, value in headers.items()})
            case {"id": str(name), "expected": {"error": {"raw": raw}}}:
                failure = streamed(raw)
                assert failure == streamed({"error": raw.get("error", raw)}), "the error, or its holder"
            case _:
                pytest.fail("a record without response or error")
        assert "[redacted]" in failure.message or str(record["expected"]["error"]["message"]) == failure.message  # type: ignore[index]  # JSON
        found[name] = (failure.kind, failure.reason, failure.retryable)
    known = {name: expected for name, expected in RECORDED.items() if name in found}
    assert {name: found[name] for name in known} == known
    assert all(found)


_WORDS = st.sampled_from(
    [
        *("error", "errors", "message", "code", "type", "status", "statusCode", "detail", "details", "msg", "loc"),
        *("metadata", "raw", "headers", "availability", "retryable", "retry_after", "innererror", "request_id"),
        *("insufficient_quota", "429", '{"error":{"message":"x"}}'),
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)
_HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "date", "x-should-retry", "request-id", "location"]),
    st.text(max_size=30),
)


def check(failure: Failure) -> None:
    assert failure.kind in get_args(Kind)
    assert 0 < len(failure.message) <= 2000
    assert failure.reason.replace("_", "a").isalnum()
    assert failure.reason == failure.reason.lower()
    assert failure.retry_after is None or 0 <= failure.retry_after < float("inf")
    assert msgspec.json.encode(failure.message)


@PROPERTY
@given(status=st.integers(0, 999), headers=_HEADERS, body=st.binary(max_size=200), truncated=st.booleans())
def test_no_bytes_raise(status: int, headers: dict[str, str], body: bytes, truncated: bool) -> None:
    check(response_failure(status, headers, body, wall_now=NOW, truncated=truncated))


@PROPERTY
@given(status=st.integers(400, 599), headers=_HEADERS, value=_JSON, cut=st.integers(0, 400))
def test_no_json_raises_whole_or_cut(status: int, headers: dict[str, str], value: object, cut: int) -> None:
    check(answered(status, json.dumps(value), headers))
    check(answered(status, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")[:cut], headers))
    check(in_stream_failure(value, phase="stream", request_id=None))


def test_a_bottomless_payload() -> None:
    payload: dict[str, object] = {}
    for _ in range(20_000):
        payload = {"error": payload}
    check(streamed(payload))
    while payload:  # taken apart, since tearing it down in one go would recurse as well
        payload = payload.pop("error")  # type: ignore[assignment]  # it is one of those made above


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"error":' * 50_000,
        b'{"error":' * 200 + b"1" + b"}" * 200,
        b'{"error":{"code":' + b"9" * 5000 + b"}}",
        b'{"error":{"code":1e999}}',
        b'{"error":{"message":"\\ud800"}}',
        b'"message":"' * 5000,
        b'{"message":"' + b"\\" * 60_000,
    ],
)
def test_hostile_json(body: bytes) -> None:
    check(response_failure(400, {}, body, wall_now=NOW))
