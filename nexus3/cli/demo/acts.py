"""The acts of the demo. Each says what is about to be seen, does it, and checks its own facts."""

from collections.abc import Sequence
from datetime import date

import trio

from nexus3.cli.counted import counted
from nexus3.cli.demo import script as lines
from nexus3.cli.demo.follow import Told
from nexus3.cli.demo.recordings import Chosen, came_out_as_recorded, in_one_line
from nexus3.cli.demo.stage import Stage, how_it_ended, request
from nexus3.cli.demo.streams import Streams
from nexus3.cli.demo.summary import duration
from nexus3.loopback import Exchange
from nexus3.testing import crash
from nexus3.wire.catalog import CATALOG
from nexus3.wire.events import ContentDelta, RetryScheduled, StreamEvent
from nexus3.wire.messages import Message, Role, ToolCall

NOTICE_TIMEOUT = 5.0
"""Seconds the server gets to see that a client has left."""


async def six_at_once(stage: Stage) -> None:
    """Every provider type streams, all at the same time."""
    stage.begin(
        "Six streams at once",
        "All six providers are asked together; their words are shown as they arrive.\n"
        f'The question: "{lines.PORTRAIT}"',
    )
    answers: dict[str, Told] = {}

    async def ask(name: str, streams: Streams) -> None:
        answers[name] = await stage.ask_aloud(request(name, lines.PORTRAIT), streams)

    room = max(len(text) for text in lines.PORTRAITS.values())
    with stage.screen.streams(list(CATALOG), room) as streams:
        async with trio.open_nursery() as nursery:
            for name in CATALOG:
                nursery.start_soon(ask, name, streams)
    for name in CATALOG:
        whole = answers[name].done is not None and answers[name].text == lines.PORTRAITS[name]
        stage.expect(f"{name} streamed its whole answer", whole)
    begun = [answer.first_at for answer in answers.values() if answer.first_at is not None]
    all_open = len(begun) == len(CATALOG) and max(begun) < min(answer.ended_at for answer in answers.values())
    stage.expect("all six streams were open at the same time", all_open)


def days_between(first: str, last: str) -> int:
    """The local function that the model may call."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def run_tool(call: ToolCall) -> str:
    """Run the function that a model called; what is wrong with the call is told to the model, as text."""
    match call.name, call.arguments:
        case "days_between", {"first": str(first), "last": str(last)}:
            try:
                return str(days_between(first, last))
            except ValueError as error:
                return f"error: {error}"
        case _:
            return "error: no such function, or wrong arguments"


async def tool_call(stage: Stage) -> None:
    """The model calls a local function and answers with its result."""
    provider, screen = "anthropic", stage.screen
    stage.begin(
        "A tool call",
        "The model asks for a Python function, the demo runs it here, and the model answers with the result.",
    )
    screen.fact("question", lines.DAYS)
    question = Message(role=Role.USER, content=lines.DAYS)
    asked = await stage.ask(request(provider, question, tools=(lines.DAYS_TOOL,)))
    history = [question] if asked.done is None else [question, asked.done.message]
    results = [run_tool(call) for call in asked.tool_calls]
    for call, result in zip(asked.tool_calls, results, strict=True):
        pieces = counted(asked.argument_pieces, "piece")
        screen.fact("model calls", f"{call.name}({call.raw_arguments}), received in {pieces}")
        screen.fact("we return", result)
        history.append(Message(role=Role.TOOL, tool_call_id=call.id, content=result))
    answered = await stage.ask(request(provider, *history, tools=(lines.DAYS_TOOL,)))
    screen.fact("answer", answered.text or how_it_ended(answered)[1])
    stage.expect(
        "the model called days_between with two dates",
        [(call.name, call.arguments) for call in asked.tool_calls] == [("days_between", lines.DAYS_ARGUMENTS)],
    )
    stage.expect(
        "its answer has the result of the function",
        answered.done is not None and bool(results) and f"{results[0]} days" in answered.text,
    )


async def overload(stage: Stage) -> None:
    """A provider that is overloaded at first: the retry that a caller need not care about."""
    screen = stage.screen
    stage.begin(
        "An overloaded provider",
        "The first attempt gets status 503. No text had come, so the actor tries again by itself.",
    )

    def on_event(event: StreamEvent) -> None:
        match event:
            case RetryScheduled(attempt, delay, error):
                said = f"{error.kind}, status {error.status}; the next one in {duration(delay)}"
                screen.fact(f"attempt {attempt}", said, "yellow")
            case _:
                pass

    told = await stage.ask(request("ollama", lines.BUSY), on_event)
    screen.fact(f"attempt {told.attempts}", f'"{told.text}"' if told.done else how_it_ended(told)[1])
    stage.expect(
        "the overloaded provider answered at the second attempt",
        told.done is not None and told.attempts == 2 and [retry.error.status for retry in told.retries] == [503],
    )


async def crashed_actor(stage: Stage) -> None:
    """An actor dies in mid-stream; its supervisor starts it again, and a request that waited is served."""
    victim, neighbour, screen, supervisor = "vllm", "openai", stage.screen, stage.supervisor
    stage.begin(
        "A crash",
        f"Two providers count to 20. {victim}'s actor is made to crash in mid-stream; then {victim} is asked again.",
    )
    next_one = f"{victim}, next"
    found: dict[str, Told] = {}
    crashed_at = trio.current_time()

    async def undisturbed(streams: Streams) -> None:
        found[neighbour] = await stage.ask_aloud(request(neighbour, lines.count_to(20)), streams)

    async def crashing(streams: Streams) -> None:
        pieces = 0

        def on_event(event: StreamEvent) -> None:
            nonlocal pieces, crashed_at
            pieces += isinstance(event, ContentDelta)
            if isinstance(event, ContentDelta) and pieces == 7:
                crashed_at = trio.current_time()
                crash(supervisor, victim)

        found[victim] = await stage.ask_aloud(request(victim, lines.count_to(20)), streams, on_event=on_event)
        found[next_one] = await stage.ask_aloud(request(victim, lines.count_to(3)), streams, as_name=next_one)

    with screen.streams([victim, neighbour, next_one], len(lines.numbers(20))) as streams:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crashing, streams)
            nursery.start_soon(undisturbed, streams)
    cut, whole, again = found[victim], found[neighbour], found[next_one]
    partial = None if cut.error is None else cut.error.partial
    if cut.error is not None:
        screen.fact("failure", f"kind {cut.error.kind}, reason {cut.error.reason}, emitted {cut.error.emitted}")
        screen.fact("partial", "nothing" if partial is None else f'"{partial.text.strip()}" comes with the failure')
    children = supervisor.snapshot().children
    if again.started_at is not None:
        waited = duration(again.started_at - crashed_at)
        screen.fact(
            "restart", f"incarnation {children[victim].generation} began the next request {waited} after the crash"
        )
    stage.expect(
        "the crash failed its stream as actor_crashed, in mid-stream",
        cut.error is not None
        and (cut.error.kind, cut.error.reason, cut.error.emitted) == ("actor_crashed", "mid_stream", True),
    )
    stage.expect("the text before the crash came with the failure", partial is not None and partial.text == cut.text)
    stage.expect("the stream beside it went on to its end", whole.done is not None and whole.text == lines.numbers(20))
    stage.expect(
        "the supervisor restarted the crashed actor, and no other",
        {name: child.generation for name, child in children.items()}
        == {name: 2 if name == victim else 1 for name in CATALOG},
    )
    stage.expect("the next request succeeded there", again.done is not None and again.text == lines.numbers(3))


async def cancelled_stream(stage: Stage) -> None:
    """A caller leaves in the middle; the server sees it at once."""
    provider, screen = "azure", stage.screen
    stage.begin(
        "A cancelled stream",
        f"{provider} counts to 100. After 8 words we leave the stream, which closes its connection.",
    )
    before = len(stage.server.exchanges)
    with screen.streams([provider], len(lines.numbers(8))) as streams:
        told = await stage.ask_aloud(request(provider, lines.count_to(100)), streams, leave_after=8)
    seen = next(iter(stage.server.exchanges[before:]), None)
    noticed = seen is not None and await _client_left(seen)
    if seen is not None and seen.client_left_at is not None:
        later = duration(max(seen.client_left_at - told.ended_at, 0.0))
        screen.fact("server", f"saw us leave {later} later, having sent {seen.pieces_sent} of 100 words")
    else:
        screen.fact("server", "did not see us leave", "red")
    stage.expect("we left after 8 words", told.text.split() == lines.numbers(8).split() and told.error is None)
    stage.expect(
        "the server saw the client leave in mid-stream", noticed and seen is not None and seen.pieces_sent < 100
    )


async def _client_left(exchange: Exchange) -> bool:
    with trio.move_on_after(NOTICE_TIMEOUT):
        while exchange.ended is None:  # noqa: ASYNC110 - a record of the server's, without an event
            await trio.sleep(0.005)
    return exchange.client_left


async def recordings(stage: Stage, chosen: Sequence[Chosen]) -> None:
    """Answers that real providers once gave, through the same actors."""
    stage.begin(
        "Recorded answers",
        "What real providers once sent is replayed byte for byte; each line shows what came out."
        if chosen
        else "There is no folder of recordings here (NEXUS3_TRANSCRIPTS can name one), so none are replayed.",
    )
    for item in chosen:
        recording = item.recording
        told = await stage.ask(request(recording.provider, "Say it again.", model=f"transcript:{recording.id}"))
        if told.done is None:
            told.model = "recorded"
        stage.screen.fact(recording.provider, f"{item.kind}: {in_one_line(item.kind, told)}", lines=1)
        stage.expect(f"the recording {recording.id} came out as recorded", came_out_as_recorded(recording, told))
