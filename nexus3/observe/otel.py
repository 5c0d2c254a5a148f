"""structlog processors that fit our lines to OpenTelemetry. Optional; the package ``opentelemetry`` is not needed."""

from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from nexus3.observe.catalog import CATALOG

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_ATTRIBUTES = {
    event.name: {
        key: "nexus3.request.id" if key == "request" else f"nexus3.{key}"
        for key in (*event.keys, *event.optional)
        if "." not in key
    }
    for event in CATALOG
}


def rename_for_otel(_logger: "WrappedLogger", _method: str, line: "EventDict") -> "EventDict":
    """The short keys of our lines as attributes in the namespace ``nexus3.*``; lines that are not ours stay.

    For back-ends that keep the keys of all libraries in one space. ``request`` becomes ``nexus3.request.id``.
    """
    attributes = _ATTRIBUTES.get(line.get("event", ""))
    return {attributes.get(key, key): value for key, value in line.items()} if attributes else line


def otel_trace_ids(_logger: "WrappedLogger", _method: str, line: "EventDict") -> "EventDict":
    """``trace_id`` and ``span_id`` of the current span, in hexadecimal, where there is one.

    On the lines of a request it is the span in which the request was made: its exchange runs in the caller's context.
    """
    trace = _opentelemetry_trace()
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = f"{context.trace_id:032x}"
            line["span_id"] = f"{context.span_id:016x}"
    return line


@cache
def _opentelemetry_trace() -> ModuleType | None:
    """Imported at the first line, not with nexus3; a failed import is not tried again, for it is slow each time."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace
