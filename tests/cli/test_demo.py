"""The demo in this process, five times as fast, with servers that do not play their part."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from trio.testing import MockClock

from nexus3.cli import commands
from nexus3.cli.demo import run as demo
from nexus3.cli.demo.acts import run_tool
from nexus3.cli.demo.checks import Checks
from nexus3.cli.demo.recordings import Chosen, choose
from nexus3.cli.demo.screen import Screen
from nexus3.cli.demo.script import demo_script
from nexus3.loopback import Answer, Received
from nexus3.wire.messages import ToolCall
from tests.cli import recordings


@pytest.fixture
def fast() -> MockClock:
    """The run's clock. The sockets are real, so it runs faster rather than jumping."""
    return MockClock(rate=5)


def plain() -> tuple[Screen, io.StringIO]:
    paper = io.StringIO()
    return Screen(Console(file=paper, color_system=None, width=100), live=False), paper


async def test_a_provider_that_only_fails_is_named_and_the_rest_goes_on(fast: MockClock) -> None:
    usual = demo_script()

    def broken(received: Received) -> Answer | None:
        return Answer(status=400) if received.route.flavour == "anthropic" else usual(received)

    screen, paper = plain()
    checks = await demo.run_demo(screen, script=broken)

    failed = [
        "anthropic streamed its whole answer",
        "all six streams were open at the same time",
        "the model called days_between with two dates",
        "its answer has the result of the function",
    ]
    assert [check.name for check in checks.failed] == failed
    assert not checks.all_passed
    lines = paper.getvalue().splitlines()
    assert lines[-5:] == [*(f"failed: {name}" for name in failed), "16 of 20 as told"]
    assert "   FAILED  anthropic streamed its whole answer" in lines


async def test_a_server_that_says_something_else_fails_every_fact_about_its_words(fast: MockClock) -> None:
    screen, paper = plain()
    checks = await demo.run_demo(screen, script=lambda received: Answer("No."))

    passed = [check.name for check in checks.done if check.passed]
    assert passed == [
        "six actors are ready",
        "every accepted request ended exactly once",
        "nothing is queued or in flight any more",
    ]
    assert paper.getvalue().endswith("3 of 20 as told\n")


async def test_a_recording_that_comes_out_otherwise_is_named(fast: MockClock, tmp_path: Path) -> None:
    (chosen,) = choose(recordings.write(tmp_path, recordings.OLLAMA_REASONING))
    expected = msgspec.structs.replace(chosen.recording.expected, text="Five.")
    wrong = Chosen(chosen.kind, msgspec.structs.replace(chosen.recording, expected=expected), chosen.record)
    screen, _ = plain()
    checks = await demo.run_demo(screen, [wrong])
    assert [check.name for check in checks.failed] == ["the recording hand-ollama-reasoning came out as recorded"]


async def test_without_recordings_one_line_says_so(fast: MockClock) -> None:
    screen, paper = plain()
    checks = await demo.run_demo(screen)
    assert checks.all_passed
    assert "There is no folder of recordings here (NEXUS3_TRANSCRIPTS can name one)" in paper.getvalue()


async def test_a_small_terminal_gets_panels_that_fit(fast: MockClock) -> None:
    paper = io.StringIO()
    console = Console(file=paper, force_terminal=True, width=80, height=24, legacy_windows=False, _environ={})
    checks = await demo.run_demo(Screen(console, live=True))
    assert checks.all_passed
    drawn = paper.getvalue()
    assert "\x1b[" in drawn
    assert "╭─" in drawn
    assert "…" not in drawn.partition("How it stands now")[0], "a panel was cut off"
    assert drawn.count("\x1b[?25l") == drawn.count("\x1b[?25h") > 0, "the cursor is shown again"


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_was_as_told(
    passed: bool, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def quick(screen: Screen, recordings: object) -> Checks:
        checks = Checks()
        checks.expect("the sky is blue", passed)
        return checks

    monkeypatch.setattr(demo, "run_demo", quick)
    monkeypatch.setenv("NEXUS3_TRANSCRIPTS", str(tmp_path))
    assert commands.nexus3.main(["demo"], standalone_mode=False) == code


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("days_between", {"first": "2024-02-28", "last": "2024-03-01"}, "2"),
        ("days_between", {"first": "soon", "last": "2024-03-01"}, "error: Invalid isoformat string: 'soon'"),
        ("days_between", {"first": 1}, "error: no such function, or wrong arguments"),
        ("weeks_between", {}, "error: no such function, or wrong arguments"),
    ],
)
def test_the_tool_answers_whatever_the_model_asks(name: str, arguments: dict[str, object], result: str) -> None:
    assert run_tool(ToolCall.model_validate({"id": "t", "name": name, "arguments": arguments})) == result


def test_nothing_checked_is_not_as_told() -> None:
    assert not Checks().all_passed
