"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


# The original's own examples need a provider, and are tested with one: tests/provider/test_seed_examples.py.
OWN = sorted(path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("seed_"))


@pytest.mark.parametrize("name", OWN)
def test_an_example_runs_as_it_stands(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "UTC" in ran.stdout
    assert "'clock': 'ready'" in ran.stdout
