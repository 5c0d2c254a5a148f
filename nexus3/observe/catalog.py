"""Every log event: its name, level and keys. The one list; ``docs/logs.md`` and the tests are made from it.

Names are short and constant; all data goes into keys. Never a prompt, a completion, a header or a key. Levels: info is
life as planned, warning is trouble that was coped with, error is something that a person must look at.
"""

from typing import Literal

import msgspec

from nexus3.observe.genai import ESTABLISHED
from nexus3.observe.settled import settled_keys

Level = Literal["debug", "info", "warning", "error"]


class LogEvent(msgspec.Struct, frozen=True):
    """One kind of line. ``keys`` are those it always carries beside ``event`` and the level."""

    name: str
    level: Level
    keys: tuple[str, ...]
    means: str
    optional: tuple[str, ...] = ()
    """Keys that are there where there is something to say."""
    quotes: tuple[str, ...] = ()
    """Those of the keys whose text comes from elsewhere (an exception, a stack): redacted before any sink sees it."""


# -- the supervisor

SUPERVISOR_STARTED = LogEvent("supervisor.started", "info", ("children",), "The block is entered, all children are up.")
SUPERVISOR_STOPPED = LogEvent("supervisor.stopped", "info", ("seconds",), "The block is left; nothing of it runs.")
SUPERVISOR_ESCALATED = LogEvent(
    "supervisor.escalated",
    "error",
    ("error",),
    "A child crashed too often: the block ends with SupervisorEscalated.",
    quotes=("error",),
)

# -- an actor's life

ACTOR_STARTED = LogEvent("actor.started", "info", ("actor", "generation"), "An incarnation is ready to serve.")
ACTOR_STOPPED = LogEvent("actor.stopped", "info", ("actor", "generation"), "An incarnation ended as asked.")
ACTOR_CRASHED = LogEvent(
    "actor.crashed",
    "error",
    ("actor", "generation", "error"),
    "An incarnation ended by an exception.",
    quotes=("error",),
)
ACTOR_RESTARTING = LogEvent(
    "actor.restarting", "warning", ("actor", "generation"), "The next incarnation starts after a backoff."
)
ACTOR_PARKED = LogEvent(
    "actor.parked", "error", ("actor", "generation"), "Too many crashes: requests fail at once for a while."
)
ACTOR_PAUSED = LogEvent("actor.paused", "info", ("actor",), "Told to pause: requests wait, none is begun.")
ACTOR_RESUMED = LogEvent("actor.resumed", "info", ("actor",), "Told to go on after a pause.")
ACTOR_DRAINING = LogEvent(
    "actor.draining", "info", ("actor", "waiting"), "Takes no new requests; `waiting` accepted ones are finished first."
)
ACTOR_STUCK = LogEvent(
    "actor.stuck",
    "error",
    ("actor", "generation", "stack"),
    "A task ignores its cancellation; its requests are settled, and the block is held by it.",
    quotes=("stack",),
)
ACTOR_UNCONFIGURED = LogEvent(
    "actor.unconfigured", "warning", ("actor", "problem"), "A provider has no key: its requests fail with kind auth."
)
ACTOR_OPTED_OUT = LogEvent(
    "actor.opted_out",
    "info",
    ("actor", "setting", "allows"),
    "A setting lets requests go where by default they may not. Said for each such setting when it takes effect.",
)
KEY_REFRESH_FAILED = LogEvent(
    "key.refresh_failed",
    "warning",
    ("actor", "problem"),
    "The next key could not be fetched ahead of time; requests go on with the old one, and it is tried again.",
)

# -- a mailbox

MAILBOX_FULL = LogEvent(
    "mailbox.full", "warning", ("actor", "waiting"), "New requests find no room. Said once until there is room again."
)
MAILBOX_SHED = LogEvent(
    "mailbox.shed", "warning", ("request", "actor"), "A waiting request gave its place to a newer one."
)
MAILBOX_EXPIRED = LogEvent(
    "mailbox.expired", "warning", ("request", "actor", "seconds"), "A request's deadline passed while it waited."
)

# -- a request's way

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
REQUEST_HEDGED = LogEvent(
    "request.hedged",
    "info",
    ("request", "actor", "attempt", "delay"),
    "Nothing came within `delay` seconds, which is long for this model: it was sent a second time beside the first.",
)
REQUEST_MOVED = LogEvent(
    "request.moved",
    "warning",
    ("request", "actor", "to", "model", "kind", "reason"),
    "It failed here before any content, and goes on with its next fallback.",
)
_ALWAYS, _SOMETIMES = settled_keys(ESTABLISHED)
REQUEST_SETTLED = LogEvent(
    "request.settled",
    "info",
    _ALWAYS,
    "The one wide line of every accepted request.",
    optional=_SOMETIMES,
)
REQUEST_BUG = LogEvent(
    "request.bug",
    "error",
    ("request", "actor", "traceback"),
    "A bug of ours failed this request; please report it.",
    quotes=("traceback",),
)

# -- retry state

BREAKER_OPENED = LogEvent(
    "breaker.opened",
    "warning",
    ("actor", "failures", "seconds"),
    "The provider fails again and again: its requests fail at once for `seconds`.",
)
BREAKER_HALF_OPEN = LogEvent("breaker.half_open", "info", ("actor",), "One request at a time probes the provider.")
BREAKER_CLOSED = LogEvent("breaker.closed", "info", ("actor",), "The provider answers again.")
COOLDOWN_SET = LogEvent(
    "cooldown.set",
    "warning",
    ("actor", "model", "seconds", "asked"),
    "A model is throttled: nobody asks it for `seconds`. `asked`: the provider named the time.",
)
COOLDOWN_OVER = LogEvent("cooldown.over", "info", ("actor", "model"), "A throttled model is asked at full pace again.")
BUDGET_EXHAUSTED = LogEvent(
    "budget.exhausted", "warning", ("actor",), "Too many retries for so few requests: failures go out as they are."
)
SPEND_CAPPED = LogEvent(
    "spend.capped",
    "warning",
    ("actor", "holder", "account", "reason"),
    "A cap on spending turns requests away: of the supervisor, a provider or a caller, as `holder` says; `account` is"
    " the name. Said once for each cap.",
)
LIMIT_LEARNED = LogEvent(
    "limit.learned",
    "info",
    ("actor", "model", "dimension", "limit"),
    "A response stated a limit per minute, which is kept from now on.",
)

# -- raw logs

RAW_LOG_FULL = LogEvent(
    "raw_log.full",
    "warning",
    ("dropped",),
    "The hooks of a raw log are too slow and its queue is full: what finds no room is dropped. Said once until half of"
    " it is free; `dropped` so far.",
)
RAW_LOG_RAISED = LogEvent(
    "raw_log.raised", "warning", ("hook", "error"), "A hook of a raw log raised. Said once for each hook."
)
RAW_LOG_LOST = LogEvent(
    "raw_log.lost",
    "warning",
    ("lost",),
    "A raw log was closed, and its hooks had not heard `lost` pieces in the time that is waited for them.",
)

# -- what must not happen

LOOP_BLOCKED = LogEvent(
    "loop.blocked",
    "warning",
    ("seconds", "stack"),
    "Something in the program keeps the run from going on, for `seconds` so far; `stack` is where. Said by a thread,"
    " at most once a second.",
    quotes=("stack",),
)
DEAD_LETTER = LogEvent("dead_letter", "warning", ("request", "reason"), "A terminal event found no reader.")
BACKSTOP = LogEvent(
    "kernel.backstop", "error", ("request", "actor"), "A caller was rescued at its deadline: a bug of ours."
)
LOG_SINK_FAILED = LogEvent(
    "log.sink_failed",
    "error",
    ("error",),
    "The host's structlog chain raised: this and its lines go to the stdlib logger `nexus3` instead. Said once.",
    quotes=("error",),
)

CATALOG: tuple[LogEvent, ...] = tuple(value for value in dict(globals()).values() if isinstance(value, LogEvent))
