"""What importing costs, each in a fresh interpreter: CPU, resident memory, modules.

With compiled bytecode for everybody, as after an installation: it is kept in a folder of the run's own, whatever the
environment says about writing it.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OURS, TOGETHER = "nexus3", "httpx + trio + pydantic + structlog"
BAR = 1.35
"""``import nexus3`` is at most so many times its own dependencies together."""

STATEMENTS = {
    "(nothing)": "pass",
    "trio": "import trio",
    "httpx": "import httpx",
    TOGETHER: "import httpx, trio, pydantic, structlog\nclass A(pydantic.BaseModel):\n    x: int",
    OURS: "import nexus3",
    "openai": "from openai import AsyncOpenAI",
    "anthropic": "from anthropic import AsyncAnthropic",
    "pydantic-ai": "from pydantic_ai.models.openai import OpenAIChatModel",
    "any-llm": "from any_llm import AnyLLM",
    "litellm": "import os\nos.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'\nimport litellm",
}
"""A class of pydantic's is made, since its first one loads most of it."""

_REPORT = """
import json, resource, sys, time
cpu, modules = time.process_time(), len(sys.modules)
print(json.dumps({"CPU, ms": cpu * 1e3, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "modules": modules}))
"""

OPTIONAL = ("coredis", "ray", "opentelemetry", "genai_prices", "openai", "anthropic", "rich")
"""``import nexus3`` loads none of these by itself, installed or not."""


@contextmanager
def compiled(python: str) -> Iterator[dict[str, str]]:
    """An environment in which everything here was imported once, and its bytecode kept."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment |= {"PYTHONPYCACHEPREFIX": folder, "PYTHONPATH": str(Path(__file__).parents[2])}
        for name in STATEMENTS:
            import_figures(python, name, environment)
        yield environment


def import_figures(python: str, name: str, environment: dict[str, str]) -> dict[str, float] | None:
    """The whole process's figures for one of :data:`STATEMENTS`; ``None`` where it is not installed."""
    command = [python, "-c", STATEMENTS[name] + _REPORT]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        return None
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


def optional_loaded(python: str) -> list[str]:
    """Those of :data:`OPTIONAL` that ``import nexus3`` loads all the same, and its dependencies alone do not.

    (structlog loads rich where it is installed.)
    """
    code = (
        STATEMENTS[TOGETHER]
        + f"""
import sys
before = set(sys.modules)
import nexus3
print(*[name for name in {OPTIONAL!r} if name in sys.modules and name not in before])
"""
    )
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()
