"""Log lines for applications that have no logging of their own: one call, opt-in. The library never calls it.

It configures structlog for the whole process, which is the application's right and no library's. Without rich.
"""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Protocol, TextIO, cast

from nexus3.observe.catalog import Level
from nexus3.observe.redact import redact_secrets

if TYPE_CHECKING:
    from structlog.typing import Processor

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
    processors: Iterable["Processor"] = (),
) -> None:
    """Write lines of ``level`` and above to ``stream`` (standard error), for reading or as one JSON object each.

    What the caller of a request bound by ``structlog.contextvars`` is on its lines. Known shapes of secrets are taken
    out of every line, exceptions are written without locals. ``processors`` come before both, in their order:
    :func:`~nexus3.observe.otel.otel_trace_ids`, ``redacting(Redactor(secrets))``, or your own. Colours only on a
    terminal, and never where ``NO_COLOR`` is set.

    Call it before ``open_supervisor``: a supervisor keeps the log it found. A second call replaces the first.
    """
    import structlog  # here: who does not call this need not wait for it

    from nexus3.observe import rendering

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
            stamp = rendering.stamp_iso
            renderer = rendering.render_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            *processors,
            redact_secrets,
            renderer,
        ],
        wrapper_class=rendering.logger_class(level),
        # structlog writes and flushes, no more; its annotation asks for a whole TextIO.
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", sink)),
        cache_logger_on_first_use=False,
    )


def _wants_colours(stream: Stream) -> bool:
    # On Windows structlog's colours need a package that may not be there.
    return (
        stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
        and sys.platform != "win32"
    )
