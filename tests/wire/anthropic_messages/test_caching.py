"""Cache marks: the caller's, ours, and the API's rules about both."""

from typing import Any

import pytest

from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER
from tests.wire.anthropic_messages.helpers import a_request, a_target, body_of, codes, spelled

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def marked(encoded: Any) -> dict[str, object]:
    """Where marks stand, by the text or name of their block."""
    sent = body_of(encoded)
    blocks: list[Any] = [*sent.get("tools", []), *(sent["system"] if isinstance(sent.get("system"), list) else [])]  # type: ignore[misc] # JSON
    for turn in sent["messages"]:  # type: ignore[attr-defined] # JSON
        blocks += turn["content"] if isinstance(turn["content"], list) else []
    return {
        str(block.get("text") or block.get("name") or block["content"]): block["cache_control"]
        for block in blocks
        if "cache_control" in block
    }


def user(text: str, cache: str | None = None) -> dict[str, object]:
    return {"role": "user", "content": [{"type": "text", "text": text, "cache": cache}]}


def system(text: str, cache: str | None = None) -> dict[str, object]:
    return {"role": "system", "content": [{"type": "text", "text": text, "cache": cache}]}


def assistant(text: str) -> dict[str, object]:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["hi"], {}),
        ([system("s"), "hi"], {"s": MARK}),
        ([system("r"), system("s"), "a", assistant("b"), "c"], {"s": MARK, "a": MARK}),
        (["a", assistant("b"), "c", assistant("d"), "e"], {"c": MARK}),
        (["a", "a2", assistant("b"), "c"], {"a2": MARK}),
    ],
)
def test_ours_stand_behind_the_system_text_and_the_last_user_turn_but_one(
    messages: list[object], expected: dict[str, object]
) -> None:
    encoded = spelled(a_request(messages, prompt_caching=True))
    assert marked(encoded) == expected
    assert encoded.notices == ()


def test_a_turn_of_tool_results_counts_as_the_user() -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "t", "name": "f", "arguments": {}}]}
    messages = ["a", call, {"role": "tool", "tool_call_id": "t", "content": "42"}, assistant("b"), "c"]
    assert marked(spelled(a_request(messages, tools=[{"name": "f"}], prompt_caching=True))) == {"42": MARK}


@pytest.mark.parametrize(
    ("asked", "configured", "expected"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_request_decides_before_the_configuration(asked: bool | None, configured: bool, expected: bool) -> None:
    encoded = spelled(a_request([system("s"), "hi"], prompt_caching=asked), a_target(prompt_caching=configured))
    assert bool(marked(encoded)) == expected


def test_the_callers_marks_stand_where_they_were_set_even_without_ours() -> None:
    tools = [{"name": "f", "cache": "1h"}]
    messages = [system("s", "1h"), user("a", "5m"), assistant("b"), user("c", "default")]
    encoded = spelled(a_request(messages, tools=tools, prompt_caching=False))
    assert marked(encoded) == {"f": HOUR, "s": HOUR, "a": {"type": "ephemeral", "ttl": "5m"}, "c": MARK}
    assert encoded.notices == ()


def test_ours_fill_up_what_the_caller_leaves() -> None:
    messages = [system("s"), user("a"), assistant("b"), user("c", "default")]
    tools = [{"name": "f", "cache": "default"}, {"name": "g", "cache": "default"}]
    encoded = spelled(a_request(messages, tools=tools, prompt_caching=True))
    assert marked(encoded) == {"f": MARK, "g": MARK, "s": MARK, "c": MARK}
    assert encoded.notices == ()


def test_of_too_many_marks_the_oldest_of_the_messages_go_first() -> None:
    tools = [{"name": "f", "cache": "default"}]
    messages = [system("s", "default"), *(user(str(n), "default") for n in range(5))]
    encoded = spelled(a_request(messages, tools=tools, prompt_caching=True))
    assert marked(encoded) == {"f": MARK, "s": MARK, "3": MARK, "4": MARK}
    assert codes(encoded) == [DROPPED_PARAMETER]
    tools = [{"name": f"f{n}", "cache": "default"} for n in range(6)]
    encoded = spelled(a_request([user("a", "default")], tools=tools))
    assert marked(encoded) == {"f2": MARK, "f3": MARK, "f4": MARK, "f5": MARK}


def test_a_mark_of_an_hour_lengthens_those_before_it() -> None:
    messages = [system("s", "5m"), user("a", "1h"), assistant("b"), user("c", "5m")]
    encoded = spelled(a_request(messages))
    assert marked(encoded) == {"s": HOUR, "a": HOUR, "c": {"type": "ephemeral", "ttl": "5m"}}
    assert codes(encoded) == [CHANGED_PARAMETER]
    ours = spelled(a_request([system("s"), user("a", "1h"), assistant("b"), "c"], prompt_caching=True))
    assert marked(ours) == {"s": HOUR, "a": HOUR}
    assert ours.notices == ()


def test_a_mark_on_assistant_text_stands_on_its_text() -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "b", "cache": "default"}]}
    assert marked(spelled(a_request(["a", message, "c"]))) == {"b": MARK}


@pytest.mark.parametrize(
    ("quirk", "model", "expected"),
    [("none", "claude-sonnet-5", False), ("anthropic_models", "glm-5", False), ("anthropic_models", "claude-x", True)],
)
def test_servers_without_caching_get_no_marks(quirk: str, model: str, expected: bool) -> None:
    target = a_target(model, quirks={"cache_marks": quirk})
    encoded = spelled(a_request([system("s"), user("a", "default")], prompt_caching=True), target)
    assert bool(marked(encoded)) == expected
    assert codes(encoded) == ([] if expected else [DROPPED_PARAMETER])
    unmarked = spelled(a_request([system("s"), user("a")], prompt_caching=True), target)
    assert unmarked.notices == ()
