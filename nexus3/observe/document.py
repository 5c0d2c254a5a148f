"""The page of all log events, ``docs/logs.md``, written from the catalogue::

python -m nexus3.observe.document > docs/logs.md
"""

import sys
from collections.abc import Iterable, Iterator

from nexus3.observe.catalog import CATALOG, LogEvent
from nexus3.observe.genai import ESTABLISHED, LATEST, OPT_IN, OPT_IN_VARIABLE

_HEAD = """\
# Log events

Written by `python -m nexus3.observe.document` from `nexus3/observe/catalog.py`; edit that.

nexus3 never configures logging. Where the application has configured structlog, lines go to `structlog.get_logger()`;
else to the standard library's logger `nexus3`, silent until it is given a handler, with the data of a line in
`record.nexus3`. An application that has no logging yet calls `nexus3.observe.configure()` (console lines) or
`nexus3.observe.configure("json")`, before `open_supervisor`.

* Names are constant; all data is in keys. No line carries a prompt, a completion, a header or a key.
* What a caller has bound by `structlog.contextvars` when it makes a request is on all lines of that request.
* Info is life as planned, warning is trouble that was coped with, error is something that a person must look at.
* A processor or sink that raises changes no outcome: the line goes to the logger `nexus3` and is counted
  (`log.raised` among the counters of a snapshot).
* A sink that blocks blocks the run, for lines are written where they arise. `nexus3.observe.QueuedStream` before a
  stream takes lines into a bounded queue that a thread empties; where it is full they are dropped and counted
  (its `dropped`).
* Seconds are floats; ids of requests (`r1`, `r2`, ...) are unique within a supervisor.
* Processors for your own chain, all in `nexus3.observe`: `redact_secrets`, last before the renderer, takes keys of
  known shapes out of every line and writes exceptions without locals; `redacting(Redactor(secrets))` also takes out
  exact values. `otel_trace_ids` adds the caller's trace, `rename_for_otel` puts short keys into the namespace
  `nexus3.*`.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_table(), "", *_generations()]) + "\n"


def _table() -> Iterator[str]:
    yield "## Events"
    yield ""
    yield "| event | level | keys | meaning |"
    yield "|---|---|---|---|"
    yield from (f"| `{event.name}` | {event.level} | {_keys(event)} | {event.means} |" for event in CATALOG)


def _keys(event: LogEvent) -> str:
    always = _code(event.keys)
    return f"{always}; where known: {_code(event.optional)}" if event.optional else always


def _generations() -> Iterator[str]:
    yield "## Two generations of GenAI names"
    yield ""
    yield f"With `{OPT_IN_VARIABLE}` containing `{OPT_IN}`, OpenTelemetry's newer names are used:"
    yield ""
    for field in ESTABLISHED.__struct_fields__:
        old, new = getattr(ESTABLISHED, field), getattr(LATEST, field)
        if old != new:
            yield f"* `{old}` becomes `{new}`."


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(markdown())
