"""Where things end up in an application: every place that a secret must not be seen in."""

import gc
import io
import json
import logging
import pickle
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import structlog

from nexus3 import ProviderError, StreamEvent
from nexus3.rawlog import logged_attempt
from tests.rawlog.heard import Heard

Logging = Literal["structlog", "stdlib"]


@dataclass
class Caught:
    """What one scenario gave to its host."""

    errors: list[BaseException] = field(default_factory=list)
    events: list[StreamEvent] = field(default_factory=list)
    state: list[object] = field(default_factory=list)
    """Configuration, snapshots, obituaries."""
    raw_log: list[str] = field(default_factory=list)
    """What the hooks of a raw log were given."""
    cassette: list[str] = field(default_factory=list)
    """What ``nexus3 record`` wrote into its file, and told on the terminal and to the application."""
    foreign: list[str] = field(default_factory=list)
    """What a server got that nobody meant to send anything to."""

    def failures(self) -> set[str]:
        """Kinds and reasons, to see that the scenario went as meant."""
        return {
            f"{error.kind}/{error.reason}" if isinstance(error, ProviderError) else type(error).__name__
            for error in self.errors
        }


class Overheard(Heard):
    """Hooks that write down everything that they are given, and what they can find out about it."""

    def __init__(self, caught: Caught) -> None:
        super().__init__()
        self._lines = caught.raw_log

    def _note(self, *call: object) -> None:
        self._lines.append(json.dumps([*call, logged_attempt()], ensure_ascii=False))


@contextmanager
def logged(way: Logging) -> Iterator[io.StringIO]:
    """The host's logging, as talkative as it gets; tracebacks with the values of locals."""
    lines = io.StringIO()
    root, before = logging.getLogger(), logging.getLogger().level
    handler = logging.StreamHandler(lines)
    handler.setFormatter(_Everything("%(name)s %(message)s"))
    try:
        if way == "structlog":
            structlog.configure(
                processors=[
                    structlog.contextvars.merge_contextvars,
                    structlog.processors.add_log_level,
                    structlog.processors.dict_tracebacks,  # shows locals, unless told not to
                    structlog.processors.JSONRenderer(serializer=json.dumps, ensure_ascii=False),
                ],
                logger_factory=structlog.WriteLoggerFactory(file=lines),
            )
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        structlog.reset_defaults()


class _Everything(logging.Formatter):
    """What a line says, and the data that handlers of structured logs take from it."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {getattr(record, 'nexus3', '')!r}"


def log_as_a_host_does(way: Logging, errors: list[BaseException]) -> None:
    """Every application has this line somewhere."""
    for error in errors:
        if way == "structlog":
            structlog.get_logger("app").error("failed", exc_info=error)
        else:
            logging.getLogger("app").error("failed: %s %r", error, error, exc_info=error)


def chain(error: BaseException) -> list[BaseException]:
    """The error and all that hangs on it: causes, contexts (suppressed ones too), members of groups."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        link = left.pop()
        if link is None or any(link is known for known in found):
            continue
        found.append(link)
        left += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            left += link.exceptions
    return found


def errors_of(caught: Caught) -> list[BaseException]:
    """Those raised, and those that came as data."""
    told = [error for event in caught.events if isinstance(error := getattr(event, "error", None), BaseException)]
    return [link for error in [*caught.errors, *told] for link in chain(error)]


def texts(caught: Caught) -> list[str]:
    """``str`` and ``repr``."""
    return [text for item in [*errors_of(caught), *caught.events] for text in (str(item), repr(item))]


def tracebacks(caught: Caught) -> list[str]:
    """As the standard library writes them with the values of locals, which error trackers do by default."""
    return [
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        for error in errors_of(caught)
    ]


def pickles(caught: Caught) -> list[bytes]:
    """For another process. Errors of others may not be made for it."""
    mine = [error for error in errors_of(caught) if type(error).__module__.startswith("nexus3")]
    return [pickle.dumps(item) for item in [*mine, *caught.events]]


def states(caught: Caught) -> list[str]:
    """What is printed in a debugger, or by an operator's page."""
    return [text for item in caught.state for text in (str(item), repr(item))]


_OPAQUE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.FrameType, types.TracebackType, type)
"""From these, everything in the process can be reached. Locals of frames are looked at by :func:`tracebacks`."""


def reachable(caught: Caught) -> list[str | bytes]:
    """All text that hangs on the errors, at whatever depth: what a debugger or a serialiser finds there."""
    found: list[str | bytes] = []
    seen: set[int] = set()
    left: list[object] = list(errors_of(caught))
    while left:
        item = left.pop()
        if id(item) in seen or isinstance(item, _OPAQUE):
            continue
        seen.add(id(item))
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, bytes | bytearray):
            found.append(bytes(item))
        else:
            left += gc.get_referents(item)
    return found
