"""The examples of docs/tools.md run as they stand, and print what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tools.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
PRINTED = (
    "['city']\n3 days of sun in Berlin\n",
    "get_weather: sunny in Berlin\n",
    "city='Berlin' sunny=True\n",
)


@pytest.mark.parametrize(
    ("block", "printed"), list(zip(BLOCKS, PRINTED, strict=True)), ids=["function", "loop", "output"]
)
def test_an_example_runs_as_it_stands(block: str, printed: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", block],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert printed in ran.stdout
    promised = re.findall(r"print\(.*\)  # (.*)", block)
    assert [line for line in promised if "and so on" not in line and line not in ran.stdout] == []
