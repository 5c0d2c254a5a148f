"""What the bundled provider says in the demo: answers by question. Anything else is left to its echo."""

import re
from collections.abc import Callable

from nexus3.loopback import Answer, Call, Received
from nexus3.loopback.received import Flavour
from nexus3.wire.requests import Tool

PORTRAIT = "In one sentence: what is special about the way you answer?"
DAYS = "How many days are there from 2025-02-20 to 2025-03-01?"
BUSY = "Are you busy?"


def count_to(last: int) -> str:
    """The request to count from 1 to ``last``."""
    return f"Count to {last}."


def numbers(last: int) -> str:
    """The answer to :func:`count_to`."""
    return " ".join(str(number) for number in range(1, last + 1))


PORTRAITS: dict[Flavour, str] = {
    "openrouter": "I pass your request on to another vendor, in OpenAI's format, and report what it cost.",
    "openai": "I send one JSON object per piece of text, each as a server-sent event, and end with [DONE].",
    "ollama": "I run models on your own machine, in OpenAI's format, and usually need no key.",
    "vllm": "I run open models on your own servers, in OpenAI's format, and can show their reasoning.",
    "azure": "I run OpenAI's models, but the URL names a deployment, and the key has a header of its own.",
    "anthropic": "I have a format of my own: typed blocks with a start, deltas and a stop, then message_stop.",
}
NOT_BUSY = "Not any more."

DAYS_TOOL = Tool(
    name="days_between",
    description="The number of days from one date to another.",
    parameters={
        "type": "object",
        "properties": {
            "first": {"type": "string", "format": "date"},
            "last": {"type": "string", "format": "date"},
        },
        "required": ["first", "last"],
        "additionalProperties": False,
    },
)
DAYS_ARGUMENTS = {"first": "2025-02-20", "last": "2025-03-01"}

DemoScript = Callable[[Received], Answer | None]

_COUNT = re.compile(r"Count to (\d+)\.")
_PACE: dict[Flavour, float] = {
    "openrouter": 0.07,
    "openai": 0.055,
    "ollama": 0.08,
    "vllm": 0.06,
    "azure": 0.065,
    "anthropic": 0.05,
}
"""Seconds between words: each has its own, as in life."""


def demo_script() -> DemoScript:
    """A new script; it remembers that it has been busy once."""
    has_been_busy = False

    def script(received: Received) -> Answer | None:
        nonlocal has_been_busy
        question, flavour = received.asked.user_text, received.route.flavour
        if question == PORTRAIT:
            return _spoken(PORTRAITS[flavour], _PACE[flavour])
        if counted := _COUNT.fullmatch(question):
            return _spoken(numbers(int(counted[1])), 0.04)
        if question == DAYS:
            return _days(received)
        if question == BUSY:
            if not has_been_busy:
                has_been_busy = True
                return Answer(status=503, headers={"retry-after-ms": "250"})
            return _spoken(NOT_BUSY, _PACE[flavour])
        return None

    return script


def _days(received: Received) -> Answer:
    if not received.asked.tool_results:
        fragments = ('{"first": "2025-', '02-20", "la', 'st": "2025-03', '-01"}')
        return Answer(tool_calls=[Call("days_between", fragments)], first_delay=0.1, delay=0.08)
    return _spoken(f"From 20 February to 1 March 2025 it is {received.asked.tool_results[-1]} days.", 0.05)


def _spoken(text: str, pace: float) -> Answer:
    """The text word by word, the first after three paces."""
    return Answer(re.findall(r"\S+\s*", text), first_delay=3 * pace, delay=pace)
