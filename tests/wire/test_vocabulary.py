"""The nouns: what users' dicts become, how a bad one is refused, and what events and errors are as values."""

import copy
import pickle
from typing import Any, get_args

import msgspec
import pytest
from pydantic import BaseModel, ValidationError

from nexus3.errors import NexusError
from nexus3.wire import events as event_types
from nexus3.wire.events import (
    AttemptStarted,
    ContentDelta,
    FallbackSelected,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    RetryScheduled,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import (
    ERRORS,
    RETRYABLE,
    Failure,
    Kind,
    OverloadedError,
    ProviderError,
    RateLimitError,
    error_of,
    fail,
)
from nexus3.wire.messages import (
    FilePart,
    ImagePart,
    JsonObject,
    Message,
    Origin,
    ReasoningBlock,
    Role,
    TextPart,
    ToolCall,
    Usage,
    parse_arguments,
)
from nexus3.wire.requests import CompletionRequest, OutputSchema, Reasoning, Tool

Json = dict[str, Any]

PNG = "data:image/png;base64,QUJD"


def message(**given: object) -> Message:
    return Message.model_validate(given)


def request(**given: object) -> CompletionRequest:
    return CompletionRequest.model_validate({"messages": [{"role": "user", "content": "hi"}], **given})


def complaints(make: Any, given: object) -> list[tuple[str, str]]:
    """Where and what: every complaint of one validation."""
    with pytest.raises(ValidationError) as caught:
        make(given)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


# --- messages in OpenAI's shapes


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"role": "user", "content": "hi"}, Message(role=Role.USER, content="hi")),
        ({"role": "system", "content": "hi", "name": "n"}, Message(role=Role.SYSTEM, content="hi", name="n")),
        ({"role": "developer", "content": "hi"}, Message(role=Role.DEVELOPER, content="hi")),
        ({"role": "user", "content": None}, Message(role=Role.USER)),
        ({"role": "user", "content": []}, Message(role=Role.USER, content=())),
        (
            {"role": "user", "content": ["a", "b"]},
            Message(role=Role.USER, content=(TextPart(text="a"), TextPart(text="b"))),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "18C"}]},
            Message(role=Role.TOOL, tool_call_id="1", content=(TextPart(text="18C"),)),
        ),
        # A reply, dumped with every field it has, and put back into the history.
        (
            {
                "role": "assistant",
                "content": "yes",
                "refusal": None,
                "annotations": [{"type": "url_citation", "url_citation": {"url": "https://x.example"}}],
                "audio": None,
                "function_call": None,
                "tool_calls": None,
                "reasoning": None,
                "reasoning_details": [],
            },
            Message(role=Role.ASSISTANT, content="yes"),
        ),
        ({"role": "assistant", "content": None, "refusal": "no"}, Message(role=Role.ASSISTANT, refusal="no")),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
            Message(role=Role.ASSISTANT, content=(TextPart(text="a"),), refusal="no"),
        ),
        (
            {"role": "assistant", "content": "", "reasoning_content": "hm"},
            Message(role=Role.ASSISTANT, reasoning=(ReasoningBlock(text="hm"),)),
        ),
        (
            {"role": "assistant", "content": "", "reasoning": "hm", "reasoning_content": "hm"},
            Message(role=Role.ASSISTANT, reasoning=(ReasoningBlock(text="hm"),)),
        ),
        ({"role": "assistant", "content": "", "reasoning": ""}, Message(role=Role.ASSISTANT)),
        (
            {
                "role": "assistant",
                "content": "",
                "reasoning": "hm",
                "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "c2ln", "format": None}],
            },
            Message(
                role=Role.ASSISTANT,
                reasoning=(
                    ReasoningBlock(
                        text="hm",
                        signature="c2ln",
                        raw={"type": "reasoning.text", "text": "hm", "signature": "c2ln", "format": None},
                    ),
                ),
            ),
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "2", "type": "function", "index": 1, "function": {"name": "g", "arguments": ""}},
                ],
            },
            Message(
                role=Role.ASSISTANT,
                tool_calls=(
                    ToolCall(id="1", name="f", arguments={"a": 1}, raw_arguments='{"a": 1}'),
                    ToolCall(id="2", name="g", arguments={}, raw_arguments=""),
                ),
            ),
        ),
    ],
)
def test_a_message_in_openais_shape(given: Json, expected: Message) -> None:
    before = copy.deepcopy(given)
    read = Message.model_validate(given)
    assert read == expected
    assert given == before, "what a caller hands in is left as it was"
    assert Message.model_validate(read.model_dump()) == read
    assert Message.model_validate_json(read.model_dump_json()) == read


IMAGE = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "text", "text": "a"}, TextPart(text="a")),
        ("a", TextPart(text="a")),
        (IMAGE, ImagePart(url="https://x.example/a.png")),
        ({"type": "image_url", "image_url": "https://x.example/a.png"}, ImagePart(url="https://x.example/a.png")),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            ImagePart(data=b"ABC", media_type="image/png", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": PNG.replace("data:", "DATA:")}},
            ImagePart(data=b"ABC", media_type="image/png"),
        ),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": None}},
            ImagePart(data=b"ABC", media_type="image/png"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
            FilePart(data=b"ABC", media_type="audio/mpeg"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "flac"}},
            FilePart(data=b"ABC", media_type="audio/flac"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
            FilePart(data=b"ABC", media_type="application/pdf", filename="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "QUJD"}}, FilePart(data=b"ABC")),
        ({"type": "file", "file": {"file_data": "https://x.example/a.pdf"}}, FilePart(url="https://x.example/a.pdf")),
        ({"type": "file", "file": {"file_id": "f-1", "file_data": None}}, FilePart(file_id="f-1")),
        # Ours, as dicts.
        ({"type": "image", "data": "QUJD", "media_type": "image/png"}, ImagePart(data=b"ABC", media_type="image/png")),
        ({"type": "file", "url": PNG}, FilePart(data=b"ABC", media_type="image/png")),
    ],
)
def test_a_part_in_openais_shape(given: object, expected: TextPart | ImagePart | FilePart) -> None:
    assert message(role="user", content=[given]).content == (expected,)
    if isinstance(given, dict):
        marked = {**given, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        assert message(role="user", content=[marked]).content == (expected.model_copy(update={"cache": "1h"}),)
        default = {**given, "cache_control": {"type": "ephemeral"}}
        assert message(role="user", content=[default]).content == (expected.model_copy(update={"cache": "default"}),)
        assert message(role="user", content=[{**given, "cache_control": None}]).content == (expected,)


def test_the_text_of_a_message_is_its_text_parts_joined() -> None:
    assert message(role="user", content=["a", IMAGE, "b"]).text == "ab"
    assert message(role="user", content="ab").text == "ab"


@pytest.mark.parametrize(
    ("given", "arguments", "raw"),
    [
        ({"arguments": {"a": 1}}, {"a": 1}, '{"a":1}'),
        ({"arguments": {}}, {}, "{}"),
        ({"raw_arguments": '{"a": 1}'}, {"a": 1}, '{"a": 1}'),
        ({"raw_arguments": ""}, {}, ""),
        ({"raw_arguments": " \n"}, {}, " \n"),
        ({}, {}, ""),
        ({"arguments": None}, {}, ""),
        ({"arguments": '{"a": 1}'}, {"a": 1}, '{"a": 1}'),
        ({"raw_arguments": '{"a": '}, None, '{"a": '),
        ({"raw_arguments": "[1]"}, None, "[1]"),
        ({"raw_arguments": "null"}, None, "null"),
        ({"raw_arguments": '{"a": NaN}'}, None, '{"a": NaN}'),
        ({"raw_arguments": '{"a": "\ud800"}'}, None, '{"a": "\ud800"}'),
        ({"raw_arguments": "[" * 10_000}, None, "[" * 10_000),
        ({"raw_arguments": '{"id": 123456789012345678901234567890}'}, {"id": 123456789012345678901234567890}, ...),
        ({"arguments": {"a": 1}, "raw_arguments": '{ "a": 1 }'}, {"a": 1}, '{ "a": 1 }'),
    ],
)
def test_arguments_and_their_text_complete_each_other(given: Json, arguments: object, raw: object) -> None:
    call = ToolCall.model_validate({"id": "1", "name": "f", **given})
    assert call.arguments == arguments
    assert call.raw_arguments == (given["raw_arguments"] if raw is ... else raw)


def test_parse_arguments_takes_objects_only() -> None:
    assert [parse_arguments(text) for text in ("", "{}", '{"a":1}', "1", "{", "x")] == [
        {},
        {},
        {"a": 1},
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"function": {"name": "f", "arguments": {"a": 1}}, "id": "1"}, ToolCall(id="1", name="f", arguments={"a": 1})),
        ({"function": {"name": "f", "arguments": None}, "id": None}, ToolCall(id="", name="f")),
        ({"function": {"name": "f"}, "type": "function"}, ToolCall(id="", name="f")),
        (
            {"id": "1", "function": {"name": "f"}, "extra_content": {"google": {"thought_signature": "s"}}},
            ToolCall(id="1", name="f", extra={"extra_content": {"google": {"thought_signature": "s"}}}),
        ),
    ],
)
def test_a_tool_call_in_openais_shape(given: Json, expected: ToolCall) -> None:
    assert ToolCall.model_validate(given) == expected


# --- requests in OpenAI's shapes


PARAMETERS: JsonObject = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": PARAMETERS, "strict": True},
            },
            Tool(name="f", description="d", parameters=PARAMETERS, strict=True),
        ),
        (
            {"type": "function", "function": {"name": "f", "description": None, "parameters": None, "strict": None}},
            Tool(name="f"),
        ),
        (
            {"type": "function", "name": "f", "parameters": PARAMETERS, "strict": None},
            Tool(name="f", parameters=PARAMETERS),
        ),
        (
            {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}},
            Tool(name="f", cache="default"),
        ),
        ({"name": "f", "parameters": PARAMETERS}, Tool(name="f", parameters=PARAMETERS)),
        (Tool(name="f"), Tool(name="f")),
    ],
)
def test_a_tool_in_openais_shape(given: object, expected: Tool) -> None:
    assert request(tools=[given]).tools == (expected,)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        *((word, word) for word in ("auto", "none", "required", "f", None)),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"type": "function", "name": "f"}, "f"),
    ],
)
def test_a_tool_choice_in_openais_shape(choice: object, expected: str | None) -> None:
    assert request(tools=[Tool(name="f")], tool_choice=choice).tool_choice == expected


class Answer(BaseModel):
    city: str


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputSchema(schema=None)),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": PARAMETERS, "strict": True, "description": None},
            },
            OutputSchema(schema=PARAMETERS, name="n", strict=True),
        ),
        (PARAMETERS, OutputSchema(schema=PARAMETERS)),
        ({"schema": PARAMETERS, "name": "n"}, OutputSchema(schema=PARAMETERS, name="n")),
        (OutputSchema(schema=None), OutputSchema(schema=None)),
        (Answer, OutputSchema(schema=Answer.model_json_schema(), name="Answer")),
    ],
)
def test_the_form_of_the_answer(given: object, expected: OutputSchema | None) -> None:
    assert request(output_schema=given).output_schema == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, Reasoning(effort="high")),
        (False, Reasoning(effort="none")),
        ("low", Reasoning(effort="low")),
        ({"budget_tokens": 1000}, Reasoning(budget_tokens=1000)),
        (None, None),
    ],
)
def test_reasoning_in_every_form(given: object, expected: Reasoning | None) -> None:
    assert request(reasoning=given).reasoning == expected


def test_none_is_unset_for_every_field() -> None:
    given = dict.fromkeys(set(CompletionRequest.model_fields) - {"messages"})
    assert request(**given) == request()


def test_one_stop_word_is_a_list_of_one() -> None:
    assert request(stop="x").stop == ("x",)
    assert request(stop=["x", "y"]).stop == ("x", "y")


# --- what is refused, and where


@pytest.mark.parametrize(
    ("given", "where", "what"),
    [
        ({"messages": []}, "messages", "give at least one message"),
        ({"messages": None}, "messages", "Field required"),
        ({"messages": "hello"}, "", "messages: give a list, such as [Message(role=Role.USER, content=...)]"),
        ({"messages": {"role": "user", "content": "x"}}, "", "messages: give a list, "),
        ({"messages": 5}, "messages", "valid tuple"),
        ({"messages": ["hello"]}, "messages.0", "valid dictionary"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "robot"}]}, "messages.1.role", "'tool'"),
        ({"messages": [{"role": "user", "content": "x", "colour": 1}]}, "messages.0.colour", "not permitted"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content.text", "valid string"),
        (
            {"messages": [{"role": "user", "content": ["a", {"type": "video_url"}]}]},
            "messages.0.content.parts.1",
            "'video_url'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG + "@"}}]}]},
            "messages.0.content.parts.0.image",
            "broken base64",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "url": "data:image/png,abc"}]}]},
            "messages.0.content.parts.0.image",
            "must be base64",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "data": "QUJD"}]}]},
            "messages.0.content.parts.0.image",
            "needs media_type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "data": "QUJD", "url": "https://x"}]}]},
            "messages.0.content.parts.0.file",
            "exactly one of data, url, file_id; got data, url",
        ),
        (
            {"messages": [{"role": "user", "content": [{**IMAGE, "cache_control": {"type": "forever"}}]}]},
            "messages.0.content.parts.0.image.cache",
            "'5m' or '1h'",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "", "cache_control": {"type": "ephemeral", "ttl": "9h"}}],
                    }
                ]
            },
            "messages.0.content.parts.0.text.cache",
            "'5m' or '1h'",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": None}}]}]},
            "messages.0.tool_calls.0.name",
            "valid string",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "", "messages[0]: a tool result needs tool_call_id"),
        ({"model": 7}, "model", "valid string"),
        ({"temprature": 1}, "temprature", "not permitted"),
        ({"temprature": None}, "temprature", "not permitted"),
        ({"temperature": float("nan")}, "temperature", "less than or equal to 2"),
        ({"timeout": 0}, "timeout", "greater than 0"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"metadata": {"a": 1}}, "metadata.a", "valid string"),
        ({"extra_body": {"a": {1}}}, "extra_body.a", "valid JSON"),
        ({"tools": [{"type": "function", "function": {"name": "f g"}}]}, "tools.0.name", "tool name 'f g'"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.name", "Field required"),
        ({"tools": [Tool(name="f"), Tool(name="f")]}, "", "tools: the name 'f' is given twice"),
        ({"tool_choice": "required"}, "", "tool_choice: required, but there are no tools"),
        ({"tools": [Tool(name="f")], "tool_choice": "any"}, "", "none of auto, none, required or the tools (f)"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice", "valid string"),
        (
            {"output_schema": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "output_schema.schema",
            "Field required",
        ),
        ({"reasoning": {"effort": "low", "budget_tokens": 1}}, "reasoning", "not both"),
        ({"reasoning": "extreme"}, "reasoning.effort", "'low'"),
    ],
)
def test_a_bad_request_is_refused_at_its_place(given: Json, where: str, what: str) -> None:
    found = complaints(CompletionRequest.model_validate, {"messages": [{"role": "user", "content": "x"}], **given})
    assert found[0][0] == where
    assert what in found[0][1]
    if where != "tools.0.name" or what != "Field required":
        assert len(found) == 1, "one mistake, one complaint"


@pytest.mark.parametrize("value", [object(), {1}, b"x", float])
def test_arguments_that_are_no_json_are_refused_at_their_place(value: object) -> None:
    (found,) = complaints(ToolCall.model_validate, {"id": "1", "name": "f", "arguments": {"a": value}})
    assert found[0] == "arguments.a"


def test_what_was_validated_cannot_be_changed() -> None:
    for value, field in ((request(), "model"), (message(role="user"), "content"), (ToolCall(id="1", name="f"), "id")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, field, "x")


def test_base64_of_a_part() -> None:
    assert ImagePart(data=b"ABC", media_type="image/png").base64 == "QUJD"
    assert ImagePart(url="https://x.example").base64 == ""


# --- events


FAILURE = fail("overloaded", "overloaded_error", "busy", phase="headers")
REPLY = Message(role=Role.ASSISTANT, content="hi")
CALL = ToolCall(id="1", name="f", arguments={})
USAGE = Usage(input_tokens=1, output_tokens=2)
ERROR = error_of(FAILURE)

SAMPLES: dict[type, tuple[object, ...]] = {
    AttemptStarted: (1, "p", "m"),
    ResponseStarted: ("id", "m", "req"),
    RetryScheduled: (1, 0.5, ERROR),
    FallbackSelected: ("p", "m", ERROR),
    ContentDelta: ("text", True),
    ReasoningDelta: ("text",),
    ToolCallStarted: (0, "id", "f"),
    ToolCallDelta: (0, "{}"),
    ToolCallCompleted: (0, CALL),
    UsageUpdated: (USAGE,),
    Notice: ("code", "text"),
    StreamComplete: (REPLY, "stop", USAGE, "p", "m", "id", "req", 2, "end_turn"),
    StreamFailed: (ERROR, REPLY),
}
FIELDS: dict[type, str] = {
    AttemptStarted: "attempt provider model",
    ResponseStarted: "response_id model request_id",
    RetryScheduled: "attempt delay error",
    FallbackSelected: "provider model error",
    ContentDelta: "text refusal",
    ReasoningDelta: "text",
    ToolCallStarted: "index id name",
    ToolCallDelta: "index arguments",
    ToolCallCompleted: "index tool_call",
    UsageUpdated: "usage",
    Notice: "code text",
    StreamComplete: "message stop_reason usage provider model response_id request_id attempts raw_stop_reason",
    StreamFailed: "error partial",
}


def test_the_samples_are_all_the_events_there_are() -> None:
    assert set(get_args(StreamEvent)) == set(SAMPLES) == set(FIELDS)


def positions(event: StreamEvent) -> tuple[object, ...]:
    """What positional patterns see."""
    match event:
        case AttemptStarted(a, b, c) | ResponseStarted(a, b, c) | RetryScheduled(a, b, c) | FallbackSelected(a, b, c):
            return a, b, c
        case ContentDelta(a, b) | ToolCallDelta(a, b) | ToolCallCompleted(a, b) | Notice(a, b) | StreamFailed(a, b):
            return a, b
        case ReasoningDelta(a) | UsageUpdated(a):
            return (a,)
        case ToolCallStarted(a, b, c):
            return a, b, c
        case StreamComplete(a, b, c, d, e, f, g, h, i):
            return a, b, c, d, e, f, g, h, i


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_events_are_positional_frozen_values(kind: type) -> None:
    values, names = SAMPLES[kind], FIELDS[kind].split()
    event = kind(*values)
    assert positions(event) == values
    assert event == kind(**dict(zip(names, values, strict=True)))
    assert event != kind(*values[:-1], None)
    with pytest.raises(AttributeError):
        setattr(event, names[0], values[0])
    assert pickle.loads(pickle.dumps(event)) == event
    assert copy.deepcopy(event) == event
    assert names[0] in repr(event)


def test_events_say_nothing_that_was_not_said() -> None:
    assert ContentDelta("x") == ContentDelta("x", refusal=False)
    assert StreamComplete(REPLY) == StreamComplete(REPLY, "stop", None, "", "", None, None, 1, None)
    assert StreamFailed(ERROR).partial is None
    assert Usage() == Usage(
        input_tokens=None,
        output_tokens=None,
        cache_read_tokens=None,
        cache_write_tokens=None,
        reasoning_tokens=None,
        cost=None,
    )


def test_the_codes_of_notices_are_distinct_snake_case_words() -> None:
    codes = [value for name, value in vars(event_types).items() if name.isupper() and isinstance(value, str)]
    assert len(codes) == len(set(codes)) > 5
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


# --- failures


def test_every_kind_has_an_error_of_its_own() -> None:
    assert set(ERRORS) == set(get_args(Kind))
    assert len(set(ERRORS.values())) == len(ERRORS)
    assert set(get_args(Kind)) >= RETRYABLE


@pytest.mark.parametrize("kind", get_args(Kind))
def test_an_error_survives_pickling_as_itself(kind: Kind) -> None:
    failure = Failure(
        kind=kind,
        reason="why",
        message="what",
        retryable=True,
        emitted=True,
        phase="stream",
        status=503,
        provider="p",
        model="m",
        attempts=3,
        retry_after=1.5,
        request_id="req",
        partial=Message(
            role=Role.ASSISTANT,
            content="so far",
            tool_calls=(CALL,),
            reasoning=(ReasoningBlock(text="hm", origin=Origin(dialect="d", provider="p", model="m")),),
        ),
        usage=USAGE,
    )
    error = error_of(failure)
    error.add_note("seen here")
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(again) is ERRORS[kind]
        assert again == error
        assert again.failure == failure
        assert again.__notes__ == ["seen here"]
        assert str(again) == str(error) == f"p/m: {kind} (why): what"
    assert {name: getattr(error, name) for name in failure.__struct_fields__} == msgspec.structs.asdict(failure)


def test_errors_are_equal_by_their_failure_and_caught_by_kind() -> None:
    assert error_of(FAILURE) == error_of(FAILURE)
    assert hash(error_of(FAILURE)) == hash(error_of(FAILURE))
    assert error_of(FAILURE) != error_of(fail("overloaded", "overloaded_error", "busier"))
    assert isinstance(error_of(FAILURE), ProviderError | NexusError)
    with pytest.raises(ExceptionGroup) as caught:
        raise ExceptionGroup("", [error_of(FAILURE), error_of(fail("rate_limit", "r", "slow"))])
    selected, rest = caught.value.split(OverloadedError)
    assert selected is not None
    assert rest is not None
    assert [type(error) for error in rest.exceptions] == [RateLimitError]
    assert str(error_of(FAILURE)) == "overloaded (overloaded_error): busy"


def test_an_error_tells_what_it_fell_back_from_the_latest_first() -> None:
    first = msgspec.structs.replace(fail("auth", "missing_key", "There is no key."), provider="p", model="m")
    last = msgspec.structs.replace(FAILURE, before=(first, fail("timeout", "connect", "No connection.")))
    assert str(error_of(last)) == (
        "overloaded (overloaded_error): busy (before that, timeout (connect): No connection.)"
        " (before that, p/m: auth (missing_key): There is no key.)"
    )


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_failure_of_ours_is_retryable_as_its_kind_is(kind: Kind) -> None:
    assert fail(kind, "r", "m").retryable == (kind in RETRYABLE)
    assert fail(kind, "r", "m", retryable=True).retryable
    assert not fail(kind, "r", "m", retryable=False).retryable
