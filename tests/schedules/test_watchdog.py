"""The watchdog ends what virtual time cannot: a livelock, and a wait for nothing."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("how", ["livelock", "wait_for_nothing"])
def test_a_run_that_hangs_is_ended(how: str) -> None:
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.schedules.hanging", how], cwd=root, timeout=60, capture_output=True, check=False
    )
    assert ran.returncode == 0
