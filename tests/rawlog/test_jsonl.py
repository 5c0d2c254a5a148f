"""The recorder writes one line of JSON for each call, for its owner's eyes only."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nexus3.loopback import Answer
from nexus3.rawlog import JsonlRecorder
from tests.rawlog.heard import KEY, ask, listened


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


async def test_a_line_for_each_call(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    script = [Answer(status=500, headers={"retry-after-ms": "1"}), Answer("Grüße\u2028")]
    before = time.time()
    with JsonlRecorder(path) as recorder:
        async with listened(recorder, script) as (sup, server):
            await sup.complete(ask())
    written = lines(path)
    assert [line["type"] for line in written] == [
        "request",
        "response",
        "request",
        *["stream_chunk"] * 4,
        "stream_complete",
    ]
    assert {(line["request"], line["provider"], line["model"]) for line in written} == {("r1", "openai", "local-echo")}
    assert [line["attempt"] for line in written] == [1, 1, *[2] * 6]
    times = [line["time"] for line in written]
    assert before <= times[0]
    assert sorted(times) == times
    assert times[-1] <= time.time()
    assert written[0]["endpoint"] == f"{server.url}/v1/chat/completions"
    assert written[1]["status"] == 500
    assert written[4]["chunk"]["choices"][0]["delta"] == {"content": "Grüße\u2028"}
    assert written[-1]["summary"]["outcome"] == "completed"


def test_the_file_is_its_owner_s_alone_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    mask = os.umask(0)
    try:
        JsonlRecorder(path).close()
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("before\n")
    JsonlRecorder(path).close()
    assert path.read_text() == "before\n"


def test_a_file_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        JsonlRecorder(tmp_path / "nowhere" / "raw.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_full_disk_fails_no_request() -> None:
    with JsonlRecorder("/dev/full") as recorder:
        async with listened(recorder, [Answer("Hello")]) as (sup, _):
            assert (await sup.complete(ask())).message.text == "Hello"
            snapshot = sup.snapshot
    assert snapshot().counters["raw_log.raised"] == 6


def test_a_process_that_fails_has_written_its_last_request(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    program = (
        "import sys, trio\n"
        "from nexus3 import CompletionRequest, Message, Role, open_supervisor\n"
        "from nexus3.rawlog import JsonlRecorder\n"
        "async def main():\n"
        "    async with open_supervisor('loopback', raw_log=JsonlRecorder(sys.argv[1])) as sup:\n"
        "        await sup.complete(CompletionRequest(messages=(Message(role=Role.USER, content='hi'),)))\n"
        "        raise SystemExit(3)\n"
        "trio.run(main)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 3, ended.stderr
    assert lines(path)[-1]["summary"]["outcome"] == "completed"
    assert KEY not in path.read_text()
