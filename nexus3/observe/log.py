"""Hands catalogued events to the host's logger, and never hurts.

The host is never configured. Where it configured structlog, lines go there; else to ``logging.getLogger("nexus3")``,
which is silent until the host gives it a handler. (structlog unconfigured would print to standard output.)
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import structlog

from nexus3.observe.catalog import LogEvent

logging.getLogger("nexus3").addHandler(logging.NullHandler())

_STDLIB_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Log(Protocol):
    """Takes one line. Never raises, never blocks on us, never reads the clock."""

    def __call__(self, event: LogEvent, data: Mapping[str, object]) -> None: ...


def host_log() -> Log:
    """The log of this process, as the host configured it when this is called."""
    return _structlog_log() if structlog.is_configured() else _stdlib_log


def _structlog_log() -> Log:
    logger = structlog.get_logger("nexus3")
    methods = {level: getattr(logger, level) for level in _STDLIB_LEVELS}

    def log(event: LogEvent, data: Mapping[str, object]) -> None:
        try:
            methods[event.level](event.name, **data)
        except Exception:  # noqa: BLE001 - a host's processor or sink that raises must not change an outcome
            _stdlib_log(event, data)

    return log


def _stdlib_log(event: LogEvent, data: Mapping[str, object]) -> None:
    logger = logging.getLogger("nexus3")
    level = _STDLIB_LEVELS[event.level]
    if logger.isEnabledFor(level):
        line = " ".join(f"{key}={value!r}" for key, value in data.items())
        # A host's handler that raises must not change an outcome.
        with suppress(Exception):
            logger.log(level, "%s %s", event.name, line, extra={"nexus3": dict(data)})
