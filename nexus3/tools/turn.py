"""The tool calls of one turn: run at once, answered in the order of the calls, whatever happens to them.

A turn always has a result for every call. What has not ended has one that says so; that is why a conversation which
was cancelled anywhere can be sent again.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import assert_never

import msgspec
import pydantic_core
import trio

from nexus3.tools.arguments import Arguments, Unresolved, read_arguments
from nexus3.wire.events import StopReason
from nexus3.wire.function_tool import ArgumentsInvalid, FunctionTool, ToolContext, ToolError
from nexus3.wire.messages import FilePart, ImagePart, JsonObject, Message, Part, Role, TextPart, ToolCall

NOT_STARTED = "Cancelled before it was started; nothing was done."
UNFINISHED = "Cancelled before it ended; it may have had effects."


class ToolStarted(msgspec.Struct, frozen=True):
    """A call's function begins. Calls that cannot be run (unknown tool, no arguments) finish without having started."""

    index: int
    """Its place among the calls of its turn, from 0."""
    call: ToolCall


class ToolFinished(msgspec.Struct, frozen=True):
    """A call has its result. Calls of one turn finish in any order; their results are sent in the order of the calls.

    ``result`` is the message that the model gets; ``error`` is why it is an error: what the function raised, or an
    ``ArgumentsInvalid``, a ``ToolError``, a ``ToolTimedOut`` of ours. It is for the application; the model is told the
    type alone of what is not made for its eyes.
    """

    index: int
    call: ToolCall
    result: Message
    seconds: float
    error: Exception | None = None


class ToolTimedOut(ToolError):  # noqa: N818 - it states what happened
    """A tool's time was over, and it was cancelled."""


ToolEvent = ToolStarted | ToolFinished


class Turn:
    """One answer with tool calls, and what becomes of them. ``emit`` is told as it happens."""

    def __init__(
        self,
        message: Message,
        stop_reason: StopReason,
        context: ToolContext,
        emit: Callable[[ToolEvent], None],
    ) -> None:
        self.message = message
        self._stop_reason: StopReason = stop_reason
        self._context = context
        self._emit = emit
        self._results: list[Message] = [_refusal(call, NOT_STARTED) for call in message.tool_calls]

    @property
    def messages(self) -> tuple[Message, ...]:
        """The answer and a result for each of its calls, in order: sendable at any time."""
        return (self.message, *self._results)

    def refuse(self, why: str) -> None:
        """Give every call the result that it was not run."""
        self._results = [_refusal(call, why) for call in self.message.tool_calls]

    async def run(self, tools: Mapping[str, FunctionTool], *, max_parallel: int, timeout: float, lenient: bool) -> None:
        """Run all calls to their results, at once but for ``max_parallel``, and begun in their order.

        Raises nothing but what must not be caught: cancellation and interrupts.
        """
        free = trio.Semaphore(max_parallel)
        async with trio.open_nursery() as nursery:
            for index in range(len(self.message.tool_calls)):
                await free.acquire()
                nursery.start_soon(partial(self._run, index, tools, free, timeout=timeout, lenient=lenient))

    async def _run(
        self, index: int, tools: Mapping[str, FunctionTool], free: trio.Semaphore, *, timeout: float, lenient: bool
    ) -> None:
        call = self.message.tool_calls[index]
        began = trio.current_time()
        error: Exception | None = None
        try:
            tool = _named(call.name, tools)
            arguments = _arguments(call, self._stop_reason, lenient=lenient)
            self._results[index] = _refusal(call, UNFINISHED)
            self._emit(ToolStarted(index, call))
            context = msgspec.structs.replace(self._context, call_id=call.id)
            value = await _within(tool.timeout or timeout, tool.call(arguments, context))
            result = Message(role=Role.TOOL, tool_call_id=call.id, content=_content(value))
        except Exception as caught:  # noqa: BLE001 - a tool may raise anything, and the model must hear of it
            error = caught
            result = _refusal(call, _told(caught, call.name))
        except BaseExceptionGroup as group:
            # A tool with a nursery of its own was cancelled while something in it failed. The cancellation goes on
            # alone: nobody is left who could read the failure.
            _, rest = group.split(Exception)
            assert rest is not None, "else it were an ExceptionGroup"
            raise rest from None
        finally:
            free.release()
        self._results[index] = result
        self._emit(ToolFinished(index, call, result, trio.current_time() - began, error))


def _refusal(call: ToolCall, text: str) -> Message:
    return Message(role=Role.TOOL, tool_call_id=call.id, content=text, is_error=True)


def _named(name: str, tools: Mapping[str, FunctionTool]) -> FunctionTool:
    if name not in tools:
        raise ToolError(f"There is no tool {name!r}. There are: {', '.join(tools) or 'none'}.")
    return tools[name]


def _arguments(call: ToolCall, stop_reason: StopReason, *, lenient: bool) -> JsonObject:
    if call.arguments is not None:
        return call.arguments
    if stop_reason == "length":  # before anything is read into them: a number that was cut is another number
        raise ArgumentsInvalid("they were cut off, for the answer reached its limit of tokens")
    if not lenient:
        raise ArgumentsInvalid("they are not a JSON object")
    match read_arguments(call.raw_arguments, call.name):
        case Arguments(value):
            return value
        case Unresolved(_, detail):
            raise ArgumentsInvalid(detail)
        case never:
            assert_never(never)


async def _within(seconds: float, work: Awaitable[object]) -> object:
    with trio.move_on_after(seconds):
        return await work
    raise ToolTimedOut(f"The tool did not end within {seconds:g} seconds and was cancelled; it may have had effects.")


def _content(value: object) -> str | tuple[Part, ...]:
    """What a tool returned, for the model: text and parts as they are, all else as JSON.

    Raises:
        ValueError: it cannot be said in JSON.
    """
    if isinstance(value, str):
        return value
    items = value if isinstance(value, list | tuple) else [value]
    parts = tuple(item for item in items if isinstance(item, TextPart | ImagePart | FilePart))
    if parts and len(parts) == len(items):
        return parts
    return pydantic_core.to_json(value).decode()


def _told(error: Exception, name: str) -> str:
    """What the model is told: never a traceback, nor a text that was not written for it."""
    match error:
        case ToolError():
            return str(error) or f"The tool {name} failed."
        case ArgumentsInvalid():
            return f"The arguments of {name} cannot be used: {error}. Correct them and call it again."
        case _:
            return f"The tool {name} failed ({type(error).__name__})."
