"""The one call for applications without logging of their own."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from nexus3 import CompletionRequest, Message, Role, open_supervisor
from nexus3.observe import Redactor, configure, redacting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


async def test_json_lines_of_a_request_carry_the_caller_s_context() -> None:
    sink = io.StringIO()
    configure("json", stream=sink)
    async with open_supervisor("loopback") as sup:
        with structlog.contextvars.bound_contextvars(tenant="acme"):
            await sup.complete(CompletionRequest(messages=(Message(role=Role.USER, content="a private prompt"),)))
    lines: list[dict[str, Any]] = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert {line["level"] for line in lines} == {"info"}, "debug is below the default level"
    assert [line["event"] for line in lines if line.get("tenant") == "acme"] == ["request.settled"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"]) for line in lines)
    assert "private" not in sink.getvalue()


def test_console_lines_are_plain_where_nobody_watches() -> None:
    sink = io.StringIO()
    configure(stream=sink)
    structlog.get_logger().info("actor.started", actor="a", generation=1)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info +\] actor.started +actor=a generation=1\n", sink.getvalue())


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
@pytest.mark.skipif(sys.platform == "win32", reason="never coloured on Windows")
def test_colours_on_a_terminal_unless_they_are_not_wanted(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sink = Terminal()
    configure(stream=sink)
    structlog.get_logger().info("hello")
    assert ("\x1b[" in sink.getvalue()) is coloured


@pytest.mark.parametrize("kind", ["console", "json"])
def test_no_key_and_no_local_gets_out(kind: Any) -> None:
    sink = io.StringIO()
    configure(kind, stream=sink, processors=[redacting(Redactor(["a-secret-of-no-shape"]))])
    local = "canary-" + "local"
    try:
        raise ValueError("sk-proj-0123456789abcdef and a-secret-of-no-shape")
    except ValueError:
        structlog.get_logger().exception("failed", header={"x-api-key": "short"}, n=len(local))
    assert "ValueError: [redacted] and [redacted]" in sink.getvalue()
    assert "Traceback" in sink.getvalue()
    for hidden in ("sk-proj", "no-shape", "short", "canary-local"):
        assert hidden not in sink.getvalue()


@pytest.mark.parametrize("kind", ["console", "json"])
def test_known_shapes_of_keys_go_unasked(kind: Any) -> None:
    sink = io.StringIO()
    configure(kind, stream=sink)
    structlog.get_logger().info("sent", header="Bearer abcdefghijkl")
    assert "Bearer [redacted]" in sink.getvalue()


def test_a_second_call_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("json", stream=first)
    configure("json", level="error", stream=second)
    structlog.get_logger().warning("too low")
    structlog.get_logger().error("seen")
    assert first.getvalue() == ""
    assert [json.loads(line)["event"] for line in second.getvalue().splitlines()] == ["seen"]


def test_it_needs_no_rich_and_writes_to_standard_error() -> None:
    program = (
        "import sys\n"
        "sys.modules['rich'] = None\n"  # what makes an import fail
        "import structlog\n"
        "from nexus3.observe import configure\n"
        "configure()\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    structlog.get_logger().exception('failed')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == ""
    assert "failed" in ran.stderr
    assert "ZeroDivisionError" in ran.stderr
