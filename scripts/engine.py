"""`make engine`: the whole path of nexus3 against two real inference servers on loopback.

From a clean clone it makes an environment for the engines (large: torch, transformers; llama.cpp is compiled), builds
one tiny random model for both, starts transformers' own server and llama.cpp's in turn, and drives each through
``open_supervisor`` as a provider of type vllm. Everything is kept in ``.engine`` and used again by the next run:
``rm -r .engine`` starts afresh. ``NEXUS3_ENGINE_VENV`` names another folder for the environment.

Prints one line a check; the exit code is 0 only if all passed. The servers' output is in ``.engine/*.log``.
"""

import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import trio
from engine import answers, grammars, loops, outputs, refusals
from engine.environment import SetupError, engines_python, run_step
from engine.raw import capture, excerpt
from engine.reading import config_of
from engine.report import Report, expect
from engine.servers import NotReadyError, Server, llama_cpp_server, transformers_server

from nexus3 import open_supervisor

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".engine"
BUILDER = ROOT / "scripts" / "engine" / "tiny_models.py"

StartServer = Callable[[Path, Path], AbstractAsyncContextManager[Server]]


def main() -> int:
    """The exit code: 0 all passed, 1 not, 2 no engines, 130 interrupted."""
    os.nice(10)  # all of this can wait for whatever else the machine does
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no installation goes on without us
    code = 130
    try:
        code = _run()
    except* KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return code


def _run() -> int:
    try:
        python = engines_python(ROOT)
        build_models(python)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    return trio.run(check_all, python)


def build_models(python: Path) -> None:
    """Build the tiny model for both engines, unless this builder has built it already."""
    stamp, builder = FOLDER / "models.sha256", hashlib.sha256(BUILDER.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == builder:
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(FOLDER / "tiny", ignore_errors=True)
    parts = ("*.md", "nexus3/**/*.py", "tests/**/*.py", "scripts/**/*.py")
    texts = sorted(str(path) for part in parts for path in ROOT.glob(part))
    run_step("tiny models", [str(python), str(BUILDER), str(FOLDER), *texts], FOLDER / "models.log")
    stamp.write_text(builder)


async def check_all(python: Path) -> int:
    """Both engines in turn, then what both must agree on."""
    report = Report()
    said: dict[str, str] = {}
    complete = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_on_sigterm, nursery.cancel_scope)
        for start in (transformers_server, llama_cpp_server):
            await check_engine(start, python, report, said)
        await report.run("both engines: the same greedy answer", lambda: _agree(said))
        complete = True
        nursery.cancel_scope.cancel()
    if not complete:
        print("ended before all checks were run", file=sys.stderr)
    print(f"{report.passed} passed, {len(report.failed)} failed")
    return 0 if complete and not report.failed else 1


async def check_engine(start: StartServer, python: Path, report: Report, said: dict[str, str]) -> None:
    """Start one server, run all its checks, end it. A server that does not start is a failed check."""
    try:
        async with start(python, FOLDER) as server:
            failed_before = len(report.failed)
            question: dict[str, object] = {
                "messages": [{"role": "user", "content": answers.QUESTION}],
                "max_tokens": answers.ANSWER_TOKENS,
                "temperature": 0.0,
            }
            if server.engine == "llama.cpp":
                question["repeat_penalty"] = 1.0
            raw = await capture(server, question)
            async with open_supervisor(config_of(server)) as supervisor:
                said[server.engine] = await answers.run_all(server, supervisor, raw, report)
                await refusals.run_all(server, supervisor, report)
                if server.engine == "llama.cpp":
                    await grammars.run_all(server, supervisor, report)
                    await outputs.run_all(server, supervisor, report)
                    await loops.run_all(server, supervisor, report)
                killed = partial(answers.killed_in_mid_stream, server, supervisor)
                await report.run(f"{server.engine}: killed in mid-stream", killed)
            if len(report.failed) > failed_before:
                print(f"a stream of {server.engine}, as received:\n{excerpt(raw)}")
    except NotReadyError as error:
        report.failed.append(str(error))
        print(f"FAILED {start.__name__}: {error}")


async def _agree(said: dict[str, str]) -> str:
    texts = set(said.values())
    expect(len(said) == 2 and len(texts) == 1 and "" not in texts, f"{said}")
    text = texts.pop()
    return f"{len(text)} characters from {' and '.join(said)}"


async def _end_on_sigterm(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            scope.cancel()


if __name__ == "__main__":
    sys.exit(main())
