"""What llama.cpp's grammars make possible with a random model: real tool calls, and answers that satisfy a schema."""

import json
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.raw import capture, data_lines, describe, excerpt
from engine.reading import Reading, ask, read
from engine.report import Check, Report, expect
from engine.servers import Server
from nexus3 import CompletionRequest, Supervisor, Tool, ToolCall, ToolCallCompleted, ToolCallDelta, ToolCallStarted

WEATHER = Tool.model_validate(
    {
        "name": "get_weather",
        "description": "The forecast for a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Paris", "Rome"]},
                "days": {"type": "integer"},
                "note": {"type": "string", "maxLength": 12},
            },
            "required": ["city", "days", "note"],
        },
    }
)
WHOLE = 400
"""Tokens that are enough for a whole call."""
TOOL_TEXT = "Weather?"
TOOL_QUESTION: dict[str, object] = {
    "messages": [{"role": "user", "content": TOOL_TEXT}],
    "tools": [{"type": "function", "function": {"name": WEATHER.name, "parameters": WEATHER.parameters}}],
    "tool_choice": {"type": "function", "function": {"name": WEATHER.name}},
    "max_tokens": WHOLE,
    "temperature": 0.0,
    "repeat_penalty": 1.0,
}
"""The same request as the checks' own, for the plain socket."""


async def run_all(server: Server, supervisor: Supervisor, report: Report) -> None:
    """Run the checks."""
    raw = await capture(server, TOOL_QUESTION)
    checks: dict[str, Check] = {
        "raw tool call": partial(_raw_tool_call, raw),
        "tool call, streamed": lambda: _tool_call(supervisor, "engine", raw),
        "tool call, unstreamed": lambda: _tool_call(supervisor, "unstreamed", raw),
        "tool call, cut by max_tokens": lambda: _cut_tool_call(supervisor, "engine", raw),
        "tool call, cut by max_tokens, unstreamed": lambda: _cut_tool_call(supervisor, "unstreamed", raw),
    }
    passed = [await report.run(f"{server.engine}: {name}", check) for name, check in checks.items()]
    if not all(passed):
        print(f"a tool call of {server.engine}, as received:\n{excerpt(raw, head=1600)}")
    for model in ("engine", "unstreamed"):
        name = "ten schemas, streamed" if model == "engine" else "ten schemas, unstreamed"
        await report.run(f"{server.engine}: {name}", partial(_schemas, supervisor, model))


async def _raw_tool_call(raw: bytes) -> str:
    fragments = _fragments(raw)
    expect(len(fragments) > 5, f"{len(fragments)} fragments: {describe(raw)}")
    named = sum(bool(fragment.get("id")) and bool(fragment["function"].get("name")) for fragment in fragments)
    twice = raw.count(b'"function_call": {')
    return (
        f"{len(fragments)} fragments, {named} of them with id and name, {twice} also as function_call; {describe(raw)}"
    )


def _fragments(raw: bytes) -> list[dict[str, Any]]:
    """The pieces of tool calls in a captured stream."""
    chunks = [json.loads(line) for line in data_lines(raw) if line != "[DONE]"]
    return [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls") or ()]


def _arguments(raw: bytes) -> str:
    return "".join(fragment["function"]["arguments"] for fragment in _fragments(raw))


async def _call(supervisor: Supervisor, model: str, max_tokens: int) -> tuple[Reading, ToolCall, list[str]]:
    """The reading, the one call in it, and its pieces."""
    question = ask(TOOL_TEXT, max_tokens=max_tokens, model=model)
    request = question.model_copy(update={"tools": (WEATHER,), "tool_choice": WEATHER.name})
    reading = await read(supervisor, request)
    started = [event for event in reading.events if isinstance(event, ToolCallStarted)]
    pieces = [event for event in reading.events if isinstance(event, ToolCallDelta)]
    completed = [event for event in reading.events if isinstance(event, ToolCallCompleted)]
    expect(len(started) == 1 and len(completed) == 1, f"started {started}, completed {completed}")
    call = completed[0].tool_call
    expect((started[0].index, started[0].id, started[0].name) == (0, call.id, WEATHER.name), f"{started[0]}, {call}")
    expect({piece.index for piece in pieces} == {0}, f"deltas of {[piece.index for piece in pieces]}")
    expect("".join(piece.arguments for piece in pieces) == call.raw_arguments, f"the deltas are not {call}")
    expect(reading.done.message.tool_calls == (call,), f"the message has {reading.done.message.tool_calls}")
    return reading, call, [piece.arguments for piece in pieces]


async def _tool_call(supervisor: Supervisor, model: str, raw: bytes) -> str:
    reading, call, pieces = await _call(supervisor, model, WHOLE)
    arguments = call.arguments
    expect(call.raw_arguments == _arguments(raw), f"{call.raw_arguments!r}, but the socket gave {_arguments(raw)!r}")
    expect(arguments is not None and set(arguments) == {"city", "days", "note"}, call.raw_arguments)
    expect(reading.done.stop_reason == "tool_calls", f"stop_reason {reading.done.stop_reason}")
    expect(model != "engine" or len(pieces) > 5, f"{len(pieces)} pieces: {pieces}")
    return f"started once, {len(pieces)} deltas, completed once with {arguments}, stop {reading.done.stop_reason}"


async def _cut_tool_call(supervisor: Supervisor, model: str, raw: bytes) -> str:
    reading, call, pieces = await _call(supervisor, model, 6)
    expect(call.arguments is None, f"arguments {call.arguments}")
    begins = bool(call.raw_arguments) and _arguments(raw).startswith(call.raw_arguments)
    expect(begins, f"{call.raw_arguments!r} is no beginning of {_arguments(raw)!r}")
    return (
        f"{len(pieces)} deltas, arguments None, raw {call.raw_arguments!r}, "
        f"stop {reading.done.stop_reason} ({reading.done.raw_stop_reason})"
    )


class _Closed(BaseModel):
    """No key but the declared, no value of another type: what a schema can promise."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Verdict(_Closed):
    guilty: bool


class Paint(_Closed):
    colour: Literal["red", "green", "blue"]


class Tally(_Closed):
    votes: int
    against: int


class Place(_Closed):
    name: Annotated[str, Field(min_length=1, max_length=12)]
    latitude: float


class Segment(_Closed):
    start: Place
    end: Place


class Shopping(_Closed):
    items: Annotated[list[Literal["bread", "milk", "salt"]], Field(min_length=1, max_length=4)]


class Person(_Closed):
    nickname: Annotated[str, Field(max_length=8)] | None


class Ticket(_Closed):
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-[0-9]{3}$")]


class Record(_Closed):
    id: UUID
    position: tuple[bool, Literal["left", "right"]]


class Circle(_Closed):
    kind: Literal["circle"]
    radius: int


class Square(_Closed):
    kind: Literal["square"]
    side: int


class Drawing(_Closed):
    shape: Circle | Square


SCHEMAS: tuple[type[BaseModel], ...] = (
    Verdict, Paint, Tally, Place, Segment, Shopping, Person, Ticket, Record, Drawing,
)  # fmt: skip


def _constrained(schema: type[BaseModel], model: str, seed: int) -> CompletionRequest:
    return CompletionRequest.model_validate(
        {
            "model": model,
            "messages": [{"role": "user", "content": f"A {schema.__name__}"}],
            "max_tokens": 800,
            "seed": seed,
            "output_schema": schema,
        }
    )


async def _schemas(supervisor: Supervisor, model: str) -> str:
    problems: list[str] = []
    samples: list[str] = []
    for seed, schema in enumerate(SCHEMAS):
        reading = await read(supervisor, _constrained(schema, model, seed))
        text = reading.text.strip()
        try:
            schema.model_validate_json(text)
        except ValidationError as error:
            problems.append(f"{schema.__name__}: {text[:120]!r} ({error.error_count()} errors)")
        if reading.done.stop_reason != "stop":
            problems.append(f"{schema.__name__}: stop_reason {reading.done.stop_reason}")
        samples.append(text)
    expect(not problems, "; ".join(problems))
    return f"{len(SCHEMAS)} of {len(SCHEMAS)} satisfied, for example {' '.join(samples[3].split())}"
