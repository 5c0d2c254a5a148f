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
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from nexus3.observe.catalog import LOG_SINK_FAILED, LogEvent
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
    has_structlog = structlog.is_configured()
    write = _structlog_writer(counted, to_stdlib) if has_structlog else to_stdlib
    deaf_to = _levels_dropped_by_structlog() if has_structlog else frozenset[str]()

    def log(event: LogEvent, line: LineOrMaker) -> None:
        if event.level in deaf_to or not (has_structlog or _LOGGER.isEnabledFor(_STDLIB_LEVELS[event.level])):
            return
        data = line() if callable(line) else line
        if event.quotes:
            data = {**data, **{key: printable(redact(str(data[key]))) for key in event.quotes if key in data}}
        write(event, data)

    return log


_Write = Callable[[LogEvent, Line], None]


def _levels_dropped_by_structlog() -> frozenset[str]:
    """Those for which its filtering logger has a method that does nothing, which it names so. Where that is not known,
    nothing is lost but time: whatever else the host filters by, it sees every line."""
    logger = structlog.get_logger("nexus3")
    return frozenset(level for level in _STDLIB_LEVELS if getattr(getattr(logger, level), "__name__", "") == "_nop")


def _structlog_writer(counters: Counter[str], otherwise: _Write) -> _Write:
    logger = structlog.get_logger("nexus3").bind()
    methods = {level: getattr(logger, level) for level in _STDLIB_LEVELS}
    takes_lines = vars(type(logger)).get("write_line") is write_line
    said = False

    def write(event: LogEvent, data: Line) -> None:
        nonlocal said
        try:
            if takes_lines:
                write_line(logger, event.level, event.name, data)
            else:
                methods[event.level](event.name, **data)
        except Exception as error:  # noqa: BLE001 - a host's processor or sink that raises must not change an outcome
            counters["log.raised"] += 1
            if not said:
                said = True
                # The type alone: the message of a foreign exception may quote the line.
                otherwise(LOG_SINK_FAILED, {"error": type(error).__name__})
            otherwise(event, data)

    return write


def write_line(logger: structlog.BoundLoggerBase, level: str, event: str, line: Line) -> None:
    """What ``logger.<level>(event, **line)`` does in structlog's filtering loggers, for a level that they let through:
    each call on that way packs the keywords anew, a quarter of all that a wide line costs.

    Only loggers whose class itself has it are written to by it: others, and those that inherit from it, may do
    something of their own in the methods that this one passes by.
    """
    try:
        arguments, keywords = logger._process_event(level, event, dict(line))  # noqa: SLF001 - for methods of loggers
        getattr(logger._logger, level)(*arguments, **keywords)  # noqa: SLF001 - as that
    except structlog.DropEvent:
        return


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
