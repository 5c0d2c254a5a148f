"""Conversations, as they go out: roles, parts, repairs, reasoning of earlier turns, cache marks."""

import json
from typing import Any

import msgspec
import pytest

from nexus3.wire.catalog import ProviderTypeName, Target
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import decode_body, encode
from nexus3.wire.failures import ProviderError
from nexus3.wire.limits import DEFAULT_LIMITS
from nexus3.wire.messages import Origin, ReasoningBlock, ToolCall
from nexus3.wire.requests import CompletionRequest
from tests.wire.openai_chat.build import call, calls, chunk, reply, sse, target
from tests.wire.openai_chat.official import encoded

CHANGED, DROPPED = "history_changed", "dropped_parameter"


def wire(where: Target, *messages: object, **request: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The messages of the body, and the codes of the notices."""
    body, result = encoded(where, messages=list(messages), **request)
    return body["messages"], [notice.code for notice in result.notices]


def refused(where: Target, *messages: object) -> tuple[str, str]:
    with pytest.raises(ProviderError) as caught:
        encode(CompletionRequest.model_validate({"messages": list(messages)}), where, stream=True)
    return caught.value.kind, caught.value.reason


def user(*parts: object) -> dict[str, object]:
    return {"role": "user", "content": parts[0] if len(parts) == 1 and isinstance(parts[0], str) else list(parts)}


def assistant(content: str = "", *called: ToolCall, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": content, "tool_calls": called, **more}


def result(call_id: str, content: object = "18C", **more: object) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def calling(call_id: str, name: str = "f", arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, raw_arguments=arguments)


def called(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, object]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


PNG = {"type": "image", "data": "AAAA", "media_type": "image/png"}
PNG_WIRE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SYSTEM = {"role": "system", "content": "Be brief"}


class TestRoles:
    @pytest.mark.parametrize(
        ("type_name", "model", "role"),
        [
            ("openai", "gpt-4o", "system"),
            ("openai", "gpt-5.1", "developer"),
            ("openai", "o3-mini", "developer"),
            ("openai", "o1-mini", "user"),
            ("openai", "gpt-5-chat-latest", "system"),
            ("azure", "deployment", "system"),
            ("openrouter", "openai/gpt-5.1", "system"),
            ("ollama", "gpt-oss", "system"),
            ("vllm", "qwen3", "system"),
        ],
    )
    @pytest.mark.parametrize("given", ["system", "developer"])
    def test_system_text_goes_out_under_the_role_that_the_model_knows(
        self, type_name: ProviderTypeName, model: str, role: str, given: str
    ) -> None:
        late = {"role": given, "content": "Briefer"}
        messages, told = wire(target(type_name, model), {"role": given, "content": "Be brief"}, user("Hi"), late)
        assert messages == [
            {"role": role, "content": "Be brief"},
            {"role": "user", "content": "Hi"},
            {"role": role, "content": "Briefer"},
        ]
        assert told == []

    def test_several_system_messages_stay_several_or_become_one(self) -> None:
        several = [SYSTEM, {"role": "developer", "content": [{"type": "text", "text": "Be kind"}]}, user("Hi")]
        assert [one["content"] for one in wire(target("vllm"), *several)[0]] == ["Be brief", "Be kind", "Hi"]
        merged, _ = wire(target("vllm", merge_system=True), *several)
        assert merged == [{"role": "system", "content": "Be brief\n\nBe kind"}, {"role": "user", "content": "Hi"}]

    def test_names_go_along(self) -> None:
        messages, _ = wire(target(), user("Hi") | {"name": "ann"})
        assert messages == [{"role": "user", "content": "Hi", "name": "ann"}]


class TestParts:
    def test_nothing_but_text_is_a_string(self) -> None:
        messages, _ = wire(target(), user({"type": "text", "text": "a"}, {"type": "text", "text": "b"}))
        assert messages[0]["content"] == "ab"

    @pytest.mark.parametrize("type_name", ["openai", "azure", "openrouter", "ollama", "vllm"])
    def test_an_image_by_bytes(self, type_name: ProviderTypeName) -> None:
        messages, told = wire(target(type_name), user({"type": "text", "text": "a"}, PNG | {"detail": "low"}))
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
        assert messages[0]["content"] == [{"type": "text", "text": "a"}, image]
        assert told == []

    @pytest.mark.parametrize("type_name", ["openai", "azure", "openrouter", "vllm"])
    def test_an_image_by_url(self, type_name: ProviderTypeName) -> None:
        image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        assert wire(target(type_name), user(image))[0][0]["content"] == [image]

    @pytest.mark.parametrize(
        ("media_type", "form"), [("audio/wav", "wav"), ("audio/x-wav", "wav"), ("audio/mpeg", "mp3")]
    )
    def test_sound(self, media_type: str, form: str) -> None:
        messages, _ = wire(target(), user({"type": "file", "data": "AAAA", "media_type": media_type}))
        assert messages[0]["content"] == [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": form}}]

    def test_documents(self) -> None:
        pdf = {"type": "file", "data": "AAAA", "media_type": "application/pdf", "filename": "a.pdf"}
        bare = {"type": "file", "data": "AAAA"}
        known = {"type": "file", "file_id": "file-1"}
        messages, _ = wire(target(), user(pdf, bare, known))
        data = "data:application/pdf;base64,AAAA"
        assert messages[0]["content"] == [
            {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": data}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]
        by_url = {"type": "file", "url": "https://example.com/a.pdf", "title": "A"}
        assert wire(target("openrouter"), user(by_url))[0][0]["content"] == [
            {"type": "file", "file": {"filename": "A", "file_data": "https://example.com/a.pdf"}}
        ]

    @pytest.mark.parametrize(
        ("type_name", "part", "reason"),
        [
            ("ollama", {"type": "image", "url": "https://example.com/a.png"}, "remote_images"),
            ("openai", {"type": "image", "file_id": "file-1"}, "image_file_id"),
            ("ollama", {"type": "file", "data": "AAAA"}, "files"),
            ("azure", {"type": "file", "data": "AAAA"}, "files"),
            ("vllm", {"type": "file", "file_id": "f"}, "files"),
            ("openai", {"type": "file", "url": "https://example.com/a.pdf"}, "file_url"),
            ("openai", {"type": "file", "data": "AAAA", "media_type": "audio/ogg"}, "audio_format"),
            ("openai", {"type": "file", "url": "https://example.com/a.wav", "media_type": "audio/wav"}, "audio_source"),
        ],
    )
    def test_what_a_type_cannot_take_is_refused(self, type_name: ProviderTypeName, part: object, reason: str) -> None:
        assert refused(target(type_name), user(part)) == ("unsupported", reason)

    def test_sound_where_there_is_none(self) -> None:
        sound = {"type": "file", "data": "AAAA", "media_type": "audio/wav"}
        assert refused(target("vllm", audio=False), user(sound)) == ("unsupported", "audio")

    def test_the_router_knows_more_sounds(self) -> None:
        sound = {"type": "file", "data": "AAAA", "media_type": "audio/ogg"}
        request = CompletionRequest.model_validate({"messages": [user(sound)]})
        body = json.loads(encode(request, target("openrouter"), stream=False).body)
        assert body["messages"][0]["content"][0]["input_audio"]["format"] == "ogg"

    @pytest.mark.parametrize("role", ["system", "assistant"])
    def test_images_only_from_users_and_tools(self, role: str) -> None:
        assert refused(target(), {"role": role, "content": [PNG]}, user("Hi")) == ("unsupported", f"{role}_media")

    def test_half_characters_are_left_out(self) -> None:
        turn = assistant("", calling("t1", arguments='{"a": "\ud83d"}'), calling("t2", arguments='{"a": "\ud83d'))
        messages, _ = wire(target(), user("a\ud83db\ude00c \ud83d\ude00"), turn)
        assert messages[0]["content"] == "abc 😀"
        whole, broken = (json.loads(one["function"]["arguments"]) for one in messages[1]["tool_calls"])
        assert whole == {"a": ""}
        assert broken == {"_raw_arguments": '{"a": "'}


class TestAssistant:
    def test_text_is_a_string_and_no_text_is_null(self) -> None:
        messages, told = wire(
            target(), assistant("Sure"), assistant("", calling("t1", arguments='{"a": 1}')), result("t1"), user("Go on")
        )
        assert messages == [
            {"role": "assistant", "content": "Sure"},
            {"role": "assistant", "content": None, "tool_calls": [called("t1", arguments='{"a": 1}')]},
            {"role": "tool", "tool_call_id": "t1", "content": "18C"},
            {"role": "user", "content": "Go on"},
        ]
        assert told == []

    def test_no_text_is_empty_where_null_is_refused(self) -> None:
        turn = assistant("", calling("t1", arguments='{"a": 1}'))
        messages, told = wire(target("vllm", null_content=False), turn, result("t1"))
        assert messages[0] == {"role": "assistant", "content": "", "tool_calls": [called("t1", arguments='{"a": 1}')]}
        assert told == []

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ({"raw_arguments": ' {"a" : 1} '}, ' {"a" : 1} '),
            ({"raw_arguments": ""}, "{}"),
            ({"arguments": {"a": 1}}, '{"a":1}'),
            ({"arguments": {"a": 1}, "raw_arguments": ""}, '{"a":1}'),
        ],
    )
    def test_arguments_go_back_as_they_came(self, given: dict[str, Any], sent: str) -> None:
        one = ToolCall.model_validate({"id": "t1", "name": "f", **given})
        messages, told = wire(target(), assistant("", one), result("t1"))
        assert messages[0]["tool_calls"] == [called("t1", arguments=sent)]
        assert told == []

    def test_broken_arguments_go_back_as_text(self) -> None:
        messages, told = wire(target(), assistant("", calling("t1", arguments='{"a": ')), result("t1"))
        assert messages[0]["tool_calls"] == [called("t1", arguments='{"_raw_arguments":"{\\"a\\": "}')]
        assert told == [CHANGED]

    @pytest.mark.parametrize("type_name", ["openai", "azure"])
    def test_ids_too_long_for_openai_are_shortened_alike(self, type_name: ProviderTypeName) -> None:
        long = "functions.get_weather:0:" + "x" * 40
        messages, _ = wire(target(type_name), assistant("", calling(long)), result(long))
        short = messages[0]["tool_calls"][0]["id"]
        assert len(short) <= 40
        assert messages[1]["tool_call_id"] == short
        elsewhere, _ = wire(target("vllm"), assistant("", calling(long)), result(long))
        assert elsewhere[1]["tool_call_id"] == long

    def test_a_refusal_keeps_its_place_where_there_is_one(self) -> None:
        refusal = {"role": "assistant", "content": "", "refusal": "No."}
        assert wire(target(), refusal)[0] == [{"role": "assistant", "content": None, "refusal": "No."}]
        assert wire(target("vllm"), refusal)[0] == [{"role": "assistant", "content": "No."}]

    def test_blank_text_is_no_text(self) -> None:
        messages, _ = wire(target("vllm"), assistant(" \n", refusal="No."), assistant(" ", calling("t1")), result("t1"))
        assert [one["content"] for one in messages] == ["No.", None, "18C"]

    def test_raw_blocks_do_not_go_back_and_that_is_told(self) -> None:
        answer = reply(sse(chunk({"content": "A", "annotations": [{"type": "url_citation"}]}, "stop"))).message
        assert wire(target(), answer, answer) == ([{"role": "assistant", "content": "A"}] * 2, [CHANGED])

    def test_what_a_provider_attached_to_a_call_goes_back_to_it_alone(self) -> None:
        extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
        stream = sse(calls({**call(0, "t1", "f", "{}"), **extra}), chunk(finish="tool_calls"))  # type: ignore[dict-item]  # an object
        answer = reply(stream, target("vllm", "gemini")).message
        assert wire(target("vllm", "gemini"), answer, result("t1"))[0][0]["tool_calls"] == [extra | called("t1")]
        assert wire(target("openai", "gemini"), answer, result("t1"))[0][0]["tool_calls"] == [called("t1")]


class TestToolResults:
    def test_errors_say_so(self) -> None:
        turn = assistant("", calling("t1"), calling("t2"))
        messages, _ = wire(
            target(), turn, result("t1", "no such city", is_error=True), result("t2", "error: no", is_error=True)
        )
        assert [one["content"] for one in messages[1:]] == ["Error: no such city", "error: no"]

    def test_images_follow_behind_all_results(self) -> None:
        turn = assistant("", calling("t1"), calling("t2"))
        messages, told = wire(
            target(), turn, result("t1", [{"type": "text", "text": "See"}, PNG]), result("t2", [PNG]), user("Go on")
        )
        assert messages[1:] == [
            {"role": "tool", "tool_call_id": "t1", "content": "See"},
            {"role": "tool", "tool_call_id": "t2", "content": "(see the attachment in the next message)"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Attachments of the tool results above:"}, PNG_WIRE, PNG_WIRE],
            },
            {"role": "user", "content": "Go on"},
        ]
        assert told == [CHANGED]

    def test_images_at_the_very_end(self) -> None:
        messages, _ = wire(target(), assistant("", calling("t1")), result("t1", [PNG]))
        assert [one["role"] for one in messages] == ["assistant", "tool", "user"]


class TestRepair:
    """What :mod:`nexus3.wire.history` repairs, as this dialect spells it."""

    def test_a_call_without_a_result_is_answered_with_an_error(self) -> None:
        messages, told = wire(target(), assistant("", calling("t1")), user("Hi"))
        assert messages[1:] == [
            {"role": "tool", "tool_call_id": "t1", "content": "Error: No result provided"},
            {"role": "user", "content": "Hi"},
        ]
        assert told == [CHANGED]

    @pytest.mark.parametrize("nothing", ["", " ", [], [{"type": "text", "text": ""}]])
    def test_an_empty_turn_is_left_out(self, nothing: Any) -> None:
        messages, told = wire(target(), user("Hi"), assistant(nothing), user("Still there?"))
        assert [one["content"] for one in messages] == ["Hi", "Still there?"]
        assert told == [CHANGED]

    def test_a_turn_of_reasoning_alone_is_empty_here(self) -> None:
        thought = assistant("", reasoning=[block("R", "reasoning")], blocks=[{"type": "odd"}])
        messages, told = wire(target("vllm", "deepseek-r1"), user("Hi"), thought)
        assert messages == [{"role": "user", "content": "Hi"}]
        assert told == [CHANGED]

    def test_ids_repeated_in_a_later_turn_stay_as_their_provider_counted_them(self) -> None:
        turn = assistant("", calling("functions.f:0"))
        messages, told = wire(target("vllm"), turn, result("functions.f:0"), turn, result("functions.f:0"))
        assert [one["tool_calls"][0]["id"] for one in messages[::2]] == ["functions.f:0"] * 2
        assert told == []

    def test_ids_repeated_in_one_turn_are_told_apart(self) -> None:
        messages, told = wire(
            target(), assistant("", calling("t1"), calling("t1")), result("t1", "a"), result("t1", "b")
        )
        assert [one["id"] for one in messages[0]["tool_calls"]] == ["t1", "t1_2"]
        assert [(one["tool_call_id"], one["content"]) for one in messages[1:]] == [("t1", "a"), ("t1_2", "b")]
        assert told == [CHANGED]

    def test_a_call_without_an_id_is_given_one(self) -> None:
        messages, _ = wire(target(), assistant("", calling("")))
        assert messages[0]["tool_calls"][0]["id"] == messages[1]["tool_call_id"] != ""

    def test_nothing_left_to_send_is_a_bad_request(self) -> None:
        assert refused(target(), assistant("")) == ("bad_request", "no_messages")


def block(
    text: str, field: str | None, *, provider: str = "vllm", model: str = "deepseek-r1", **more: Any
) -> ReasoningBlock:
    origin = Origin(dialect="openai_chat", provider=provider, model=model, field=field)
    return ReasoningBlock(text=text, origin=origin, **more)


class TestReasoningOfEarlierTurns:
    WHERE = target("vllm", "deepseek-r1")

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
    def test_it_goes_back_in_the_field_it_came_in(self, field: str) -> None:
        messages, told = wire(self.WHERE, assistant("A", reasoning=[block("R", field)]), user("Go on"))
        assert messages[0] == {"role": "assistant", "content": "A", field: "R"}
        assert told == []

    @pytest.mark.parametrize(
        "foreign",
        [
            block("R", "reasoning", provider="openrouter"),
            block("R", "reasoning", model="qwen3"),
            ReasoningBlock(text="R", origin=Origin(dialect="anthropic_messages", provider="vllm", model="deepseek-r1")),
            ReasoningBlock(text="R"),
        ],
    )
    def test_a_foreign_one_is_never_sent(self, foreign: ReasoningBlock) -> None:
        messages, told = wire(self.WHERE, assistant("A", reasoning=[foreign]), assistant("B", reasoning=[foreign]))
        assert messages == [{"role": "assistant", "content": "A"}, {"role": "assistant", "content": "B"}]
        assert told == [CHANGED]

    @pytest.mark.parametrize("model", ["DeepSeek/deepseek-r1:free", "deepseek-r1-latest", "deepseek-r1-20250528"])
    def test_other_spellings_of_the_model_are_the_model(self, model: str) -> None:
        messages, _ = wire(target("vllm", model), assistant("A", reasoning=[block("R", "reasoning")]))
        assert messages[0]["reasoning"] == "R"

    def test_openai_takes_none_back(self) -> None:
        foreign = block("R", "reasoning", provider="openai", model="gpt-x")
        messages, told = wire(target("openai"), assistant("A", reasoning=[foreign]))
        assert messages == [{"role": "assistant", "content": "A"}]
        assert told == [CHANGED]

    def test_details_go_back_unmodified_and_in_order(self) -> None:
        details = [
            {"type": "reasoning.text", "text": "R", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
            {"type": "reasoning.encrypted", "data": "AAA", "id": "t1", "index": 0},
        ]
        stream = sse(
            chunk({"reasoning": "R", "reasoning_details": details}),
            calls(call(0, "t1", "f", "{}")),
            chunk(finish="tool_calls"),
        )
        where = target("openrouter", "anthropic/claude-x")
        messages, told = wire(where, user("Hi"), reply(stream, where).message, result("t1"))
        assert messages[1] == {
            "role": "assistant",
            "content": None,
            "reasoning_details": details,
            "tool_calls": [called("t1")],
        }
        assert told == []

    def test_thinking_parts_go_back_before_the_text(self) -> None:
        parts = [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
            {"type": "text", "text": "A"},
        ]
        body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}).encode()
        where = target("vllm", "magistral")
        _, outcome = decode_body(body, where, request_id=None, limits=DEFAULT_LIMITS)
        assert isinstance(outcome, Reply)
        request = CompletionRequest.model_validate({"messages": [outcome.message, user("Go on")]})
        assert json.loads(encode(request, where, stream=False).body)["messages"][0] == {
            "role": "assistant",
            "content": parts,
        }


MARK = {"type": "ephemeral"}


class TestCacheMarks:
    CLAUDE = target("openrouter", "anthropic/claude-x")

    def test_the_system_text_is_marked_for_claude_behind_the_router(self) -> None:
        messages, told = wire(self.CLAUDE, {"role": "system", "content": "First"}, SYSTEM, user("Hi"))
        assert [one["content"] for one in messages] == [
            "First",
            [{"type": "text", "text": "Be brief", "cache_control": MARK}],
            "Hi",
        ]
        assert told == []

    @pytest.mark.parametrize(
        ("where", "caching"),
        [
            (CLAUDE, False),
            (target("openrouter", "openai/gpt-x"), True),
            (target("vllm", "claude"), True),
            (target(), True),
        ],
    )
    def test_nobody_else_is_given_marks_unasked(self, where: Target, caching: bool) -> None:
        messages, told = wire(where, SYSTEM, user("Hi"), prompt_caching=caching)
        assert messages[0]["content"] == "Be brief"
        assert told == []

    def test_the_request_is_asked_before_the_provider(self) -> None:
        where = msgspec.structs.replace(self.CLAUDE, prompt_caching=False)
        assert wire(where, SYSTEM, user("Hi"))[0][0]["content"] == "Be brief"
        assert wire(where, SYSTEM, user("Hi"), prompt_caching=True)[0][0]["content"] != "Be brief"

    def test_marks_that_were_given_are_kept(self) -> None:
        marked = {"type": "text", "text": "Long", "cache": "1h"}
        system = {"role": "system", "content": [marked, {"type": "text", "text": "Short"}]}
        messages, told = wire(
            self.CLAUDE, system, user(marked), assistant("A"), tools=[{"name": "f", "cache": "5m"}], prompt_caching=True
        )
        hour = {"type": "text", "text": "Long", "cache_control": MARK | {"ttl": "1h"}}
        assert messages[0]["content"] == [hour, {"type": "text", "text": "Short"}]
        assert messages[1]["content"] == [hour]
        assert told == []

    def test_a_marked_tool(self) -> None:
        body, _ = encoded(self.CLAUDE, messages=[user("Hi")], tools=[{"name": "f", "cache": "5m"}])
        assert body["tools"][0]["cache_control"] == MARK | {"ttl": "5m"}

    def test_marks_that_cannot_be_sent_are_told_once(self) -> None:
        marked = {"type": "text", "text": "Long", "cache": "default"}
        messages, told = wire(
            target("vllm"), user(marked), assistant("A"), user(marked), tools=[{"name": "f", "cache": "5m"}]
        )
        assert messages[0]["content"] == "Long"
        assert told == [DROPPED, DROPPED]

    def test_images_take_no_marks(self) -> None:
        messages, told = wire(self.CLAUDE, user(PNG | {"cache": "default"}))
        assert messages[0]["content"] == [PNG_WIRE]
        assert told == [DROPPED]
