"""How engines refuse, and what we make of it: kind, status and attempts of each, as these pinned versions do it.

What an engine does not refuse is written down as well, so that a change is seen.
"""

from functools import partial
from typing import NamedTuple

from engine.reading import RETRIES, ask, in_tokens
from engine.report import Report, expect
from engine.servers import Server
from nexus3 import ProviderError, Supervisor
from nexus3.wire.failures import Kind
from nexus3.wire.messages import JsonObject


class Refused(NamedTuple):
    """The failure that is expected."""

    kind: Kind
    status: int | None
    attempts: int = 1


ONCE_MORE = 1 + RETRIES
SERVED = None
"""The engine takes it."""


class Case(NamedTuple):
    """A request that ought to be refused."""

    name: str
    expected: dict[str, Refused | None]
    """By engine."""
    model: str = "engine"
    text: str = "Hello"
    extra_body: JsonObject = {}  # noqa: RUF012 - a default that nobody changes


# About 6,000 tokens; the model has room for 2,048.
TOO_LONG = "one word after another " * 1500

CASES = (
    Case(
        "unknown model",
        {"transformers": Refused("bad_request", 400), "llama.cpp": SERVED},
        model="local:another-model",
    ),
    Case(
        "too long a prompt, streamed",
        # llama.cpp's server has sent its 200 by then, and ends the body without a word.
        {"transformers": SERVED, "llama.cpp": Refused("protocol", 200, ONCE_MORE)},
        text=TOO_LONG,
    ),
    Case(
        "too long a prompt, unstreamed",
        {"transformers": SERVED, "llama.cpp": Refused("context_length", 400)},
        model="unstreamed",
        text=TOO_LONG,
    ),
    Case(
        "negative temperature",
        {"transformers": SERVED, "llama.cpp": SERVED},
        extra_body={"temperature": -1.0},
    ),
    Case(
        "unknown field",
        {"transformers": Refused("bad_request", 422), "llama.cpp": SERVED},
        extra_body={"no_such_field": 1},
    ),
    # Both answer 500 for what is the request's fault, so it is tried again.
    Case(
        "text for messages",
        {"transformers": Refused("server", 500, ONCE_MORE), "llama.cpp": Refused("server", 500, ONCE_MORE)},
        extra_body={"messages": "Hello"},
    ),
    Case(
        "a word for max_tokens",
        {"transformers": Refused("server", 500, ONCE_MORE), "llama.cpp": Refused("server", 500, ONCE_MORE)},
        extra_body={"max_tokens": "many"},
    ),
    Case(
        "wrong path",
        {"transformers": Refused("not_found", 404), "llama.cpp": Refused("not_found", 404)},
        model="misrouted",
    ),
    Case(
        "dead port",
        {"transformers": Refused("transport", None, ONCE_MORE), "llama.cpp": Refused("transport", None, ONCE_MORE)},
        model="dead",
    ),
)


async def run_all(server: Server, supervisor: Supervisor, report: Report) -> None:
    """Run every case, each followed by a request that must be served."""
    for case in CASES:
        await report.run(f"{server.engine}: {case.name}", partial(_refusal, case, server, supervisor))


async def _refusal(case: Case, server: Server, supervisor: Supervisor) -> str:
    expected = case.expected[server.engine]
    request = ask(case.text, max_tokens=4, model=case.model).model_copy(update={"extra_body": case.extra_body})
    try:
        done = await supervisor.complete(request)
    except ProviderError as error:
        seen = f"{error.kind} ({error.reason}), status {error.status}, {error.attempts} attempts: {error.message[:90]}"
        expect(expected == Refused(error.kind, error.status, error.attempts), f"{seen}; expected {expected}")
    else:
        seen = f"served ({in_tokens(done.usage)}); this engine does not refuse it"
        expect(expected is SERVED, f"{seen}, but {expected} was expected")
    after = await supervisor.complete(ask("Hello", max_tokens=4))
    return f"{seen}; the next request took {after.attempts} attempt(s)"
