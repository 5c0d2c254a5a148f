"""Streams read by the decoder: the table of vectors, and what the table cannot say."""

import msgspec
import pytest

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import open_decoder, reading
from nexus3.wire.events import ContentDelta, ReasoningDelta, ResponseStarted, StreamEvent, UsageUpdated
from nexus3.wire.failures import Failure, fail
from nexus3.wire.limits import DEFAULT_LIMITS, DecodeLimits
from nexus3.wire.messages import JsonObject, Message, Origin, ReasoningBlock, Role, ToolCall, Usage
from tests.wire.openai_chat.build import (
    DONE,
    Read,
    call,
    calls,
    chunk,
    failure,
    fold,
    folded,
    notices,
    read,
    reply,
    sse,
    target,
)
from tests.wire.openai_chat.vectors import START, STOP, VECTORS, Ends, Vector

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)

CUT = fail("transport", "reset", "the connection was reset", phase="stream")


@each_vector
def test_a_stream_is_read_as_it_was_meant(vector: Vector) -> None:
    result = read(vector.body, target(vector.provider))
    assert result.events == vector.events
    outcome = result.outcome
    if isinstance(vector.outcome, Ends):
        assert isinstance(outcome, Reply), outcome
        assert Ends(outcome.stop_reason, outcome.raw_stop_reason, outcome.usage) == vector.outcome
        assert folded(outcome) == fold(vector.events)
    else:
        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.reason, outcome.retryable) == vector.outcome
        assert outcome.emitted == bool(vector.events)
        assert outcome.phase == ("stream" if vector.events else "first_event")
        assert outcome.request_id == "req-1"


@each_vector
def test_events_do_not_depend_on_where_the_bytes_were_cut(vector: Vector) -> None:
    whole = read(vector.body, target(vector.provider))
    for place in range(len(vector.body) + 1):
        pieces = [vector.body[:place], vector.body[place:]]
        assert read(pieces, target(vector.provider)) == whole, f"cut at byte {place}"
    singly = [vector.body[place : place + 1] for place in range(len(vector.body))]
    assert read(singly, target(vector.provider)) == whole


@each_vector
def test_the_tolerant_reader_reads_what_the_typed_one_reads(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(vector.body, target(vector.provider))
    monkeypatch.setattr(reading, "typed", _refuse)
    assert read(vector.body, target(vector.provider)) == fast


def _refuse(data: bytes) -> object:
    raise msgspec.ValidationError("odd")


@each_vector
def test_a_stream_cut_before_its_marker_is_never_an_answer(vector: Vector) -> None:
    # Where the marker's event is complete: its closing brace, or the last byte of the word.
    ends = [vector.body.find(marker) for marker in (b'"finish_reason": "', b'"finish_reason":"', b"[DONE]")]
    first = min((place for place in ends if place >= 0), default=len(vector.body))
    for place in range(first + 1):
        for cut in (None, CUT):
            result = read(vector.body[:place], target(vector.provider), cut=cut)
            assert isinstance(result.outcome, Failure), f"cut at byte {place}"


@each_vector
def test_a_reply_stands_whatever_cuts_its_tail(vector: Vector) -> None:
    whole = read(vector.body, target(vector.provider))
    decoder = open_decoder(target(vector.provider), request_id="req-1", limits=DEFAULT_LIMITS)
    events: list[StreamEvent] = []
    for place in range(len(vector.body)):
        events += decoder.feed(vector.body[place : place + 1])
        if decoder.outcome is not None or decoder.proven:
            break
    was_open = decoder.outcome is None
    if not decoder.proven:
        return
    events += decoder.end(CUT)
    assert isinstance(decoder.outcome, Reply)
    assert isinstance(whole.outcome, Reply)
    assert decoder.outcome.message.content == whole.outcome.message.content
    assert ("tail_lost" in notices(events)) == was_open


def test_a_cut_stream_fails_with_the_cut_itself() -> None:
    assert read(sse(chunk({"content": "A"})), cut=CUT) == Read([START, ContentDelta("A")], CUT, emitted=True)


def test_a_last_event_that_lacks_only_its_blank_line_counts() -> None:
    whole = sse(chunk({"content": "A"}), STOP)
    assert read(whole.rstrip(b"\n"), cut=CUT).outcome == read(whole, cut=CUT).outcome
    assert reply(sse(chunk({"content": "A"}), DONE).rstrip(b"\n")).message.content == "A"


def test_nothing_comes_after_the_outcome() -> None:
    decoder = open_decoder(target(), request_id=None, limits=DEFAULT_LIMITS)
    decoder.feed(sse(chunk({"content": "A"}), STOP, DONE))
    outcome = decoder.outcome
    assert decoder.feed(sse(chunk({"content": "B"}))) == []
    assert decoder.end(CUT) == []
    assert decoder.outcome is outcome is not None


def test_state_is_told_as_it_comes() -> None:
    decoder = open_decoder(target(), request_id=None, limits=DEFAULT_LIMITS)
    usage = {"prompt_tokens": 1, "completion_tokens": 2}

    def state() -> tuple[bool, bool, Usage | None, bool]:
        return decoder.emitted, decoder.proven, decoder.usage, decoder.outcome is not None

    assert decoder.feed(sse(chunk({"role": "assistant"}))) == []
    assert state() == (False, False, None, False)
    assert decoder.partial() is None
    assert decoder.feed(sse(chunk({}, usage=usage))) == []
    known = Usage(input_tokens=1, output_tokens=2)
    assert state() == (False, False, known, False)
    assert decoder.feed(sse(chunk({"content": "A"}))) == [
        ResponseStarted("c1", "m1", None),
        UsageUpdated(known),
        ContentDelta("A"),
    ]
    assert state() == (True, False, known, False)
    assert decoder.feed(sse(STOP)) == []
    assert state() == (True, True, known, False)
    assert decoder.feed(sse(DONE)) == []
    assert state() == (True, True, known, True)


def test_partial_shows_what_has_arrived() -> None:
    decoder = open_decoder(target("vllm"), request_id=None, limits=DEFAULT_LIMITS)
    decoder.feed(sse(chunk({"reasoning": "R"}), chunk({"content": "A"}), calls(call(0, "t1", "f", '{"a": '))))
    origin = Origin(dialect="openai_chat", provider="vllm", model="gpt-x", field="reasoning")
    assert decoder.partial() == Message(
        role=Role.ASSISTANT,
        content="A",
        reasoning=(ReasoningBlock(text="R", origin=origin),),
        tool_calls=(ToolCall(id="t1", name="f", arguments=None, raw_arguments='{"a": '),),
    )


def test_an_answer_carries_what_the_provider_said_of_it() -> None:
    answer = reply(sse(chunk({"content": "A"}, "stop"), DONE))
    assert (answer.response_id, answer.model) == ("c1", "m1")
    assert answer.message == Message(role=Role.ASSISTANT, content="A")
    nameless = reply(sse({"choices": [{"delta": {"content": "A"}, "finish_reason": "stop"}]}))
    assert (nameless.response_id, nameless.model) == (None, None)


def test_ollama_is_known_to_hide_errors() -> None:
    assert "ollama" in failure(sse(chunk({"content": "A"})), target("ollama")).message
    assert "ollama" not in failure(sse(chunk({"content": "A"})), target("vllm")).message


def test_a_broken_event_is_quoted_in_part() -> None:
    message = failure(sse("x" * 5000)).message
    assert "x" * 200 in message
    assert len(message) < 400


def test_unknown_content_is_kept_raw_and_told_once() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://example.com"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    result = read(
        sse(
            chunk({"content": "A", "annotations": [citation]}),
            chunk({"annotations": [citation], "images": [image]}),
            chunk({"audio": {"id": "", "data": ""}}),
            STOP,
            DONE,
        ),
        target("openrouter"),
    )
    assert notices(result.events) == ["unknown_content", "unknown_content"]
    assert isinstance(result.outcome, Reply)
    assert result.outcome.message.blocks == (citation, image)
    assert result.outcome.message.origin == Origin(dialect="openai_chat", provider="openrouter", model="gpt-x")


class TestReasoning:
    def details(self, *chunks: object) -> tuple[list[StreamEvent], tuple[ReasoningBlock, ...]]:
        result = read(sse(*chunks, STOP, DONE), target("openrouter", "a/m"))
        assert isinstance(result.outcome, Reply)
        return result.events, result.outcome.message.reasoning

    def origin(self, field: str) -> Origin:
        return Origin(dialect="openai_chat", provider="openrouter", model="a/m", field=field)

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "reasoning_text"])
    def test_the_field_is_remembered(self, field: str) -> None:
        _, blocks = self.details(chunk({field: "R"}), chunk({field: "S"}))
        assert blocks == (ReasoningBlock(text="RS", origin=self.origin(field)),)

    def test_pieces_of_one_detail_are_joined(self) -> None:
        events, blocks = self.details(
            chunk({"reasoning": "Th", "reasoning_details": [{"type": "reasoning.text", "text": "Th", "index": 0}]}),
            chunk({"reasoning": "ink", "reasoning_details": [{"type": "reasoning.text", "text": "ink", "index": 0}]}),
            chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "", "index": 0}]}),
            chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "index": 0}]}),
            chunk({"reasoning_details": [{"type": "reasoning.text", "signature": None, "text": None, "index": 0}]}),
        )
        assert events[1:] == [ReasoningDelta("Th"), ReasoningDelta("ink")]
        raw: JsonObject = {"type": "reasoning.text", "text": "Think", "index": 0, "signature": "c2ln"}
        origin = self.origin("reasoning_details")
        assert blocks == (ReasoningBlock(text="Think", signature="c2ln", origin=origin, raw=raw),)

    def test_the_type_and_the_id_keep_apart_what_has_one_index(self) -> None:
        text = {"type": "reasoning.text", "text": "T", "index": 0}
        one = {"type": "reasoning.encrypted", "data": "AAA", "id": "call_1", "index": 0}
        two = {"type": "reasoning.encrypted", "data": "BBB", "id": "call_2", "index": 0}
        _, blocks = self.details(
            chunk({"reasoning": "T", "reasoning_details": [text]}),
            chunk({"reasoning_details": [one]}),
            chunk({"reasoning_details": [two]}),
        )
        assert [block.raw for block in blocks] == [text, one, two]
        assert [(block.text, block.data) for block in blocks] == [("T", None), ("", "AAA"), ("", "BBB")]

    def test_types_nobody_knows_are_kept(self) -> None:
        odd = {"type": "reasoning.dream", "sheep": [1, {"electric": True}]}
        _, blocks = self.details(chunk({"content": "A", "reasoning_details": [odd, "not an object"]}))
        assert [block.raw for block in blocks] == [odd]

    def test_texts_of_blocks_are_the_text_shown_even_where_details_say_other_words(self) -> None:
        details = [{"type": "reasoning.summary", "summary": "In short"}, {"type": "reasoning.encrypted", "data": "A"}]
        events, blocks = self.details(chunk({"reasoning": "At length", "reasoning_details": details}))
        assert events[1:] == [ReasoningDelta("At length")]
        assert [block.text for block in blocks] == ["At length", ""]
        assert [block.raw for block in blocks] == details


class TestLimits:
    def fails(self, body: bytes, **limits: int) -> tuple[str, str, bool]:
        outcome = read(body, limits=DecodeLimits(**limits)).outcome
        assert isinstance(outcome, Failure)
        return outcome.kind, outcome.reason, outcome.retryable

    @pytest.mark.parametrize(
        ("limit", "value", "body"),
        [
            ("max_line_bytes", 200, sse(chunk({"content": "A" * 200}))),
            ("max_event_bytes", 200, sse(chunk({"content": "A" * 200}))),
            ("max_events", 2, sse(*[chunk({"content": "A"})] * 3)),
            ("max_tool_calls", 2, sse(*(calls(call(n, f"t{n}", "f")) for n in range(3)))),
            ("max_tool_arguments_bytes", 5, sse(calls(call(0, "t1", "f", "ééé")))),
            ("max_all_tool_arguments_bytes", 5, sse(*(calls(call(n, f"t{n}", "f", "123")) for n in range(2)))),
            ("max_json_depth", 5, sse(chunk({"content": [[[["deep"]]]]}))),
            ("max_json_depth", 5, sse({"error": [[[[[["deep"]]]]]]})),
        ],
    )
    def test_going_over_ends_the_request_and_names_the_limit(self, limit: str, value: int, body: bytes) -> None:
        assert self.fails(body, **{limit: value}) == ("limit", limit, False)

    def test_what_came_before_in_the_same_bytes_counts(self) -> None:
        body = sse(chunk({"content": "A"}), chunk({"content": "B" * 300}))
        result = read(body, limits=DecodeLimits(max_event_bytes=200))
        assert result.events == [START, ContentDelta("A")]

    def test_no_more_events_are_read_than_the_limit_says(self) -> None:
        result = read(sse(*[chunk({"content": "A"})] * 5), limits=DecodeLimits(max_events=2))
        assert result.events == [START, ContentDelta("A"), ContentDelta("A")]

    @pytest.mark.parametrize("limit", ["max_events", "max_event_bytes"])
    def test_after_the_marker_a_limit_costs_only_the_tail(self, limit: str) -> None:
        body = sse(chunk({"content": "A"}, "stop"), chunk({"content": "B" * 300}))
        result = read(body, limits=DecodeLimits(**{limit: 1 if limit == "max_events" else 200}))
        assert isinstance(result.outcome, Reply)
        assert notices(result.events) == ["tail_lost"]

    def test_brackets_in_text_are_no_depth(self) -> None:
        text = '[[[["\\[[[[' * 20
        answer = read(sse(chunk({"content": [text]}, "stop")), limits=DecodeLimits(max_json_depth=8))
        assert isinstance(answer.outcome, Reply)
        assert answer.outcome.message.content == text

    def test_arguments_too_deep_to_parse_stay_text(self) -> None:
        text = '{"a": ' + "[" * 500 + "]" * 500 + "}"
        (one,) = reply(sse(calls(call(0, "t1", "f", text)), STOP)).message.tool_calls
        assert (one.arguments, one.raw_arguments) == (None, text)
