"""The ways into and out of the command line that do not depend on a verb."""

import re
import sys
from typing import NamedTuple

import pytest

from nexus3 import __version__
from nexus3.cli.main import MISSING, main
from tests.cli.processes import run, run_python


class Done(NamedTuple):
    code: object
    out: str
    err: str


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Here":
    return Here(monkeypatch, capsys)


class Here:
    """Runs ``nexus3 ARGUMENTS`` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["nexus3", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code, *self._capsys.readouterr())


@pytest.mark.parametrize(("absent", "arguments"), [("click", ["--version"]), ("rich", []), ("rich", ["demo"])])
def test_without_the_extra_one_line_says_what_to_install(absent: str, arguments: list[str]) -> None:
    program = (
        f"import sys; sys.modules[{absent!r}] = None; sys.argv = ['nexus3', *{arguments!r}]; "
        "from nexus3.cli.main import main; main()"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", MISSING + "\n")
    assert MISSING.endswith("pip install click rich"), "nexus3 itself may have come from a clone or a wheel"


def test_python_m_is_the_command() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nexus3 {__version__}\n", "")


def test_help_names_the_verbs_and_gives_examples(here: Here) -> None:
    done = here.run("--help")
    assert (done.code, done.err) == (0, "")
    assert "  demo      Watch actors stream, fail and recover.\n" in done.out
    assert "  loopback  Run the bundled local provider.\n" in done.out
    assert "Examples:\n    nexus3 demo  " in done.out
    assert here.run() == done, "no arguments ask for help"


@pytest.mark.parametrize("verb", ["demo", "check", "loopback", "record", "replay"])
def test_each_verb_has_help_with_examples(verb: str, here: Here) -> None:
    done = here.run(verb, "-h")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: nexus3 {verb} [OPTIONS]" in done.out
    assert re.search(rf"Examples:\n    nexus3 {verb}\b", done.out)


def test_a_mistyped_verb_is_told_what_it_was_meant_to_be(here: Here) -> None:
    done = here.run("chekc")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("Error: no such command: 'chekc'; did you mean 'check'?\n")


@pytest.mark.parametrize("arguments", [["no-such-verb"], ["demo", "--no-such-option"], ["loopback", "--port", "x"]])
def test_wrong_usage_is_told_and_has_a_code_of_its_own(arguments: list[str], here: Here) -> None:
    done = here.run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: nexus3 ")
    assert "\nError: " in done.err


@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt(), BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()])])]
)
def test_an_interrupt_has_a_code_of_its_own_however_it_is_wrapped(
    interrupt: BaseException, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise interrupt

    monkeypatch.setattr("nexus3.cli.serve.serve", interrupted)
    assert here.run("loopback") == Done(130, "", "\n")
