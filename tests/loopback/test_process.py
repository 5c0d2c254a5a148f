"""The server as a process of its own."""

import signal
from pathlib import Path

import msgspec
import pytest

from nexus3.loopback import open_loopback_process
from nexus3.loopback.local_config import local_config
from tests.loopback.announced import announced
from tests.loopback.raw import ask, chat, chat_body

SCRIPTS = Path(__file__).parent / "scripts.py"
CLOSE = {"connection": "close"}


async def test_a_server_in_another_process_answers_and_tells_what_it_saw() -> None:
    async with open_loopback_process() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.config == local_config(server.url)
        assert b"You said: hi" in await ask(server.port, chat(headers=CLOSE))
        (exchange,) = await server.exchanges()
        assert (exchange.status, exchange.body) == (200, chat_body())
    with pytest.raises(OSError, match="all attempts to connect"):
        await ask(server.port, chat())


@pytest.mark.parametrize(("name", "said"), [("answers", b"from a file"), ("decide", b"decided for m")])
async def test_it_takes_a_script_from_a_file(name: str, said: bytes) -> None:
    async with open_loopback_process(script=f"{SCRIPTS}:{name}") as server:
        assert said in await ask(server.port, chat("m", headers=CLOSE))


async def test_it_serves_transcripts(tmp_path: Path) -> None:
    record = {"id": "one", "response": {"status": 201, "headers": {}, "body_json": [1]}}
    (tmp_path / "one.json").write_bytes(msgspec.json.encode(record))
    async with open_loopback_process(transcripts=tmp_path, seed=3) as server:
        assert (await ask(server.port, chat("transcript:one", headers=CLOSE))).startswith(b"HTTP/1.1 201 Created")


@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
async def test_it_ends_when_told_to(end: str) -> None:
    async with announced("nexus3.loopback") as process:
        if end == "stdin":
            assert process.stdin is not None
            await process.stdin.aclose()
        else:
            process.send_signal(signal.Signals[end])


async def test_a_process_that_cannot_start_is_an_error() -> None:
    with pytest.raises(OSError, match="did not start"):
        async with open_loopback_process(script=f"{SCRIPTS}:nothing"):
            pass
