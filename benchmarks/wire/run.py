"""Run sets, print them, and write them to ``benchmarks/RESULTS.md``.

usage: python -m benchmarks.wire.run [SET ...] [--only ours,httpx] [--repetitions 5] [--python PYTHON]

Every run of a contestant is a fresh process; repetitions take turns (A B C A B C), so that a machine that changes its
mind does so for all. Figures are medians; only ratios within one set mean anything elsewhere. Contestants that are not
installed for ``--python`` (or ``$BENCH_PYTHON``) are left out and named. TLS needs the ``openssl`` command.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.wire import imports
from benchmarks.wire.report import Runs, aligned, judged, short, table, verdicts
from benchmarks.wire.server import CERTIFICATE
from benchmarks.wire.sets import PLAIN, SETS, TLS, MatchUp, Row

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
IMPORTS = "s5"


@dataclass(frozen=True)
class Serving:
    """The server's process, and where it listens."""

    process: subprocess.Popen[str]
    roots: Mapping[str, str]
    """By scheme; without ``https`` where there is no certificate."""
    environment: Mapping[str, str]
    """For contestants."""

    def cpu(self) -> float:
        """Seconds the server has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving() -> Iterator[Serving]:
    """A server for the time of the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        authority = make_certificate(Path(folder))
        if authority:
            environment |= {CERTIFICATE: str(Path(folder) / "server.pem"), "SSL_CERT_FILE": str(authority)}
        command = [sys.executable, "-m", "benchmarks.wire.server"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            try:
                assert process.stdout is not None
                ports = json.loads(process.stdout.readline())
                roots = {PLAIN: f"http://127.0.0.1:{ports['plain']}"}
                if ports["tls"]:
                    roots[TLS] = f"https://127.0.0.1:{ports['tls']}"
                yield Serving(process, roots, environment)
            finally:
                process.kill()


def make_certificate(folder: Path) -> Path | None:
    """A certificate of its own authority for 127.0.0.1: ``server.pem`` with its key, and the path of one without."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    (folder / "server.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
    return certificate


def run_once(python: str, row: Row, match: MatchUp, server: Serving) -> dict[str, float] | str:
    """The figures of one process; or why there are none."""
    if row.scheme not in server.roots:
        return "no openssl here"
    root = server.roots[row.scheme]
    command = [python, "-m", "benchmarks.wire.one", row.spec, match.scenario, root, json.dumps(row.parameters)]
    try:
        done = subprocess.run(
            command,
            env=server.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=match.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done in {match.timeout:g} s"
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return "failed: " + last_error(done.stderr)
    if "missing" in result:
        return f"{result['missing']} is not installed"
    figures: dict[str, float] = result["figures"]
    return figures


def last_error(stderr: str) -> str:
    """The last exception of a traceback, without the frame that a group draws around it."""
    lines = [line.strip(" |+-") for line in stderr.splitlines()]
    named = [line for line in lines if ": " in line and not line.startswith("File ")]
    return (named or ["it said nothing"])[-1][:100].replace("|", "/")


def run_set(python: str, match: MatchUp, rows: Sequence[Row], repetitions: int, server: Serving) -> dict[str, Runs]:
    """All runs of a set, in turns. A contestant that fails is not tried again."""
    runs = {row.key: Runs(row) for row in rows}
    for _ in range(repetitions):
        for each in runs.values():
            if each.problem:
                continue
            match run_once(python, each.row, match, server):
                case str() as problem:
                    each.problem = problem
                case figures:
                    each.figures.append(figures)
    return runs


def set_section(name: str, python: str, only: Sequence[str], repetitions: int, server: Serving) -> list[str]:
    """Run one set; its section of the results."""
    match = SETS[name]
    rows = [row for row in match.rows if not only or any(part in row.spec for part in only)]
    cpu, began = server.cpu(), time.perf_counter()
    runs = run_set(python, match, rows, repetitions, server)
    busy = (server.cpu() - cpu) / (time.perf_counter() - began)
    lines = [f"## {match.title} ({name})", "", *table(match, runs), "", *verdicts(match, runs)]
    lines += [f"* {each.row.key}: {each.problem}" for each in runs.values() if each.problem and each.figures]
    return [*lines, "", f"Medians of {repetitions}; the server was busy for {busy:.1%} of the time.", ""]


def import_section(python: str, repetitions: int) -> list[str]:
    """The set of imports."""
    found: dict[str, list[dict[str, float]]] = {}
    with imports.compiled(python) as environment:
        for _ in range(repetitions):
            for name in imports.STATEMENTS:
                figures = imports.import_figures(python, name, environment)
                if figures is not None:
                    found.setdefault(name, []).append(figures)
    rows = [["", "CPU, ms", "MiB", "modules"], ["---", "---:", "---:", "---:"]]
    medians = {
        name: [statistics.median(each[column] for each in runs) for column in rows[0][1:]]
        for name, runs in found.items()
    }
    rows += [[name, *map(short, values)] for name, values in medians.items()]
    ratio = medians[imports.OURS][0] / medians[imports.TOGETHER][0]
    loaded = imports.optional_loaded(python)
    return [
        f"## Import ({IMPORTS})",
        "",
        *aligned(rows),
        "",
        f"* {imports.OURS}, CPU: at most {imports.BAR} x {imports.TOGETHER}: {judged(ratio, imports.BAR)}",
        f"* nothing optional is loaded: {'MISSED: ' + ', '.join(loaded) if loaded else 'met'}",
        "",
    ]


def heading(python: str) -> list[str]:
    """What was measured with what."""
    found = subprocess.run([python, "-c", _VERSIONS], capture_output=True, text=True, check=True).stdout.splitlines()
    machine = f"CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return [
        "# Side by side",
        "",
        "CPU time of the client in the measured section; medians; one process per run, in turns. Written by",
        "`make bench`. Figures are of one machine and one hour: only ratios within a table mean anything. The events",
        "of the Anthropic dialect are smaller than OpenAI's: compare within a dialect.",
        "",
        f"{machine}; {', '.join(found)}.",
        "",
    ]


_VERSIONS = """
from importlib import metadata
for name in ("trio", "httpx", "h11", "msgspec", "pydantic", "structlog", "openai", "anthropic", "pydantic-ai-slim",
             "any-llm-sdk", "litellm"):
    try:
        print(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        pass
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """As the module's docstring says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join([*SETS, IMPORTS])}; all by default")
    parser.add_argument("--only", default="", help="only contestants with one of these in their name, comma-separated")
    parser.add_argument("--repetitions", type=int, default=5, help="medians of so many (default 5)")
    parser.add_argument(
        "--python", default=os.environ.get("BENCH_PYTHON") or sys.executable, help="runs the contestants"
    )
    parser.add_argument("--no-file", action="store_true", help="print only; leave RESULTS.md alone")
    options = parser.parse_args(arguments)
    chosen = options.sets or [*SETS, IMPORTS]
    if unknown := set(chosen) - {*SETS, IMPORTS}:
        parser.error(f"no such set: {', '.join(sorted(unknown))}")
    only = [part for part in options.only.split(",") if part]
    raise_descriptor_limit()
    lines = heading(options.python)
    print("\n".join(lines))
    with serving() as server:
        for name in chosen:
            if name == IMPORTS:
                section = import_section(options.python, options.repetitions)
            else:
                section = set_section(name, options.python, only, options.repetitions, server)
            print("\n".join(section), flush=True)
            lines += section
    if not options.no_file:
        RESULTS.write_text("\n".join(lines), "utf-8")


def raise_descriptor_limit() -> None:
    """1,000 streams need more descriptors than shells usually allow; children inherit this."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_000 if hard == resource.RLIM_INFINITY else min(16_000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


if __name__ == "__main__":
    main()
