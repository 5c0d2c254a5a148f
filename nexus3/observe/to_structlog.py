"""Lines for a host that configured structlog. Imported only there: structlog takes longer to import than the rest."""

from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from nexus3.observe.catalog import LOG_SINK_FAILED, LogEvent

_LEVELS = ("debug", "info", "warning", "error")

Write = Callable[[LogEvent, Mapping[str, object]], None]
"""Writes a catalogued event with what its line says."""


def dropped_levels() -> frozenset[str]:
    """Those for which its filtering logger has a method that does nothing, which it names so. Where that is not known,
    nothing is lost but time: whatever else the host filters by, it sees every line."""
    logger = structlog.get_logger("nexus3")
    return frozenset(level for level in _LEVELS if getattr(getattr(logger, level), "__name__", "") == "_nop")


def writer(counters: Counter[str], otherwise: Write) -> Write:
    """Writes to the logger as it is configured now. Raises nothing: a line on which a processor or sink of the host
    raised is counted as ``log.raised`` and goes ``otherwise``; the first time that is said, too."""
    logger = structlog.get_logger("nexus3").bind()
    methods = {level: getattr(logger, level) for level in _LEVELS}
    takes_lines = vars(type(logger)).get("write_line") is write_line
    said = False

    def write(event: LogEvent, data: Mapping[str, object]) -> None:
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


def write_line(logger: structlog.BoundLoggerBase, level: str, event: str, line: Mapping[str, object]) -> None:
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
