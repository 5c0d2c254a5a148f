"""Whole bodies, read into the events of a stream."""

import json

import pytest

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import decode_body
from nexus3.wire.events import (
    INFERRED_FINISH,
    ContentDelta,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    StreamEvent,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DEFAULT_LIMITS, DecodeLimits
from nexus3.wire.messages import Origin, ReasoningBlock, ToolCall, Usage
from tests.wire.openai_chat.build import target


def whole(message: object, finish: str | None = "stop", **more: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"id": "c1", "model": "m1", "choices": [choice], **more}).encode()


def decoded(body: bytes, limits: DecodeLimits = DEFAULT_LIMITS) -> tuple[list[StreamEvent], Reply | Failure]:
    return decode_body(body, target("vllm"), request_id="req-1", limits=limits)


START = ResponseStarted("c1", "m1", "req-1")


def test_a_body_gives_the_events_of_a_stream() -> None:
    message = {
        "role": "assistant",
        "content": "Sure.",
        "reasoning_content": "Hm.",
        "refusal": None,
        "annotations": [],
        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
    }
    events, outcome = decoded(whole(message, "tool_calls", usage={"prompt_tokens": 1, "completion_tokens": 2}))
    call = ToolCall(id="t1", name="f", raw_arguments='{"a": 1}')
    usage = Usage(input_tokens=1, output_tokens=2)
    assert events == [
        START,
        ReasoningDelta("Hm."),
        ContentDelta("Sure."),
        ToolCallStarted(0, "t1", "f"),
        ToolCallDelta(0, '{"a": 1}'),
        UsageUpdated(usage),
        ToolCallCompleted(0, call),
    ]
    assert isinstance(outcome, Reply)
    assert (outcome.stop_reason, outcome.raw_stop_reason, outcome.usage) == ("tool_calls", "tool_calls", usage)
    assert (outcome.response_id, outcome.model) == ("c1", "m1")
    origin = Origin(dialect="openai_chat", provider="vllm", model="gpt-x", field="reasoning_content")
    assert outcome.message.reasoning == (ReasoningBlock(text="Hm.", origin=origin),)
    assert outcome.message.tool_calls == (call,)


@pytest.mark.parametrize("finish", [None, ""])
def test_no_finish_reason_but_content_is_an_answer(finish: str | None) -> None:
    events, outcome = decoded(whole({"content": "A"}, finish))
    assert events == [
        START,
        ContentDelta("A"),
        Notice(INFERRED_FINISH, "the provider ended its answer without a reason: taken as stop"),
    ]
    assert isinstance(outcome, Reply)
    assert (outcome.stop_reason, outcome.raw_stop_reason) == ("stop", None)


def test_a_reason_but_no_content_is_an_answer() -> None:
    events, outcome = decoded(whole({"content": None}, "length"))
    assert events == [START]
    assert isinstance(outcome, Reply)
    assert outcome.stop_reason == "length"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}], "AB"),
        ({"title": "Apples"}, '{"title":"Apples"}'),
        (4, "4"),
    ],
)
def test_content_in_other_shapes_is_text(content: object, text: str) -> None:
    assert decoded(whole({"content": content}))[0] == [START, ContentDelta(text)]


def test_thinking_parts_are_reasoning() -> None:
    parts = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "text", "text": "A"},
    ]
    assert decoded(whole({"content": parts}))[0] == [START, ReasoningDelta("Hm."), ContentDelta("A")]


def test_an_empty_delta_beside_the_message_is_not_the_answer() -> None:
    choice = {"message": {"content": "A"}, "delta": {"content": ""}, "finish_reason": "stop"}
    events, _ = decoded(json.dumps({"id": "c1", "model": "m1", "choices": [choice]}).encode())
    assert events == [START, ContentDelta("A")]


def test_details_of_a_body_are_kept_one_by_one() -> None:
    details = [
        {"type": "reasoning.text", "text": "A", "index": 0},
        {"type": "reasoning.text", "text": "B", "index": 0, "signature": "s"},
    ]
    _, outcome = decoded(whole({"content": "C", "reasoning": "AB", "reasoning_details": details}))
    assert isinstance(outcome, Reply)
    assert [block.raw for block in outcome.message.reasoning] == details
    assert [block.text for block in outcome.message.reasoning] == ["A", "B"]


@pytest.mark.parametrize("before", [b"\n\n \r\n", b"\xef\xbb\xbf"])
def test_what_may_stand_before_the_body(before: bytes) -> None:
    assert decoded(before + whole({"content": "A"}) + b"\n")[0] == [START, ContentDelta("A")]


ERROR = {"message": "Overloaded", "code": 503}


@pytest.mark.parametrize(
    ("body", "kind", "reason", "retryable"),
    [
        (b"", "protocol", "empty_response", True),
        (b" \n ", "protocol", "empty_response", True),
        (b'{"choices": null, "id": "c1"}', "protocol", "empty_response", True),
        (b'{"choices": []}', "protocol", "empty_response", True),
        (b"{}", "protocol", "empty_response", True),
        (whole({"content": ""}, None), "protocol", "empty_response", True),
        (b"<html>hello</html>", "protocol", "malformed_body", False),
        (b'{"choices": [', "protocol", "malformed_body", False),
        (b"[1, 2]", "protocol", "malformed_body", False),
        (b'"text"', "protocol", "malformed_body", False),
        (b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", "limit", "max_json_depth", False),
        (json.dumps({"error": ERROR}).encode(), "overloaded", "service_unavailable", True),
        (json.dumps({"error": ERROR, "choices": None, "id": None}).encode(), "overloaded", "service_unavailable", True),
        (json.dumps([{"error": ERROR}]).encode(), "overloaded", "service_unavailable", True),
        (json.dumps({"error": "Unauthorized"}).encode(), "auth", "unauthorized", False),
        (
            json.dumps({"choices": [{"message": {"content": "A"}, "error": ERROR, "finish_reason": "error"}]}).encode(),
            "overloaded",
            "service_unavailable",
            True,
        ),
        (whole({"content": "A"}, "error"), "server", "finish_error", True),
    ],
)
def test_a_body_that_is_no_answer_fails_without_events(body: bytes, kind: str, reason: str, retryable: bool) -> None:
    events, outcome = decoded(body)
    assert events == []
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.retryable) == (kind, retryable)
    assert outcome.reason == reason
    assert (outcome.emitted, outcome.phase, outcome.request_id) == (False, "first_event", "req-1")


def test_an_error_that_does_not_say_so_is_the_classifiers_all_the_same() -> None:
    _, outcome = decoded(b'{"object": "error", "message": "max_tokens must be at least 1", "code": 400}')
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.message) == ("bad_request", "max_tokens must be at least 1")
    _, outcome = decoded(b'{"detail": "Not Found"}')
    assert isinstance(outcome, Failure)
    assert outcome.message == "Not Found"


def test_limits_hold_for_a_body() -> None:
    call = {"id": "t1", "function": {"name": "f", "arguments": "12345"}}
    events, outcome = decoded(whole({"tool_calls": [call]}, "tool_calls"), DecodeLimits(max_tool_arguments_bytes=4))
    assert events == []
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.reason) == ("limit", "max_tool_arguments_bytes")
