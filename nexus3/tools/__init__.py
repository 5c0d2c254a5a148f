"""What an agent needs around a stream: functions as tools, a loop that runs them, answers as objects.

::

    async def get_weather(city: str) -> str: ...

    async with run_tools(supervisor, request, [Tool.from_function(get_weather)]) as run:
        async for event in run: ...
    history = run.history

* :mod:`~nexus3.wire.function_tool`: a function's signature as a schema (pure, and therefore below).
* :mod:`~nexus3.tools.loop`: the tool loop; :mod:`~nexus3.tools.turn`: the calls of one turn, and their results.
* :mod:`~nexus3.tools.structured`: answers that fit a pydantic model.
* :mod:`~nexus3.tools.arguments`: arguments that are not quite JSON, for those who want them read.
"""

from nexus3.tools.arguments import Arguments, Unresolved, read_arguments
from nexus3.tools.loop import RunComplete, RunEvent, ToolRun, run_tools
from nexus3.tools.structured import OutputInvalid, OutputStream, complete_as, parse_output, stream_as, with_feedback
from nexus3.tools.threads import in_thread
from nexus3.tools.turn import ToolFinished, ToolStarted, ToolTimedOut
from nexus3.wire.function_tool import (
    ArgumentsInvalid,
    FunctionTool,
    Handler,
    ToolContext,
    ToolError,
    tool_from_function,
)

__all__ = [
    "Arguments",
    "ArgumentsInvalid",
    "FunctionTool",
    "Handler",
    "OutputInvalid",
    "OutputStream",
    "RunComplete",
    "RunEvent",
    "ToolContext",
    "ToolError",
    "ToolFinished",
    "ToolRun",
    "ToolStarted",
    "ToolTimedOut",
    "Unresolved",
    "complete_as",
    "in_thread",
    "parse_output",
    "read_arguments",
    "run_tools",
    "stream_as",
    "tool_from_function",
    "with_feedback",
]
