"""The wide line of a finished request, and the one table of its GenAI names."""

from typing import Any

import msgspec
import pytest

from nexus3.observe.genai import ESTABLISHED, LATEST, GenAI, genai_names
from nexus3.observe.settled import settled_attributes, settled_keys
from nexus3.wire.catalog import CATALOG
from nexus3.wire.events import StreamComplete, StreamFailed, Terminal
from nexus3.wire.failures import error_of, fail
from nexus3.wire.messages import Message, Role, Usage
from nexus3.wire.requests import CompletionRequest

REQUEST = CompletionRequest(
    messages=(Message(role=Role.USER, content="a very private prompt"),),
    max_tokens=100,
    temperature=0.5,
    stop=("a private stop",),
    user="jane",
    metadata={"who": "jane"},
)
USAGE = Usage(
    input_tokens=50, output_tokens=20, cache_read_tokens=30, cache_write_tokens=5, reasoning_tokens=7, cost=0.01
)
ANSWER = Message(role=Role.ASSISTANT, content="a very private answer")
COMPLETE = StreamComplete(ANSWER, "tool_calls", USAGE, "az", "gpt-2026", "chatcmpl-1", "req-1", 2)
FAILURE = msgspec.structs.replace(
    fail("rate_limit", "rate_limited", "Slow down, jane.", phase="headers"), status=429, request_id="req-2"
)
FAILED = StreamFailed(error_of(FAILURE))


def line(terminal: Terminal, names: GenAI = ESTABLISHED, **changed: Any) -> dict[str, object]:
    course: dict[str, Any] = {
        "id": "r7",
        "caller": "planner",
        "actor": "az",
        "generation": 3,
        "provider": CATALOG["azure"],
        "base_url": "https://x.openai.azure.com/openai?api-version=1",
        "model": "gpt",
        "request": REQUEST,
        "stream": True,
        "attempts": 2,
        "crashes": 0,
        "emitted": True,
        "queue_s": 0.25,
        "first_event_s": 0.75,
        "total_s": 2.5,
    }
    return settled_attributes(terminal, names=names, **(course | changed))


COMPLETED_LINE = {
    "request": "r7",
    "actor": "az",
    "nexus3.request.id": "r7",
    "nexus3.caller": "planner",
    "nexus3.actor": "az",
    "nexus3.generation": 3,
    "nexus3.outcome": "completed",
    "nexus3.attempts": 2,
    "nexus3.emitted": True,
    "nexus3.queue_s": 0.25,
    "nexus3.first_event_s": 0.75,
    "nexus3.total_s": 2.5,
    "nexus3.provider_request_id": "req-1",
    "nexus3.cost.usd": 0.01,
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "azure.ai.openai",
    "gen_ai.request.model": "gpt",
    "gen_ai.request.stream": True,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.model": "gpt-2026",
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.response.time_to_first_chunk": 0.75,
    "gen_ai.usage.input_tokens": 50,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.usage.cache_read.input_tokens": 30,
    "gen_ai.usage.cache_creation.input_tokens": 5,
    "gen_ai.usage.reasoning.output_tokens": 7,
    "server.address": "x.openai.azure.com",
    "server.port": 443,
}


def test_a_completed_request() -> None:
    assert line(COMPLETE) == COMPLETED_LINE


def test_the_newer_generation_renames_one() -> None:
    expected = dict(COMPLETED_LINE)
    expected["gen_ai.usage.cache_write.input_tokens"] = expected.pop("gen_ai.usage.cache_creation.input_tokens")
    assert line(COMPLETE, LATEST) == expected


def test_a_failed_request_says_what_is_known_and_nothing_else() -> None:
    bare = CompletionRequest(messages=REQUEST.messages)
    local: dict[str, Any] = {"provider": CATALOG["vllm"], "base_url": "http://[::1]:8000/v1"}
    assert line(FAILED, request=bare, **local, caller=None, crashes=1, first_event_s=None, emitted=False) == {
        "request": "r7",
        "actor": "az",
        "nexus3.request.id": "r7",
        "nexus3.actor": "az",
        "nexus3.generation": 3,
        "nexus3.outcome": "rate_limit",
        "nexus3.attempts": 2,
        "nexus3.crashes": 1,
        "nexus3.emitted": False,
        "nexus3.queue_s": 0.25,
        "nexus3.total_s": 2.5,
        "nexus3.reason": "rate_limited",
        "nexus3.phase": "headers",
        "nexus3.provider_request_id": "req-2",
        "error.type": "rate_limit",
        "http.response.status_code": 429,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "gpt",
        "gen_ai.request.stream": True,
        "server.address": "::1",
        "server.port": 8000,
    }


@pytest.mark.parametrize("names", [ESTABLISHED, LATEST])
@pytest.mark.parametrize("terminal", [COMPLETE, FAILED])
def test_the_keys_are_those_announced(terminal: Terminal, names: GenAI) -> None:
    always, sometimes = settled_keys(names)
    full = REQUEST.model_copy(update={"top_p": 0.5, "seed": 1})
    keys = set(line(terminal, names, request=full, crashes=1))
    assert set(always) <= keys <= {*always, *sometimes}


def test_each_announced_key_occurs() -> None:
    always, sometimes = settled_keys(ESTABLISHED)
    full = REQUEST.model_copy(update={"top_p": 0.5, "seed": 1})
    assert {*line(COMPLETE, request=full, crashes=1), *line(FAILED)} == {*always, *sometimes}


@pytest.mark.parametrize("terminal", [COMPLETE, FAILED])
def test_no_text_of_the_conversation_is_on_it(terminal: Terminal) -> None:
    said = repr(line(terminal))
    assert "private" not in said
    assert "jane" not in said


def test_a_provider_s_ids_cannot_steer_a_terminal_or_carry_a_key() -> None:
    hostile = msgspec.structs.replace(
        COMPLETE, model="gpt\x1b[2J", response_id="sk-proj-0123456789abcdefghij", request_id="r" * 5000
    )
    said = line(hostile, model="gpt\nactor.crashed")
    assert said["gen_ai.request.model"] == "gpt actor.crashed"
    assert said["gen_ai.response.model"] == "gpt\\x1b[2J"
    assert said["gen_ai.response.id"] == "[redacted]"
    assert said["nexus3.provider_request_id"] == "r" * 199 + "…"


@pytest.mark.parametrize("base_url", ["", "http://[broken", "http://h:port/", "no url"])
def test_a_base_url_that_cannot_be_read_costs_its_own_keys_only(base_url: str) -> None:
    assert line(COMPLETE, base_url=base_url) == {
        key: value for key, value in COMPLETED_LINE.items() if not key.startswith("server.")
    }


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ESTABLISHED),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": ""}, ESTABLISHED),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database/dup"}, ESTABLISHED),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental_2"}, ESTABLISHED),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}, LATEST),
        ({"OTEL_SEMCONV_STABILITY_OPT_IN": "http, gen_ai_latest_experimental ,rpc"}, LATEST),
    ],
)
def test_the_environment_chooses_the_generation(environ: dict[str, str], names: GenAI) -> None:
    assert genai_names(environ) is names
