"""Processors for hosts that speak OpenTelemetry."""

import subprocess
import sys

import pytest
import structlog

from nexus3.observe.otel import otel_trace_ids, rename_for_otel


def test_our_short_keys_get_a_namespace() -> None:
    line = {"event": "request.requeued", "request": "r1", "actor": "a", "crashes": 1, "tenant": "acme", "level": "info"}
    assert rename_for_otel(None, "info", line) == {
        "event": "request.requeued",
        "nexus3.request.id": "r1",
        "nexus3.actor": "a",
        "nexus3.crashes": 1,
        "tenant": "acme",
        "level": "info",
    }


@pytest.mark.parametrize("event", ["theirs", None, 3])
def test_lines_of_others_stay(event: object) -> None:
    line = {"event": event, "request": "GET /", "actor": "Chaplin"}
    assert rename_for_otel(None, "info", dict(line)) == line


def test_the_current_span_is_on_the_line() -> None:
    trace = pytest.importorskip("opentelemetry.trace", reason="opentelemetry-api is not installed")
    context = trace.SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False)
    line: structlog.typing.EventDict = {"event": "e"}
    assert otel_trace_ids(None, "info", dict(line)) == line, "no span, no ids"
    with trace.use_span(trace.NonRecordingSpan(context)):
        assert otel_trace_ids(None, "info", line) == {
            "event": "e",
            "trace_id": "00000000000000000000000000000abc",
            "span_id": "0000000000000def",
        }


def test_without_opentelemetry_lines_pass_and_nothing_imports_it_early() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"  # what makes an import fail
        "from nexus3.observe import otel_trace_ids\n"
        "assert otel_trace_ids(None, 'info', {'event': 'e'}) == {'event': 'e'}\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.')]\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
