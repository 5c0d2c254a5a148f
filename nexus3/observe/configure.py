"""Log lines for applications that have no logging of their own: one call, opt-in. The library never calls it.

It configures structlog for the whole process, which is the application's right and no library's. Without rich.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Protocol, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from nexus3.observe.catalog import Level
from nexus3.observe.log import write_line
from nexus3.observe.redact import redact_secrets

Format = Literal["console", "json"]


class Stream(Protocol):
    """What a sink must be able to do: a text stream, or a :class:`~nexus3.observe.queued.QueuedStream`."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


def configure(
    format: Format = "console",  # noqa: A002 - the word a reader looks for
    *,
    level: Level = "info",
    stream: Stream | None = None,
    processors: Iterable[Processor] = (),
) -> None:
    """Write lines of ``level`` and above to ``stream`` (standard error), for reading or as one JSON object each.

    What the caller of a request bound by ``structlog.contextvars`` is on its lines. Known shapes of secrets are taken
    out of every line, exceptions are written without locals. ``processors`` come before both, in their order:
    :func:`~nexus3.observe.otel.otel_trace_ids`, ``redacting(Redactor(secrets))``, or your own. Colours only on a
    terminal, and never where ``NO_COLOR`` is set.

    Call it before ``open_supervisor``: a supervisor keeps the log it found. A second call replaces the first.
    """
    sink = sys.stderr if stream is None else stream
    stamp: Processor
    renderer: Processor
    match format:
        case "console":
            stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
            renderer = structlog.dev.ConsoleRenderer(
                colors=_wants_colours(sink),
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,  # the catalogue's order is for reading
                pad_event_to=20,
            )
        case "json":
            stamp = _stamp_iso
            renderer = _render_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            *processors,
            redact_secrets,
            renderer,
        ],
        wrapper_class=_logger_class(level),
        # structlog writes and flushes, no more; its annotation asks for a whole TextIO.
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", sink)),
        cache_logger_on_first_use=False,
    )


def _logger_class(level: Level) -> type[FilteringBoundLogger]:
    """structlog's own, with one method more for the lines of this library."""
    filtering = structlog.make_filtering_bound_logger(level)
    return cast("type[FilteringBoundLogger]", type(filtering.__name__, (filtering,), {"write_line": write_line}))


def _stamp_iso(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """What structlog's TimeStamper writes as ``iso``, in less than half of its time: on most lines only the fraction is
    new. A whole second has none."""
    second, micros = divmod(time.time_ns() // 1000, 1_000_000)
    fraction = f".{micros:06d}" if micros else ""
    line["timestamp"] = f"{_second(second)}{fraction}Z"
    return line


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


_encode = msgspec.json.Encoder().encode


def _render_json(logger: WrappedLogger, method: str, line: EventDict) -> str | bytes:
    """By msgspec, in a third of what the standard library takes; what it does not know goes structlog's way."""
    try:
        return _encode(line).decode()
    except (TypeError, ValueError, RecursionError):
        return _render_oddly(logger, method, line)


def _json(line: object, *, default: Callable[[object], object]) -> str:
    """What msgspec refuses (half characters, keys that are no text), the standard library spells somehow."""
    try:
        return msgspec.json.encode(line, enc_hook=default).decode()
    except (TypeError, ValueError, RecursionError):
        return json.dumps(line, default=default, skipkeys=True)


_render_oddly = structlog.processors.JSONRenderer(serializer=_json)


def _wants_colours(stream: Stream) -> bool:
    # On Windows structlog's colours need a package that may not be there.
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and sys.platform != "win32"
    )
