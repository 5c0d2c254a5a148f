"""The default script: a friendly, deterministic model that repeats what it was told. Pure.

* It streams a short text that quotes the last user text, word by word; with a pause of 10 ms between the words where
  the model id ends in ``-paced`` or the request has a header ``x-nexus3-delay: SECONDS``.
* With tools it calls one when ``tool_choice`` demands it, or when the user text names a tool or says "use the tool";
  the arguments are the smallest that fit the tool's schema. After a tool's result it quotes the result.
* It shows reasoning when the request asks for reasoning, and answers with JSON that fits when a schema is given.
* Usage counts words as tokens.

Model ids that select a fault, K counting pieces (words):

=====================  ============================================================================
``status-N``           HTTP status N with the dialect's error body; 429 says ``retry-after-ms: 10``
``cut-K``              FIN after K pieces, without the body's end
``reset-K``            RST after K pieces
``truncate-K``         FIN in the middle of a chunk, after K pieces
``end-K``              the body ends properly after K pieces, without a terminal marker
``stall-K``            silence after K pieces, until the client leaves
``pings-K``            only keep-alive frames after K pieces
``error-K``            an error event (overloaded) after K pieces
``garbage-K``          bytes that are no event after K pieces
``no-marker``          the whole text, but no terminal marker
``hang-up``            the connection closes without an answer
``stall-headers``      the request is read, and never answered
``slow``               0.2 s before each piece
``one-byte``           chunks of one byte
``no-stream``          JSON although a stream was asked
``length``             stops for length
``filtered``           stops for the content filter
``refusal``            refuses
=====================  ============================================================================
"""

import math
import random
import re
from collections.abc import Callable
from dataclasses import replace

import msgspec

from nexus3.loopback.answers import Answer, Call
from nexus3.loopback.example_value import example_value
from nexus3.loopback.faults import (
    Cut,
    ErrorEvent,
    Garbage,
    HangUp,
    NoMarker,
    OnlyPings,
    Stall,
    StallHeaders,
)
from nexus3.loopback.received import OfferedTool, Received

PACE = 0.01
"""Seconds between the words of a ``-paced`` model."""

_GREETINGS = (
    "Hello from the loopback provider!",
    "Greetings from inside your own machine!",
    "Nice to hear from you, this is loopback speaking.",
)

_COUNTED: dict[str, Callable[[int], Cut | Stall | OnlyPings | ErrorEvent | Garbage]] = {
    "cut": lambda after: Cut(after),
    "reset": lambda after: Cut(after, "reset"),
    "truncate": lambda after: Cut(after, "truncate"),
    "end": lambda after: Cut(after, "end"),
    "stall": lambda after: Stall(after),
    "pings": lambda after: OnlyPings(after),
    "error": lambda after: ErrorEvent(after),
    "garbage": lambda after: Garbage(after),
}


def echo(received: Received, seed: int = 0) -> Answer:
    """The answer to one request: the same for the same request and seed."""
    model = received.model.rpartition("/")[2]
    plain = replace(_answer(received, seed), delay=_delay(received, model))
    return _with_fault(plain, model)


def _answer(received: Received, seed: int) -> Answer:
    asked = received.asked
    reasoning = _words("The user said something. I shall repeat it.") if asked.reasoning else ()
    if (tool := _tool_to_call(received)) is not None:
        arguments = msgspec.json.encode(_arguments(tool, asked.user_text)).decode()
        return Answer(reasoning=reasoning, tool_calls=[Call(tool.name, _fragments(arguments))])
    if asked.json != "no":
        value = (
            example_value(asked.schema, prompt=asked.user_text)
            if asked.json == "schema"
            else _plain_object(asked.user_text)
        )
        return Answer(_fragments(msgspec.json.encode(value).decode()), reasoning=reasoning)
    # Chosen by the text, not by a running generator: the answer must not depend on the order of arrival.
    greeting = random.Random(f"{seed}:{asked.user_text}").choice(_GREETINGS)  # noqa: S311 - a choice of words
    if asked.tool_results:
        return Answer(_words(f"{greeting} The tool says: {' | '.join(asked.tool_results)}"), reasoning=reasoning)
    return Answer(_words(f"{greeting} You said: {asked.user_text}"), reasoning=reasoning)


def _tool_to_call(received: Received) -> OfferedTool | None:
    asked = received.asked
    if not asked.tools or asked.tool_results or asked.tool_choice == "none":
        return None
    named = {tool.name: tool for tool in asked.tools}
    if asked.tool_choice in named:
        return named[asked.tool_choice]
    mentioned = [tool for tool in asked.tools if re.search(rf"\b{re.escape(tool.name)}\b", asked.user_text)]
    wished = asked.tool_choice == "required" or "use the tool" in asked.user_text.lower()
    return mentioned[0] if mentioned else asked.tools[0] if wished else None


def _arguments(tool: OfferedTool, prompt: str) -> object:
    # A tool's own name is the last thing its arguments should be about.
    value = example_value(tool.parameters, prompt=re.sub(rf"\b{re.escape(tool.name)}\b", "", prompt))
    return value if isinstance(value, dict) else {}


def _plain_object(text: str) -> dict[str, str]:
    return {"you_said": text}


def _delay(received: Received, model: str) -> float:
    if model == "slow":
        return 0.2
    try:
        wished = float(received.headers.get("x-nexus3-delay", ""))
    except ValueError:
        return PACE if model.endswith("-paced") else 0.0
    return wished if math.isfinite(wished) and wished > 0 else 0.0


def _with_fault(answer: Answer, model: str) -> Answer:
    name, _, number = model.rpartition("-")
    if number.isdecimal() and name in _COUNTED:
        return replace(answer, fault=_COUNTED[name](int(number)))
    match model:
        case _ if name == "status" and number.isdecimal():
            return _status(int(number))
        case "no-marker":
            return replace(answer, fault=NoMarker())
        case "hang-up":
            return Answer(fault=HangUp())
        case "stall-headers":
            return Answer(fault=StallHeaders())
        case "slow":
            return replace(answer, first_delay=answer.delay)
        case "one-byte":
            return replace(answer, chunk_size=1)
        case "no-stream":
            return replace(answer, stream=False)
        case "length":
            return replace(answer, finish="length")
        case "filtered":
            return replace(answer, finish="content_filter")
        case "refusal":
            return Answer(refusal=_words("I would rather not say that."), finish="refusal")
        case _:
            return answer


def _status(status: int) -> Answer:
    status = min(max(status, 200), 599)
    return Answer(status=status, headers={"retry-after-ms": "10"}) if status == 429 else Answer(status=status)


def _words(text: str) -> list[str]:
    """Words with the space behind them."""
    return re.findall(r"\s*\S+\s*", text)


def _fragments(text: str) -> list[str]:
    """JSON in pieces that no boundary of its own explains."""
    return [text[at : at + 7] for at in range(0, len(text), 7)]
