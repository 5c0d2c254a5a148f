"""The wide line: everything about a finished request that an operator filters, counts or charts by, on one line.

Names are OpenTelemetry's where it has one (:mod:`nexus3.observe.genai`), ``nexus3.*`` for the rest. ``request`` and
``actor`` stand there once more under the short names that the other lines use, so that one filter finds them all.
What is not known is left out: these conventions have no null.
"""

from functools import lru_cache
from typing import assert_never
from urllib.parse import urlsplit

from nexus3.observe.genai import ERROR_TYPE, HTTP_STATUS, SERVER_ADDRESS, SERVER_PORT, GenAI
from nexus3.wire.catalog import ProviderType
from nexus3.wire.events import StreamComplete, StreamFailed, Terminal
from nexus3.wire.failures import Failure
from nexus3.wire.messages import Usage
from nexus3.wire.provider_text import readable
from nexus3.wire.requests import CompletionRequest

_MAX_ID_CHARS = 200
"""Of what a provider calls a response, a model or an exchange: it is a stranger's text."""

ALWAYS = (
    "request",
    "actor",
    "nexus3.request.id",
    "nexus3.actor",
    "nexus3.generation",
    "nexus3.outcome",
    "nexus3.attempts",
    "nexus3.emitted",
    "nexus3.queue_s",
    "nexus3.total_s",
)
"""Keys of every wide line, beside GenAI names."""

SOMETIMES = (
    "nexus3.caller",
    "nexus3.crashes",
    "nexus3.first_event_s",
    "nexus3.reason",
    "nexus3.phase",
    "nexus3.cost.usd",
    "nexus3.provider_request_id",
)


def settled_keys(names: GenAI) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The wide line's keys in one generation of the conventions: those always there, and those left out if unknown."""
    always = (names.operation, names.provider, names.request_stream)
    sometimes = (
        names.request_model,
        names.request_max_tokens,
        names.request_temperature,
        names.request_top_p,
        names.request_seed,
        names.response_id,
        names.response_model,
        names.finish_reasons,
        names.time_to_first_chunk,
        names.input_tokens,
        names.output_tokens,
        names.cache_read_tokens,
        names.cache_write_tokens,
        names.reasoning_tokens,
        ERROR_TYPE,
        HTTP_STATUS,
        SERVER_ADDRESS,
        SERVER_PORT,
    )
    return (*ALWAYS, *always), (*SOMETIMES, *sometimes)


def settled_attributes(
    terminal: Terminal,
    *,
    names: GenAI,
    id: str,  # noqa: A002 - the ticket's own word for it
    caller: str | None,
    actor: str,
    generation: int,
    provider: ProviderType,
    base_url: str,
    model: str,
    request: CompletionRequest,
    stream: bool,
    attempts: int,
    crashes: int,
    emitted: bool,
    queue_s: float,
    first_event_s: float | None,
    total_s: float,
) -> dict[str, object]:
    """The wide line of one request. Times are seconds since acceptance; ``model`` is the id sent on the wire.

    ``request`` is read for its numbers only: no text of it, no stop sequence, no user or metadata is on the line.
    Raises nothing: this runs where a request ends.
    """
    # Key by key, and none that would have to be taken out again: to build with nulls and to filter costs twice as much.
    line: dict[str, object] = {"request": id, "actor": actor, "nexus3.request.id": id}
    if caller is not None:
        line["nexus3.caller"] = caller
    line["nexus3.actor"] = actor
    line["nexus3.generation"] = generation
    line["nexus3.outcome"] = "completed"
    line["nexus3.attempts"] = attempts
    if crashes:
        line["nexus3.crashes"] = crashes
    line["nexus3.emitted"] = emitted
    line["nexus3.queue_s"] = queue_s
    if first_event_s is not None:
        line["nexus3.first_event_s"] = first_event_s
    line["nexus3.total_s"] = total_s
    line[names.operation] = "chat"
    line[names.provider] = provider.genai_name
    if (shown := _shown_name(model)) is not None:
        line[names.request_model] = shown
    line[names.request_stream] = stream
    if request.max_tokens is not None:
        line[names.request_max_tokens] = request.max_tokens
    if request.temperature is not None:
        line[names.request_temperature] = request.temperature
    if request.top_p is not None:
        line[names.request_top_p] = request.top_p
    if request.seed is not None:
        line[names.request_seed] = request.seed
    if stream and first_event_s is not None:
        line[names.time_to_first_chunk] = first_event_s
    address, port = _server(base_url)
    if address is not None:
        line[SERVER_ADDRESS] = address
    if port is not None:
        line[SERVER_PORT] = port
    match terminal:
        case StreamComplete():
            request_id, usage = terminal.request_id, terminal.usage
            _tell_response(line, terminal, names)
        case StreamFailed():
            failure = terminal.error.failure
            request_id, usage = failure.request_id, failure.usage
            _tell_failure(line, failure)
        case _:
            assert_never(terminal)
    if (shown := _shown(request_id)) is not None:
        line["nexus3.provider_request_id"] = shown
    if usage is not None:
        _tell_usage(line, usage, names)
    return line


def _tell_response(line: dict[str, object], terminal: StreamComplete, names: GenAI) -> None:
    if (shown := _shown(terminal.response_id)) is not None:
        line[names.response_id] = shown
    if (shown := _shown_name(terminal.model)) is not None:
        line[names.response_model] = shown
    line[names.finish_reasons] = [terminal.stop_reason]


def _tell_failure(line: dict[str, object], failure: Failure) -> None:
    line["nexus3.outcome"] = line[ERROR_TYPE] = failure.kind
    line["nexus3.reason"] = failure.reason
    line["nexus3.phase"] = failure.phase
    if failure.status is not None:
        line[HTTP_STATUS] = failure.status


def _tell_usage(line: dict[str, object], usage: Usage, names: GenAI) -> None:
    if usage.input_tokens is not None:
        line[names.input_tokens] = usage.input_tokens
    if usage.output_tokens is not None:
        line[names.output_tokens] = usage.output_tokens
    if usage.cache_read_tokens is not None:
        line[names.cache_read_tokens] = usage.cache_read_tokens
    if usage.cache_write_tokens is not None:
        line[names.cache_write_tokens] = usage.cache_write_tokens
    if usage.reasoning_tokens is not None:
        line[names.reasoning_tokens] = usage.reasoning_tokens
    if usage.cost is not None:
        line["nexus3.cost.usd"] = usage.cost


def _shown(text: str | None) -> str | None:
    return readable(text, max_chars=_MAX_ID_CHARS) if text else None


_shown_name = lru_cache(maxsize=256)(_shown)
"""Of models: there are few."""


@lru_cache(maxsize=256)
def _server(url: str) -> tuple[str | None, int | None]:
    """Host and port, never the path or a user's name; the port that the scheme implies is said too."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None, None
