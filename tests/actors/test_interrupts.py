"""Control-C at any moment: nothing hangs, the ledger is consistent, and the interrupt itself comes out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = os.environ.get("NEXUS3_SEED", "20261122")


def storm(times: int, timeout: float) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.actors.sigint_storm", str(times), SEED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    print(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_a_busy_supervisor_can_be_interrupted_at_any_moment() -> None:
    assert "busy" in storm(60, timeout=90)


@pytest.mark.soak
def test_a_thousand_interrupts() -> None:
    storm(1000, timeout=900)
