"""THE classifier: an HTTP response, or an error inside a stream, becomes one :class:`Failure`, for every provider type.

Whatever the input is, there is an answer, and nothing raises. What decides the kind, the most specific first:

1. a known code (``insufficient_quota``, ``DeploymentNotFound``, OpenRouter's ``error_type`` ...), quota before all;
2. the wording of the message, for what providers report as ``invalid_request_error`` or as nothing at all;
3. a word for a bad request, over a status of 500 and above;
4. a status number in the body, then the HTTP status;
5. words that say less than any status (``api_error``).
"""

import re
from collections.abc import Mapping

from nexus3.errors import ConfigError
from nexus3.wire import error_bodies, retry_hints
from nexus3.wire.error_bodies import Said
from nexus3.wire.failures import RETRYABLE, Failure, Kind, Phase
from nexus3.wire.urls import origin_of

_STATUSES: dict[int, tuple[Kind, str]] = {
    400: ("bad_request", "bad_request"),
    401: ("auth", "unauthorized"),
    402: ("quota", "payment_required"),
    403: ("permission", "forbidden"),
    404: ("not_found", "not_found"),
    408: ("timeout", "request_timeout"),
    409: ("server", "conflict"),
    413: ("bad_request", "request_too_large"),
    422: ("bad_request", "unprocessable"),
    425: ("server", "too_early"),
    429: ("rate_limit", "too_many_requests"),
    500: ("server", "internal_server_error"),
    501: ("server", "not_implemented"),
    502: ("server", "bad_gateway"),
    503: ("overloaded", "service_unavailable"),
    504: ("timeout", "gateway_timeout"),
    505: ("server", "http_version_not_supported"),
    511: ("server", "network_authentication_required"),
    529: ("overloaded", "overloaded"),
}
_PERMANENT = frozenset({501, 505, 511})
"""Server errors that the next attempt would meet again."""

_CODES_OF: dict[Kind, str] = {
    "quota": "insufficient_quota billing_hard_limit_reached billing_not_active credit_balance_exhausted billing_error"
    " payment_required insufficient_balance insufficient_credits exceeded_current_quota_error",
    "context_length": "context_length_exceeded context_window_exceeded model_context_window_exceeded"
    " model_max_prompt_tokens_exceeded",
    "content_filter": "content_filter content_policy_violation responsible_ai_policy_violation moderation"
    " moderation_blocked data_inspection_failed refusal",
    "auth": "invalid_api_key authentication_error authentication unauthorized unauthenticated no_api_key"
    " invalid_authentication_error api_key_invalid",
    "permission": "permission_error permission_denied permission_denied_error forbidden access_denied"
    " access_denied_exception unsupported_country_region_territory",
    "not_found": "not_found not_found_error model_not_found deployment_not_found resource_not_found image_not_found"
    " unknown_model invalid_model no_endpoints",
    "rate_limit": "rate_limit rate_limited rate_limit_exceeded rate_limit_error rate_limit_reached"
    " rate_limit_reached_error too_many_requests slow_down tokens requests resource_exhausted throttling"
    " throttling_exception",
    "overloaded": "overloaded overloaded_error engine_overloaded engine_overloaded_error provider_overloaded"
    " server_overloaded server_busy service_unavailable unavailable insufficient_system_resource",
    "timeout": "timeout timeout_error request_timeout gateway_timeout deadline_exceeded",
    "server": "provider_unavailable",
}
_CODES: dict[str, Kind] = {code: kind for kind, codes in _CODES_OF.items() for code in codes.split()}
"""What means one thing whatever the status says. From the vendors' documents and recorded errors; an open set."""

_BAD_REQUEST_CODES = (
    "invalid_request_error invalid_request bad_request bad_request_error invalid_argument invalid_prompt"
    " unsupported_parameter unsupported_value max_tokens_exceeded token_limit_exceeded string_too_long"
    " string_above_max_length precondition_failed payload_too_large request_too_large unprocessable invalid_image"
    " unsupported_image_format tool_use_failed json_validate_failed operation_not_supported"
)
_BAD_REQUEST = frozenset(_BAD_REQUEST_CODES.split())
"""The request is at fault: more than a 500 says, less than what any status of the 4xx says."""

_KEYWORDS: tuple[tuple[str, Kind], ...] = (
    ("quota", "quota"),
    ("billing", "quota"),
    ("rate_limit", "rate_limit"),
    ("too_many", "rate_limit"),
    ("authentication", "auth"),
    ("unauthorized", "auth"),
    ("permission", "permission"),
    ("not_found", "not_found"),
    ("context_length", "context_length"),
    ("content_filter", "content_filter"),
    ("overload", "overloaded"),
    ("timeout", "timeout"),
    ("invalid", "bad_request"),
    ("bad_request", "bad_request"),
    ("unsupported", "bad_request"),
)
"""For codes nobody has told us of, in errors that come without any status."""

_TOO_LONG = (
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "exceeds the context window",
    "exceeds the context length",
    "maximum context length",
    "max context length",
    "context_length_exceeded",
    "context length exceeded",
    "exceeds the maximum number of tokens",
    "maximum prompt length is",
    "reduce the length of the messages",
    "exceeds the available context size",
    "greater than the context length",
    "context window exceeds limit",
    "exceeded model token limit",
    "too large for model with",
    "input length and `max_tokens` exceed",
    "max_model_len",
    "prompt token count",
    "too many tokens",
    "token limit exceeded",
)
_FILTERED = ("content management policy", "content filtering policy", "flagged as potentially violating")
_UNPAID = ("credit balance is too low", "insufficient credits", "insufficient balance", "used all available credits")
_BAD_KEY = ("api key not valid", "invalid api key", "incorrect api key", "invalid x-api-key")
_UNKNOWN_MODEL = re.compile(
    r"is not a valid model id|model not exist|unknown model|invalid model name"
    r"|\bmodel:?(?: [`'\"]?[\w./:@~+-]{1,256}[`'\"]?)? (?:does not exist|(?:is |was )?not found)"
)
_WAIT = re.compile(
    r"(?:try again|retry) (?:in|after) (?:about )?"
    r"(?:(?P<duration>(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|h|m|s))+)\b"
    r"|(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?) ?(?P<unit>millisecond|second|sec|minute|hour))"
)
_UNITS = {"millisecond": 1e-3, "second": 1.0, "sec": 1.0, "minute": 60.0, "hour": 3600.0}

_REQUEST_ID_HEADERS = ("request-id", "x-request-id", "apim-request-id", "x-generation-id", "x-ms-request-id", "cf-ray")
"""A provider's own before a proxy's."""


def response_failure(
    status: int, headers: Mapping[str, str], body: bytes, *, wall_now: float, truncated: bool = False
) -> Failure:
    """The failure that a response with a status outside 200 to 299 is.

    ``headers`` have lower-case names; ``body`` may be any beginning of the body, ``truncated`` says that it is only
    that. ``wall_now`` is in seconds since the epoch, for dates in ``retry-after`` of a response without a ``date``.
    """
    if not 400 <= status <= 599:
        return _unusable(status, headers)
    said = error_bodies.read_body(body, truncated=truncated)
    retry_after = retry_hints.retry_after(headers, wall_now=wall_now)
    return _failure(
        said,
        status if said.number is None else said.number,
        phase="headers",
        status=status,
        request_id=request_id_of(headers) or said.request_id,
        told_to_retry={"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower()),
        retry_after=retry_after,
    )


def in_stream_failure(payload: object, *, phase: Phase, request_id: str | None) -> Failure:
    """The failure that an error under a 2xx status is: in an event of a stream, or as a whole body.

    ``payload`` is the parsed object that holds a truthy ``error``, or that error itself. The failure's status is the
    one that the error states, ``None`` where it states none: the response's own 200 says nothing about it.
    """
    said = error_bodies.read_payload(payload)
    return _failure(
        said,
        said.number,
        phase=phase,
        status=said.number,
        request_id=request_id or said.request_id,
        told_to_retry=None,
        retry_after=None,
    )


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The id under which the provider's support finds this exchange."""
    for name in _REQUEST_ID_HEADERS:
        if name in headers and (found := error_bodies.request_id(headers[name])):
            return found
    return None


def _failure(
    said: Said,
    number: int | None,
    *,
    phase: Phase,
    status: int | None,
    request_id: str | None,
    told_to_retry: bool | None,
    retry_after: float | None,
) -> Failure:
    message = said.message
    codes = said.codes if said.word not in _CODES else [*said.codes, said.word]
    kind = _kind(codes, message.lower(), number)
    word = _STATUSES[number][1] if number in _STATUSES else f"http_{number}" if number else "provider_error"
    reason = codes[0] if codes else word
    if retry_after is None:
        retry_after = said.retry_after
    if retry_after is None and kind in RETRYABLE:
        retry_after = _wait_in(message.lower())
    retryable = _is_retryable(kind, number, message.lower())
    for decision in (said.retryable, told_to_retry):
        retryable = retryable if decision is None else decision
    return Failure(
        kind=kind,
        reason=reason,
        message=message
        or f"the provider answered {f'HTTP {number}' if number else 'with an error'} ({reason}), no more",
        retryable=retryable,
        phase=phase,
        status=status,
        retry_after=retry_after,
        request_id=request_id,
    )


def _kind(codes: list[str], text: str, number: int | None) -> Kind:
    named: list[Kind] = [_CODES[code] for code in codes if code in _CODES]
    if "quota" in named:
        return "quota"
    if named:
        return named[0]
    if worded := _kind_by_wording(codes, text, number):
        return worded
    if (number is None or number >= 500) and not _BAD_REQUEST.isdisjoint(codes):
        return "bad_request"
    if number is not None:
        return _kind_of_status(number)
    for code in codes:
        for keyword, kind in _KEYWORDS:
            if keyword in code:
                return kind
    return "server"


def _kind_of_status(number: int) -> Kind:
    if number in _STATUSES:
        return _STATUSES[number][0]
    return "bad_request" if number < 500 else "server"


def _kind_by_wording(codes: list[str], text: str, number: int | None) -> Kind | None:
    """What the message alone tells, where neither code nor status does. Each wording counts only under the statuses
    that it was seen with, since messages also quote prompts."""
    if number in (None, 400, 402, 403, 429) and _has(text, _UNPAID):
        return "quota"
    too_long = _has(text, _TOO_LONG) or ("request_too_large" in codes and "token" in text)
    if too_long and (number is None or number in (400, 413, 422) or number >= 500):
        return "context_length"
    if number in (None, 400, 403, 422) and _has(text, _FILTERED):
        return "content_filter"
    if number in (None, 400) and _has(text, _BAD_KEY):
        return "auth"
    if number in (None, 400, 422) and _UNKNOWN_MODEL.search(text):
        return "not_found"
    if (number is None or number >= 500) and "overloaded" in text:
        return "overloaded"
    return None


def _is_retryable(kind: Kind, number: int | None, text: str) -> bool:
    # "Request too large for <model> ... on tokens per min": more than a whole minute's allowance fits in no minute.
    hopeless = number in _PERMANENT or (kind == "rate_limit" and "request too large" in text)
    return kind in RETRYABLE and not hopeless


def _wait_in(text: str) -> float | None:
    """``Please try again in 1.2s``, ``Try again in 7 seconds``: the last resort."""
    found = _WAIT.search(text)
    if found is None:
        return None
    if found["duration"]:
        return retry_hints.seconds(found["duration"])
    return float(found["number"]) * _UNITS[found["unit"]]


def _has(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _unusable(status: int, headers: Mapping[str, str]) -> Failure:
    """A redirect, or a status that no provider sends. Redirects are never followed: they would carry the key away."""
    if 300 <= status < 400:
        reason = "redirect"
        message = f"HTTP {status}: the provider redirects{_target(headers)}, which is never followed; check base_url"
    else:
        reason = "unexpected_status"
        message = f"HTTP {status} is no answer to a completion request; check base_url"
    return Failure(
        kind="protocol",
        reason=reason,
        message=message,
        retryable=False,
        phase="headers",
        status=status,
        request_id=request_id_of(headers),
    )


def _target(headers: Mapping[str, str]) -> str:
    try:
        return f" to {origin_of(headers.get('location', ''))}"
    except ConfigError:
        return ""
