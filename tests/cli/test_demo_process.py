"""The demo as a user runs it, its output going to a file: one run, looked at from several sides."""

import re
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from nexus3.cli.demo.script import PORTRAITS
from tests.cli import recordings
from tests.cli.processes import run, start

PROVIDERS = ["openrouter", "openai", "ollama", "vllm", "azure", "anthropic"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = recordings.write(tmp_path_factory.mktemp("recordings"), *recordings.ALL)
    return run("demo", NEXUS3_TRANSCRIPTS=str(folder))


@pytest.fixture(scope="module")
def acts(demo: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """The lines under each title."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for before, line in zip(["", *demo.stdout.splitlines()], demo.stdout.splitlines(), strict=False):
        if not before and re.match(r"\d\. |How|What was", line):
            title = line
            found[title] = []
        else:
            found[title].append(line)
    return found


def test_everything_goes_as_told(demo: subprocess.CompletedProcess[str]) -> None:
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout
    last = demo.stdout.splitlines()[-1]
    assert re.fullmatch(r"(\d+) of \1 as told", last)
    assert "FAILED" not in demo.stdout


def test_a_file_gets_plain_text_whatever_the_environment_says(demo: subprocess.CompletedProcess[str]) -> None:
    assert "\x1b" not in demo.stdout
    assert "\r" not in demo.stdout
    assert not [line for line in demo.stdout.splitlines() if len(line) > 110]


def test_each_act_has_a_title_and_a_sentence(acts: dict[str, list[str]]) -> None:
    assert [*acts][1:] == [
        "1. Six streams at once",
        "2. A tool call",
        "3. An overloaded provider",
        "4. A crash",
        "5. A cancelled stream",
        "6. Recorded answers",
        "How it stands now",
        "What was checked",
    ]
    assert all(lines[0].endswith((".", "?")) for title, lines in acts.items() if title)


def test_six_texts_arrive_interleaved(acts: dict[str, list[str]]) -> None:
    said: dict[str, list[str]] = {}
    order: list[str] = []
    for line in acts["1. Six streams at once"]:
        if found := re.fullmatch(r" +\d+\.\d\d s  (\w+) +([^ (].*)", line):
            said.setdefault(found[1], []).append(found[2])
            order.append(found[1])
    assert {name: " ".join(parts) for name, parts in said.items()} == PORTRAITS
    changes = sum(name != following for name, following in pairwise(order))
    assert changes > len(PROVIDERS), f"one after the other: {order}"


def test_the_tool_runs_here_and_its_result_comes_back(acts: dict[str, list[str]]) -> None:
    text = "\n".join(acts["2. A tool call"])
    assert 'days_between({"first": "2025-02-20", "last": "2025-03-01"}), received in 4 pieces' in text
    assert re.search(r"we return +9\n", text)
    assert "it is 9 days." in text


def test_the_retry_is_told(acts: dict[str, list[str]]) -> None:
    text = "\n".join(acts["3. An overloaded provider"])
    assert re.search(r"attempt 1 +overloaded, status 503; the next one in \d+ ms", text)
    assert re.search(r'attempt 2 +"Not any more\."', text)


def test_the_crash_the_restart_and_the_next_success(acts: dict[str, list[str]]) -> None:
    text = "\n".join(acts["4. A crash"])
    assert re.search(r"failure +kind actor_crashed, reason mid_stream, emitted True", text)
    assert re.search(r'partial +"1 2 3 4 5 6 7\b', text)
    assert re.search(r"restart +incarnation 2 began the next request \d+ ms after the crash", text)
    assert re.search(r"vllm, next  1 2 3\n", text)
    assert re.search(r"openai +1 2 3 .* 19 20\n", text)


def test_the_server_saw_the_cancelled_client_leave(acts: dict[str, list[str]]) -> None:
    text = "\n".join(acts["5. A cancelled stream"])
    assert re.search(r"azure +1 2 3 4 5 6 7 8\n", text)
    assert re.search(r"server +saw us leave \d+ ms later, having sent \d\d? of 100 words", text)


def test_a_line_for_each_recording(acts: dict[str, list[str]]) -> None:
    lines = [line.split(maxsplit=1) for line in acts["6. Recorded answers"][1:] if line]
    assert lines == [
        ["openai", 'tool calls: weather({"city": "Bern"})'],
        ["anthropic", 'tool calls: add({"a": 1, "b": 2})'],
        ["ollama", "reasoning: 3 words of reasoning, then: Four."],
        ["anthropic", "reasoning: 3 words of reasoning, then: It is four."],
        ["azure", "error: not_found, status 404: The deployment does not exist."],
    ]


def test_the_tree_and_the_table_at_the_end(acts: dict[str, list[str]]) -> None:
    lines = acts["How it stands now"]
    tree = [line.split()[1:5] for line in lines if line.startswith(("├", "└"))]
    assert tree == [[name, "ready", "incarnation", "2," if name == "vllm" else "1,"] for name in PROVIDERS]
    head = next(at for at, line in enumerate(lines) if line.startswith("act"))
    assert lines[head - 1].split() == ["first", "tokens", "tokens"]
    assert lines[head].split() == ["act", "provider", "model", "outcome", "attempts", "event", "total", "in", "out"]
    rows = [line.split() for line in lines[head + 1 :] if line]
    assert [row[:5] for row in rows] == [
        *(["1", name, "scripted", "stop", "1"] for name in PROVIDERS),
        ["2", "anthropic", "scripted", "tool_calls", "1"],
        ["2", "anthropic", "scripted", "stop", "1"],
        ["3", "ollama", "scripted", "stop", "2"],
        ["4", "openai", "scripted", "stop", "1"],
        ["4", "vllm", "scripted", "actor_crashed", "1"],
        ["4", "vllm", "scripted", "stop", "1"],
        ["5", "azure", "scripted", "cancelled", "1"],
        ["6", "openai", "hand-1", "tool_calls", "1"],
        ["6", "ollama", "hand-1", "stop", "1"],
        ["6", "azure", "recorded", "not_found", "1"],
        ["6", "anthropic", "hand-2", "tool_calls", "1"],
        ["6", "anthropic", "hand-2", "stop", "1"],
    ]
    assert rows[0][-2:] == ["11", "16"], "tokens in and out"


@pytest.mark.skipif(sys.platform == "win32", reason="an interrupt cannot be sent to one process there")
def test_an_interrupt_ends_it_quickly_and_quietly() -> None:
    with start("demo") as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("1. "):
            pass
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=5)
    assert (process.returncode, told.strip()) == (130, "")


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with start("demo") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        assert (process.wait(timeout=10), told) == (1, "")
