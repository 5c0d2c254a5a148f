"""What gateways, betas and later versions of the API put into a stream: read as far as it can be, kept where not."""

import pytest

from nexus3.wire.events import (
    DUPLICATE_DROPPED,
    MODEL_CHANGED,
    ContentDelta,
    Notice,
    ReasoningDelta,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
)
from nexus3.wire.messages import JsonObject, Message, ReasoningBlock, Role, ToolCall
from tests.wire.anthropic_messages.helpers import (
    BEGAN,
    ENDED,
    OURS,
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


def test_events_without_names_and_in_odd_types_mean_the_same() -> None:
    """As gateways re-write them: no ``event:`` lines, floats for indexes, nulls, keys that nobody knows."""
    payloads = [
        start(),
        {"type": "content_block_start", "index": 0.0, "content_block": {"type": "text", "text": None}, "extra": [1]},
        {"index": 0.0, "delta": {"text": "Hel", "type": "text_delta"}, "type": "content_block_delta"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo", "x": {"y": []}}},
        {"type": "content_block_stop", "index": 0.0},
        {"type": "message_delta", "delta": None, "usage": None},
        *finish(),
    ]
    plain = b"".join(sse(payload).split(b"\n", 1)[1] for payload in payloads)
    answer = read_at_every_cut(plain)
    assert answer.events == [*BEGAN, ContentDelta("Hel"), ContentDelta("lo"), ENDED]
    named_only = (
        sse(*payloads[:1]) + b'event: content_block_start\ndata: {"index":0,"content_block":{"type":"text"}}\n\n'
    )
    assert read_at_every_cut(named_only + sse(*payloads[2:])).events == answer.events


def test_broken_utf_8_and_half_surrogates_are_replaced() -> None:
    broken = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    data = sse(start(), block_start(0, type="text", text=""))
    data += broken + b'"text":"a\xffb"}}\n\n' + broken + b'"text":"c\\ud83dd"}}\n\n'
    answer = read_at_every_cut(data + sse(block_stop(0), *finish()))
    assert content_of(answer.events) == [ContentDelta("a\ufffdb"), ContentDelta("c\ufffdd")]


def test_a_metrics_event_without_a_message_is_passed_over() -> None:
    empty = {"type": "message_start", "message": None}
    answer = read_at_every_cut(sse(empty, start(), *text_block(0, "x"), empty, *finish()))
    assert answer.events == [*BEGAN, ContentDelta("x"), ENDED]


def test_a_done_marker_of_the_other_dialect_is_passed_over() -> None:
    data = sse(start(), *text_block(0, "x")) + b"data: [DONE]\n\n" + sse(*finish()) + b"data: [DONE]\n\n"
    assert read_at_every_cut(data).events == [*BEGAN, ContentDelta("x"), ENDED]
    assert (
        read_at_every_cut(sse(start(), *text_block(0, "x")) + b"data: [DONE]\n\n").failure.reason == "stream_truncated"
    )


def test_input_that_comes_whole_is_not_taken_twice() -> None:
    whole = block_start(0, type="tool_use", id="t", name="roll", input={"sides": 6})
    again = block_delta(0, type="input_json_delta", partial_json='{"sides": 6}')
    answer = read_at_every_cut(sse(start(), whole, again, block_stop(0), *finish("tool_use")))
    call = ToolCall(id="t", name="roll", arguments={"sides": 6}, raw_arguments='{"sides":6}')
    assert content_of(answer.events) == [
        ToolCallStarted(0, "t", "roll"),
        ToolCallDelta(0, '{"sides":6}'),
        Notice(DUPLICATE_DROPPED, "The provider sent tool input again that had come whole."),
        ToolCallCompleted(0, call),
    ]


def test_a_message_start_that_holds_the_whole_answer() -> None:
    call = {"type": "tool_use", "id": "t", "name": "roll", "input": {}, "caller": {"type": "direct"}}
    data = sse(
        start(content=[{"type": "text", "text": "Rolling."}, call], stop_reason="tool_use"), {"type": "message_stop"}
    )
    answer = read_at_every_cut(data)
    roll = ToolCall(id="t", name="roll", arguments={}, raw_arguments="")
    expected = [ContentDelta("Rolling."), ToolCallStarted(0, "t", "roll"), ToolCallCompleted(0, roll)]
    assert content_of(answer.events) == expected
    assert answer.reply.stop_reason == "tool_calls"


def test_blocks_are_told_apart_by_index_and_calls_count_from_zero() -> None:
    first, second = tool_block(4, "a", "one", '{"x":', "1}"), tool_block(9, "b", "two", "{}")
    mixed = [first[0], second[0], first[1], second[1], first[2], second[2], first[3]]
    answer = read_at_every_cut(sse(start(), *text_block(2, "Both."), *mixed, *finish("tool_use")))
    calls = [event for event in answer.events if isinstance(event, ToolCallCompleted)]
    assert [(call.index, call.tool_call.id, call.tool_call.arguments) for call in calls] == [
        (0, "a", {"x": 1}),
        (1, "b", {}),
    ]


def test_what_the_canonical_fields_cannot_rebuild_is_kept_verbatim() -> None:
    """Citations, server tools whose input comes in pieces, thinking after text."""
    citation = {"type": "char_location", "cited_text": "x", "document_index": 0}
    search = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"url": "https://x", "n": 1.5}]}
    data = sse(
        start(),
        *text_block(0, "Searching."),
        block_start(1, **search),
        block_delta(1, type="input_json_delta", partial_json=""),
        block_delta(1, type="input_json_delta", partial_json='{"query": '),
        block_delta(1, type="input_json_delta", partial_json='"x"}'),
        block_stop(1),
        block_start(2, **result),
        block_stop(2),
        *thinking_block(3, "c2ln", "Hm."),
        block_start(4, type="text", text="", citations=[]),
        block_delta(4, type="citations_delta", citation=citation),
        block_delta(4, type="text_delta", text="Found."),
        block_stop(4),
        *finish(),
    )
    answer = read_at_every_cut(data)
    assert content_of(answer.events) == [ContentDelta("Searching."), ReasoningDelta("Hm."), ContentDelta("Found.")]
    message = answer.reply.message
    assert (message.content, message.tool_calls, message.origin) == ("Searching.Found.", (), OURS)
    assert message.reasoning == (ReasoningBlock(text="Hm.", signature="c2ln", origin=OURS),)
    assert message.blocks == (
        {"type": "text", "text": "Searching."},
        {**search, "input": {"query": "x"}},
        result,
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "Found.", "citations": [citation]},
    )


def test_a_field_of_an_unknown_block_may_grow_and_be_replaced() -> None:
    deltas: list[dict[str, object]] = [
        {"note": "a"},
        {"note": "b"},
        {"note": 7},
        {"note": "c", "more": "d"},
        {"more": "e"},
    ]
    pieces = [block_delta(0, type="hologram_delta", **delta) for delta in deltas]
    data = sse(start(), block_start(0, type="hologram", more="-"), *pieces, block_stop(0), *finish())
    answer = read_at_every_cut(data)
    assert answer.reply.message.blocks == ({"type": "hologram", "more": "-de", "note": "c"},)


def test_a_compaction_block_grows_by_its_own_deltas() -> None:
    data = sse(
        start(),
        block_start(0, type="compaction", content=None),
        block_delta(0, type="compaction_delta", content="Summary", encrypted_content=None),
        block_delta(0, type="compaction_delta", content=" so far"),
        block_stop(0),
        *text_block(1, "Hi"),
        *finish(),
    )
    answer = read_at_every_cut(data)
    assert content_of(answer.events) == [ContentDelta("Hi")]
    assert answer.reply.message.blocks[0] == {"type": "compaction", "content": "Summary so far"}


def test_a_fallback_of_the_provider_names_the_new_model() -> None:
    fallback = block_start(0, type="fallback", **{"from": {"model": "claude-x"}, "to": {"model": "claude-y"}})
    answer = read_at_every_cut(sse(start(), fallback, block_stop(0), *text_block(1, "Hi"), *finish()))
    assert content_of(answer.events) == [
        Notice(MODEL_CHANGED, "The provider went on with claude-y."),
        ContentDelta("Hi"),
    ]
    assert answer.reply.model == "claude-y"


@pytest.mark.parametrize("field", [{"citations": [{"type": "char_location", "cited_text": "x"}]}, {"spoken": True}])
def test_a_lone_text_block_is_kept_where_it_has_more_than_its_text(field: JsonObject) -> None:
    block: JsonObject = {"type": "text", "text": "Found.", **field}
    answer = read_at_every_cut(sse(start(), block_start(0, **block), block_stop(0), *finish()))
    assert answer.reply.message == Message(role=Role.ASSISTANT, content="Found.", blocks=(block,), origin=OURS)
    cited = [block_start(0, type="text", text="Found."), block_delta(0, type="citations_delta", citation={"type": "x"})]
    assert read_at_every_cut(sse(start(), *cited, block_stop(0), *finish())).reply.message.blocks == (
        {"type": "text", "text": "Found.", "citations": [{"type": "x"}]},
    )


def test_what_comes_in_one_read_with_the_end_but_behind_it_is_not_read() -> None:
    whole = sse(start(), *text_block(0, "Hi"), *finish())
    behind = sse(block_delta(7, type="text_delta", text="lost"), {"type": "error", "error": {"message": "no"}})
    assert read(whole + behind) == read(whole)
