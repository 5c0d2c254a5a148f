"""What reaches the paper: wrapped facts, lines in order of arrival, no escape codes where none belong."""

import io
import re
import sys

import pytest
import trio
from rich.console import Console

from nexus3.cli.demo.screen import PLAIN_WIDTH, Screen, open_screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def paper(width: int = 40) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, color_system=None, width=width), live=False), out


def test_a_long_fact_wraps_beside_its_label_and_ends() -> None:
    screen, out = paper()
    screen.fact("answer", "one two three four five six seven eight nine ten eleven", lines=2)
    assert out.getvalue() == (
        "   answer      one two three four five\n"  #
        "               six seven eight nine ...\n"
    )


def test_control_characters_of_a_recording_do_not_reach_the_terminal() -> None:
    screen, out = paper(80)
    screen.fact("answer", "red \x1b[31mfox\x07\r\njumps")
    assert out.getvalue() == "   answer      red [31mfox jumps\n"


async def test_lines_come_in_order_of_arrival_part_by_part(autojump_clock: trio.testing.MockClock) -> None:
    screen, out = paper()
    with screen.streams(["openai", "vllm"], 20) as streams:
        streams.text("openai", "First ")
        streams.text("vllm", "Other ")
        streams.text("vllm", "text, ")
        await trio.sleep(1.5)
        streams.text("openai", "part, ")
        streams.text("openai", "rest")
        streams.end("openai", "failed", "failed: server")
        streams.end("vllm", "complete", "complete")
    assert out.getvalue().splitlines() == [
        "    0.00 s  vllm        Other text,",
        "    1.50 s  openai      First part,",
        "    1.50 s  openai      rest",
        "    1.50 s  openai      (failed: server)",
        "    1.50 s  vllm        (complete)",
    ]


async def test_a_long_line_of_a_stream_wraps_at_words_beside_its_name(autojump_clock: trio.testing.MockClock) -> None:
    screen, out = paper(50)
    with screen.streams(["openai"], 20) as streams:
        streams.text("openai", "A supervisor starts what has crashed again, incarnation after incarnation.")
    assert out.getvalue().splitlines() == [
        "    0.00 s  openai      A supervisor starts what",
        "                        has crashed again,",
        "                        incarnation after",
        "                        incarnation.",
    ]


def drawn(screen: Screen, out: io.StringIO) -> str:
    screen.act("1. Title", "A sentence.")
    screen.fact("label", "text", "red")
    return out.getvalue()


PLAIN = "\n1. Title\nA sentence.\n   label       text\n"


def test_a_file_stays_plain_even_where_colours_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = open_screen(plain=False)
    assert drawn(screen, out) == PLAIN
    assert screen.width == PLAIN_WIDTH


def test_a_terminal_stays_plain_where_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert drawn(open_screen(plain=True), out) == PLAIN


def test_a_terminal_gets_colours_unless_it_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*3\d")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    assert colour.search(drawn(open_screen(plain=False), out))
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(drawn(open_screen(plain=False), out))


@pytest.mark.parametrize(("term", "size"), [("dumb", (100, 40)), ("xterm", (60, 40)), ("xterm", (100, 15))])
def test_a_terminal_that_cannot_hold_the_panels_gets_lines(
    term: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", str(size[0]))
    monkeypatch.setenv("LINES", str(size[1]))

    async def one_stream() -> None:
        with open_screen(plain=False).streams(["openai"], 20) as streams:
            streams.text("openai", "Done.")

    trio.run(one_stream)
    assert "openai      Done." in out.getvalue()
    assert "╭" not in out.getvalue()
