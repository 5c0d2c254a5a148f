"""The examples of a page, run as its reader runs them: in a process of their own, and every warning is an error."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def examples(page: Path, language: str = "python") -> list[str]:
    """The page's blocks of code in this language, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def printed_by(code: str | Path) -> str:
    """What a block or a file prints, run in the project's folder. It must end well, and have nothing to complain of."""
    arguments = ["-c", code] if isinstance(code, str) else [str(code)]
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), f"it ended with {ran.returncode}: {ran.stderr}"
    return ran.stdout


def promised_by(code: str) -> list[str]:
    """What the comments behind its calls of ``print`` say that these print."""
    return re.findall(r"print\(.*\)  # (.*)", code)
