"""Tables and verdicts from what the runs brought. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.wire.sets import DISCARD, HTTPX, LIMIT, NAMES, MatchUp, Row


@dataclass
class Runs:
    """All runs of one row of a set."""

    row: Row
    figures: list[dict[str, float]] = field(default_factory=list)
    problem: str = ""
    """Why there are none, or no more of them."""

    def median(self, figure: str) -> float | None:
        """``None`` where it was never measured."""
        values = [each[figure] for each in self.figures if figure in each]
        return statistics.median(values) if values else None


def table(match: MatchUp, runs: Mapping[str, Runs]) -> list[str]:
    """A set as lines of Markdown: medians, the spread of the first figure, and its ratio to the references."""
    figures = list(next((each.figures[0] for each in runs.values() if each.figures), {}))
    if not figures:
        return ["Nothing was measured."]
    main = figures[0]
    references = {"limit-1": median_of(runs, LIMIT, main)}
    references["httpx"] = median_of(runs, HTTPX, main) or median_of(runs, DISCARD, main)
    columns = ["", *figures, "min to max", *(f"x {name}" for name, value in references.items() if value)]
    rows = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    for each in runs.values():
        if not each.figures:
            rows.append([title(each.row), each.problem, *[""] * (len(columns) - 2)])
            continue
        mains = [figure[main] for figure in each.figures]
        cells = [title(each.row)]
        cells += [short(each.median(figure)) for figure in figures]
        cells.append(f"{short(min(mains))} to {short(max(mains))}")
        cells += [short(statistics.median(mains) / value) for value in references.values() if value]
        rows.append(cells)
    return aligned(rows)


def verdicts(match: MatchUp, runs: Mapping[str, Runs]) -> list[str]:
    """One line per bar: what was wanted, what is, and whether it is met."""
    lines = []
    for bar in match.bars:
        ours, other = median_of(runs, bar.ours, bar.figure), median_of(runs, bar.other, bar.figure)
        name = f"{title_of(runs, bar.ours)}, {bar.figure}: at most {short(bar.factor)} x {title_of(runs, bar.other)}"
        lines.append(f"* {name}: {judged(ours and other and ours / other, bar.factor)}")
    for key, figure, ceiling in match.ceilings:
        name = f"{title_of(runs, key)}, {figure}: at most {short(ceiling)}"
        lines.append(f"* {name}: {judged(median_of(runs, key, figure), ceiling)}")
    return lines


def judged(value: float | None, bar: float) -> str:
    """The value and the verdict."""
    if not value:
        return "not measured"
    return f"{short(value)}, {'met' if value <= bar else 'MISSED'}"


def median_of(runs: Mapping[str, Runs], key: str, figure: str) -> float | None:
    """``None`` where there is no such row or figure."""
    return runs[key].median(figure) if key in runs else None


def title_of(runs: Mapping[str, Runs], key: str) -> str:
    """What a row is called."""
    return title(runs[key].row) if key in runs else NAMES.get(key, key)


def title(row: Row) -> str:
    """The contestant's name, and what is special about it in this set."""
    name = NAMES[row.spec]
    if row.scheme == "https":
        return name + ", TLS"
    return f"{name}, {row.label.partition(', ')[2]}" if row.label else name


def short(value: float | None) -> str:
    """Three digits are what such a measurement has."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown that also reads well as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = [
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(padded) + " |")
    return lines
