"""The engines' own virtual environment: made once, completed where something is missing, used again afterwards.

It is kept apart from the project's: nothing of nexus3 runs in it, and its packages are large.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "NEXUS3_ENGINE_VENV"
"""Names another folder for the environment, to share it between clones."""

# The engines are pinned, because the checks say exactly how each of them refuses. llama-cpp-python comes as source.
STEPS = (
    ("torch", ["torch==2.13.0"]),
    ("transformers", ["transformers[serving]==5.23.0", "tokenizers", "gguf==0.19.0", "numpy"]),
    ("llama.cpp (compiled here: about ten minutes on two cores)", ["llama-cpp-python[server]==0.3.36"]),
)
SERVED_BY = {"transformers[serving]": ["fastapi", "uvicorn"], "llama-cpp-python[server]": ["sse-starlette"]}
"""What shows that an extra is installed."""

PROGRESS_EVERY = 15.0
"""Seconds between two signs of life of a long step."""


class SetupError(Exception):
    """The environment could not be made; the message has the end of the log."""


def engines_python(root: Path) -> Path:
    """The interpreter of a complete environment; makes or completes it, with progress on standard output.

    Raises:
        SetupError: a step failed.
    """
    folder = Path(os.environ.get(VARIABLE) or root / ".engine" / "venv").absolute()
    log = root / ".engine" / "install.log"
    python = folder / "bin" / "python"
    if not python.with_name("pip").exists():  # the last thing that is written: an interrupted start has none
        run_step(f"environment {folder}", [sys.executable, "-m", "venv", str(folder)], log)
    installed = _installed_versions(python)
    for title, requirements in STEPS:
        if not all(_is_met(requirement, installed) for requirement in requirements):
            pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *requirements]
            run_step(f"install {title}", pip, log)
    return python


def _installed_versions(python: Path) -> dict[str, str]:
    script = (
        "import json; from importlib.metadata import distributions;"
        "print(json.dumps({d.metadata['Name'].lower().replace('_', '-'): d.version for d in distributions()}))"
    )
    output = subprocess.run([str(python), "-c", script], check=True, capture_output=True, text=True).stdout
    return {str(name): str(version) for name, version in json.loads(output).items()}


def _is_met(requirement: str, installed: dict[str, str]) -> bool:
    package, _, wanted = requirement.partition("==")
    name = package.partition("[")[0]
    if name not in installed or not all(extra in installed for extra in SERVED_BY.get(package, [])):
        return False
    # A local version, as in 2.13.0+cpu, is a build of the same release.
    return not wanted or installed[name].partition("+")[0] == wanted


def run_step(title: str, command: list[str], log: Path) -> None:
    """Run a command to its end; its output goes to the log, a sign of life to standard output.

    Raises:
        SetupError: it failed.
    """
    began = time.monotonic()
    print(f"{title} ...", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    code = process.wait(PROGRESS_EVERY)
                    break
                except subprocess.TimeoutExpired:
                    print(f"  {time.monotonic() - began:.0f} s: {_last_line(log)}", flush=True)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code != 0:
        tail = "\n".join(_lines(log)[-15:])
        raise SetupError(f"{title} failed with exit code {code}; {log} ends:\n{tail}")
    print(f"  done in {time.monotonic() - began:.0f} s", flush=True)


def _lines(log: Path) -> list[str]:
    return [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]


def _last_line(log: Path) -> str:
    return (_lines(log) or [""])[-1].strip()[:100]
