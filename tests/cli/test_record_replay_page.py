"""The examples of docs/record-replay.md run as they stand, and its words are those of the program."""

import re

from nexus3.loopback.matching import VOLATILE
from nexus3.loopback.player import MISS, Player
from tests.cli.processes import run
from tests.docs.examples import ROOT, examples, printed_by
from tests.loopback.raw import received
from tests.loopback.tapes import recording

DOCUMENT = ROOT / "docs" / "record-replay.md"
PAGE = DOCUMENT.read_text("utf-8")


def test_the_example_runs_as_it_stands() -> None:
    (example,) = examples(DOCUMENT)
    assert printed_by(example) == "Very well.\n"


def test_its_commands_have_the_options_that_it_uses() -> None:
    for verb, options in re.findall(r"^nexus3 (\w+) tape\.jsonl(.*?)(?:  #.*)?$", PAGE, re.MULTILINE):
        known = run(verb, "--help").stdout
        assert options.strip(), verb
        assert [option for option in re.findall(r"--[a-z-]+", options) if option not in known] == []


def test_its_miss_is_the_program_s() -> None:
    def asked(text: str) -> dict[str, object]:
        return {"messages": [{"role": "user", "content": text}]}

    player = Player([recording(asked("Well?")), recording({}), recording({})])
    player.answer(received(asked("Hello?")))
    assert f"missed: {player.misses[0]}" in PAGE.replace("\n", " ")


def test_it_names_what_is_not_compared_and_the_code_of_a_miss() -> None:
    assert [name for name in (*VOLATILE, MISS) if f"`{name}`" not in PAGE] == []
