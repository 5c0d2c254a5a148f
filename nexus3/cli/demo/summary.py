"""The end of the demo: how the actors stand, what became of every request, which facts held."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from nexus3.actors.slot.snapshot import ChildSnapshot, Snapshot
from nexus3.cli.demo.checks import Checks
from nexus3.cli.demo.follow import Told
from nexus3.supervisor.settings import SupervisorSettings
from nexus3.wire.catalog import CATALOG
from nexus3.wire.messages import Usage

ROOMY = 90
"""Columns from which the table has two spaces between its own."""

_STATE_STYLE = {"ready": "green", "parked": "red"}


def supervision_tree(snapshot: Snapshot, settings: SupervisorSettings) -> RenderableType:
    """The supervisor and its actors."""
    then = "parks it" if settings.on_exhausted == "park" else "gives up"
    limit = f"{settings.max_restarts} times in {settings.restart_window:g} s"
    tree = Tree(f"supervisor: restarts a crashed actor up to {limit}, then {then}", guide_style="dim")
    for name, child in snapshot.children.items():
        tree.add(_child(name, child))
    return tree


def _child(name: str, child: ChildSnapshot) -> Text:
    restarts = "1 restart" if child.restarts == 1 else f"{child.restarts} restarts"
    return Text.assemble(
        (f"{name:<12}", "bold"),
        (f"{child.state:<8}", _STATE_STYLE.get(child.state, "yellow")),
        (f"incarnation {child.generation}, {restarts}", "" if child.restarts == 0 else "yellow"),
        f", {child.queued} queued, {child.in_flight} in flight",
    )


def request_table(ledger: Sequence[Told], width: int) -> RenderableType:
    """Every request, by act and provider. ``width``: the columns there are."""
    gap = 2 if width >= ROOMY else 1
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("act", justify="right")
    table.add_column("provider", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis")
    table.add_column("outcome", no_wrap=True)
    for title in ("attempts", "first\nevent", "\ntotal", "tokens\nin", "tokens\nout"):
        table.add_column(title, justify="right", min_width=6)
    order: list[str] = list(CATALOG)
    for told in sorted(ledger, key=lambda told: (told.act, order.index(told.provider), told.sent_at)):
        style = "green" if told.done is not None else "yellow" if told.error is None else "red"
        usage = told.usage or Usage()
        table.add_row(
            str(told.act),
            told.provider,
            told.model,
            Text(told.outcome, style),
            Text(str(told.attempts), "yellow" if told.attempts > 1 else ""),
            "-" if told.first_at is None else duration(told.first_at - told.sent_at),
            duration(told.ended_at - told.sent_at),
            _count(usage.input_tokens),
            _count(usage.output_tokens),
        )
    return table


def check_list(checks: Checks) -> RenderableType:
    """The facts, one a line."""
    lines = Text()
    for check in checks.done:
        lines.append("   ok      " if check.passed else "   FAILED  ", "green" if check.passed else "bold red")
        lines.append(f"{check.name}\n")
    lines.rstrip()
    return lines


def duration(seconds: float) -> str:
    """For people: ``41 ms``, ``1.23 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else str(tokens)
