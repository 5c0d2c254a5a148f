"""The benchmarks run and know their contestants. No figure is judged here."""

import sys
from importlib import import_module

import pytest

from benchmarks import kernel
from benchmarks.wire import imports
from benchmarks.wire.report import Runs, table, verdicts
from benchmarks.wire.run import run_once, serving
from benchmarks.wire.sets import NAMES, SETS, Bar, MatchUp, Row

ROWS = [(name, match, row) for name, match in SETS.items() for row in match.rows]


def test_every_contestant_of_every_set_is_registered_and_has_a_name() -> None:
    for name, _, row in ROWS:
        module, _, contestant = row.spec.partition(":")
        assert contestant in import_module(f"benchmarks.{module}").CONTESTANTS, f"{name}: {row.spec}"
        assert row.spec in NAMES, f"{name}: {row.spec}"


def test_every_bar_is_between_rows_of_its_set() -> None:
    for name, match in SETS.items():
        keys = [row.key for row in match.rows]
        assert len(set(keys)) == len(keys), f"{name} has two rows of one name"
        named = {key for bar in match.bars for key in (bar.ours, bar.other)} | {key for key, _, _ in match.ceilings}
        assert named <= set(keys), name


async def test_the_kernel_bench_prints_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    await kernel.main(["--rounds", "1", "--scale", "0.01"])
    printed = capsys.readouterr().out
    assert [each.name for each in kernel.measurements(1) if each.name not in printed] == []
    assert "10 restarts: tasks" in printed


@pytest.mark.parametrize(
    ("scheme", "spec"),
    [
        ("http", "wire.bare:socket"),
        ("http", "ours:openai"),
        ("http", "ours:anthropic"),
        ("https", "wire.bare:httpx"),
        ("https", "ours:reply_to"),
    ],
)
def test_all_text_of_a_burst_comes(scheme: str, spec: str) -> None:
    with serving() as server:
        if scheme not in server.roots:
            pytest.skip("no openssl command on this machine to make a certificate with")
        # Past one block of the server's; a contestant that misses text has no figures.
        row = Row(spec, {"events": 450}, scheme)
        figures = run_once(sys.executable, row, SETS["s1"], server)
    assert not isinstance(figures, str), figures
    assert list(figures) == ["us/event"]


def test_a_table_has_medians_and_ratios_and_a_bar_its_verdict() -> None:
    match = MatchUp("", "burst", (), (Bar("ours:openai", "wire.bare:socket", 1.8, "us/event"),))
    runs = {
        spec: Runs(Row(spec), [{"us/event": value} for value in values])
        for spec, values in {"wire.bare:socket": (1.0, 9.0, 2.0), "ours:openai": (5.0, 3.0, 4.0)}.items()
    }
    runs["wire.sdks:openai"] = Runs(Row("wire.sdks:openai"), problem="openai is not installed")
    assert table(match, runs) == [
        "|                            |                us/event | min to max | x limit-1 |",
        "| ---                        |                    ---: |       ---: |      ---: |",
        "| bare trio socket (limit-1) |                       2 |     1 to 9 |         1 |",
        "| **nexus3**                 |                       4 |     3 to 5 |         2 |",
        "| openai SDK                 | openai is not installed |            |           |",
    ]
    assert verdicts(match, runs) == ["* **nexus3**, us/event: at most 1.8 x bare trio socket (limit-1): 2, MISSED"]


def test_importing_nexus3_loads_nothing_optional() -> None:
    assert imports.optional_loaded(sys.executable) == []
