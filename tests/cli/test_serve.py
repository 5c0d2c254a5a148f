"""``nexus3 loopback``: a URL on standard output, requests answered, an interrupt obeyed."""

import json
import signal
import socket
import sys
import urllib.request

import pytest

from nexus3.cli.serve import line_for
from nexus3.loopback import Exchange
from tests.cli.processes import run, start, start_python


@pytest.mark.skipif(sys.platform == "win32", reason="an interrupt cannot be sent to one process there")
def test_it_prints_its_url_answers_and_stops_when_interrupted() -> None:
    with start("loopback") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        body = {"model": "local-echo", "messages": [{"role": "user", "content": "Hello"}]}
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        lines = [process.stderr.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=5)
    assert answer["choices"][0]["message"]["content"].endswith("You said: Hello")
    assert lines[:3] == [
        f"OpenAI clients:    base URL {url}/v1\n",
        f"Anthropic clients: base URL {url}\n",
        "Any key will do. Ctrl-C stops.\n",
    ]
    assert lines[3].startswith("POST /v1/chat/completions  200  ")
    assert (process.returncode, told) == (0, "\n1 request answered\n")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such shells there")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_in_the_background_of_a_script_it_stops_too(end: signal.Signals) -> None:
    """Shells without job control start background commands with SIGINT ignored, and children inherit that."""
    with start_python("-c", f"import signal, os, sys; signal.signal(2, signal.SIG_IGN); {BECOME_LOOPBACK}") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(end)
        _, told = process.communicate(timeout=5)
    assert process.returncode == 0
    assert told.endswith("\nno requests answered\n")


BECOME_LOOPBACK = "os.execv(sys.executable, [sys.executable, '-m', 'nexus3', 'loopback'])"


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("loopback", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1


def test_the_line_for_a_request_that_the_client_left() -> None:
    exchange = Exchange(
        number=0, connection=0, method="POST", path="/v1/messages", headers={}, body=None,
        status=200, pieces_sent=3, client_left=True, started=1.0, ended=1.5,
    )  # fmt: skip
    assert line_for(exchange) == "POST /v1/messages  200  3 pieces  0.50 s, the client left"
    exchange.pieces_sent = 0
    assert line_for(exchange) == "POST /v1/messages  200  no pieces  0.50 s, the client left"
