"""``nexus3 record`` and ``nexus3 replay`` as a user runs them: processes, exit codes, what they print, an interrupt."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from nexus3.loopback.cassette import read_cassette
from tests.cli.processes import run, start, start_python
from tests.cli.taping import KEY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="an interrupt cannot be sent to one process there")

HELLO = {"model": "local-echo", "messages": [{"role": "user", "content": "Hello"}]}


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def interrupted(process: subprocess.Popen[str]) -> Ended:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    return Ended(process.returncode, out, err)


def post(url: str, body: Mapping[str, object]) -> tuple[int, bytes]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def line(stream: object) -> str:
    return stream.readline().strip()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A cassette made by the command, and the body that the application got."""
    folder = tmp_path_factory.mktemp("cassettes")
    tape, config = folder / "tape.jsonl", folder / "nexus3.json"
    with start("loopback") as upstream:
        url = line(upstream.stdout)
        provider = {"type": "openai", "base_url": url, "api_key": KEY, "allow_loopback": True}
        config.write_text(json.dumps({"providers": {"up": provider}}))
        with start("record", str(tape), "--config", str(config)) as recorder:
            variable, _, base_url = line(recorder.stdout).partition("=")
            assert variable == "OPENAI_BASE_URL"
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", base_url)
            said = [line(recorder.stderr) for _ in range(3)]
            status, body = post(f"{base_url}/chat/completions", HELLO)
            told = line(recorder.stderr)
            ended = interrupted(recorder)
    assert said == ["Forwarding to up with its configured key.", f"Recording to {tape}", "Ctrl-C stops."]
    assert status == 200
    assert re.fullmatch(r"POST /v1/chat/completions  200  1 piece  \d+\.\d\d s", told)
    assert ended == Ended(0, "", f"\n1 recorded in {tape}\n")
    assert KEY not in tape.read_text()
    assert tape.stat().st_mode & 0o777 == 0o600
    return tape, body


def test_what_was_recorded_is_replayed_and_the_interrupt_is_no_failure(recorded: tuple[Path, bytes]) -> None:
    tape, body = recorded
    with start("replay", str(tape), "--speed", "max") as player:
        url = line(player.stdout)
        said = [line(player.stderr) for _ in range(3)]
        answers = [post(f"{url}/v1/chat/completions", HELLO) for _ in range(2)]
        ended = interrupted(player)
    assert said[2] == "Recorded exchanges: 1. Any key will do. Ctrl-C stops."
    assert answers == [(200, body)] * 2
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.count("POST /v1/chat/completions  200  1 piece  ") == 2
    assert ended.err.endswith("\n\n0 missed\n")


def test_a_miss_is_told_and_makes_the_exit_code_1(recorded: tuple[Path, bytes]) -> None:
    with start("replay", str(recorded[0]), "--strict-order", "--speed", "5") as player:
        url = line(player.stdout)
        status, answer = post(f"{url}/v1/chat/completions", {**HELLO, "temperature": 1})
        ended = interrupted(player)
    told = "next in order is recording 1 of 1, which differs at body.temperature: recorded nothing, got '1'"
    assert status == 404
    assert told in json.loads(answer)["error"]["message"]
    assert ended.code == 1
    assert ended.err.endswith(
        f"missed: POST /v1/chat/completions was not recorded: {told}\n\n1 missed; 1 recorded were never asked for\n"
    )


def test_an_interrupt_in_mid_answer_leaves_a_whole_cassette(tmp_path: Path) -> None:
    tape, config = tmp_path / "tape.jsonl", tmp_path / "nexus3.json"
    with start("loopback") as upstream:
        provider = {"type": "anthropic", "base_url": line(upstream.stdout), "allow_loopback": True}
        config.write_text(json.dumps({"providers": {"up": provider, "other": {}}}))
        with start("record", str(tape), "--config", str(config), "--provider", "up") as recorder:
            variable, _, base_url = line(recorder.stdout).partition("=")
            assert variable == "ANTHROPIC_BASE_URL"
            assert "with your application's own key" in line(recorder.stderr)
            assert [line(recorder.stderr) for _ in range(2)] == [f"Recording to {tape}", "Ctrl-C stops."]
            body = json.dumps({**HELLO, "model": "stall-3", "max_tokens": 9, "stream": True})
            host, port = base_url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=10) as client:
                client.sendall(
                    f"POST /v1/messages HTTP/1.1\r\nhost: {host}:{port}\r\nanthropic-version: 2023-06-01\r\n"
                    f"content-length: {len(body)}\r\n\r\n{body}".encode()
                )
                seen = b""
                while seen.count(b"text_delta") < 3:
                    seen += client.recv(65536)
                ended = interrupted(recorder)
    assert ended.code == 0
    assert re.match(r"POST /v1/messages  200  \d+ pieces?  \d+\.\d\d s, cut\n\n1 recorded in ", ended.err)
    (_, exchange) = tape.read_text().splitlines()
    assert json.loads(exchange)["answer"]["end"] == "cut"


# A limit on the sizes of files stands for a full disk, which fails the same call, after a part of it.
ON_A_FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from nexus3.cli.main import main
main()
"""


def test_a_full_disk_ends_the_recording_in_one_line_and_leaves_a_whole_cassette(tmp_path: Path) -> None:
    tape, config = tmp_path / "tape.jsonl", tmp_path / "nexus3.json"
    with start("loopback") as upstream:
        provider = {"type": "openai", "base_url": line(upstream.stdout), "api_key": KEY, "allow_loopback": True}
        config.write_text(json.dumps({"providers": {"up": provider}}))
        command = ["record", str(tape), "--config", str(config)]
        with start_python("-c", ON_A_FULL_DISK, "1500", *command) as recorder:
            _, _, base_url = line(recorder.stdout).partition("=")
            answers = [post(f"{base_url}/chat/completions", HELLO) for _ in range(2)]
            out, err = recorder.communicate(timeout=10)
    assert [status for status, _ in answers] == [200, 200], "the application has had its answer"
    assert (recorder.returncode, out) == (1, "")
    assert err.splitlines()[-1] == (f"Error: {tape} takes no more: File too large; recorded before that and whole: 1")
    assert "Traceback" not in err
    assert [recording.number for recording in read_cassette(tape)] == [0]


@pytest.mark.parametrize(
    ("config", "arguments", "problem"),
    [
        ({"providers": {"up": {}}}, ["--provider", "upp"], "no provider 'upp' is configured; did you mean 'up'?"),
        ({"providers": {"up": {}}}, ["--provider", "claude"], "no provider 'claude' is configured; configured are: up"),
        ({"providers": {"a": {}, "b": {}}}, [], "say which by --provider; configured are: a, b"),
        ({"providers": {}}, [], "say which by --provider; configured are: none"),
        ({"providers": {"up": {"base_url": "http://127.0.0.1:1"}}}, [], "this is the local machine"),
    ],
)
def test_a_provider_that_is_not_clear_is_told_in_one_line(
    config: object, arguments: list[str], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "nexus3.json"
    path.write_text(json.dumps(config))
    done = run("record", str(tmp_path / "tape.jsonl"), *arguments, NEXUS3_CONFIG=str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "tape.jsonl").exists()


def test_the_default_model_says_which_provider(tmp_path: Path) -> None:
    from nexus3.cli.record import choose_provider

    path = tmp_path / "nexus3.json"
    path.write_text(json.dumps({"default_model": "b:m", "providers": {"a": {}, "b": {"type": "ollama"}}}))
    assert choose_provider(path, None).name == "b"
    assert choose_provider(path, "a").name == "a"


@pytest.mark.parametrize("verb", ["record", "replay"])
def test_what_is_no_cassette_is_told_in_one_line(verb: str, tmp_path: Path) -> None:
    diary, config = tmp_path / "diary.txt", tmp_path / "nexus3.json"
    diary.write_text("dear diary")
    config.write_text('{"providers": {"up": {}}}')
    done = run(verb, str(diary), NEXUS3_CONFIG=str(config))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {diary} is no cassette: its first line does not say so\n"
    assert diary.read_text() == "dear diary"


@pytest.mark.parametrize("verb", ["record", "replay"])
def test_a_taken_port_is_told_in_one_line(verb: str, recorded: tuple[Path, bytes], tmp_path: Path) -> None:
    config = tmp_path / "nexus3.json"
    config.write_text('{"providers": {"up": {}}}')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(verb, str(recorded[0]), "--port", port, NEXUS3_CONFIG=str(config))
    assert (done.returncode, done.stdout) == (1, "")
    assert f" on 127.0.0.1:{port}: " in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("speed", ["-1", "fast", "nan", "inf"])
def test_what_is_no_speed_is_wrong_usage(speed: str, recorded: tuple[Path, bytes]) -> None:
    done = run("replay", str(recorded[0]), "--speed", speed)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'{speed}' is no factor" in done.stderr


@pytest.mark.parametrize("verb", ["record", "replay"])
def test_the_help_has_examples_and_says_what_matters(verb: str) -> None:
    done = run(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: nexus3 {verb} [OPTIONS] CASSETTE" in done.stdout
    assert f"Examples:\n    nexus3 {verb} tape.jsonl\n" in done.stdout
