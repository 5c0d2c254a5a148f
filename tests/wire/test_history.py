"""Conversations with scars, and what is sent for them."""

import json
import re
import time
from collections.abc import Sequence

import pytest

from nexus3.wire.codecs import Reply, anthropic_messages, openai_chat
from nexus3.wire.events import HISTORY_CHANGED, Notice
from nexus3.wire.history import (
    EMPTY_MESSAGE,
    MISSING_RESULT,
    MOVED_RESULT,
    NEW_ID,
    NO_RESULT,
    SECOND_RESULT,
    STRAY_RESULT,
    CallIds,
    Repairs,
    notices_of,
    repair,
    says_nothing,
    split_system,
)
from nexus3.wire.limits import DEFAULT_LIMITS
from nexus3.wire.messages import ImagePart, Message, Role, TextPart, ToolCall
from nexus3.wire.requests import CompletionRequest
from tests.wire.anthropic_messages import helpers as anthropic
from tests.wire.dialect_rules import Said, read_anthropic, read_openai
from tests.wire.openai_chat import build as openai

PER_TURN = CallIds(re.compile(r"[^A-Za-z0-9_.:-]"), max_chars=40, unique_in="turn")
PER_CONVERSATION = CallIds(re.compile(r"[^A-Za-z0-9_-]"), max_chars=64, unique_in="conversation")


def user(text: str = "Hi") -> Message:
    return Message(role=Role.USER, content=text)


def assistant(text: str = "", *call_ids: str, **more: object) -> Message:
    calls = [ToolCall(id=call_id, name="f") for call_id in call_ids]
    return Message.model_validate({"role": "assistant", "content": text, "tool_calls": calls, **more})


def result(call_id: str, text: str = "18C") -> Message:
    return Message(role=Role.TOOL, tool_call_id=call_id, content=text)


def no_result(call_id: str) -> Message:
    return Message(role=Role.TOOL, tool_call_id=call_id, content=NO_RESULT, is_error=True)


def repaired(*messages: Message, ids: CallIds = PER_TURN) -> tuple[list[Message], dict[str, int]]:
    repairs = Repairs()
    sendable = repair(messages, repairs, ids=ids, is_empty=says_nothing)
    return list(sendable), dict(repairs)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (user(), assistant("Hello"), user()),
        (user(), assistant("", "t1", "t2"), result("t2"), result("t1"), assistant("Ok")),
        (user(""), assistant("a", "t1"), result("t1", ""), assistant("", "t2"), result("t2"), user()),
        (Message(role=Role.SYSTEM, content=""), assistant("", refusal="No."), assistant(" \n."), user()),
    ],
)
def test_a_sound_history_is_returned_as_the_same_object(messages: Sequence[Message]) -> None:
    for ids in (PER_TURN, PER_CONVERSATION):
        repairs = Repairs()
        assert repair(messages, repairs, ids=ids, is_empty=says_nothing) is messages
        assert not repairs


def test_calls_without_results_are_answered_with_errors_behind_the_results_there_are() -> None:
    turn = assistant("", "t1", "t2", "t3")
    assert repaired(user(), turn, result("t2"), user("Next")) == (
        [user(), turn, result("t2"), no_result("t1"), no_result("t3"), user("Next")],
        {MISSING_RESULT: 2},
    )


def test_a_result_that_no_call_waits_for_is_left_out() -> None:
    turn = assistant("", "t1")
    assert repaired(result("t1", "early"), user(), turn, result("t0"), result("t1"), user(), result("t9")) == (
        [user(), turn, result("t1"), user()],
        {STRAY_RESULT: 3},
    )


def test_the_first_result_of_a_call_counts() -> None:
    turn = assistant("", "t1")
    assert repaired(turn, result("t1", "a"), result("t1", "b"), user(), result("t1", "c")) == (
        [turn, result("t1", "a"), user()],
        {SECOND_RESULT: 2},
    )


def test_a_late_result_is_moved_up_to_its_turn_past_whatever_was_said_since() -> None:
    turn, system = assistant("", "t1", "t2"), Message(role=Role.SYSTEM, content="Be brief")
    assert repaired(turn, result("t2"), user(), system, assistant("Wait"), result("t1")) == (
        [turn, result("t2"), result("t1"), user(), system, assistant("Wait")],
        {MOVED_RESULT: 1},
    )


def test_a_result_is_not_moved_past_what_is_left_out_anyway() -> None:
    turn = assistant("", "t1")
    assert repaired(turn, assistant(), result("t0"), result("t1"), user()) == (
        [turn, result("t1"), user()],
        {EMPTY_MESSAGE: 1, STRAY_RESULT: 1},
    )


def test_w12_results_of_one_step_never_stand_behind_the_calls_of_the_next() -> None:
    """Moved there, calls made one after the other would look like calls made at once."""
    history = (user(), assistant("", "a"), result("a", "1"), assistant("", "b"), result("b", "2"), assistant("Done"))
    assert repaired(*history, ids=PER_CONVERSATION) == (list(history), {})
    first, second = assistant("One", "a"), assistant("Two", "b")
    late = (user(), first, second, result("b", "2"), result("a", "1"))
    assert repaired(*late) == (
        [user(), first, no_result("a"), second, result("b", "2")],
        {MISSING_RESULT: 1, STRAY_RESULT: 1},
    )
    body = json.loads(
        anthropic_messages.encode(CompletionRequest(messages=history[:-1]), anthropic.a_target(), stream=True).body
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_w12_the_same_id_in_two_steps_is_two_calls() -> None:
    turn = assistant("", "call_0")
    history = [turn, result("call_0", "a"), turn, result("call_0", "b")]
    assert repaired(*history) == (history, {})
    assert repaired(turn, turn, result("call_0", "b")) == (
        [turn, no_result("call_0"), turn, result("call_0", "b")],
        {MISSING_RESULT: 1},
    )


@pytest.mark.parametrize("cut", range(1, 8))
def test_lesson_13_a_history_cut_by_a_cancellation_anywhere_is_sound_after_one_repair(cut: int) -> None:
    """A loop of two steps with two calls each, cut; then the user goes on."""
    loop = [
        user(),
        assistant("", "a", "b"),
        result("a"),
        result("b"),
        assistant("", "c", "d"),
        result("c"),
        result("d"),
    ]
    called, answered = [0, 2, 2, 2, 4, 4, 4][cut - 1], [0, 0, 1, 2, 2, 3, 4][cut - 1]
    sendable, changes = repaired(*loop[:cut], user("Go on"))
    missing = [no_result(call_id) for call_id in "abcd"[answered:called]]
    assert sendable == [*loop[:cut], *missing, user("Go on")]
    assert changes == ({MISSING_RESULT: len(missing)} if missing else {})
    assert repaired(*sendable) == (sendable, {})


def test_lesson_13_nothing_is_put_into_a_loop_that_is_at_work() -> None:
    """A note of the assistant's once stood behind live results, where the model should have gone on."""
    loop = [user(), assistant("", "a", "b"), result("a"), result("b")]
    assert repaired(*loop) == (loop, {})


def test_lesson_9_empty_assistant_turns_are_left_out() -> None:
    """Stored once, they made every later request a 400."""
    empty = [
        assistant(),
        assistant(" \n"),
        Message(role=Role.ASSISTANT, content=()),
        Message(role=Role.ASSISTANT, content=(TextPart(text=""), TextPart(text="\t"))),
        assistant(refusal=" "),
        assistant(reasoning=[{"text": "Hm."}]),
    ]
    assert repaired(user(), *empty, user()) == ([user(), user()], {EMPTY_MESSAGE: len(empty)})


def test_a_turn_with_calls_a_refusal_or_an_image_is_not_empty() -> None:
    image = Message(role=Role.ASSISTANT, content=(ImagePart(url="https://example.com/a.png"),))
    history = [assistant("", "t1"), result("t1"), assistant(refusal="No."), image]
    assert repaired(*history) == (history, {})


def test_what_a_dialect_can_send_of_a_silent_turn_keeps_it() -> None:
    silent = assistant(reasoning=[{"data": "ZW5j"}])
    repairs = Repairs()
    assert repair([silent, result("?")], repairs, ids=PER_TURN, is_empty=lambda _: False) == [silent]
    assert repairs == {STRAY_RESULT: 1}


def test_calls_on_others_than_the_assistant_are_none() -> None:
    odd = Message(role=Role.USER, content="Hi", tool_calls=(ToolCall(id="t1", name="f"),))
    assert repaired(odd, result("t1")) == ([odd], {STRAY_RESULT: 1})
    turn = assistant("", "t1")
    assert repaired(turn, odd, result("t1")) == ([turn, result("t1"), odd], {MOVED_RESULT: 1})


@pytest.mark.parametrize(
    ("ids", "sent"),
    [
        (PER_TURN, ["call", "call_2", "a_b", "a_b_2", "f:0", "x" * 40, "x" * 38 + "_2"]),
        (PER_CONVERSATION, ["call", "call_2", "a_b", "a_b_2", "f_0", "x" * 50, "x" * 60]),
    ],
)
def test_ids_that_are_not_taken_are_replaced_in_call_and_result_alike(ids: CallIds, sent: list[str]) -> None:
    given = ["", "", "a b", "a_b", "f:0", "x" * 50, "x" * 60]
    texts = [f"result {number}" for number in range(len(given))]
    history = (assistant("", *given), *map(result, given, texts))
    sendable, changes = repaired(*history, ids=ids)
    assert sendable == [assistant("", *sent), *map(result, sent, texts)]
    assert changes == {NEW_ID: sum(before != after for before, after in zip(given, sent, strict=True))}


def test_ids_counted_anew_in_each_turn_are_told_apart_where_the_dialect_wants_that() -> None:
    history = [message for text in "abc" for message in (assistant("", "call_0"), result("call_0", text))]
    assert repaired(*history) == (history, {})
    sendable, changes = repaired(*history, ids=PER_CONVERSATION)
    assert [message.tool_call_id or message.tool_calls[0].id for message in sendable] == [
        "call_0", "call_0", "call_0_2", "call_0_2", "call_0_3", "call_0_3"
    ]  # fmt: skip
    assert [message.text for message in sendable[1::2]] == ["a", "b", "c"]
    assert changes == {NEW_ID: 2}


def test_an_id_that_looks_like_one_of_ours_is_not_given_twice() -> None:
    sendable, _ = repaired(assistant("", "a", "a_2", "a", "a_2"))
    assert [call.id for call in sendable[0].tool_calls] == ["a", "a_2", "a_3", "a_2_2"]


def test_ids_stay_the_same_while_a_conversation_grows() -> None:
    """Or the provider's cache of the prefix would be lost with each request."""
    history = [message for _ in range(5) for message in (assistant("", "", "call_0"), result("call_0"))]
    whole, _ = repaired(*history, ids=PER_CONVERSATION)
    for length in range(2, len(history), 2):
        part, _ = repaired(*history[:length], ids=PER_CONVERSATION)
        assert part == whole[: len(part)]


def test_thousands_of_calls_under_one_id_take_no_longer_each() -> None:
    history = [message for _ in range(5000) for message in (assistant("", "call_0"), result("call_0"))]
    began = time.perf_counter()
    sendable, _ = repaired(*history, ids=PER_CONVERSATION)
    assert time.perf_counter() - began < 2, "counted up from one each time, it takes several seconds"
    assert sendable[-1].tool_call_id == "call_0_5000"


def test_one_notice_tells_a_kind_of_repair_and_how_often_it_was_made() -> None:
    repairs = Repairs()
    repair((assistant(), result("t1"), assistant()), repairs, ids=PER_TURN, is_empty=says_nothing)
    assert notices_of(repairs) == [
        Notice(HISTORY_CHANGED, "A message without content was left out (2 times)."),
        Notice(HISTORY_CHANGED, "A tool result that no call waits for was left out."),
    ]


def test_both_dialects_tell_the_same_repairs_in_the_same_words() -> None:
    scarred = (user(), assistant(), assistant("", "a b", "t2"), user(), result("t2"), result("t2"), result("?"))
    request = CompletionRequest(messages=scarred, tools=({"name": "f"},))  # type: ignore[arg-type] # the dict shape
    here = openai_chat.encode(request, openai.target(), stream=True)
    there = anthropic_messages.encode(request, anthropic.a_target(), stream=True)
    assert here.notices == there.notices
    assert len(here.notices) == 6


def test_the_leading_system_messages_stand_apart() -> None:
    system, developer = Message(role=Role.SYSTEM, content="a"), Message(role=Role.DEVELOPER, content="b")
    history = (system, developer, user(), system)
    assert split_system(history) == ((system, developer), (user(), system))
    assert split_system(history[2:]) == ((), (user(), system))


@pytest.mark.parametrize(
    "wire_ids", [("", ""), ("t1", "t1"), ("t1", ""), ("x" * 500, "x" * 501), ("../../etc\n", '"}'), ("é", "漢字")]
)
def test_row_38_odd_ids_of_a_reply_come_back_as_ids_that_both_dialects_take(wire_ids: tuple[str, str]) -> None:
    """Ids are the model's or the server's to choose: nothing of ours depends on what they are."""
    calls = [openai.call(None, call_id, f"f{index}", "{}") for index, call_id in enumerate(wire_ids)]
    choice = {"index": 0, "message": {"role": "assistant", "tool_calls": calls}, "finish_reason": "tool_calls"}
    _, chat = openai_chat.decode_body(
        json.dumps({"choices": [choice]}).encode(), openai.target(), request_id=None, limits=DEFAULT_LIMITS
    )
    assert isinstance(chat, Reply)
    blocks = [
        event
        for index, call_id in enumerate(wire_ids)
        for event in anthropic.tool_block(index, call_id, f"f{index}", "{}")
    ]
    messages_api = anthropic.read(
        anthropic.sse(anthropic.start(), *blocks, *anthropic.finish("tool_use"))
    ).reply.message
    said = [Said("user", "Hi"), Said("call", "f0", "18C"), Said("call", "f1", "19C")]
    for reply in (chat.message, messages_api):
        results = [result(call.id, text) for call, text in zip(reply.tool_calls, ("18C", "19C"), strict=True)]
        request = CompletionRequest(messages=(user(), reply, *results))
        for where, max_id in (
            (openai.target("openai"), 40),
            (openai.target("azure"), 40),
            (openai.target("vllm"), 128),
        ):
            body = openai_chat.encode(request, where, stream=True).body
            assert read_openai(json.loads(body), max_id=max_id) == said
        body = anthropic_messages.encode(request, anthropic.a_target(), stream=True).body
        assert read_anthropic(json.loads(body), later_system=False, prefill=False) == said
