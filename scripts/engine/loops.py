"""The tool loop on a real engine: two tools that run, left after each of its events, and gone on with.

The model is made to call (it never would by itself), and llama.cpp's grammar makes the arguments fit.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

import trio
from pydantic import Field

from engine.report import Check, Report, expect
from engine.servers import Server
from nexus3 import CompletionRequest, Message, Notice, Role, StreamComplete, Supervisor, Tool, ToolCallDelta
from nexus3.tools import RunComplete, RunEvent, ToolFinished, ToolStarted, run_tools
from nexus3.tools.turn import NOT_STARTED, UNFINISHED

ROUND = 120
"""Tokens of a round: enough for a whole call."""


async def weather(city: Literal["Paris", "Rome"], days: int) -> str:
    """The weather of a city."""
    await trio.sleep(0.01)
    return f"{days} days of sun in {city}"


async def spell(word: Annotated[str, Field(min_length=1, max_length=8)]) -> list[str]:
    """The letters of a word."""
    await trio.sleep(0.01)
    return list(word)


TOOLS = (Tool.from_function(weather), Tool.from_function(spell))
QUESTION = Message(role=Role.USER, content="Weather?")
WENT_ON = Message(role=Role.USER, content="Go on")


async def run_all(server: Server, supervisor: Supervisor, report: Report) -> None:
    """Run the checks."""
    checks: dict[str, Check] = {
        "tool loop, two tools": partial(_two_tools, supervisor),
        "tool loop, left after each event": partial(_left_everywhere, supervisor),
        "tool loop, cancelled while a tool runs": partial(_cancelled_in_tool, supervisor),
        "tool loop, gone on with what was lost": partial(_repaired, supervisor),
    }
    for name, check in checks.items():
        await report.run(f"{server.engine}: {name}", check)


def _asked(messages: Sequence[Message], choice: str | None, *, max_tokens: int = ROUND) -> CompletionRequest:
    return CompletionRequest(
        messages=tuple(messages), tools=TOOLS, tool_choice=choice, max_tokens=max_tokens, temperature=0.0
    )


async def _whole_run(supervisor: Supervisor, request: CompletionRequest) -> tuple[list[RunEvent], tuple[Message, ...]]:
    async with run_tools(supervisor, request) as run:
        events = [event async for event in run]
    return events, run.history


async def _two_tools(supervisor: Supervisor) -> str:
    """One run a tool, the second on the history of the first; each calls once, and then answers."""
    history: tuple[Message, ...] = (QUESTION,)
    said: list[str] = []
    deltas = 0
    for tool in TOOLS:
        events, history = await _whole_run(supervisor, _asked(history, tool.name))
        end = events[-1]
        assert isinstance(end, RunComplete)
        expect((end.ended, end.rounds) == ("answered", 2), f"{end.ended} after {end.rounds} rounds")
        expect(sum(isinstance(event, StreamComplete) for event in events) == 2, "two answers were streamed")
        [finished] = [event for event in events if isinstance(event, ToolFinished)]
        expect(finished.error is None and finished.call.name == tool.name, f"{finished}")
        deltas += sum(isinstance(event, ToolCallDelta) for event in events)
        said.append(f"{tool.name}: {finished.result.text}")
        history = (*history, WENT_ON)
    roles = [message.role.value for message in history]
    expect(roles == ["user", "assistant", "tool", "assistant"] * 2 + ["user"], roles)
    expect(deltas > 10, f"{deltas} deltas of calls")
    return f"4 rounds, {deltas} deltas of calls; {'; '.join(said)}"


async def _left_everywhere(supervisor: Supervisor) -> str:
    events, _ = await _whole_run(supervisor, _asked((QUESTION,), "weather"))
    lengths: Counter[int] = Counter()
    for count in range(len(events)):
        with trio.CancelScope() as scope:
            async with run_tools(supervisor, _asked((QUESTION,), "weather")) as run:
                for _ in range(count):
                    await run.receive()
                scope.cancel()
                async for _ in run:
                    pass  # what has arrived already may still be read
                await trio.lowlevel.checkpoint()
        expect(scope.cancelled_caught, f"not cancelled after {count} events")
        lengths[len(run.history)] += 1
        notices = await _next(supervisor, run.history)
        expect(not notices, f"after {count} events the history was repaired: {notices}")
    expect(set(lengths) == {1, 3, 4}, f"{lengths}")
    times = ", ".join(f"{number} with {length} messages" for length, number in sorted(lengths.items()))
    return f"cancelled after each of {len(events)} events; the next request was answered ({times}), none repaired"


async def _cancelled_in_tool(supervisor: Supervisor) -> str:
    said: list[str] = []
    for last, expected in ((StreamComplete, NOT_STARTED), (ToolStarted, UNFINISHED)):
        with trio.CancelScope() as scope:
            async with run_tools(supervisor, _asked((QUESTION,), "weather")) as run:
                while not isinstance(await run.receive(), last):
                    pass
                scope.cancel()
                await run.receive()
        result = run.history[-1]
        expect((result.role, result.text, result.is_error) == (Role.TOOL, expected, True), f"{result}")
        expect(not await _next(supervisor, run.history), "the history was repaired")
        said.append(result.text)
    return f"the next request was answered, on {' and '.join(map(repr, said))}"


async def _repaired(supervisor: Supervisor) -> str:
    """What an application has kept badly: a call without its result, and a result without its call."""
    _, history = await _whole_run(supervisor, _asked((QUESTION,), "weather"))
    lost_result = await _next(supervisor, history[:2])
    lost_call = await _next(supervisor, (history[0], history[2], history[3]))
    expect(bool(lost_result) and bool(lost_call), f"{lost_result}, {lost_call}")
    return f"answered; {lost_result + lost_call}"


async def _next(supervisor: Supervisor, history: Sequence[Message]) -> list[str]:
    """Send the conversation on; what had to be repaired."""
    messages = (*history, WENT_ON) if history[-1].role is Role.ASSISTANT else tuple(history)
    notices: list[str] = []
    done: StreamComplete | None = None
    async with supervisor.stream(_asked(messages, None, max_tokens=4)) as stream:
        async for event in stream:
            if isinstance(event, Notice):
                notices.append(event.text)
            if isinstance(event, StreamComplete):
                done = event
    expect(done is not None and bool(done.message.text), f"{done}")
    return notices
