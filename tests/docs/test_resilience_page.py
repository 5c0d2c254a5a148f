"""The examples of docs/resilience.md run as they stand, and print what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "resilience.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("block", BLOCKS, ids=["fallback", "breaker", "pace", "spend"])
def test_an_example_runs_as_it_stands(block: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", block],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    promised = re.findall(r"print\(.*\)  # (.*)", block)
    assert promised
    assert [line for line in promised if line not in ran.stdout.splitlines()] == []
