"""What ``import nexus3`` leaves to those who need it."""

import subprocess
import sys

FOR_FEW = ("difflib", "html", "rich", "structlog", "tomllib")
"""structlog, and rich by it, is loaded by whoever logs with it."""


def test_importing_nexus3_loads_nothing_that_only_few_need() -> None:
    code = f"""
import sys
import msgspec, pydantic, trio
before = set(sys.modules)
import nexus3
print(*[name for name in {FOR_FEW!r} if name in sys.modules and name not in before])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
