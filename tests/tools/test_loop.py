"""The tool loop: what it runs, what it tells the model, when it ends."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import pytest
import trio
import trio.testing

from nexus3 import CompletionRequest, Message, ProviderError, Role, StreamComplete, TextPart, Tool
from nexus3.loopback import Answer, Call
from nexus3.testing import House, check_events, open_house
from nexus3.tools import (
    ArgumentsInvalid,
    FunctionTool,
    RunComplete,
    RunEvent,
    ToolContext,
    ToolError,
    ToolFinished,
    ToolStarted,
    ToolTimedOut,
    run_tools,
)
from nexus3.wire.messages import JsonObject

QUESTION = Message(role=Role.USER, content="Well?")
ASK = CompletionRequest(messages=(QUESTION,))


async def double(number: int) -> int:
    await trio.sleep(number)
    return 2 * number


def calling(*calls: Call, text: str = "") -> Answer:
    return Answer(text, tool_calls=calls)


def doubling(*numbers: int) -> Answer:
    return calling(*(Call("double", f'{{"number": {number}}}') for number in numbers))


class Played(NamedTuple):
    events: list[RunEvent]
    history: tuple[Message, ...]
    house: House

    @property
    def last(self) -> RunComplete:
        assert isinstance(self.events[-1], RunComplete)
        return self.events[-1]


async def play(
    replies: Sequence[Answer],
    tools: Sequence[FunctionTool | Callable[..., object]] = (),
    request: CompletionRequest = ASK,
    *,
    lenient: bool = False,
) -> Played:
    """A whole run, to its end."""
    async with (
        open_house(replies) as house,
        run_tools(house.supervisor, request, tools, lenient_arguments=lenient) as run,
    ):
        events = [event async for event in run]
    return Played(events, run.history, house)


def results(history: Sequence[Message]) -> list[tuple[object, bool]]:
    return [(message.content, message.is_error) for message in history if message.role is Role.TOOL]


def what_was_sent(house: House, number: int) -> dict[str, object]:
    body = msgspec.json.decode(house.network.exchanges[number].body)
    assert isinstance(body, dict)
    return body


async def test_calls_run_at_once_and_their_results_are_sent_in_the_order_of_the_calls(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_house([doubling(3, 1, 2), Answer("There.")]) as house:
        began = trio.current_time()
        async with run_tools(house.supervisor, ASK, [double]) as run:
            events = [event async for event in run]
        assert trio.current_time() - began == pytest.approx(3, abs=0.1)
    assert [event.result.content for event in events if isinstance(event, ToolFinished)] == ["2", "4", "6"]
    assert results(run.history) == [("6", False), ("2", False), ("4", False)]
    sent = what_was_sent(house, 1)["messages"]
    assert isinstance(sent, list)
    assert [message["content"] for message in sent if message["role"] == "tool"] == ["6", "2", "4"]
    final = run.history[-1]
    assert final.content == "There."
    assert events[-1] == RunComplete(final, "answered", 2)


async def test_every_round_streams_its_events_to_the_end() -> None:
    events, _, _ = await play([doubling(0), Answer("There.", piece_size=2)], [double])
    rounds: list[list[RunEvent]] = [[]]
    for event in events:
        if not isinstance(event, ToolStarted | ToolFinished | RunComplete):
            rounds[-1].append(event)
            if isinstance(event, StreamComplete):
                rounds.append([])
    assert rounds.pop() == []
    assert len(rounds) == 2
    for streamed in rounds:
        check_events(streamed)  # type: ignore[arg-type] # only events of streams are left
    kinds = [type(event) for event in events]
    at = kinds.index(ToolStarted)
    assert kinds[at - 1 : at + 2] == [StreamComplete, ToolStarted, ToolFinished]


class Refused(Exception):  # noqa: N818 - a stranger's
    pass


async def fails() -> None:
    raise Refused("postgres://user:hunter2@db/prod")


async def fails_in_a_group() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails)


async def declines() -> None:
    raise ToolError("No seats are left on that day; try another.")


async def sleeps() -> None:
    await trio.sleep_forever()


def unsayable() -> object:
    return trio.Event()


async def parts() -> list[TextPart]:
    return [TextPart(text="one"), TextPart(text="two")]


TOOLS = (fails, fails_in_a_group, declines, Tool.from_function(sleeps, timeout=9), unsayable, parts, double)


@pytest.mark.parametrize(
    ("call", "told", "raised"),
    [
        (Call("fails"), "The tool fails failed (Refused).", Refused),
        (Call("fails_in_a_group"), "The tool fails_in_a_group failed (ExceptionGroup).", ExceptionGroup),
        (Call("declines"), "No seats are left on that day; try another.", ToolError),
        (
            Call("sleeps"),
            "The tool did not end within 9 seconds and was cancelled; it may have had effects.",
            ToolTimedOut,
        ),
        (
            Call("double", '{"number": 70}'),
            "The tool did not end within 60 seconds and was cancelled; it may have had effects.",
            ToolTimedOut,
        ),
        (Call("unsayable"), "The tool unsayable failed (PydanticSerializationError).", ValueError),
        (
            Call("nowhere"),
            "There is no tool 'nowhere'. There are: "
            "fails, fails_in_a_group, declines, sleeps, unsayable, parts, double.",
            ToolError,
        ),
        (
            Call("double", '{"number": "secret"}'),
            "The arguments of double cannot be used: number: Input should be a valid integer, unable to parse string "
            "as an integer. Correct them and call it again.",
            ArgumentsInvalid,
        ),
        (
            Call("double", "number=2"),
            "The arguments of double cannot be used: they are not a JSON object. Correct them and call it again.",
            ArgumentsInvalid,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Call) else None,
)
async def test_a_call_that_fails_is_told_to_the_model_and_the_run_goes_on(
    call: Call, told: str, raised: type[Exception], autojump_clock: trio.testing.MockClock
) -> None:
    played = await play([calling(call), Answer("Sorry.")], TOOLS)
    assert results(played.history) == [(told, True)]
    (finished,) = [event for event in played.events if isinstance(event, ToolFinished)]
    assert isinstance(finished.error, raised)
    assert played.last.message.content == "Sorry."


async def test_arguments_cut_off_by_the_limit_of_tokens_are_told_as_such_and_never_read() -> None:
    cut = Answer(tool_calls=[Call("double", "number=1")], finish="length")
    played = await play([cut, Answer("Sorry.")], [double], lenient=True)
    ((text, is_error),) = results(played.history)
    assert is_error
    assert "they were cut off, for the answer reached its limit of tokens" in str(text)


async def test_lenient_arguments_are_read_when_asked() -> None:
    replies = [calling(Call("double", "number=0"), Call("double", "double(number=zero)")), Answer("There.")]
    played = await play(replies, [double], lenient=True)
    (good, bad) = results(played.history)
    assert good == ("0", False)
    assert bad[1]
    assert "they hold something that JSON cannot say" in str(bad[0])


async def test_parts_that_a_tool_returns_reach_the_model_as_parts() -> None:
    played = await play([calling(Call("parts")), Answer("Thanks.")], TOOLS)
    assert results(played.history) == [((TextPart(text="one"), TextPart(text="two")), False)]


async def test_at_the_limit_of_rounds_calls_are_answered_but_not_run() -> None:
    ran: list[int] = []

    def count(number: int) -> None:
        ran.append(number)

    async with open_house([calling(Call("count", '{"number": 1}'), text="More.")]) as house:
        async with run_tools(house.supervisor, ASK, [count], max_rounds=3) as run:
            done = await run.complete()
            with pytest.raises(trio.EndOfChannel):
                await run.receive()
        assert (done.ended, done.rounds, done.message.content) == ("max_rounds", 3, "More.")
        assert ran == [1, 1]
        assert results(run.history) == [
            ("null", False),
            ("null", False),
            ("Not run: the limit of rounds was reached.", True),
        ]
        assert len(house.network.exchanges) == 3


async def test_a_choice_that_forces_a_call_holds_for_the_first_request_only() -> None:
    tool = Tool.from_function(double)
    forced = CompletionRequest(messages=(QUESTION,), tools=(tool,), tool_choice="double")
    house = (await play([doubling(0), Answer("There.")], (), forced)).house
    assert "tool_choice" in what_was_sent(house, 0)
    assert "tool_choice" not in what_was_sent(house, 1)
    assert what_was_sent(house, 0)["tools"] == what_was_sent(house, 1)["tools"]


async def test_a_paused_turn_is_sent_back_to_go_on() -> None:
    request = CompletionRequest(model="local-anthropic", messages=(QUESTION,))
    played = await play([Answer("First, ", finish="pause"), Answer("then.")], (), request)
    assert (played.last.ended, played.last.rounds) == ("answered", 2)
    assert [message.text for message in played.history] == ["Well?", "First, ", "then."]


async def test_a_failed_round_is_raised_and_leaves_the_history_as_it_was_before_it() -> None:
    replies = [doubling(0), Answer(status=400, error="no")]
    async with open_house(replies) as house, run_tools(house.supervisor, ASK, [double]) as run:
        with pytest.raises(ProviderError) as caught:
            await run.complete()
        with pytest.raises(trio.EndOfChannel):
            await run.receive()
    assert caught.value.kind == "bad_request"
    assert [message.role for message in run.history] == [Role.USER, Role.ASSISTANT, Role.TOOL]


async def test_a_reader_that_was_cancelled_goes_on_where_it_was(autojump_clock: trio.testing.MockClock) -> None:
    async with open_house([doubling(5, 7), Answer("There.", delay=1, piece_size=2)]) as house:
        events: list[RunEvent] = []
        async with run_tools(house.supervisor, ASK, [double]) as run:
            while not (events and isinstance(events[-1], RunComplete)):
                with trio.move_on_after(0.3):
                    events.append(await run.receive())
    assert results(run.history) == [("10", False), ("14", False)]
    assert run.history[-1].content == "There."


async def test_leaving_ends_the_tools_and_says_which_may_have_had_effects(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_house([doubling(1, 50, 51, 52), Answer("There.")]) as house:
        async with run_tools(house.supervisor, ASK, [double], max_parallel=2) as run:
            async for event in run:
                if isinstance(event, ToolStarted) and event.index == 2:
                    break
            assert len(run.history) == 6, "sendable while tools run, too"
        with pytest.raises(trio.ClosedResourceError):
            await run.receive()
        began = trio.current_time()
    assert trio.current_time() == began, "nothing was left to wait for"
    assert results(run.history) == [
        ("2", False),
        ("Cancelled before it ended; it may have had effects.", True),
        ("Cancelled before it ended; it may have had effects.", True),
        ("Cancelled before it was started; nothing was done.", True),
    ]


async def test_a_tool_that_fails_while_it_is_cancelled_changes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def stubborn() -> None:
        async def fail_late() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise Refused

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_late)
            await trio.sleep_forever()

    async with open_house([calling(Call("stubborn")), Answer("There.")]) as house:
        with trio.move_on_after(5) as scope:
            async with run_tools(house.supervisor, ASK, [stubborn]) as run:
                await run.complete()
        assert scope.cancelled_caught
    assert results(run.history) == [("Cancelled before it ended; it may have had effects.", True)]


async def test_the_body_s_exception_leaves_as_the_same_object(autojump_clock: trio.testing.MockClock) -> None:
    mine = ExceptionGroup("mine", [ValueError("one")])
    async with open_house([doubling(50), Answer("There.")]) as house:
        with pytest.raises(ExceptionGroup) as caught:
            async with run_tools(house.supervisor, ASK, [double]) as run:
                async for event in run:
                    if isinstance(event, ToolStarted):
                        raise mine
    assert caught.value is mine


async def test_a_tool_may_know_which_call_it_serves() -> None:
    seen: list[ToolContext] = []

    def look(context: ToolContext) -> str:
        seen.append(context)
        return "seen"

    await play([calling(Call("look", id="call_7")), Answer("There.")], [look])
    assert seen == [ToolContext(call_id="call_7", round=1, messages=(QUESTION,))]


async def test_a_schema_of_any_origin_runs_by_its_handler() -> None:
    async def remote(arguments: JsonObject, _context: ToolContext) -> object:
        await trio.lowlevel.checkpoint()
        return {"got": arguments}

    tool = FunctionTool(name="remote", parameters={"type": "object"}, handler=remote)
    played = await play([calling(Call("remote", '{"x": [1]}')), Answer("There.")], [tool])
    assert results(played.history) == [('{"got":{"x":[1]}}', False)]


async def test_what_cannot_be_run_is_refused_before_anything_is_sent() -> None:
    bare = CompletionRequest(messages=(QUESTION,), tools=(Tool(name="bare"),))
    async with open_house([Answer("never")]) as house:
        for request, tools, problem in (
            (bare, [], "the tool 'bare' has no function"),
            (ASK, [double, double], "the tool 'double' is given twice"),
        ):
            with pytest.raises(ValueError, match=problem):
                async with run_tools(house.supervisor, request, tools):
                    pass
        with pytest.raises(ValueError, match="must be positive"):
            async with run_tools(house.supervisor, ASK, max_rounds=0):
                pass
        assert house.network.exchanges == []
