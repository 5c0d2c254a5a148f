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
from nexus3.observe.catalog import ACTOR_STARTED, MAILBOX_SHED
from nexus3.observe.log import host_log


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


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456Z"),
        (1_700_000_000_000_001_000, "2023-11-14T22:13:20.000001Z"),
        (1_700_000_000_000_000_999, "2023-11-14T22:13:20Z"),
        (1_700_000_001_999_999_999, "2023-11-14T22:13:21.999999Z"),
        (951_782_399_500_000_000, "2000-02-28T23:59:59.500000Z"),
        (951_782_400_500_000_000, "2000-02-29T00:00:00.500000Z"),
    ],
)
def test_json_lines_say_when(nanoseconds: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: nanoseconds)
    sink = io.StringIO()
    configure("json", stream=sink)
    structlog.get_logger().info("hello")
    assert json.loads(sink.getvalue()) == {"event": "hello", "level": "info", "timestamp": shown}


def test_json_lines_tell_the_time_that_structlog_tells() -> None:
    now = structlog.processors.TimeStamper(fmt="iso", utc=True)
    sink = io.StringIO()
    configure("json", stream=sink)
    before = now(None, "info", {})["timestamp"]
    structlog.get_logger().info("hello")
    assert before <= json.loads(sink.getvalue())["timestamp"] <= now(None, "info", {})["timestamp"]


def test_our_lines_are_to_the_byte_what_a_logger_of_structlog_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    line = {"actor": "a ü hf_0123456789", "generation": 1, "none": None, "reasons": ["stop"], "odd": {1, 2}}

    def drop_shed(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if line["event"] == "mailbox.shed":
            raise structlog.DropEvent
        return line

    written: list[str] = []
    for filtering in (None, structlog.make_filtering_bound_logger("info")):
        sink = io.StringIO()
        configure("json", stream=sink, processors=[drop_shed])
        structlog.configure(wrapper_class=filtering)
        with structlog.contextvars.bound_contextvars(tenant="acme", actor="hidden by the line's own"):
            log = host_log()
            log(ACTOR_STARTED, line)
            log(MAILBOX_SHED, {"request": "r1", "actor": "a"})
            structlog.get_logger().info("actor.started", **line)
        written += sink.getvalue().splitlines()
    assert len(written) == 4, "two lines each, and none that was dropped"
    assert set(written) == {written[0]}
    assert '"tenant"' in written[0]
    assert "[redacted]" in written[0]


def test_what_json_cannot_say_is_spelled_somehow() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "odd"

    sink = io.StringIO()
    configure("json", stream=sink)
    structlog.get_logger().info("hello", half="\ud800", _own=Odd())
    shown = json.loads(sink.getvalue())
    assert (shown["half"], shown["_own"]) == ("\ud800", "odd")
