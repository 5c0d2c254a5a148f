"""What every act of the demo plays on, and how it asks."""

from dataclasses import dataclass, field

from nexus3.cli.demo.checks import Checks
from nexus3.cli.demo.follow import Listener, Told, follow, ignore
from nexus3.cli.demo.screen import Screen
from nexus3.cli.demo.streams import End, Streams
from nexus3.cli.demo.summary import duration
from nexus3.loopback import Loopback
from nexus3.runtime import Supervisor
from nexus3.wire.events import ContentDelta, StreamEvent
from nexus3.wire.messages import Message, Role
from nexus3.wire.requests import CompletionRequest, Tool

MODEL = "scripted"
"""The model id that the demo sends; the bundled provider takes any."""
REQUEST_TIMEOUT = 30.0
"""Seconds: bounds the demo where something goes wrong."""


@dataclass
class Stage:
    """The running parts, and what has happened so far."""

    supervisor: Supervisor
    server: Loopback
    screen: Screen
    checks: Checks
    ledger: list[Told] = field(default_factory=list)
    """Every request that is over."""
    act: int = 0
    """The number of the act that plays."""

    def begin(self, title: str, sentence: str) -> None:
        """The next act."""
        self.act += 1
        self.screen.act(f"{self.act}. {title}", sentence)

    def expect(self, name: str, passed: bool) -> None:
        """Note whether the fact ``name`` holds."""
        self.checks.expect(name, passed)

    async def ask(
        self, question: CompletionRequest, on_event: Listener = ignore, *, leave_after: int | None = None
    ) -> Told:
        """One request, followed to its end, or left after so many pieces of text."""
        told = await follow(self.supervisor, question, act=self.act, on_event=on_event, leave_after=leave_after)
        self.ledger.append(told)
        return told

    async def ask_aloud(
        self,
        question: CompletionRequest,
        streams: Streams,
        *,
        as_name: str | None = None,
        on_event: Listener = ignore,
        leave_after: int | None = None,
    ) -> Told:
        """The same, its text shown as it arrives: under the provider's name, or another."""
        name = as_name or (question.model or "").partition(":")[0]

        def show(event: StreamEvent) -> None:
            if isinstance(event, ContentDelta):
                streams.text(name, event.text)
            on_event(event)

        told = await self.ask(question, show, leave_after=leave_after)
        streams.end(name, *how_it_ended(told))
        return told


def request(
    provider: str, *messages: str | Message, model: str = MODEL, tools: tuple[Tool, ...] = ()
) -> CompletionRequest:
    """A request of the demo; a str is the user's."""
    turns = [Message(role=Role.USER, content=turn) if isinstance(turn, str) else turn for turn in messages]
    return CompletionRequest(model=f"{provider}:{model}", messages=tuple(turns), tools=tools, timeout=REQUEST_TIMEOUT)


def how_it_ended(told: Told) -> tuple[End, str]:
    """For the display of a stream."""
    if told.done is not None:
        first = "" if told.first_at is None else f", first text after {duration(told.first_at - told.sent_at)}"
        return "complete", f"complete{first}"
    if told.error is not None:
        return "failed", f"failed: {told.error.kind}, {told.error.reason}"
    return "left", "we left"
