"""The streams that production brings, each with the events that it must give, wherever its bytes are cut."""

from typing import Any

import pytest

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.anthropic_messages import decode_body
from nexus3.wire.events import (
    INFERRED_FINISH,
    TAIL_LOST,
    UNKNOWN_CONTENT,
    ContentDelta,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import fail
from nexus3.wire.limits import DEFAULT_LIMITS
from nexus3.wire.messages import ReasoningBlock, ToolCall, Usage
from tests.wire.anthropic_messages.helpers import (
    BEGAN,
    ENDED,
    OURS,
    PING,
    a_target,
    assistant,
    block_delta,
    block_start,
    block_stop,
    content_of,
    finish,
    read,
    read_at_every_cut,
    sse,
    start,
    text_block,
    thinking_block,
    tool_block,
)


def test_vector_8_text_with_a_ping_between() -> None:
    answer = read_at_every_cut(sse(start(), PING, *text_block(0, "Hel", "lo 😀"), PING, *finish()))
    assert answer.events == [*BEGAN, ContentDelta("Hel"), ContentDelta("lo 😀"), ENDED]
    assert answer.reply == Reply(
        message=assistant("Hello 😀"),
        stop_reason="stop",
        raw_stop_reason="end_turn",
        usage=Usage(input_tokens=11, output_tokens=6),
        response_id="msg_1",
        model="claude-x",
    )


def test_vector_9_thinking_then_text() -> None:
    data = sse(start(), *thinking_block(0, "c2ln", "Let me", " see."), *text_block(1, "Yes."), *finish())
    answer = read_at_every_cut(data)
    assert answer.events == [*BEGAN, ReasoningDelta("Let me"), ReasoningDelta(" see."), ContentDelta("Yes."), ENDED]
    block = ReasoningBlock(text="Let me see.", signature="c2ln", origin=OURS)
    assert answer.reply.message == assistant("Yes.", reasoning=(block,))


def test_a_signature_may_come_in_pieces() -> None:
    pieces = [block_delta(0, type="signature_delta", signature=piece) for piece in ("c2", "ln")]
    data = sse(start(), *thinking_block(0, None, "Hm.")[:2], *pieces, block_stop(0), *finish())
    assert read_at_every_cut(data).reply.message.reasoning[0].signature == "c2ln"


def test_vector_10_tool_use_with_an_empty_first_fragment() -> None:
    data = sse(start(), *tool_block(0, "toolu_1", "get", "", '{"a"', ": 1}"), *finish("tool_use"))
    answer = read_at_every_cut(data)
    call = ToolCall(id="toolu_1", name="get", arguments={"a": 1}, raw_arguments='{"a": 1}')
    assert answer.events == [
        *BEGAN,
        ToolCallStarted(0, "toolu_1", "get"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ": 1}"),
        ENDED,
        ToolCallCompleted(0, call),
    ]
    assert answer.reply.stop_reason == "tool_calls"
    assert answer.reply.message == assistant(tool_calls=(call,))


def test_vector_12_an_error_before_any_content_leaves_no_trace() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    answer = read_at_every_cut(sse(start(), PING, error))
    assert answer.events == []
    failure = answer.failure
    assert (failure.kind, failure.retryable, failure.emitted, failure.phase) == (
        "overloaded",
        True,
        False,
        "first_event",
    )
    assert failure.request_id == "req_9"
    assert failure.usage == Usage(input_tokens=11, output_tokens=1)


def test_vector_13_an_error_after_content_keeps_what_came() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
    answer = read_at_every_cut(sse(start(), *text_block(0, "one ", "two")[:3], error))
    assert answer.events == [*BEGAN, ContentDelta("one "), ContentDelta("two")]
    failure = answer.failure
    assert (failure.kind, failure.retryable, failure.emitted, failure.phase) == ("overloaded", True, True, "stream")


@pytest.mark.parametrize(
    "error", [{"type": "error", "error": "It broke"}, {"error": {"type": "api_error", "message": "It broke"}}]
)
def test_an_error_is_one_however_it_is_dressed(error: object) -> None:
    failure = read_at_every_cut(sse(start(), error)).failure
    assert failure.message == "It broke"


def test_an_error_event_that_is_not_json_keeps_its_text() -> None:
    failure = read_at_every_cut(sse(start()) + b"event: error\ndata: upstream went away\n\n").failure
    assert failure.kind != "internal"
    assert "upstream went away" in failure.message


def test_vector_34_and_48_a_call_cut_off_by_max_tokens_is_listed_without_arguments() -> None:
    cut_off = tool_block(1, "toolu_1", "write", '{"path": "a.t')[:-1]
    answer = read_at_every_cut(sse(start(), *text_block(0, "Ok."), *cut_off, *finish("max_tokens")))
    call = ToolCall(id="toolu_1", name="write", arguments=None, raw_arguments='{"path": "a.t')
    assert call.arguments is None
    assert answer.reply.stop_reason == "length"
    assert answer.reply.message == assistant("Ok.", tool_calls=(call,))
    assert answer.events[-1] == ToolCallCompleted(0, call)


def test_vector_33_a_call_without_input_has_empty_arguments() -> None:
    answer = read_at_every_cut(sse(start(), *tool_block(0, "toolu_1", "now", ""), *finish("tool_use")))
    assert answer.reply.message.tool_calls == (ToolCall(id="toolu_1", name="now", arguments={}, raw_arguments=""),)


def test_vector_32_a_call_without_id_gets_the_same_one_everywhere() -> None:
    data = sse(start(), *tool_block(0, "", "now", "{}"), *finish("tool_use"))
    first, second = read(data), read(data)
    call = first.reply.message.tool_calls[0]
    assert call.id.startswith("call_")
    assert ToolCallStarted(0, call.id, "now") in first.events
    assert second == first


def test_vector_44_redacted_thinking_is_kept_and_not_shown() -> None:
    redacted = [block_start(0, type="redacted_thinking", data="ZW5j"), block_stop(0)]
    answer = read_at_every_cut(sse(start(), *redacted, *text_block(1, "Yes."), *finish()))
    assert content_of(answer.events) == [ContentDelta("Yes.")]
    assert answer.reply.message == assistant("Yes.", reasoning=(ReasoningBlock(data="ZW5j", origin=OURS),))


def test_vector_45_a_refusal_without_content() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It asks for malware."}
    answer = read_at_every_cut(sse(start(), *finish("refusal", stop_details=details)))
    assert answer.events == [*BEGAN, ENDED, ContentDelta("cyber: It asks for malware.", refusal=True)]
    assert answer.reply.stop_reason == "refusal"
    assert answer.reply.message == assistant(refusal="cyber: It asks for malware.")


def test_a_refusal_that_explains_nothing_is_an_empty_answer() -> None:
    answer = read_at_every_cut(sse(start(), *finish("refusal", stop_details={"type": "refusal", "category": None})))
    assert answer.events == [*BEGAN, ENDED]
    assert (answer.reply.stop_reason, answer.reply.message) == ("refusal", assistant())


def test_vector_47_usage_that_a_proxy_leaves_out_stays_as_it_was() -> None:
    usage = {
        "input_tokens": 20,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "output_tokens": 2,
    }
    late = {"input_tokens": None, "output_tokens": 48, "output_tokens_details": {"thinking_tokens": 12}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": late}
    answer = read_at_every_cut(sse(start(usage=usage), *text_block(0, "x"), delta, {"type": "message_stop"}))
    first = Usage(input_tokens=1120, output_tokens=2, cache_read_tokens=1000, cache_write_tokens=100)
    last = Usage(
        input_tokens=1120, output_tokens=48, cache_read_tokens=1000, cache_write_tokens=100, reasoning_tokens=12
    )
    assert [event for event in answer.events if isinstance(event, UsageUpdated)] == [
        UsageUpdated(first),
        UsageUpdated(last),
    ]
    assert answer.reply.usage == last


def test_usage_that_is_never_said_is_not_known() -> None:
    answer = read_at_every_cut(
        sse(start(usage=None), *text_block(0, "x"), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    )
    assert answer.reply.usage is None
    odd = {"cache_read_input_tokens": 5, "output_tokens": 3.0, "input_tokens": "many"}
    odd |= {"cache_creation_input_tokens": -1, "output_tokens_details": {"thinking_tokens": True}}
    answer = read_at_every_cut(sse(start(usage=odd), *text_block(0, "x"), *finish("end_turn", output_tokens=7)))
    assert answer.reply.usage == Usage(output_tokens=7, cache_read_tokens=5)


def test_vector_49_unknown_events_blocks_and_deltas_are_noticed_once_and_kept() -> None:
    novel = {"type": "hologram", "shape": "cube", "text": "a"}
    data = sse(
        start(),
        {"type": "weather_report", "sunny": True},
        {"type": "weather_report", "sunny": False},
        block_start(0, **novel),
        block_delta(0, type="hologram_delta", text="b", colour="red"),
        block_delta(0, type="text_delta", text="c"),
        block_stop(0),
        block_start(1, type="text", text=""),
        block_delta(1, type="sparkle_delta", sparkle=3),
        block_delta(1, type="text_delta", text="Hi"),
        block_stop(1),
        *finish(),
    )
    answer = read_at_every_cut(data)
    assert content_of(answer.events) == [
        Notice(UNKNOWN_CONTENT, "The provider sent event of type 'weather_report'."),
        Notice(UNKNOWN_CONTENT, "The provider sent content block of type 'hologram'."),
        Notice(UNKNOWN_CONTENT, "The provider sent delta of type 'sparkle_delta' in a block of type 'text'."),
        ContentDelta("Hi"),
    ]
    kept = ({"type": "hologram", "shape": "cube", "text": "abc", "colour": "red"}, {"type": "text", "text": "Hi"})
    assert answer.reply.message == assistant("Hi", blocks=kept, origin=OURS)


def test_vector_67_garbage_after_content_fails_the_answer() -> None:
    data = sse(start(), *text_block(0, "so far")) + b"event: content_block_delta\ndata: {oops\n\n" + sse(*finish())
    answer = read_at_every_cut(data)
    assert answer.events == [*BEGAN, ContentDelta("so far")]
    failure = answer.failure
    assert (failure.kind, failure.reason, failure.retryable, failure.emitted) == (
        "protocol",
        "malformed_event",
        False,
        True,
    )
    assert "{oops" in failure.message


@pytest.mark.parametrize(
    "payload", ["[]", "null", '"text"', "17", '{"a":NaN}', '{"a":1e999}', '{"a":"\\ud83d","b":-Infinity}']
)
def test_json_that_is_no_object_is_malformed(payload: str) -> None:
    failure = read_at_every_cut(sse(start()) + f"event: ping\ndata: {payload}\n\n".encode()).failure
    assert (failure.kind, failure.reason) == ("protocol", "malformed_event")


def test_vector_68_a_tail_that_is_cut_off_does_not_matter() -> None:
    data = sse(start(), *text_block(0, "done"), finish()[0])
    cut = fail("transport", "reset", "The connection was reset.")
    for answer in (read_at_every_cut(data), read_at_every_cut(data, cut=cut)):
        assert answer.reply.message == assistant("done")
        assert answer.events[-1].code == TAIL_LOST  # type: ignore[union-attr] # it is a Notice, or the test fails


@pytest.mark.parametrize(
    "tail",
    [
        b"data: {broken\n\n",
        sse({"type": "error", "error": {"type": "api_error", "message": "late"}}),
        sse(start()),
        sse(block_stop(7)),
        b"event: message_stop\ndata: {",
    ],
)
def test_nothing_behind_a_stop_reason_undoes_success(tail: bytes) -> None:
    answer = read_at_every_cut(sse(start(), *text_block(0, "done"), finish()[0]) + tail)
    assert answer.reply.stop_reason == "stop"
    assert [event.code for event in answer.events if isinstance(event, Notice)] == [TAIL_LOST]


def test_a_stream_without_stop_reason_is_truncated() -> None:
    failure = read_at_every_cut(sse(start(), *text_block(0, "so far"))).failure
    assert (failure.kind, failure.reason, failure.retryable) == ("protocol", "stream_truncated", True)
    cut = fail("timeout", "total", "The deadline has passed.", phase="headers")
    half_an_event = sse(block_stop(7)).removesuffix(b"\n\n")  # and that one breaks the order, too
    failure = read_at_every_cut(sse(start(), *text_block(0, "so far")) + half_an_event, cut=cut).failure
    assert (failure.kind, failure.reason, failure.phase, failure.emitted) == ("timeout", "total", "headers", True)


@pytest.mark.parametrize("data", [b"", b"\n\n", b": keep-alive\n\n"])
def test_a_body_that_says_nothing_is_empty(data: bytes) -> None:
    failure = read_at_every_cut(data).failure
    assert (failure.kind, failure.reason, failure.retryable) == ("protocol", "empty_response", True)


def test_a_last_event_without_its_blank_line_counts() -> None:
    data = sse(start(), *text_block(0, "done"), *finish()).removesuffix(b"\n\n")
    answer = read_at_every_cut(data)
    assert answer.events == [*BEGAN, ContentDelta("done"), ENDED]
    assert answer.reply.raw_stop_reason == "end_turn"


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([start(), start()], id="vector 69: two message_start"),
        pytest.param([start(), *text_block(0, "a"), start()], id="message_start after content"),
        pytest.param([*text_block(0, "a")], id="a block before message_start"),
        pytest.param([block_delta(0, type="text_delta", text="a")], id="a delta before message_start"),
        pytest.param([{"type": "message_stop"}], id="message_stop before message_start"),
        pytest.param([start(), block_delta(0, type="text_delta", text="a")], id="a delta without a block"),
        pytest.param(
            [start(), *text_block(0, "a"), block_delta(0, type="text_delta", text="b")], id="a delta too late"
        ),
        pytest.param([start(), block_stop(0)], id="a stop without a block"),
        pytest.param([start(), block_start(0, type="text", text=""), block_start(0, type="text")], id="begun twice"),
    ],
)
def test_what_breaks_the_order_of_the_stream_is_a_protocol_failure(payloads: list[object]) -> None:
    failure = read_at_every_cut(sse(*payloads)).failure
    assert (failure.kind, failure.reason, failure.retryable) == ("protocol", "bad_sequence", False)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"type": "content_block_start", "index": 0}, id="no block"),
        pytest.param(block_start(0, type="tool_use", id="x", input={}), id="a call without a name"),
        pytest.param(block_start(0, type="tool_use", id="x", name=7, input={}), id="a name that is none"),
    ],
)
def test_a_block_that_cannot_be_read_is_malformed(payload: object) -> None:
    failure = read(sse(start(), payload)).failure
    assert (failure.kind, failure.reason) == ("protocol", "malformed_event")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("pause_turn", "pause"),
        ("compaction", "pause"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context_window"),
        ("bored", "unknown"),
    ],
)
def test_stop_reasons(raw: str, reason: str) -> None:
    reply = read(sse(start(), *text_block(0, "x"), *finish(raw))).reply
    assert (reply.stop_reason, reply.raw_stop_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("blocks", "raw", "reason"),
    [
        (text_block(0, "x"), None, "stop"),
        (tool_block(0, "a", "one", "{}"), None, "tool_calls"),
        (text_block(0, "x"), "tool_use", "stop"),
    ],
)
def test_a_stop_reason_that_is_missing_or_does_not_fit_is_inferred(blocks: Any, raw: str | None, reason: str) -> None:
    answer = read_at_every_cut(sse(start(), *blocks, *finish(raw)))
    assert (answer.reply.stop_reason, answer.reply.raw_stop_reason) == (reason, raw)
    assert [event.code for event in answer.events if isinstance(event, Notice)] == [INFERRED_FINISH]


def test_the_input_of_the_reserved_tool_is_the_answer() -> None:
    data = sse(start(), *tool_block(0, "t", "nexus3_output", '{"city":', '"Rome"}'), *finish("tool_use"))
    answer = read_at_every_cut(data)
    assert answer.events == [*BEGAN, ContentDelta('{"city":'), ContentDelta('"Rome"}'), ENDED]
    assert (answer.reply.stop_reason, answer.reply.message) == ("stop", assistant('{"city":"Rome"}'))


A8 = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":\
[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":20,"cache_creation_input_tokens":100,\
"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":0},\
"output_tokens":2,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Need weather."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"U0lH"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Checking."}      }

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"get_weather",\
"input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",\
"partial_json":"{\\"city\\": \\"SF\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":48,\
"output_tokens_details":{"thinking_tokens":12}}}

event: message_stop
data: {"type":"message_stop"}

"""


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a8_thinking_text_and_a_tool(line_end: str) -> None:
    answer = read_at_every_cut(A8.replace("\n", line_end).encode())
    counted = {"input_tokens": 1120, "cache_read_tokens": 1000, "cache_write_tokens": 100}
    call = ToolCall(id="toolu_1", name="get_weather", arguments={"city": "SF"}, raw_arguments='{"city": "SF"}')
    assert answer.events == [
        ResponseStarted("msg_1", "claude-x", "req_9"),
        UsageUpdated(Usage(**counted, output_tokens=2)),
        ReasoningDelta("Need weather."),
        ContentDelta("Checking."),
        ToolCallStarted(0, "toolu_1", "get_weather"),
        ToolCallDelta(0, '{"city": "SF"}'),
        UsageUpdated(Usage(**counted, output_tokens=48, reasoning_tokens=12)),
        ToolCallCompleted(0, call),
    ]
    thought = ReasoningBlock(text="Need weather.", signature="U0lH", origin=OURS)
    assert answer.reply == Reply(
        message=assistant("Checking.", reasoning=(thought,), tool_calls=(call,)),
        stop_reason="tool_calls",
        raw_stop_reason="tool_use",
        usage=Usage(**counted, output_tokens=48, reasoning_tokens=12),
        response_id="msg_1",
        model="claude-x",
    )


def test_a9_an_error_in_the_stream() -> None:
    a9 = (
        b"event: error\n"
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}\n\n'
    )
    failure = read_at_every_cut(a9, target=a_target()).failure
    assert (failure.kind, failure.reason, failure.message) == ("overloaded", "overloaded_error", "Overloaded")


def test_vector_77_an_unstreamed_body_gives_the_events_that_its_stream_would_have_given() -> None:
    content = [
        {"type": "thinking", "thinking": "Need weather.", "signature": "U0lH"},
        {"type": "text", "text": "Checking.", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "SF"}},
    ]
    message = start(content=content, stop_reason="tool_use")["message"]
    body = b"\n\n" + sse(message).split(b"data: ")[1]  # blank lines before it are legal
    events, outcome = decode_body(body, a_target(), request_id="req_9", limits=DEFAULT_LIMITS)
    streamed = read(
        sse(
            start(),
            *thinking_block(0, "U0lH", "Need weather."),
            *text_block(1, "Checking."),
            *tool_block(2, "toolu_1", "get_weather", '{"city":"SF"}'),
            *finish("tool_use", output_tokens=1),
        )
    )
    assert (events, outcome) == streamed


@pytest.mark.parametrize(
    ("body", "kind", "reason", "retryable"),
    [
        (b"", "protocol", "empty_response", True),
        (b" \n", "protocol", "empty_response", True),
        (b"<html>Bad Gateway</html>", "protocol", "malformed_body", False),
        (b"[1]", "protocol", "malformed_body", False),
        (b'{"id":"msg_1"}', "protocol", "malformed_body", False),
        (b'{"type":"message","content":[7]}', "protocol", "malformed_event", False),
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            "overloaded",
            "overloaded_error",
            True,
        ),
    ],
)
def test_a_body_that_is_no_answer(body: bytes, kind: str, reason: str, retryable: bool) -> None:
    events, outcome = decode_body(body, a_target(), request_id="req_9", limits=DEFAULT_LIMITS)
    assert events == []
    assert not isinstance(outcome, Reply)
    assert (outcome.kind, outcome.reason, outcome.retryable, outcome.request_id) == (kind, reason, retryable, "req_9")
