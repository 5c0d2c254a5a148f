"""Texts that arrive from several providers at once: as panels that grow, or as lines in order of arrival."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

import trio
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

End = Literal["complete", "failed", "left"]

BORDER: dict[End | None, str] = {None: "dim", "complete": "green", "failed": "red", "left": "yellow"}


NARROWEST = 12
"""Columns that a text has even where the terminal is narrower."""


class Streams(Protocol):
    """Where the texts go."""

    def text(self, name: str, piece: str) -> None:
        """Another piece from provider ``name``."""

    def end(self, name: str, how: End, words: str) -> None:
        """Nothing more will come from ``name``; ``words`` says why."""


class LineStreams:
    """Plain lines: a part of a sentence is printed once its comma or its end has come, with the seconds it took."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._pending: dict[str, str] = {}

    def text(self, name: str, piece: str) -> None:
        pending = self._pending[name] = self._pending.get(name, "") + piece
        if pending.rstrip().endswith((",", ".", ":")):
            self._flush(name)

    def end(self, name: str, how: End, words: str) -> None:  # noqa: ARG002 - the words say it; a panel needs the colour
        self._flush(name)
        self._line(name, f"({words})")

    def _flush(self, name: str) -> None:
        if pending := self._pending.pop(name, "").strip():
            self._line(name, pending)

    def _line(self, name: str, text: str) -> None:
        head = f"   {trio.current_time() - self._began:5.2f} s  {name:<10}  "
        width = max(self._console.width, len(head) + NARROWEST)
        wrapped = textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head))
        self._console.print(Text(wrapped), soft_wrap=True)


@dataclass
class _Panel:
    text: str = ""
    how: End | None = None
    words: str = ""


class PanelStreams:
    """One panel per provider, two in a row, redrawn in place with each piece."""

    def __init__(self, console: Console, names: Sequence[str], room: int) -> None:
        self._console = console
        self._panels = {name: _Panel() for name in names}
        self._room = room
        # Redrawn by us alone, without a thread: whatever is drawn is drawn by the task that got the text.
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def text(self, name: str, piece: str) -> None:
        self._panels[name].text += piece
        self._draw()

    def end(self, name: str, how: End, words: str) -> None:
        self._panels[name].how, self._panels[name].words = how, words
        self._draw()

    def _draw(self) -> None:
        columns = min(2, len(self._panels))
        inner = self._console.width // columns - 4
        lines = self._lines(inner)
        grid = Table.grid(expand=True)
        for _ in range(columns):
            grid.add_column(ratio=1)
        panels = [self._render(name, panel, lines) for name, panel in self._panels.items()]
        for at in range(0, len(panels), columns):
            grid.add_row(*panels[at : at + columns])
        self._live.update(grid, refresh=True)

    def _lines(self, inner: int) -> int:
        """Rows of text per panel: enough from the start, so that nothing jumps; and no more than needed at the end."""
        needed = max(len(textwrap.wrap(panel.text, inner)) for panel in self._panels.values())
        if all(panel.how is not None for panel in self._panels.values()):
            return max(needed, 1)
        return max(needed, math.ceil(self._room * 1.1 / inner))  # words do not fill lines

    def _render(self, name: str, panel: _Panel, lines: int) -> Panel:
        return Panel(
            Text(panel.text),
            title=Text(name, "bold"),
            title_align="left",
            subtitle=Text(panel.words) if panel.words else None,
            subtitle_align="right",
            border_style=BORDER[panel.how],
            height=lines + 2,
        )
