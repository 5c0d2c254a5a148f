"""What a decoder takes at most, and what it shows of an answer that has not ended."""

import json

import pytest

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.anthropic_messages import decode_body, open_decoder
from nexus3.wire.codecs.anthropic_messages.payload import is_too_deep
from nexus3.wire.events import ContentDelta, ToolCallCompleted
from nexus3.wire.limits import DEFAULT_LIMITS, DecodeLimits
from nexus3.wire.messages import Message, ReasoningBlock, Role, ToolCall
from tests.wire.anthropic_messages.helpers import (
    a_target,
    block_delta,
    block_start,
    finish,
    read,
    sse,
    start,
    text_block,
    thinking_block,
    tool_block,
)

DEEP = '{"a":' * 70 + "1" + "}" * 70


@pytest.mark.parametrize(
    ("limits", "payloads", "reason"),
    [
        (DecodeLimits(max_events=3), [start(), *text_block(0, "a", "b")], "max_events"),
        (DecodeLimits(max_line_bytes=400), [start(), *text_block(0, "x" * 500)], "max_line_bytes"),
        (DecodeLimits(max_event_bytes=400), [start(), *text_block(0, "x" * 500)], "max_event_bytes"),
        (
            DecodeLimits(max_tool_calls=1),
            [start(), *tool_block(0, "a", "f"), *tool_block(1, "b", "f")],
            "max_tool_calls",
        ),
        (
            DecodeLimits(max_tool_arguments_bytes=9),
            [start(), *tool_block(0, "a", "f", '"1234', "5678"), *tool_block(1, "b", "f", '"9"')],
            None,
        ),
        (
            DecodeLimits(max_tool_arguments_bytes=9),
            [start(), *tool_block(0, "a", "f", '"1234', "56789")],
            "max_tool_arguments_bytes",
        ),
        (
            DecodeLimits(max_tool_arguments_bytes=9),
            [start(), block_start(0, type="tool_use", id="a", name="f", input={"long": "text"})],
            "max_tool_arguments_bytes",
        ),
        (
            DecodeLimits(max_all_tool_arguments_bytes=9),
            [start(), *tool_block(0, "a", "f", '"äöü"'), *tool_block(1, "b", "f", '"9"')],
            "max_all_tool_arguments_bytes",
        ),
        (DEFAULT_LIMITS, [start(), *tool_block(0, "a", "f", DEEP)], "max_json_depth"),
        (DEFAULT_LIMITS, [start(), *tool_block(0, "a", "f", DEEP)[:-1], *finish("tool_use")], "max_json_depth"),
        (DEFAULT_LIMITS, [start(), {"type": "novel", "deep": json.loads(DEEP)}], "max_json_depth"),
    ],
)
def test_an_answer_over_a_limit_is_refused(limits: DecodeLimits, payloads: list[object], reason: str | None) -> None:
    data = sse(*payloads, *finish("tool_use"))
    whole = read(data, limits=limits)
    assert read(*(data[at : at + 1] for at in range(len(data))), limits=limits) == whole
    if reason is None:
        assert isinstance(whole.outcome, Reply)
    else:
        failure = whole.failure
        assert (failure.kind, failure.reason, failure.retryable) == ("limit", reason, False)
        assert reason in failure.message


def test_brackets_within_strings_are_not_nesting() -> None:
    text = '[{"' * 1000
    assert read(sse(start(), *text_block(0, text), *finish())).reply.message.content == text
    body = json.dumps({"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}).encode()
    _, outcome = decode_body(body, a_target(), request_id=None, limits=DEFAULT_LIMITS)
    assert isinstance(outcome, Reply)
    assert outcome.message.content == text


def test_an_answer_within_the_limits_may_be_long() -> None:
    pieces = ["x" * 1000] * 2000
    assert read(sse(start(), *text_block(0, *pieces), *finish())).reply.message.content == "x" * 2_000_000


def test_what_has_arrived_can_be_shown_at_any_time() -> None:
    data = [
        sse(start()),
        sse(*thinking_block(0, None, "Hm.")[:2]),
        sse(block_delta(0, type="signature_delta", signature="c2ln")),
        sse(*text_block(1, "Let me", " look.")[:2]),
        sse(*tool_block(2, "t", "look", '{"at": "the sk')[:2]),
    ]
    decoder = open_decoder(a_target(), request_id=None, limits=DEFAULT_LIMITS)
    shown: list[Message | None] = []
    for piece in data:
        decoder.feed(piece)
        shown.append(decoder.partial())
    thought = ReasoningBlock(text="Hm.", origin=decoder._stream.answer._origin)
    signed = thought.model_copy(update={"signature": "c2ln"})
    call = ToolCall(id="t", name="look", raw_arguments='{"at": "the sk')
    assert call.arguments is None

    def message(**fields: object) -> Message:
        return Message(role=Role.ASSISTANT, **fields)  # type: ignore[arg-type] # a test's shorthand

    assert shown == [
        None,
        message(reasoning=(thought,)),
        message(reasoning=(signed,)),
        message(reasoning=(signed,), content="Let me"),
        message(reasoning=(signed,), content="Let me", tool_calls=(call,)),
    ]


@pytest.mark.parametrize("arguments", ["[" * 100_000, '{"a":' * 400 + "1" + "}" * 400])
def test_what_has_arrived_can_be_shown_even_where_it_is_absurd(arguments: str) -> None:
    decoder = open_decoder(a_target(), request_id=None, limits=DEFAULT_LIMITS)
    events = decoder.feed(sse(start(), *tool_block(0, "t", "f", arguments)[:2]))
    partial = decoder.partial()
    assert partial is not None
    assert (partial.tool_calls[0].arguments, partial.tool_calls[0].raw_arguments) == (None, arguments)
    assert not any(isinstance(event, ToolCallCompleted) for event in events)


def test_integers_of_any_size_survive() -> None:
    huge = 2**200
    whole = block_start(0, type="tool_use", id="t", name="f", input={"n": huge})
    call = read(sse(start(), whole, *finish("tool_use"))).reply.message.tool_calls[0]
    assert call.arguments == {"n": huge}


@pytest.mark.parametrize("pieces", [1, 2])
def test_as_many_events_are_read_as_are_allowed_however_they_arrive(pieces: int) -> None:
    payloads = [start(), *text_block(0, "a", "b")[:-1]]
    cut = len(payloads) // pieces
    allowed, first, last = DecodeLimits(max_events=4), sse(*payloads[:cut]), sse(*payloads[cut:])
    assert read(first, last, limits=allowed).failure.reason == "stream_truncated"
    answer = read(first, last + sse(block_delta(0, type="text_delta", text="c")), limits=allowed)
    assert (answer.failure.reason, answer.failure.emitted) == ("max_events", True)
    assert [event for event in answer.events if isinstance(event, ContentDelta)] == [
        ContentDelta("a"),
        ContentDelta("b"),
    ]


@pytest.mark.parametrize("deep", [b"[", b'{"a":'])
def test_depth_counts_to_the_bracket(deep: bytes) -> None:
    assert [is_too_deep(deep * depth, 3) for depth in (2, 3, 4)] == [False, False, True]
    assert not is_too_deep(b"[[],[],[],{}]", 3)
    assert not is_too_deep(b'["[[[["]', 3)
