"""Running the command line as a user does: in a process of its own."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith("NEXUS3_") and key not in ("NO_COLOR", "COLUMNS")
} | {
    "FORCE_COLOR": "1",  # must not reach a pipe
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``nexus3 ARGUMENTS`` with its output piped."""
    return run_python("-m", "nexus3", *arguments, **environment)


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The interpreter of the tests, with its output piped."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        timeout=60,
        check=False,
    )


@contextmanager
def start(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``nexus3 ARGUMENTS``, running. Killed when the block is left, or after a minute: no read on it waits for ever."""
    with start_python("-m", "nexus3", *arguments) as process:
        yield process


@contextmanager
def start_python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The interpreter of the tests, running; as for :func:`start`."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
    ) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()
