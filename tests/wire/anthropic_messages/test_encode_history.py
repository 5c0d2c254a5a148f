"""Conversations as callers keep them, and the turns that they become."""

import base64
import re
from typing import Any

import pytest

from nexus3.wire.events import HISTORY_CHANGED
from nexus3.wire.failures import ProviderError
from nexus3.wire.messages import Message, Origin
from tests.wire.anthropic_messages.helpers import (
    a_request,
    a_target,
    block_start,
    block_stop,
    body,
    body_of,
    codes,
    finish,
    read,
    spelled,
    sse,
    start,
    text_block,
    thinking_block,
    tool_block,
)

OURS = Origin(dialect="anthropic_messages", provider="anthropic", model="claude-sonnet-5")
TOOL = {"name": "f"}


def turns(*messages: object, model: str = "claude-sonnet-5", **request: object) -> Any:
    """The turns of a conversation that needs no repair."""
    encoded = spelled(a_request(messages, tools=[TOOL], **request), a_target(model))
    assert encoded.notices == ()
    return body_of(encoded)["messages"]


def repaired(*messages: object, model: str = "claude-sonnet-5") -> tuple[Any, list[str]]:
    """The turns of a conversation that needs some, and what was said of it."""
    encoded = spelled(a_request(messages, tools=[TOOL]), a_target(model))
    assert set(codes(encoded)) == {HISTORY_CHANGED}
    return body_of(encoded)["messages"], [notice.text for notice in encoded.notices]


def assistant(content: object = "", *calls: tuple[str, object], **fields: object) -> dict[str, object]:
    tool_calls = [{"id": call_id, "name": "f", "arguments": arguments} for call_id, arguments in calls]
    return {"role": "assistant", "content": content, "tool_calls": tool_calls, **fields}


def result(call_id: str, content: object, **fields: object) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **fields}


def system(content: object) -> dict[str, object]:
    return {"role": "system", "content": content}


def use(call_id: str, arguments: object = None) -> dict[str, object]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": arguments or {}}


def tool_result(call_id: str, content: object, **fields: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def text(words: str) -> dict[str, object]:
    return {"type": "text", "text": words}


def test_leading_system_messages_go_to_the_top() -> None:
    sent = body([system("One."), {"role": "developer", "content": "Two."}, "hi"])
    assert sent["system"] == [text("One."), text("Two.")]
    assert sent["messages"] == [{"role": "user", "content": "hi"}]
    assert body([system("One."), "hi"])["system"] == "One."
    assert "system" not in body([system("  "), "hi"])


def test_turns_of_one_speaker_are_joined() -> None:
    assert turns("a", "b", assistant("c"), assistant("d"), "e") == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c"), text("d")]},
        {"role": "user", "content": "e"},
    ]


def test_blank_text_is_left_out_and_a_turn_of_nothing_else_too() -> None:
    assert turns({"role": "user", "content": [{"type": "text", "text": " \n"}, {"type": "text", "text": "a"}]}) == [
        {"role": "user", "content": "a"}
    ]
    sent, said = repaired("a", assistant(""), assistant(" "), "b")
    assert sent == [{"role": "user", "content": [text("a"), text("b")]}]
    assert said == ["A message without content was left out (2 times)."]


def test_vector_70_results_come_first_in_one_user_message() -> None:
    sent, said = repaired(
        "go",
        assistant("Both.", ("call:1", {"a": 1}), ("call:2", {})),
        "and hurry",
        result("call:2", "two"),
        result("call:1", "one", is_error=True),
        "please",
    )
    assert sent[1:] == [
        {"role": "assistant", "content": [text("Both."), use("call_1", {"a": 1}), use("call_2")]},
        {
            "role": "user",
            "content": [
                tool_result("call_2", "two"),
                tool_result("call_1", "one", is_error=True),
                text("and hurry"),
                text("please"),
            ],
        },
    ]
    assert said == [
        "A tool call was given another id, for its own was empty, repeated or not one that is taken here (2 times).",
        "A tool result was moved up to the turn that called for it (2 times).",
    ]


def test_vector_70_orphans_are_answered_and_results_without_a_call_left_out() -> None:
    sent, said = repaired(
        "go", assistant("", ("a", {}), ("b", {})), result("b", "two"), result("b", "again"), result("zz", "?"), "so?"
    )
    assert sent[2] == {
        "role": "user",
        "content": [
            tool_result("b", "two"),
            tool_result("a", "No result provided", is_error=True),
            text("so?"),
        ],
    }
    assert said == [
        "A second result of a tool call was left out.",
        "A tool result that no call waits for was left out.",
        "A tool call without a result was answered with an error.",
    ]


def test_calls_that_end_the_history_are_answered_too() -> None:
    sent, said = repaired("go", assistant("", ("a", {})))
    assert sent[2] == {"role": "user", "content": [tool_result("a", "No result provided", is_error=True)]}
    assert len(said) == 1


def test_an_orphan_between_two_assistant_messages_is_answered_between_them() -> None:
    sent, _ = repaired("go", assistant("", ("a", {})), assistant("Never mind."), "ok")
    assert [turn["role"] for turn in sent] == ["user", "assistant", "user", "assistant", "user"]


def test_ids_that_the_api_refuses_are_replaced_in_call_and_result_alike() -> None:
    long = "x" * 80
    sent, _ = repaired(
        "go",
        assistant("", ("functions.f:0", {}), ("functions/f:0", {}), (long, {})),
        result("functions/f:0", "second"),
        result("functions.f:0", "first"),
        result(long, "third"),
    )
    calls = [block["id"] for block in sent[1]["content"]]
    assert calls == ["functions_f_0", "functions_f_0_2", "x" * 64]
    assert {block["tool_use_id"]: block["content"] for block in sent[2]["content"]} == {
        calls[0]: "first",
        calls[1]: "second",
        calls[2]: "third",
    }


def test_ids_that_start_over_in_every_turn_are_told_apart() -> None:
    sent, _ = repaired(
        "go",
        assistant("", ("call_0", {})),
        result("call_0", "first"),
        assistant("", ("call_0", {})),
        result("call_0", "second"),
    )
    assert [sent[at]["content"][0]["id"] for at in (1, 3)] == ["call_0", "call_0_2"]
    assert [sent[at]["content"][0]["tool_use_id"] for at in (2, 4)] == ["call_0", "call_0_2"]


def test_every_id_on_the_wire_is_one_that_the_api_takes() -> None:
    odd = ["", "ü", "a b", "x" * 200, "call_0", "call_0"]
    calls = assistant("", *((call_id, {}) for call_id in odd))
    sent = body_of(spelled(a_request(["go", calls], tools=[TOOL])))["messages"]
    assert isinstance(sent, list)
    ids = [block["id"] for block in sent[1]["content"]]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call_id) for call_id in ids)
    assert len(set(ids)) == len(odd)
    assert [block["tool_use_id"] for block in sent[2]["content"]] == [ids[0], *ids[1:]]


def test_arguments_that_are_no_object_are_wrapped_in_one() -> None:
    cut_off = {"id": "a", "name": "f", "raw_arguments": '{"x": '}
    message = {"role": "assistant", "tool_calls": [cut_off]}
    sent, said = repaired("go", message, result("a", "bad"))
    assert sent[1]["content"] == [use("a", {"_raw": '{"x": '})]
    assert said == ["Arguments of a tool call that are no JSON object were wrapped in one, as text."]


def test_results_hold_text_images_and_nothing() -> None:
    png = {"type": "image", "data": "AAAA", "media_type": "image/png"}
    calls = assistant("", *((name, {}) for name in "abcd"))
    sent = turns(
        "go",
        calls,
        result("a", ""),
        result("b", " "),
        result("c", [{"type": "text", "text": "see", "cache": "5m"}, png]),
        result("d", [png]),
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    assert sent[2]["content"] == [
        tool_result("a", ""),
        tool_result("b", ""),
        tool_result("c", [text("see"), image], cache_control={"type": "ephemeral", "ttl": "5m"}),
        tool_result("d", [image]),
    ]


def test_a_later_system_message_where_the_model_takes_it() -> None:
    sent = turns(
        "a",
        assistant("", ("x", {})),
        result("x", "1"),
        system("Be brief."),
        assistant("b"),
        "c",
        system("Stop."),
        model="claude-opus-5",
    )
    assert sent[2:4] == [
        {"role": "user", "content": [tool_result("x", "1")]},
        {"role": "system", "content": "Be brief."},
    ]
    assert sent[-2:] == [{"role": "user", "content": "c"}, {"role": "system", "content": "Stop."}]


def test_a_later_system_message_where_it_does_not() -> None:
    sent, said = repaired("a", assistant("b"), "c", system("Be brief."))
    assert sent[-1] == {"role": "user", "content": [text("c"), text("<system>Be brief.</system>")]}
    assert said == ["A system message between turns was sent as user text in <system> tags."]
    assert repaired("a", assistant("b"), "c", system(" "))[1] == ["A message without content was left out."]


def test_a_system_message_that_would_come_first_is_user_text() -> None:
    sent, _ = repaired(" ", system("Be brief."), "hi", model="claude-opus-5")
    assert sent == [{"role": "user", "content": [text("<system>Be brief.</system>"), text("hi")]}]


def test_a_history_that_begins_with_the_assistant_gets_a_user_before_it() -> None:
    sent, said = repaired(assistant("Welcome."), "hi")
    assert sent[0] == {"role": "user", "content": "(continued)"}
    assert len(said) == 1


def test_a_prefill_is_trimmed_where_the_model_takes_one_and_refused_where_not() -> None:
    sent = turns("a", assistant("The answer is \n"), model="claude-sonnet-4-5")
    assert sent[1] == {"role": "assistant", "content": "The answer is"}
    with pytest.raises(ProviderError, match="end the messages with a user turn") as caught:
        turns("a", assistant("The answer is"), model="claude-sonnet-5")
    assert (caught.value.kind, caught.value.reason) == ("unsupported", "prefill")


@pytest.mark.parametrize("messages", [[system("Be brief.")], [" "], [system("a"), assistant("")]])
def test_a_history_with_nothing_to_answer_is_refused(messages: list[object]) -> None:
    with pytest.raises(ProviderError, match="no message with content") as caught:
        turns(*messages)
    assert (caught.value.kind, caught.value.reason) == ("bad_request", "no_messages")


def test_tools_that_only_the_history_knows_are_declared_and_forbidden() -> None:
    messages = ["go", assistant("", ("a", {})), result("a", "1"), "so?"]
    encoded = spelled(a_request(messages))
    assert body_of(encoded)["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert body_of(encoded)["tool_choice"] == {"type": "none"}
    assert codes(encoded) == [HISTORY_CHANGED]


# Replay: what a reply of this dialect becomes in the next request.


SEARCH = [
    block_start(1, type="server_tool_use", id="srv:1", name="web_search", input={"q": "x"}),
    block_stop(1),
    block_start(2, type="web_search_tool_result", tool_use_id="srv:1", content=[]),
    block_stop(2),
]


def reply_to(*payloads: object, model: str = "claude-sonnet-5", stop: str = "end_turn") -> Message:
    return read(sse(start(), *payloads, *finish(stop)), target=a_target(model)).reply.message


def test_a8_thinking_text_and_a_tool_go_back_in_that_order() -> None:
    reply = reply_to(
        *thinking_block(0, "U0lH", "Need weather."),
        *text_block(1, "Checking."),
        *tool_block(2, "toolu_1", "f", '{"city": ', '"SF"}'),
        stop="tool_use",
    )
    assert reply.blocks == ()
    assert turns("go", reply, result("toolu_1", "18C"))[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Need weather.", "signature": "U0lH"},
                text("Checking."),
                use("toolu_1", {"city": "SF"}),
            ],
        },
        {"role": "user", "content": [tool_result("toolu_1", "18C")]},
    ]


def test_vector_44_redacted_and_empty_but_signed_thinking_go_back() -> None:
    redacted = [block_start(0, type="redacted_thinking", data="ZW5j"), block_stop(0)]
    reply = reply_to(*redacted, *thinking_block(1, "c2ln"), *text_block(2, "Yes."))
    assert turns("go", reply, "ok")[1]["content"] == [
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        text("Yes."),
    ]


@pytest.mark.parametrize(
    ("model", "origin"),
    [
        ("claude-opus-5", OURS),
        ("claude-sonnet-5", OURS.model_copy(update={"provider": "openrouter"})),
        ("claude-sonnet-5", OURS.model_copy(update={"dialect": "openai_chat"})),
        ("claude-sonnet-5", None),
    ],
)
def test_vector_74_foreign_thinking_is_never_sent(model: str, origin: Origin | None) -> None:
    reasoning = [{"text": "Hm.", "signature": "c2ln", "origin": origin}, {"data": "ZW5j", "origin": origin}]
    sent, said = repaired("go", assistant("Yes.", reasoning=reasoning), "ok", model=model)
    assert sent[1] == {"role": "assistant", "content": "Yes."}
    assert said == ["Reasoning that this model did not write, or does not take back, was left out."]


@pytest.mark.parametrize("block", [{"text": "Hm."}, {"text": "Hm.", "signature": ""}])
def test_unsigned_thinking_is_never_sent(block: dict[str, object]) -> None:
    sent, _ = repaired("go", assistant("Yes.", reasoning=[{**block, "origin": OURS}]), "ok")
    assert sent[1] == {"role": "assistant", "content": "Yes."}
    unsigned = reply_to(*thinking_block(0, None, "Hm."), *text_block(1, "Yes."))
    assert unsigned.blocks == ()
    assert repaired("go", unsigned, "ok")[0][1] == {"role": "assistant", "content": "Yes."}


def test_a_gateway_that_wants_no_thinking_back_gets_none() -> None:
    thought = thinking_block(0, "c2ln", "Hm.")
    target = a_target(quirks={"reasoning_replay": False})
    for reply in (reply_to(*thought, *text_block(1, "a")), reply_to(*thought, *SEARCH, *text_block(3, "a"))):
        sent = body(["go", reply, "ok"], target)["messages"]
        assert isinstance(sent, list)
        assert sent[1] == {"role": "assistant", "content": "a"}


def test_another_release_of_the_same_line_may_have_its_thinking_back() -> None:
    reply = reply_to(*thinking_block(0, "c2ln", "Hm."), *text_block(1, "a"), model="claude-sonnet-4-5-20250929")
    assert turns("go", reply, "ok", model="claude-sonnet-4-5")[1]["content"][0]["type"] == "thinking"


def test_kept_blocks_go_back_verbatim_but_for_what_the_api_refuses() -> None:
    blocks = [*text_block(0, "a"), *SEARCH, *text_block(3, " "), *text_block(4, "b"), *thinking_block(5, None, "Hm.")]
    reply = reply_to(*blocks, *tool_block(6, "toolu_1", "f", "{}"))
    sent = turns("go", reply, result("toolu_1", "1"))[1]["content"]
    assert sent == [dict(reply.blocks[at]) for at in (0, 1, 2, 4, 6)]


def test_calls_in_kept_blocks_get_other_ids_too_where_theirs_are_taken() -> None:
    reply = reply_to(*SEARCH, *tool_block(3, "call_0", "f", "{}"))
    assert reply.blocks
    sent, _ = repaired("go", reply, result("call_0", "first"), reply, result("call_0", "second"))
    assert sent[3]["content"] == [*map(dict, reply.blocks[:-1]), {**reply.blocks[-1], "id": "call_0_2"}]
    assert sent[4]["content"] == [tool_result("call_0_2", "second")]


def test_the_blocks_of_another_model_do_not_make_the_last_turn_one_to_be_continued() -> None:
    reply = reply_to(*text_block(0, "a"), *SEARCH, stop="pause_turn")
    with pytest.raises(ProviderError, match="end the messages with a user turn"):
        turns("go", reply, model="claude-opus-5")


def test_blocks_are_not_sent_where_they_no_longer_say_what_the_message_says() -> None:
    reply = reply_to(*text_block(0, "a"), *SEARCH, *text_block(3, "b"))
    assert reply.content == "ab"
    edited = reply.model_copy(update={"content": "ab, and more"})
    sent, said = repaired("go", edited, "ok")
    assert sent[1] == {"role": "assistant", "content": "ab, and more"}
    assert said == [
        "Raw content that cannot go back to this model, or was edited since, was left out of an assistant turn."
    ]
    call = {"id": "a", "name": "f", "arguments": {}}
    added = Message.model_validate({**reply.model_dump(), "tool_calls": [call]})
    assert repaired("go", added, result("a", "1"))[0][1]["content"] == [text("ab"), use("a")]
    assert repaired("go", reply, "ok", model="claude-opus-5")[0][1] == {"role": "assistant", "content": "ab"}


def test_a_paused_turn_goes_back_as_it_is_to_be_continued() -> None:
    reply = reply_to(*text_block(0, "a"), *SEARCH, stop="pause_turn")
    assert turns("go", reply)[1]["content"] == [dict(block) for block in reply.blocks]


def test_an_answer_by_the_reserved_tool_is_text_in_the_history() -> None:
    reply = reply_to(*tool_block(0, "t", "nexus3_output", '{"n": 1}'), stop="tool_use")
    assert turns("go", reply, "ok")[1] == {"role": "assistant", "content": '{"n": 1}'}


def test_a_refusal_stands_for_the_content_that_is_missing() -> None:
    assert turns("go", assistant("", refusal="No."), "ok")[1] == {"role": "assistant", "content": "No."}


def test_thinking_on_a_budget_is_not_switched_on_in_the_middle_of_a_turn_of_another_model() -> None:
    """After a fallback between two models: the API wants the turn that it continues to begin with its own thinking."""
    messages = ["go", assistant("", ("a", {})), result("a", "1")]
    request = a_request(messages, tools=[TOOL], reasoning="high", max_tokens=700)
    encoded = spelled(request, a_target("claude-sonnet-4-5"))
    assert "thinking" not in body_of(encoded)
    assert body_of(encoded)["max_tokens"] == 700
    assert [notice.text[:20] for notice in encoded.notices] == ["reasoning: left out,"]
    later = a_request([*messages, assistant("Done."), "next"], tools=[TOOL], reasoning="high")
    assert "thinking" in body_of(spelled(later, a_target("claude-sonnet-4-5")))
    adaptive = spelled(request, a_target("claude-sonnet-5"))
    assert body_of(adaptive)["thinking"] == {"type": "adaptive"}


# Parts.


def user_block(part: dict[str, object], target: Any = None) -> Any:
    sent = body([{"role": "user", "content": [part]}], target)["messages"]
    assert isinstance(sent, list)
    return sent[0]["content"][0]


PDF = base64.b64encode(b"%PDF-1.7 x").decode()
NOTES = base64.b64encode("grüß".encode()).decode()


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image", "data": "AAAA", "media_type": "image/jpg"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
        ),
        (
            {"type": "image", "url": "https://x/y.png", "detail": "low", "cache": "1h"},
            {
                "type": "image",
                "source": {"type": "url", "url": "https://x/y.png"},
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
        ),
        ({"type": "image", "file_id": "f1"}, {"type": "image", "source": {"type": "file", "file_id": "f1"}}),
        (
            {"type": "file", "data": PDF, "media_type": "application/pdf", "filename": "a.pdf"},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            {"type": "file", "data": PDF, "title": "A", "filename": "a.pdf"},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "A",
            },
        ),
        (
            {"type": "file", "url": "https://x/y.pdf"},
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        ),
        ({"type": "file", "file_id": "f1"}, {"type": "document", "source": {"type": "file", "file_id": "f1"}}),
        (
            {"type": "file", "data": NOTES, "media_type": "text/markdown"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "grüß"}},
        ),
        (
            {"type": "file", "data": "AAAA", "media_type": "image/png"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
    ],
)
def test_parts(part: dict[str, object], block: object) -> None:
    assert user_block(part) == block


@pytest.mark.parametrize(
    ("part", "reason", "remedy"),
    [
        ({"type": "image", "data": "AAAA", "media_type": "image/tiff"}, "image_type", "convert the image"),
        ({"type": "file", "data": "AAAA", "media_type": "audio/wav"}, "audio", "transcript"),
        ({"type": "file", "data": "AAAA", "media_type": "video/mp4"}, "video", "transcript"),
        ({"type": "file", "data": "AAAA", "media_type": "application/zip"}, "file_type", "as text"),
        ({"type": "file", "data": "AAAA"}, "file_type", "as text"),
        (
            {"type": "file", "data": base64.b64encode(b"\xff").decode(), "media_type": "text/plain"},
            "file_type",
            "UTF-8",
        ),
        ({"type": "file", "url": "https://x", "media_type": "text/csv"}, "file_type", "as text"),
    ],
)
def test_parts_that_the_api_has_no_block_for(part: dict[str, object], reason: str, remedy: str) -> None:
    with pytest.raises(ProviderError, match=remedy) as caught:
        user_block(part)
    assert (caught.value.kind, caught.value.reason) == ("unsupported", reason)


@pytest.mark.parametrize(
    ("quirks", "part", "reason"),
    [
        ({"remote_images": False}, {"type": "image", "url": "https://x/y.png"}, "remote_image"),
        ({"files": False}, {"type": "file", "data": PDF}, "file"),
    ],
)
def test_parts_that_a_gateway_does_not_take(quirks: object, part: dict[str, object], reason: str) -> None:
    with pytest.raises(ProviderError) as caught:
        user_block(part, a_target(quirks=quirks))
    assert (caught.value.kind, caught.value.reason) == ("unsupported", reason)


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_images_stand_in_user_messages_and_results_alone(role: str) -> None:
    with pytest.raises(ProviderError, match="into a user message") as caught:
        turns("a", {"role": role, "content": [{"type": "image", "url": "https://x"}]}, "b")
    assert (caught.value.kind, caught.value.reason) == ("unsupported", "content_of_role")
