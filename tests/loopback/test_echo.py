"""The default script is deterministic and does what its docstring says."""

import msgspec
import pytest

from nexus3.loopback import Answer, Call, Cut, ErrorEvent, HangUp, NoMarker, Stall, StallHeaders, echo
from nexus3.loopback.echo import PACE
from tests.loopback.raw import MESSAGES, chat_body, received

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": TOOL}},
    {"type": "function", "function": {"name": "get_time", "parameters": {}}},
]


def user(text: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": text}]


def say(text: str, seed: int = 0, model: str = "local-echo", **more: object) -> Answer:
    return echo(received(chat_body(model, messages=user(text), **more)), seed)


def test_it_repeats_the_user_word_by_word() -> None:
    answer = say("to be or not\nto be")
    assert "".join(answer.text).endswith("You said: to be or not\nto be")
    assert list(answer.text)[-3:] == ["not\n", "to ", "be"]
    assert len(answer.text) >= 8


def test_equal_requests_get_equal_answers_and_another_seed_another_greeting() -> None:
    assert say("hello") == say("hello")
    assert len({"".join(say("hello", seed).text) for seed in range(20)}) == 3


@pytest.mark.parametrize(
    ("text", "choice", "called"),
    [
        ("What is the weather in Berlin? Use the tool.", "auto", "get_weather"),
        ("call get_time in Berlin", "auto", "get_time"),
        ("How is Berlin?", "required", "get_weather"),
        ("How is Berlin?", {"type": "function", "function": {"name": "get_time"}}, "get_time"),
        ("How is Berlin?", "auto", None),
        ("Use the tool", "none", None),
    ],
)
def test_it_calls_a_tool_when_told_to(text: str, choice: object, called: str | None) -> None:
    answer = say(text, tools=TOOLS, tool_choice=choice)
    assert [call.name for call in answer.tool_calls] == ([called] if called else [])


def test_arguments_fit_the_tool() -> None:
    (call,) = say("What is the weather in Berlin? Use get_weather.", tools=TOOLS).tool_calls
    assert msgspec.json.decode(call.arguments_text) == {"city": "Berlin"}
    (call,) = say("get_time in Berlin", tools=TOOLS).tool_calls
    assert call.arguments_text == "{}"


def test_it_quotes_the_result_of_a_tool_and_calls_no_other() -> None:
    history = [
        *user("use the tool"),
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "18 degrees"},
        {"role": "tool", "tool_call_id": "b", "content": "sunny"},
    ]
    answer = echo(received(chat_body(messages=history, tools=TOOLS, tool_choice="required")))
    assert answer.tool_calls == ()
    assert "".join(answer.text).endswith("The tool says: 18 degrees | sunny")


def test_it_reasons_when_asked() -> None:
    assert "".join(say("hi", reasoning_effort="low").reasoning) == "The user said something. I shall repeat it."
    assert say("hi").reasoning == ()


def test_it_answers_with_json_that_fits() -> None:
    wish = {"type": "json_schema", "json_schema": {"name": "x", "schema": TOOL}}
    assert msgspec.json.decode("".join(say("About Paris?", response_format=wish).text)) == {"city": "Paris"}
    plain = say("hi", response_format={"type": "json_object"})
    assert msgspec.json.decode("".join(plain.text)) == {"you_said": "hi"}


def test_pace_is_asked_for_by_model_or_header() -> None:
    assert say("hi", model="local-echo").delay == 0
    assert say("hi", model="local-echo-paced").delay == PACE
    assert echo(received(headers={"x-nexus3-delay": "0.25"})).delay == 0.25
    assert echo(received(headers={"x-nexus3-delay": "nan"})).delay == 0


PLAIN = say("hi")


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("cut-3", Cut(3)),
        ("reset-0", Cut(0, "reset")),
        ("truncate-1", Cut(1, "truncate")),
        ("end-2", Cut(2, "end")),
        ("stall-2", Stall(2)),
        ("error-2", ErrorEvent(2)),
        ("some/prefix/error-2", ErrorEvent(2)),
        ("no-marker", NoMarker()),
    ],
)
def test_a_model_id_can_ask_for_a_fault(model: str, change: object) -> None:
    answer = say("hi", model=model)
    assert (answer.fault, answer.text) == (change, PLAIN.text)


def test_other_model_ids_that_mean_something() -> None:
    assert say("hi", model="status-429") == Answer(status=429, headers={"retry-after-ms": "10"})
    assert say("hi", model="status-503") == Answer(status=503)
    assert say("hi", model="hang-up") == Answer(fault=HangUp())
    assert say("hi", model="stall-headers") == Answer(fault=StallHeaders())
    assert say("hi", model="one-byte").chunk_size == 1
    assert say("hi", model="no-stream").stream is False
    assert say("hi", model="length").finish == "length"
    assert say("hi", model="gpt-4o-2024-11-20") == PLAIN


def test_it_understands_anthropic_as_well() -> None:
    body = {
        "model": "claude-sonnet",
        "max_tokens": 10,
        "messages": user("weather in Rome? use the tool"),
        "tools": [{"name": "get_weather", "input_schema": TOOL}],
    }
    (call,) = echo(received(body, MESSAGES)).tool_calls
    assert call == Call("get_weather", ['{"city"', ':"Rome"', "}"])
