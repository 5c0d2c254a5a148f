"""What operators are told, and what they are never told."""

import io
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from nexus3 import CompletionRequest, Message, ProviderError, Role, Submission, open_supervisor
from nexus3.loopback import Answer, Cut, open_loopback
from nexus3.observe import configure
from nexus3.observe.catalog import ACTOR_CRASHED, ACTOR_STARTED, CATALOG
from nexus3.observe.log import host_log
from nexus3.observe.redact import Redactor
from nexus3.testing import crash

PROMPT = "a very private prompt"
REQUEST = CompletionRequest(messages=(Message(role=Role.USER, content=PROMPT),))
BY_NAME = {event.name: event for event in CATALOG}


@pytest.fixture
def configured() -> Iterator[None]:
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()])
    yield
    structlog.reset_defaults()


def test_an_unconfigured_host_stays_silent() -> None:
    program = (
        "import trio\nfrom nexus3 import *\n"
        "async def main():\n"
        "    async with open_supervisor('loopback') as sup:\n"
        "        await sup.complete(CompletionRequest(messages=[{'role': 'user', 'content': 'hi'}]))\n"
        "trio.run(main)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_a_host_may_import_structlog_after_nexus3_or_never() -> None:
    program = (
        "import sys\n"
        "from nexus3.observe.catalog import ACTOR_STARTED\n"
        "from nexus3.observe.log import host_log\n"
        "host_log()(ACTOR_STARTED, {'actor': 'unheard', 'generation': 1})\n"
        "assert 'structlog' not in sys.modules\n"
        "import structlog\n"
        "structlog.configure(processors=[structlog.processors.KeyValueRenderer()])\n"
        "host_log()(ACTOR_STARTED, {'actor': 'a', 'generation': 1})\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == ("actor='a' generation=1 event='actor.started'\n", "")


async def test_a_host_with_plain_logging_gets_records_with_data(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nexus3")
    async with open_supervisor("loopback") as sup:
        await sup.complete(REQUEST)
    settled = [record for record in caplog.records if record.message.startswith("request.settled")]
    assert len(settled) == 1
    assert vars(settled[0])["nexus3"]["nexus3.outcome"] == "completed"


@pytest.mark.usefixtures("configured")
async def test_every_line_is_in_the_catalogue_with_its_level_and_keys_and_tells_no_secret() -> None:
    answers = [Answer("ok"), Answer(["a", "b"], fault=Cut(after=1)), Answer(status=500), Answer(status=401)]
    with capture_logs() as lines:
        async with open_loopback(script=answers, seed=1) as server:
            config: dict[str, Any] = dict(server.config, supervisor={"backoff_min": 0.01})
            config["providers"] = {
                **config["providers"],
                "openai": {**config["providers"]["openai"], "api_key": "sk-canary-canary-canary"},
            }
            async with open_supervisor(config) as sup:
                for _ in range(4):
                    with suppress(ProviderError):
                        await sup.complete(REQUEST)
                crash(sup, "openai")
                await trio.sleep(0.1)
    for line in lines:
        event = BY_NAME[line["event"]]
        assert line["log_level"] == event.level
        keys = set(line) - {"event", "log_level"}
        assert set(event.keys) <= keys <= {*event.keys, *event.optional}, event.name
    names = {line["event"] for line in lines}
    assert {"supervisor.started", "actor.started", "actor.crashed", "actor.restarting", "request.accepted"} <= names
    assert {"request.settled", "request.retrying", "actor.stopped", "supervisor.stopped"} <= names
    assert PROMPT not in repr(lines)
    assert "canary" not in repr(lines)
    settled = [line for line in lines if line["event"] == "request.settled"]
    accepted = [line["request"] for line in lines if line["event"] == "request.accepted"]
    assert [line["request"] for line in settled] == accepted
    for line in settled:
        assert 0 <= line["nexus3.queue_s"] <= line["nexus3.total_s"]


@pytest.mark.usefixtures("configured")
async def test_the_caller_s_context_is_on_the_request_s_lines() -> None:
    bound: list[str | None] = []

    def remember(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if str(line["event"]).startswith("request."):
            bound.append(line.get("tenant"))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, remember])
    async with (
        open_loopback(script=[Answer(status=500), Answer("ok")]) as server,
        open_supervisor(server.config) as sup,
    ):
        with structlog.contextvars.bound_contextvars(tenant="acme"):
            submission = Submission(REQUEST)
        async with sup.submissions() as submit:
            await submit.send(submission)
        async with submission.events as events:
            async for _ in events:
                pass
    assert bound == ["acme", "acme", "acme"], "accepted, retrying, settled"


class _Prefixing(structlog.BoundLoggerBase):
    def info(self, event: str, **line: object) -> None:
        self._proxy_to_logger("info", f"host: {event}", **line)

    debug = warning = error = info

    def write_line(self, *_: object) -> None:
        """A name that a host may well have used, too."""


@pytest.mark.parametrize("inherits", [False, True])
def test_what_the_host_s_own_logger_does_is_done_to_our_lines(inherits: bool) -> None:
    configure("json", stream=io.StringIO())
    ours = structlog.get_config()["wrapper_class"]
    wrapper = type("Wrapper", (ours,), {"info": _Prefixing.info}) if inherits else _Prefixing
    sink = structlog.testing.CapturingLogger()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], wrapper_class=wrapper, logger_factory=lambda *_: sink
    )
    try:
        host_log()(ACTOR_STARTED, {"actor": "a", "generation": 1})
    finally:
        structlog.reset_defaults()
    assert [(call.method_name, call.args) for call in sink.calls] == [
        ("info", ("actor='a' generation=1 event='host: actor.started'",))
    ]


@pytest.fixture
def broken_chain() -> Iterator[None]:
    def broken(_: object, __: str, ___: structlog.typing.EventDict) -> structlog.typing.EventDict:
        raise OSError("disk full, while writing a canary")

    structlog.configure(processors=[broken])
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("broken_chain")
async def test_a_sink_that_raises_changes_no_outcome(capfd: pytest.CaptureFixture[str]) -> None:
    async with open_supervisor("loopback") as sup:
        assert (await sup.complete(REQUEST)).message.content
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.usefixtures("broken_chain")
def test_a_sink_that_raises_is_counted_said_once_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "nexus3")
    counters = Counter[str]()
    log = host_log(counters=counters)
    log(ACTOR_STARTED, {"actor": "a", "generation": 1})
    log(ACTOR_STARTED, {"actor": "a", "generation": 2})
    assert counters == {"log.raised": 2}
    assert [record.message for record in caplog.records] == [
        "log.sink_failed error='OSError'",
        "actor.started actor='a' generation=1",
        "actor.started actor='a' generation=2",
    ]


def test_a_stdlib_handler_that_raises_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    logger, handler = logging.getLogger("nexus3"), Broken()
    caplog.set_level(logging.INFO, "nexus3")
    counters = Counter[str]()
    logger.addHandler(handler)
    try:
        host_log(counters=counters)(ACTOR_STARTED, {"actor": "a", "generation": 1})
    finally:
        logger.removeHandler(handler)
    assert counters == {"log.raised": 1}


@pytest.mark.usefixtures("configured")
def test_what_a_line_quotes_is_redacted_before_any_sink_sees_it() -> None:
    error = "LocalProtocolError: Illegal header value b'Bearer abcdefgh' at \x1b[2J known-to-the-host"
    with capture_logs() as lines:
        log = host_log(Redactor(["known-to-the-host"]))
        log(ACTOR_CRASHED, {"actor": "a", "generation": 1, "error": error})
    assert lines == [
        {
            "event": "actor.crashed",
            "log_level": "error",
            "actor": "a",
            "generation": 1,
            "error": "LocalProtocolError: Illegal header value b'Bearer [redacted]' at \\x1b[2J [redacted]",
        }
    ]
