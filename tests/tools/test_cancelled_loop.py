"""A tool loop that is cancelled anywhere leaves a conversation that can be sent to either dialect as it is."""

import json
from itertools import count

import msgspec
import pytest
import trio
import trio.testing

from nexus3 import CompletionRequest, Message, Role, Tool
from nexus3.loopback import Answer, Call
from nexus3.testing import Exchange, open_house
from nexus3.tools import FunctionTool, RunComplete, RunEvent, ToolFinished, run_tools
from nexus3.wire.catalog import CATALOG, ProviderTypeName, Target
from nexus3.wire.codecs import Codec, anthropic_messages, openai_chat
from tests.wire.dialect_rules import read_anthropic, read_openai

QUESTION = Message(role=Role.USER, content="Compare Berlin and Paris")
WENT_ON = Message(role=Role.USER, content="go on")


async def weather(city: str) -> str:
    await trio.sleep(1)
    return f"sunny in {city}"


async def population(city: str) -> int:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 2)
        await trio.lowlevel.checkpoint()
    return len(city)


TOOLS: tuple[FunctionTool, ...] = (Tool.from_function(weather), Tool.from_function(population))


def script(exchange: Exchange) -> Answer:
    """Two rounds with two calls each, then an answer."""
    if exchange.number == 2:
        return Answer("Berlin it is.", piece_size=4)
    city = json.dumps({"city": ("Berlin", "Paris")[exchange.number]})
    return Answer("Let me see. ", tool_calls=[Call("weather", city), Call("population", city)], piece_size=4)


class CancelAfter(trio.abc.Instrument):
    """Cancels ``scope`` before the given step of any task, counting from the first one after it was installed."""

    def __init__(self, scope: trio.CancelScope, steps: float) -> None:
        self.left = steps
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left < 0:
            self._scope.cancel()


async def cancelled_run(alias: str, steps: float) -> tuple[tuple[Message, ...], list[RunEvent], bool]:
    """The history and events of a run that is cancelled after so many steps; and whether it came to its end."""
    events: list[RunEvent] = []
    async with open_house(script) as (supervisor, _):
        request = CompletionRequest(model=alias, messages=(QUESTION,), tools=TOOLS)
        with trio.CancelScope() as scope:
            instrument = CancelAfter(scope, steps)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with run_tools(supervisor, request) as run:
                    async for event in run:
                        assert_sendable(run.history)
                        events.append(event)
            finally:
                trio.lowlevel.remove_instrument(instrument)
    return run.history, events, instrument.left >= 0


def target(name: ProviderTypeName, model: str) -> Target:
    row = CATALOG[name]
    return Target(provider=name, type=row, model=model, url="http://127.0.0.1:9", quirks=row.quirks)


def sent(codec: Codec, where: Target, messages: tuple[Message, ...]) -> object:
    """The body that goes out; nothing had to be repaired for it."""
    encoded = codec.encode(CompletionRequest(messages=messages, tools=TOOLS), where, stream=True)
    assert encoded.notices == ()
    return msgspec.json.decode(encoded.body)


def assert_sendable(history: tuple[Message, ...]) -> None:
    """Both dialects take it without repairing anything, by their own rules, and are told the same; and every call has
    its one result, in the order of calls."""
    messages = history if history[-1].role is not Role.ASSISTANT else (*history, WENT_ON)
    by_openai = read_openai(sent(openai_chat, target("openai", "gpt-4o"), messages), max_id=40)
    by_anthropic = read_anthropic(
        sent(anthropic_messages, target("anthropic", "claude-x"), messages), later_system=False, prefill=False
    )
    assert by_openai == by_anthropic
    assert [said.what for said in by_openai if said.who == "call"] == [
        call.name for message in messages for call in message.tool_calls
    ]
    waiting: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            assert message.tool_call_id == waiting.pop(0)
        else:
            assert waiting == []
            waiting = [call.id for call in message.tool_calls]
    assert waiting == []


@pytest.mark.parametrize("alias", ["local", "local-anthropic"])
def test_a_run_of_three_rounds_can_be_cancelled_at_every_step(alias: str) -> None:
    endings: dict[int, int] = {}
    said: set[str] = set()
    for steps in count():
        clock = trio.testing.MockClock(autojump_threshold=0)
        history, events, ended = trio.run(cancelled_run, alias, steps, clock=clock)
        assert_sendable(history)
        finished = {event.result.tool_call_id: event.result for event in events if isinstance(event, ToolFinished)}
        results = {message.tool_call_id: message for message in history if message.role is Role.TOOL}
        assert finished.items() <= results.items(), "what the reader saw is what is sent"
        said |= {message.text for message in history if message.is_error}
        endings[len(history)] = endings.get(len(history), 0) + 1
        if ended:
            assert isinstance(events[-1], RunComplete)
            break
    assert set(endings) == {1, 4, 7, 8}, "cancelled in every round"
    assert said == {
        "Cancelled before it was started; nothing was done.",
        "Cancelled before it ended; it may have had effects.",
    }
    assert steps > 50
