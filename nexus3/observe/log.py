"""Hands catalogued events to the host's logger, and never hurts.

The host is never configured. Where it configured structlog, lines go there; else to ``logging.getLogger("nexus3")``,
which is silent until the host gives it a handler. (structlog unconfigured would print to standard output.)

**A sink that raises** changes no outcome: the line goes to the stdlib logger instead, and is counted
as ``log.raised``.

**A sink that blocks** blocks: a line is written by the task that has something to say, in the thread of the trio run,
as everywhere else in Python. While a terminal or a pipe takes nothing, nothing runs; deadlines pass meanwhile, and
requests still end in exactly one terminal event once it goes on. Who cannot vouch for a sink puts
:class:`nexus3.observe.queued.QueuedStream` before it: full, it drops lines and counts them.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from nexus3.observe.catalog import LogEvent
from nexus3.observe.redact import Redact, printable
from nexus3.wire.provider_text import scrub

_LOGGER = logging.getLogger("nexus3")
_LOGGER.addHandler(logging.NullHandler())

_STDLIB_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


Line = Mapping[str, object]
"""What a line says, by its catalogued keys."""

LineOrMaker = Line | Callable[[], Line]
"""A line, or what makes it, called at once or not at all: only where somebody listens."""


class Log(Protocol):
    """Takes one line. Never raises, never reads the clock; waits only where the host's sink does."""

    def __call__(self, event: LogEvent, line: LineOrMaker) -> None: ...


def host_log(redact: Redact = scrub, *, counters: Counter[str] | None = None) -> Log:
    """The log of this process, as the host configured it when this is called.

    ``redact`` is applied to text that comes from elsewhere (:attr:`LogEvent.quotes`) before any sink sees it.
    ``counters`` get ``log.raised``: lines on which a processor or sink of the host raised.
    """
    counted = Counter[str]() if counters is None else counters
    to_stdlib = _stdlib_writer(counted)
    write, deaf_to = to_stdlib, frozenset[str]()
    has_structlog = _host_configured_structlog()
    if has_structlog:
        from nexus3.observe import to_structlog

        write, deaf_to = to_structlog.writer(counted, to_stdlib), to_structlog.dropped_levels()

    def log(event: LogEvent, line: LineOrMaker) -> None:
        if event.level in deaf_to or not (has_structlog or _LOGGER.isEnabledFor(_STDLIB_LEVELS[event.level])):
            return
        data = line() if callable(line) else line
        if event.quotes:
            data = {**data, **{key: printable(redact(str(data[key]))) for key in event.quotes if key in data}}
        write(event, data)

    return log


_Write = Callable[[LogEvent, Line], None]


def _host_configured_structlog() -> bool:
    if "structlog" not in sys.modules:
        return False  # nobody configured what nobody imported; and it takes a while to import it, and rich with it
    import structlog

    return structlog.is_configured()


def _stdlib_writer(counters: Counter[str]) -> _Write:
    def write(event: LogEvent, data: Line) -> None:
        try:
            level = _STDLIB_LEVELS[event.level]
            if _LOGGER.isEnabledFor(level):
                _LOGGER.log(level, "%s %s", event.name, _Text(data), extra={"nexus3": dict(data)})
        except Exception:  # noqa: BLE001 - a host's handler or filter that raises must not change an outcome
            counters["log.raised"] += 1

    return write


class _Text:
    """Written out only where a handler formats it: the silent host does not pay for it."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self._data = data

    def __str__(self) -> str:
        return " ".join(f"{key}={value!r}" for key, value in self._data.items())
