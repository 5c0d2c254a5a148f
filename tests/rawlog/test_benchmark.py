"""The benchmark of the raw log runs, and judges by the median of ratios. No figure is judged here."""

import pytest

from benchmarks import rawlog


async def test_every_contestant_is_measured_on_both_answers(capsys: pytest.CaptureFixture[str]) -> None:
    await rawlog.main(["--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    names = ["none", "none, again", "writes a file", "blocks", "raises"]
    assert [line[:16].strip() for line in lines if "medians" not in line] == ["raw log", *names] * 2
    assert [line for line in lines if "met" in line or "MISSED" in line][:1] == lines[3:4], (
        "the first one is the measure"
    )


def test_a_ratio_is_to_the_request_of_the_same_round() -> None:
    taken = {"none": [0.1, 0.2, 0.4], "a": [0.1, 0.2, 9.9], "b": [0.11, 0.22, 0.44]}
    assert rawlog.table(taken, 1.01) == [
        "none                200.00   1.0000",
        "a                   200.00   1.0000  met",
        "b                   220.00   1.1000  MISSED",
    ]
    assert not [line for line in rawlog.table(taken, None) if "m" in line[35:]]
