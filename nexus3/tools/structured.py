"""Answers as objects: a pydantic model says what the answer shall be, and reads it.

Where a provider holds its answers to a schema itself, that is used; where it refuses one (kind ``unsupported``, found
before anything is sent), the model is made to call a tool whose arguments are the answer. Either way the answer is
validated here: what a caller gets fits its model. What is no plain object is asked for in one
(:mod:`~nexus3.tools.answer_object`), which callers see in nothing but the text of the answer.
"""

from collections import deque
from typing import Generic, TypeVar

import pydantic_core
import trio
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from nexus3.actors.reply.stream import ReplyStream
from nexus3.errors import NexusError
from nexus3.runtime import Supervisor
from nexus3.tools.answer_object import in_object, is_plain_object, partial_in_object, read_in_object
from nexus3.wire.events import AttemptStarted, ContentDelta, StopReason, StreamComplete, StreamEvent, ToolCallDelta
from nexus3.wire.failures import ProviderError
from nexus3.wire.function_tool import problems_of
from nexus3.wire.messages import Message, Role
from nexus3.wire.requests import CompletionRequest, OutputSchema, Tool

T = TypeVar("T", bound=BaseModel)

_NO_SCHEMA = ("output_schema", "json_output")
"""The codecs' reasons for ``unsupported`` where a provider takes no schema, or has no JSON mode at all."""


class OutputInvalid(NexusError, ValueError):  # noqa: N818 - it states what is wrong
    """The model answered, but not with what the schema asks. :func:`with_feedback` asks it again."""

    def __init__(
        self, problems: str, message: Message, stop_reason: StopReason, errors: tuple[ErrorDetails, ...] = ()
    ) -> None:
        super().__init__(problems, message, stop_reason, errors)
        self.problems = problems
        """Where and why, quoting no value of the answer; keys are places."""
        self.message = message
        """The answer."""
        self.stop_reason = stop_reason
        """``length``, ``refusal`` and ``content_filter`` say that asking again as before will not help."""
        self.errors = errors
        """Pydantic's own list, with places as in ``text``; of one item where the answer is not even JSON."""

    @property
    def text(self) -> str:
        """What should have been the JSON."""
        return _json_text(self.message)

    def __str__(self) -> str:
        return f"the answer does not fit its schema: {self.problems}"


class OutputStream(trio.abc.ReceiveChannel[StreamEvent], Generic[T]):
    """The events of an answer that shall fit a model, for one reader. Made by :func:`stream_as`.

    Use it as ``async with``: leaving the block closes the HTTP exchange at once, as for every stream. Where the
    provider turns out to take no schema, the events of the request that calls a tool instead follow in its place.
    """

    def __init__(self, supervisor: Supervisor, request: CompletionRequest, model: type[T], *, by_tool: bool) -> None:
        self._supervisor = supervisor
        self._request = request
        self._model = model
        self._by_tool = by_tool
        self._schema, self._is_wrapped = _asked_schema(request, model)
        """What is sent; and whether it puts the answer into an object."""
        self._stream = self._ask()
        self._held: list[StreamEvent] = []
        self._shown = deque[StreamEvent]()
        """What :meth:`receive` gives next."""
        self._text = ""
        self._pieces: list[str] = []
        """What came after ``_text``."""
        self.done: StreamComplete | None = None
        """The terminal, once it was read: with usage, provider, ids."""

    @property
    def by_tool(self) -> bool:
        """The answer comes as the arguments of a tool call."""
        return self._by_tool

    @property
    def partial(self) -> JsonValue:
        """The answer as far as it has arrived, as plain data that fits no model yet; ``None`` before it began.

        Parsed when asked for, from the start: ask as often as you show it, not for every event of a long answer.
        """
        self._text += "".join(self._pieces)
        self._pieces.clear()
        try:
            found: JsonValue = pydantic_core.from_json(self._text, allow_partial="trailing-strings")
        except ValueError:
            return None
        return partial_in_object(found) if self._is_wrapped else found

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> StreamEvent:
        """The next event. Cancelling loses nothing.

        Raises:
            ProviderError: the request failed.
            trio.EndOfChannel: after the terminal.
            trio.ClosedResourceError: the stream was closed.
        """
        event = await self._next()
        match event:
            case ContentDelta(text, refusal) if not (refusal or self._by_tool):
                self._pieces.append(text)
            case ToolCallDelta(0, text) if self._by_tool:
                self._pieces.append(text)
            case StreamComplete():
                self.done = event
            case _:
                pass
        return event

    async def _next(self) -> StreamEvent:
        """The next event of the request in the form that the provider takes. An attempt in the other form, which ended
        before anything was sent, is not shown: so the beginning of the first one is held back until more is known."""
        while not self._shown:
            try:
                event = await self._stream.receive()
            except ProviderError as error:
                if self._by_tool or error.kind != "unsupported" or error.reason not in _NO_SCHEMA:
                    raise
                self._by_tool = True
                self._stream = self._ask()
                self._held.clear()
                continue
            self._held.append(event)
            if self._by_tool or not isinstance(event, AttemptStarted):
                self._shown += self._held
                self._held.clear()
        return self._shown.popleft()

    async def complete(self) -> T:
        """Read to the end, and return the answer.

        Raises:
            ProviderError: the request failed.
            OutputInvalid: the answer does not fit.
        """
        while self.done is None:
            await self.receive()
        return _read(self.done.message, self._model, self.done.stop_reason, is_wrapped=self._is_wrapped)

    def close(self) -> None:
        """Leave: ends the request if it still runs. Synchronous, idempotent."""
        self._stream.close()

    async def aclose(self) -> None:
        """As :meth:`close`; there is nothing to wait for."""
        self.close()

    def _ask(self) -> ReplyStream:
        """The stream of the request, in one of its two forms. It begins when it is read."""
        shaped = self._request.model_copy(update={"output_schema": self._schema})
        if self._by_tool:
            schema = self._schema
            description = schema.description or "Give the final answer: the arguments are the answer."
            tool = Tool(name=schema.name, description=description, parameters=schema.schema_ or {})
            shaped = shaped.model_copy(update={"output_schema": None, "tools": (tool,), "tool_choice": tool.name})
        return self._supervisor.stream(shaped)


def stream_as(supervisor: Supervisor, request: CompletionRequest, model: type[T]) -> OutputStream[T]:
    """The answer as events, to be used as ``async with``; :attr:`OutputStream.partial` is the object as it grows.

    Nothing is asked twice here, for what was shown is never taken back: see :func:`with_feedback`.

    Raises:
        ValueError: the request has tools or an ``output_schema`` of its own.
    """
    _require_plain(request)
    return OutputStream(supervisor, request, model, by_tool=False)


async def complete_as(
    supervisor: Supervisor, request: CompletionRequest, model: type[T], *, feed_back: bool = True
) -> T:
    """The answer as an instance of ``model``. Cancelling closes the HTTP exchange at once.

    With ``feed_back``, a model whose answer does not fit is told why, and asked once more.

    Raises:
        ProviderError: a request failed.
        OutputInvalid: the answer does not fit; the last one, where it was asked twice.
        ValueError: the request has tools or an ``output_schema`` of its own.
    """
    _require_plain(request)
    first = OutputStream(supervisor, request, model, by_tool=False)
    async with first:
        try:
            return await first.complete()
        except OutputInvalid as invalid:
            if not feed_back or invalid.stop_reason not in ("stop", "tool_calls", "unknown"):
                raise
            again = with_feedback(request, invalid)
    async with OutputStream(supervisor, again, model, by_tool=first.by_tool) as second:
        return await second.complete()


def parse_output(message: Message, model: type[T], *, stop_reason: StopReason = "stop") -> T:
    """The answer in ``message``: its text, or the arguments of its first tool call.

    Raises:
        OutputInvalid: it does not fit.
    """
    return _read(message, model, stop_reason, is_wrapped=False)


def with_feedback(request: CompletionRequest, invalid: OutputInvalid) -> CompletionRequest:
    """``request``, gone on by the answer that did not fit and by what is wrong with it."""
    text = f"That answer does not fit the schema: {invalid.problems}. Give the whole answer again, corrected."
    said = [
        Message(role=Role.TOOL, tool_call_id=call.id, content=text, is_error=True)
        for call in invalid.message.tool_calls
    ] or [Message(role=Role.USER, content=text)]
    return request.model_copy(update={"messages": (*request.messages, invalid.message, *said)})


def _asked_schema(request: CompletionRequest, model: type[BaseModel]) -> tuple[OutputSchema, bool]:
    shaped = CompletionRequest.model_validate({**dict(request), "output_schema": model}).output_schema
    assert shaped is not None, "it was just set"
    schema = shaped.schema_ or {}
    if is_plain_object(schema):
        return shaped, False
    return shaped.model_copy(update={"schema_": in_object(schema)}), True


def _read(message: Message, model: type[T], stop_reason: StopReason, *, is_wrapped: bool) -> T:
    text = _json_text(message)
    try:
        return read_in_object(text, model) if is_wrapped else model.model_validate_json(text)
    except ValidationError as error:
        problems = problems_of(error)
        if stop_reason == "length":
            problems = f"it was cut off at its limit of tokens ({problems})"
        elif message.refusal:
            problems = "the model declined to answer"
        details = error.errors(include_url=False, include_context=False)
        raise OutputInvalid(problems, message, stop_reason, tuple(details)) from None


def _json_text(message: Message) -> str:
    return message.tool_calls[0].raw_arguments if message.tool_calls else message.text


def _require_plain(request: CompletionRequest) -> None:
    if request.tools or request.output_schema is not None:
        problem = "the model of the answer takes the place of output_schema and tools; with tools, give run_tools a "
        raise ValueError(f"{problem}request with output_schema, and read its last message by parse_output")
