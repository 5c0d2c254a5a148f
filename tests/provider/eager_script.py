"""A script for the bundled provider: a model that calls the first tool it is offered, and answers from its result.

A server's process reads this file (``--script``).
"""

from nexus3.loopback import Answer, Call, Received


def answer(received: Received) -> Answer | None:
    """A call where none has been answered yet; the echo's own words after that."""
    if received.asked.tools and not received.asked.tool_results:
        return Answer(tool_calls=[Call(received.asked.tools[0].name, '{"city": "SF"}')])
    return None
