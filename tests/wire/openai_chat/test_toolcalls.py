"""Which fragment belongs to which call, where servers make it hard. More of it is in the vectors."""

import re

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import decode_body
from nexus3.wire.events import ToolCallCompleted, ToolCallDelta, ToolCallStarted
from nexus3.wire.limits import DEFAULT_LIMITS
from nexus3.wire.messages import Origin, ToolCall
from tests.wire.openai_chat.build import call, calls, chunk, read, reply, sse, target

CALLS = chunk(finish="tool_calls")


def seen(*fragments: object) -> list[tuple[str, str]]:
    """Name and arguments of the calls in a stream of these fragments."""
    message = reply(sse(*(calls(fragment) for fragment in fragments), CALLS)).message
    return [(one.name, one.raw_arguments) for one in message.tool_calls]


def ids(*fragments: object, **more: object) -> list[str]:
    stream = sse(*({**calls(fragment), **more} for fragment in fragments), CALLS)
    return [one.id for one in reply(stream).message.tool_calls]


def test_a_call_without_an_id_is_given_one_that_is_used_throughout() -> None:
    result = read(sse(calls(call(0, "", "f", "{}")), CALLS))
    started, delta, completed = result.events[1:]
    assert isinstance(started, ToolCallStarted)
    assert re.fullmatch("call_[0-9a-f]{24}", started.id)
    assert delta == ToolCallDelta(0, "{}")
    assert completed == ToolCallCompleted(0, ToolCall(id=started.id, name="f", raw_arguments="{}"))
    assert isinstance(result.outcome, Reply)
    assert result.outcome.message.tool_calls == (completed.tool_call,)


def test_ids_of_ours_are_stable_and_differ_by_answer_and_place() -> None:
    two = (call(0, None, "f", "{}"), call(1, None, "f", "{}"))
    assert ids(*two) == ids(*two)
    assert len({*ids(*two), *ids(*two, id="another answer")}) == 4


def test_an_id_that_comes_late_does_not_change_the_one_given() -> None:
    (given,) = ids(call(0, None, "f"), call(0, "t1", None, "{}"))
    assert given.startswith("call_")
    assert seen(call(0, None, "f"), call(0, "t1", None, '{"a"'), call(None, "t1", None, ":1}")) == [("f", '{"a":1}')]


def test_a_header_without_a_name_waits_for_it() -> None:
    assert ids(call(0, "t1"), call(0, None, "f", "{}")) == ["t1"]
    assert seen(call(0, "t1"), call(0, "t1", "f", "{}")) == [("f", "{}")]
    assert ids({"index": 0, "type": "function"}, call(0, "t1", "f", "{}")) == ["t1"]


def test_calls_without_ids_on_one_index_are_told_apart_by_their_names() -> None:
    assert seen(call(0, None, "f", '{"a":1}'), call(0, None, "f", '{"a":2}')) == [("f", '{"a":1}'), ("f", '{"a":2}')]
    assert seen(call(0, None, "f", '{"a":1}'), call(0, None, "g", "")) == [("f", '{"a":1}'), ("g", "")]


def test_a_name_on_every_fragment_without_an_id_goes_on() -> None:
    assert seen(call(0, None, "f", '{"a":'), call(0, None, "f", '{"b":1}'), call(0, None, "f", "}")) == [
        ("f", '{"a":{"b":1}}')
    ]


def test_without_an_index_a_name_begins_a_call() -> None:
    fragments = (call(None, None, "f", "{"), call(None, None, None, "}"), call(None, None, "g", "{}"))
    assert seen(*fragments) == [("f", "{}"), ("g", "{}")]


def test_without_anything_a_fragment_goes_to_the_latest_call() -> None:
    fragments = (call(None, "t1", "f", "{}"), call(None, "t2", "g", "{"), call(None, None, None, "}"))
    assert seen(*fragments) == [("f", "{}"), ("g", "{}")]


def test_a_name_is_never_put_together() -> None:
    assert seen(call(0, "t1", "f"), call(0, "t1", "f"), call(0, "t1", "g", "{}")) == [("f", "{}")]


def test_text_that_parses_can_still_grow() -> None:
    assert seen(call(0, "t1", "f", "1"), call(0, None, None, "2")) == [("f", "12")]
    # Within a string, what looks like the whole object once more is text.
    assert seen(call(0, "t1", "f", '{"a":"{}'), call(0, None, None, "{}"), call(0, None, None, '"}')) == [
        ("f", '{"a":"{}{}"}')
    ]


def test_the_old_form_is_one_call() -> None:
    result = read(
        sse(
            chunk({"content": None, "function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": '{"a":'}}),
            chunk({"function_call": {"arguments": "1}"}}),
            chunk(finish="function_call"),
        )
    )
    assert isinstance(result.outcome, Reply)
    assert (result.outcome.stop_reason, result.outcome.raw_stop_reason) == ("tool_calls", "function_call")
    (one,) = result.outcome.message.tool_calls
    assert (one.name, one.arguments) == ("f", {"a": 1})
    assert one.id.startswith("call_")


def test_a_fragment_in_both_forms_counts_once() -> None:
    function = {"name": "f", "arguments": "{}"}
    both = {"function_call": function, "tool_calls": [{"index": 0, "id": "t1", "function": function}]}
    message = reply(sse(chunk(both), CALLS)).message
    assert message.tool_calls == (ToolCall(id="t1", name="f", raw_arguments="{}"),)


def test_what_the_provider_wants_back_with_a_call_is_kept() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    message = reply(sse(calls({**call(0, "", "f", "{}"), "extra_content": signature}), CALLS)).message  # type: ignore[dict-item]  # an object
    assert message.tool_calls[0].extra == {"extra_content": signature}
    assert message.origin == Origin(dialect="openai_chat", provider="openai", model="gpt-x")


def test_calls_of_a_body_are_whole_whatever_their_ids_say() -> None:
    body = (
        b'{"choices": [{"message": {"content": null, "tool_calls": ['
        b'{"id": "t1", "index": 0, "function": {"name": "f", "arguments": "{}"}},'
        b'{"id": "t1", "index": 0, "function": {"name": "f", "arguments": "{}"}},'
        b'{"index": 0, "function": {"name": "g", "arguments": null}},'
        b'{"id": "t4", "function": {"name": ""}}'
        b']}, "finish_reason": "tool_calls"}]}'
    )
    _, outcome = decode_body(body, target(), request_id=None, limits=DEFAULT_LIMITS)
    assert isinstance(outcome, Reply)
    assert [(one.name, one.arguments) for one in outcome.message.tool_calls] == [("f", {}), ("f", {}), ("g", {})]
    first, second, third = (one.id for one in outcome.message.tool_calls)
    assert first == "t1"
    assert len({first, second, third}) == 3
