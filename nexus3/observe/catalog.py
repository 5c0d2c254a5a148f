"""Every log event: its name, level and keys. The one list; documentation and tests are made from it.

Names are short and constant; all data goes into keys. Never a prompt, a completion, a header or a key.
"""

from typing import Literal

import msgspec

Level = Literal["debug", "info", "warning", "error"]


class LogEvent(msgspec.Struct, frozen=True):
    """One kind of line. ``keys`` are those it carries beside ``event`` and the level."""

    name: str
    level: Level
    keys: tuple[str, ...]
    means: str


SUPERVISOR_STARTED = LogEvent("supervisor.started", "info", ("children",), "The block is entered, all children are up.")
SUPERVISOR_STOPPED = LogEvent("supervisor.stopped", "info", ("seconds",), "The block is left; nothing of it runs.")
ACTOR_STARTED = LogEvent("actor.started", "info", ("actor", "generation"), "An incarnation is ready to serve.")
ACTOR_STOPPED = LogEvent("actor.stopped", "info", ("actor", "generation"), "An incarnation ended as asked.")
ACTOR_CRASHED = LogEvent(
    "actor.crashed", "error", ("actor", "generation", "error"), "An incarnation ended by an exception."
)
ACTOR_RESTARTING = LogEvent(
    "actor.restarting", "warning", ("actor", "generation"), "The next incarnation starts after a backoff."
)
ACTOR_PARKED = LogEvent(
    "actor.parked", "error", ("actor", "generation"), "Too many crashes: requests fail at once for a while."
)
ACTOR_UNCONFIGURED = LogEvent(
    "actor.unconfigured", "warning", ("actor", "problem"), "A provider has no key: its requests fail with kind auth."
)
REQUEST_ACCEPTED = LogEvent(
    "request.accepted", "debug", ("request", "caller", "actor", "model", "deadline"), "A request has a place."
)
REQUEST_RETRYING = LogEvent(
    "request.retrying",
    "warning",
    ("request", "actor", "attempt", "delay", "kind", "reason", "status"),
    "An attempt failed before any content; the next begins in `delay` seconds.",
)
REQUEST_REQUEUED = LogEvent(
    "request.requeued", "warning", ("request", "actor", "crashes"), "The actor crashed; the request waits for the next."
)
REQUEST_SETTLED = LogEvent(
    "request.settled",
    "info",
    (
        "request",
        "caller",
        "actor",
        "model",
        "outcome",
        "reason",
        "stop_reason",
        "attempts",
        "emitted",
        "queue_seconds",
        "first_event_seconds",
        "total_seconds",
        "input_tokens",
        "output_tokens",
        "request_id",
    ),
    "The one wide line of every accepted request.",
)
REQUEST_BUG = LogEvent(
    "request.bug", "error", ("request", "actor", "traceback"), "A bug of ours failed this request; please report it."
)
DEAD_LETTER = LogEvent("dead_letter", "warning", ("request", "reason"), "A terminal event found no reader.")
BACKSTOP = LogEvent(
    "kernel.backstop", "error", ("request", "actor"), "A caller was rescued at its deadline: a bug of ours."
)

CATALOG: tuple[LogEvent, ...] = tuple(value for value in dict(globals()).values() if isinstance(value, LogEvent))
