"""The tool loop: ask, run the tools that are called for, ask again, until there is an answer.

It is a receive channel of events with a conversation beside it, :attr:`ToolRun.history`. Nothing is ever in that
conversation that could not be sent: it grows by whole turns, and a turn with calls has a result for each of them from
the beginning. So wherever the loop is left, by cancellation, by a failure or by choice, the conversation can go on.

There is no task that drives the loop: the reader does, by asking for the next event. Only tools have tasks, so that
deltas come as fast as from ``sup.stream``, and the tools of a turn run on while the reader is busy.
"""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import msgspec
import trio

from nexus3.actors.reply.stream import ReplyStream
from nexus3.runtime import Supervisor
from nexus3.tools.turn import ToolEvent, ToolFinished, Turn
from nexus3.wire.events import StreamComplete, StreamEvent
from nexus3.wire.function_tool import FunctionTool, ToolContext, tool_from_function
from nexus3.wire.messages import Message
from nexus3.wire.requests import CompletionRequest, Tool

NOT_RUN = "Not run: the limit of rounds was reached."

Ended = Literal["answered", "max_rounds"]


class RunComplete(msgspec.Struct, frozen=True):
    """The last event of a run that came to its end."""

    message: Message
    """The last answer of the model."""
    ended: Ended
    """``max_rounds``: the model still called for tools; those calls were not run, and their results say so."""
    rounds: int
    """Requests made."""


RunEvent = StreamEvent | ToolEvent | RunComplete
"""What a run says: every event of each round's stream up to its ``StreamComplete``, then what its tools do."""


class ToolRun(trio.abc.ReceiveChannel[RunEvent]):
    """Events of one run, for one reader; ends after a :class:`RunComplete`. Made by :func:`run_tools`.

    Cancelling ``receive`` loses nothing: the next one goes on where it was, and tools that run are not disturbed.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        request: CompletionRequest,
        run_calls: Callable[[Turn], None],
        *,
        max_rounds: int,
    ) -> None:
        self._supervisor = supervisor
        self._request = request
        self._run_calls = run_calls
        """Starts a task that runs the calls of a turn."""
        self._max_rounds = max_rounds
        self._rounds = 0
        self._messages = list(request.messages)
        """Of the history, what no longer changes."""
        self._stream: ReplyStream | None = None
        """The round's answer, while it is read ..."""
        self._turn: Turn | None = None
        """... then its calls, while they run ..."""
        self._unread = 0
        """... and how many of them the reader has not seen finished."""
        # Without bound, but never with more than two events per call of one turn.
        self._emit, self._tool_events = trio.open_memory_channel[ToolEvent](math.inf)
        self._end: RunComplete | None = None
        self._is_over = False
        self._closed = False

    @property
    def history(self) -> tuple[Message, ...]:
        """The conversation so far, to be sent on at any time, during the run and after it.

        The request's messages, then every whole answer with a result for each of its calls. Where a call has not
        ended, its result says so: whether it was never begun, or may have had effects. An answer that was cut in the
        middle is not in it.
        """
        return (*self._messages, *(self._turn.messages if self._turn else ()))

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> RunEvent:
        """The next event.

        Raises:
            trio.EndOfChannel: after the :class:`RunComplete`, or after a failure.
            ProviderError: a round's request failed. The history is as it was before that round.
            trio.ClosedResourceError: the block was left.
        """
        if self._closed:
            raise trio.ClosedResourceError
        if self._turn is not None:
            return await self._tool_event(self._turn)
        if self._end is not None:
            return await self._last_event(self._end)
        if self._stream is None:
            self._rounds += 1
            self._stream = self._supervisor.stream(self._next_request())
        event = await self._stream.receive()
        if isinstance(event, StreamComplete):
            self._round_ended(event)
        return event

    async def complete(self) -> RunComplete:
        """Read to the end, and return the last event. Cancelling it is cancelling ``receive``.

        Raises:
            ProviderError: a round's request failed.
            trio.EndOfChannel: the end was read before.
        """
        while True:
            event = await self.receive()
            if isinstance(event, RunComplete):
                return event

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Ends the request that runs; leaving the block of :func:`run_tools` ends the tools too. Idempotent."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    async def aclose(self) -> None:
        """As :meth:`close`; there is nothing to wait for."""
        self.close()

    async def _tool_event(self, turn: Turn) -> ToolEvent:
        event = await self._tool_events.receive()
        if isinstance(event, ToolFinished):
            self._unread -= 1
            if not self._unread:
                self._messages += turn.messages
                self._turn = None
        return event

    async def _last_event(self, end: RunComplete) -> RunComplete:
        if self._is_over:
            raise trio.EndOfChannel
        await trio.lowlevel.checkpoint()
        self._is_over = True
        return end

    def _next_request(self) -> CompletionRequest:
        choice = self._request.tool_choice
        if self._rounds > 1 and choice not in ("auto", "none"):
            choice = None  # what forces a call would force one every time, and there would never be an answer
        return self._request.model_copy(update={"messages": tuple(self._messages), "tool_choice": choice})

    def _round_ended(self, done: StreamComplete) -> None:
        self._stream = None
        is_last = self._rounds >= self._max_rounds
        if not done.message.tool_calls:
            self._messages.append(done.message)
            # After a pause the provider wants the turn back as it is, and goes on with it.
            if done.stop_reason != "pause" or is_last:
                ended: Ended = "max_rounds" if done.stop_reason == "pause" else "answered"
                self._end = RunComplete(done.message, ended, self._rounds)
            return
        context = ToolContext(round=self._rounds, messages=tuple(self._messages))
        turn = Turn(done.message, done.stop_reason, context, self._emit.send_nowait)
        if is_last:
            turn.refuse(NOT_RUN)
            self._messages += turn.messages
            self._end = RunComplete(done.message, "max_rounds", self._rounds)
            return
        self._turn = turn
        self._unread = len(done.message.tool_calls)
        self._run_calls(turn)


@asynccontextmanager
async def run_tools(
    supervisor: Supervisor,
    request: CompletionRequest,
    tools: Sequence[FunctionTool | Callable[..., object]] = (),
    *,
    max_rounds: int = 20,
    tool_timeout: float = 60.0,
    max_parallel: int = 10,
    lenient_arguments: bool = False,
) -> AsyncIterator[ToolRun]:
    """Ask, run the tools that the model calls for, and ask again: ``async with run_tools(...) as run``.

    ``tools`` are added to the request's own, all of which must have a function; bare functions become tools by
    ``Tool.from_function``. The calls of one turn run at once, ``max_parallel`` of them at a time, each for
    ``tool_timeout`` seconds or its tool's own; they are begun, and their results are sent, in the order of the calls.
    Whatever goes wrong with a call (no such tool, arguments that do not fit, an exception, its time) becomes an
    ``is_error`` result that the model reads. ``lenient_arguments`` also reads arguments that are not quite JSON
    (:func:`~nexus3.tools.arguments.read_arguments`).

    ``max_rounds`` bounds the requests; each has the request's own ``timeout``. A ``tool_choice`` that forces a call
    holds for the first one. Leaving the block, at any time and by any way, closes the HTTP exchange, cancels the tools
    and waits for them to end; the body's exception leaves as the same object. ``run.history`` can be read afterwards.

    Raises:
        ValueError: a tool has no function, or a name is given twice, or a bound is not positive.
        TypeError: a bare function cannot be described to a model.
    """
    if max_rounds < 1 or max_parallel < 1 or tool_timeout <= 0:
        raise ValueError("max_rounds, max_parallel and tool_timeout must be positive")
    runnable = _runnable(request, tools)
    body_error: BaseException | None = None
    async with trio.open_nursery() as nursery:

        def run_calls(turn: Turn) -> None:
            work = partial(
                turn.run, runnable, max_parallel=max_parallel, timeout=tool_timeout, lenient=lenient_arguments
            )
            nursery.start_soon(work, name="nexus3 tools")

        offered = request.model_copy(update={"tools": tuple(runnable.values())})
        run = ToolRun(supervisor, offered, run_calls, max_rounds=max_rounds)
        try:
            yield run
        except BaseException as error:  # noqa: BLE001, ASYNC103 - re-raised below, as the same object
            body_error = error
        finally:
            run.close()
            nursery.cancel_scope.cancel()
    if body_error is not None:
        raise body_error


def _runnable(
    request: CompletionRequest, tools: Sequence[FunctionTool | Callable[..., object]]
) -> dict[str, FunctionTool]:
    runnable: dict[str, FunctionTool] = {}
    for tool in (*request.tools, *tools):
        made = tool if isinstance(tool, Tool) else tool_from_function(tool)
        if not isinstance(made, FunctionTool):
            problem = f"the tool {made.name!r} has no function; make it by Tool.from_function or as a FunctionTool"
            raise ValueError(problem)  # noqa: TRY004 - of the right type, and of no use here
        if made.name in runnable:
            raise ValueError(f"the tool {made.name!r} is given twice")
        runnable[made.name] = made
    return runnable
