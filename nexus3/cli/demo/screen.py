"""Where the demo draws: a terminal with colours and live panels, or plain text line by line."""

import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import trio
from rich.console import Console, RenderableType
from rich.text import Text

from nexus3.cli.demo.streams import LineStreams, PanelStreams, Streams

PLAIN_WIDTH = 100
"""Columns where no terminal tells how many it has."""
SMALLEST_LIVE = (70, 22)
"""Columns and rows that the panels need; a smaller terminal gets lines."""
READING_PAUSE = 0.4
"""Seconds between two acts where a person watches."""
LABEL_WIDTH = 12


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Rich would leave by SystemExit, from inside trio's nurseries; the command line knows what to do."""
        raise BrokenPipeError


class Screen:
    """The demo's paper. ``live`` allows redrawing and pauses."""

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._live = live

    @property
    def width(self) -> int:
        """Columns."""
        return self._console.width

    def say(self, text: str, style: str = "") -> None:
        """Paragraphs, one a line of ``text``, wrapped at words."""
        for line in text.splitlines():
            self._console.print(Text(textwrap.fill(line, self.width), style), soft_wrap=True)

    def act(self, title: str, sentence: str) -> None:
        """A new act: its title, and what is about to be seen."""
        self._console.print()
        self.say(title, "bold")
        self.say(sentence, "dim")

    def fact(self, label: str, text: str, style: str = "", *, lines: int = 3) -> None:
        """A labelled line; longer texts wrap beside their label and end after ``lines``. Control characters go."""
        shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        width = max(self.width - LABEL_WIDTH - 4, 20)
        for line in textwrap.wrap(shown, width, max_lines=lines, placeholder=" ...") or [""]:
            self._console.print(
                Text.assemble("   ", (f"{label:<{LABEL_WIDTH}}", "bold"), (line, style)), no_wrap=True, crop=False
            )
            label = ""

    def show(self, renderable: RenderableType) -> None:
        """A table, a tree."""
        self._console.print(renderable)

    @contextmanager
    def streams(self, names: Sequence[str], room: int) -> Iterator[Streams]:
        """Show text as it arrives, from several providers at once. ``room``: the characters of the longest text."""
        if self._live:
            with PanelStreams(self._console, names, room) as streams:
                yield streams
        else:
            yield LineStreams(self._console, trio.current_time())

    async def pause(self) -> None:
        """Time to read, where a person watches."""
        await trio.sleep(READING_PAUSE if self._live else 0)


def open_screen(*, plain: bool) -> Screen:
    """The screen that standard output deserves; ``NO_COLOR`` is honoured.

    Text that its encoding does not have is replaced from here on: recordings hold every language.
    """
    is_terminal = sys.stdout.isatty()
    # A stand-in for standard output may have no encoding to speak of.
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")
    if plain or not is_terminal:
        # Said explicitly: FORCE_COLOR and the like must not put escape codes into a file.
        width = None if is_terminal else PLAIN_WIDTH
        return Screen(_Console(force_terminal=False, no_color=True, color_system=None, width=width), live=False)
    console = _Console()
    columns, rows = SMALLEST_LIVE
    return Screen(console, live=not console.is_dumb_terminal and console.width >= columns and console.height >= rows)
