"""What is told to operators: the catalogue of log events, and the one place that hands them to a logger.

For applications: :func:`configure` where they have no logging of their own, and processors where they have.
"""

from nexus3.observe.configure import configure
from nexus3.observe.otel import otel_trace_ids, rename_for_otel
from nexus3.observe.queued import QueuedStream
from nexus3.observe.redact import Redactor, redact_secrets, redacting

__all__ = [
    "QueuedStream",
    "Redactor",
    "configure",
    "otel_trace_ids",
    "redact_secrets",
    "redacting",
    "rename_for_otel",
]
