"""Answers as objects: native, by a forced call, growing, and wrong."""

import json
from collections.abc import Mapping
from typing import Literal

import msgspec
import pytest
import trio.testing
from pydantic import BaseModel, Field, JsonValue, RootModel

from nexus3 import CompletionRequest, ContentDelta, Message, NexusError, ProviderError, Role, StreamComplete, Tool
from nexus3.loopback import Answer, Call, open_loopback
from nexus3.loopback.local_config import local_config
from nexus3.runtime import open_supervisor
from nexus3.testing import House, check_events, open_house
from nexus3.testing.house import NOWHERE
from nexus3.tools import OutputInvalid, complete_as, parse_output, stream_as, with_feedback
from nexus3.wire.catalog import CATALOG, ProviderTypeName


class Day(BaseModel):
    kind: Literal["sun", "rain"]
    degrees: int = Field(le=50)


class Forecast(BaseModel):
    city: str
    days: list[Day]


class Days(RootModel[list[Day]]):
    pass


class Sky(RootModel[Day | int]):
    pass


class Chain(BaseModel):
    length: int
    next: "Chain | None" = None


GOOD = Forecast(city="Berlin", days=[Day(kind="sun", degrees=20)])
TEXT = GOOD.model_dump_json()
BAD = '{"city": "Berlin", "days": [{"kind": "snow", "degrees": 99}]}'
PROBLEMS = "days.0.kind: Input should be 'sun' or 'rain'; days.0.degrees: Input should be less than or equal to 50"
ASK = CompletionRequest(messages=(Message(role=Role.USER, content="The weather in Berlin?"),))


def by_tool_only(json_output: str) -> Mapping[str, object]:
    """A configuration whose provider takes no schema, but forced calls."""
    provider = {"type": "vllm", "base_url": NOWHERE, "allow_loopback": True, "quirks": {"json_output": json_output}}
    return {
        "default_model": "m",
        "providers": {"p": provider},
        "models": {"m": {"provider": "p", "model_id": "local-echo"}},
    }


def sent(house: House, number: int) -> dict[str, JsonValue]:
    body = msgspec.json.decode(house.network.exchanges[number].body)
    assert isinstance(body, dict)
    return body


async def test_a_provider_with_schemas_is_given_the_schema() -> None:
    async with open_house([Answer(TEXT)]) as house:
        assert await complete_as(house.supervisor, ASK, Forecast) == GOOD
    schema = {"name": "Forecast", "schema": Forecast.model_json_schema()}
    assert sent(house, 0)["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert "tools" not in sent(house, 0)


@pytest.mark.parametrize("ability", ["object", "none"])
async def test_one_without_is_made_to_call_a_tool(ability: str) -> None:
    async with open_house([Answer(tool_calls=[Call("Forecast", TEXT)])], by_tool_only(ability)) as house:
        assert await complete_as(house.supervisor, ASK, Forecast) == GOOD
    assert len(house.network.exchanges) == 1, "the refusal costs no request"
    body = sent(house, 0)
    assert "response_format" not in body
    assert body["tool_choice"] == {"type": "function", "function": {"name": "Forecast"}}
    description = "Give the final answer: the arguments are the answer."
    function = {"name": "Forecast", "description": description, "parameters": Forecast.model_json_schema()}
    assert body["tools"] == [{"type": "function", "function": function}]


@pytest.mark.parametrize("name", sorted(CATALOG))
async def test_every_provider_type_answers_over_real_sockets(name: ProviderTypeName) -> None:
    async with open_loopback() as server, open_supervisor(local_config(server.url)) as supervisor:
        request = ASK.model_copy(update={"model": f"local-{name}"})
        found = await complete_as(supervisor, request, Forecast)
        assert found.days[0].kind == "sun"


@pytest.mark.parametrize("name", sorted(CATALOG))
@pytest.mark.parametrize("model", [Days, Sky, Chain])
async def test_what_is_no_plain_object_is_answered_by_every_provider_type(
    name: ProviderTypeName, model: type[BaseModel]
) -> None:
    async with open_loopback() as server, open_supervisor(local_config(server.url)) as supervisor:
        request = ASK.model_copy(update={"model": f"local-{name}"})
        assert isinstance(await complete_as(supervisor, request, model), model)


@pytest.mark.parametrize("config", [None, by_tool_only("none")], ids=["native", "by tool"])
async def test_a_list_is_asked_for_in_an_object_and_grows_as_a_list(config: Mapping[str, object] | None) -> None:
    pieces = ['{"answer": [{"kind": "su', 'n", "degrees": 20}', "]}"]
    answer = Answer(pieces) if config is None else Answer(tool_calls=[Call("Days", pieces)])
    seen: list[JsonValue] = []
    async with open_house([answer], config) as house, stream_as(house.supervisor, ASK, Days) as output:
        async for _ in output:
            if output.partial is not None and output.partial not in seen:
                seen.append(output.partial)
        assert await output.complete() == Days([Day(kind="sun", degrees=20)])
    assert seen == [[{"kind": "su"}], [{"kind": "sun", "degrees": 20}]]
    body = sent(house, 0)
    path = ("tools", 0, "function", "parameters") if config else ("response_format", "json_schema", "schema")
    schema: JsonValue = body
    for step in path:
        schema = schema[step]  # type: ignore[index] # JSON
    given = Days.model_json_schema()
    assert schema == {
        "$defs": given.pop("$defs"),
        "type": "object",
        "properties": {"answer": given},
        "required": ["answer"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("config", [None, by_tool_only("none")], ids=["native", "by tool"])
async def test_a_list_that_does_not_fit_is_fed_back_with_its_places(config: Mapping[str, object] | None) -> None:
    texts = ['{"answer": [{"kind": "snow", "degrees": 20}]}', '{"answer": []}']
    replies = [Answer(tool_calls=[Call("Days", text)]) if config else Answer(text) for text in texts]
    async with open_house(replies, config) as house:
        assert await complete_as(house.supervisor, ASK, Days) == Days([])
    assert "answer.0.kind: Input should be 'sun' or 'rain'" in json.dumps(sent(house, 1)["messages"])


@pytest.mark.parametrize("config", [None, by_tool_only("none")], ids=["native", "by tool"])
async def test_the_object_grows_while_it_streams(config: Mapping[str, object] | None) -> None:
    pieces = ['{"city": "Ber', 'lin", "days": [', '{"kind": "sun", "degrees": 2', "0}]}"]
    answer = Answer(pieces) if config is None else Answer(tool_calls=[Call("Forecast", pieces)])
    seen: list[JsonValue] = []
    async with open_house([answer], config) as house, stream_as(house.supervisor, ASK, Forecast) as output:
        events = []
        async for event in output:
            events.append(event)
            if output.partial is not None and output.partial not in seen:
                seen.append(output.partial)
        assert await output.complete() == GOOD
        assert output.by_tool is (config is not None)
    assert seen == [
        {"city": "Ber"},
        {"city": "Berlin", "days": []},
        {"city": "Berlin", "days": [{"kind": "sun", "degrees": 2}]},
        {"city": "Berlin", "days": [{"kind": "sun", "degrees": 20}]},
    ]
    assert output.done == events[-1]
    check_events(events)


@pytest.mark.parametrize("alias", ["local", "local-anthropic", "by tool"])
async def test_an_answer_that_does_not_fit_is_fed_back_once(alias: str) -> None:
    config = by_tool_only("none") if alias == "by tool" else None
    replies = [Answer(tool_calls=[Call("Forecast", text)]) if config else Answer(text) for text in (BAD, TEXT)]
    request = ASK if config else ASK.model_copy(update={"model": alias})
    async with open_house(replies, config) as house:
        assert await complete_as(house.supervisor, request, Forecast) == GOOD
    messages = sent(house, 1)["messages"]
    assert isinstance(messages, list)
    assert len(messages) == 3
    assert f"does not fit the schema: {PROBLEMS}. Give the whole answer again" in json.dumps(messages[-1])
    assert "snow" in json.dumps(messages[-2])


async def test_an_answer_that_does_not_fit_is_typed() -> None:
    async with open_house([Answer(BAD)]) as house:
        with pytest.raises(OutputInvalid) as caught:
            await complete_as(house.supervisor, ASK, Forecast)
    assert len(house.network.exchanges) == 2
    invalid = caught.value
    assert isinstance(invalid, ValueError)
    assert isinstance(invalid, NexusError)
    assert (invalid.text, invalid.problems, invalid.stop_reason) == (BAD, PROBLEMS, "stop")
    assert [error["loc"] for error in invalid.errors] == [("days", 0, "kind"), ("days", 0, "degrees")]
    assert str(invalid) == f"the answer does not fit its schema: {PROBLEMS}"


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        (Answer(TEXT[:20], finish="length"), "it was cut off at its limit of tokens"),
        (Answer(refusal="I would rather not.", finish="refusal"), "the model declined to answer"),
    ],
)
async def test_an_answer_that_asking_again_will_not_mend_is_not_asked_again(answer: Answer, problems: str) -> None:
    async with open_house([answer]) as house:
        with pytest.raises(OutputInvalid) as caught:
            await complete_as(house.supervisor, ASK, Forecast)
    assert caught.value.problems.startswith(problems)
    assert len(house.network.exchanges) == 1


async def test_feeding_back_can_be_declined_and_done_by_hand() -> None:
    async with open_house([Answer(BAD), Answer(TEXT)]) as house:
        with pytest.raises(OutputInvalid) as caught:
            await complete_as(house.supervisor, ASK, Forecast, feed_back=False)
        again = with_feedback(ASK, caught.value)
        assert [message.role for message in again.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
        assert await complete_as(house.supervisor, again, Forecast, feed_back=False) == GOOD
    assert ASK.messages == again.messages[:1]


async def test_a_failed_request_is_raised_as_it_is() -> None:
    async with open_house([Answer(status=401, error="no")]) as house:
        with pytest.raises(ProviderError) as caught:
            await complete_as(house.supervisor, ASK, Forecast)
    assert caught.value.kind == "auth"


async def test_a_provider_that_can_do_neither_says_so() -> None:
    config = by_tool_only("none")
    config["providers"]["p"]["quirks"]["tool_choice"] = "auto_only"  # type: ignore[index] # a test's dict
    async with open_house([Answer("never")], config) as house:
        with pytest.raises(ProviderError) as caught:
            await complete_as(house.supervisor, ASK, Forecast)
    assert (caught.value.kind, caught.value.reason) == ("unsupported", "tool_choice")


async def test_leaving_early_closes_the_exchange(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([Answer(TEXT, piece_size=1, delay=1)]) as house:
        async with stream_as(house.supervisor, ASK, Forecast) as output:
            async for event in output:
                if isinstance(event, ContentDelta):
                    break
        await trio.testing.wait_all_tasks_blocked()
        assert [exchange.ending for exchange in house.network.exchanges] == ["left"]
        with pytest.raises(trio.ClosedResourceError):
            await output.receive()


@pytest.mark.parametrize("given", [{"tools": (Tool(name="t"),)}, {"output_schema": {"type": "object"}}])
async def test_a_request_with_tools_or_a_schema_of_its_own_is_refused(given: dict[str, object]) -> None:
    request = CompletionRequest.model_validate({"messages": ASK.messages, **given})
    async with open_house([Answer(TEXT)]) as house:
        with pytest.raises(ValueError, match="takes the place of output_schema and tools"):
            stream_as(house.supervisor, request, Forecast)
        with pytest.raises(ValueError, match="takes the place of output_schema and tools"):
            await complete_as(house.supervisor, request, Forecast)


def test_an_answer_of_any_origin_can_be_read() -> None:
    done = StreamComplete(Message(role=Role.ASSISTANT, content=TEXT))
    assert parse_output(done.message, Forecast) == GOOD
    with pytest.raises(OutputInvalid, match="Invalid JSON"):
        parse_output(Message(role=Role.ASSISTANT, content="It is sunny."), Forecast)
