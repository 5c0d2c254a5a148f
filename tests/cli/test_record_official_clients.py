"""The official SDKs through the relay, and then on the cassette: the same objects."""

import os
from pathlib import Path

import anthropic
import openai
import pytest

from nexus3.loopback import Answer, Call, open_loopback
from nexus3.loopback.cassette import read_cassette
from tests.cli.taping import taping

# OpenAI's leaves its own generators to the collector: it closes the connection at ``[DONE]``, before the body's end.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator.*was garbage collected:ResourceWarning")

ANSWER = Answer(["It ", "rains — 雨."], tool_calls=[Call("get_weather", ['{"city":', '"Berlin"}'])], delay=0.005)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs read keys and addresses from the environment; a test must send none of the machine's."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "ANTHROPIC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


async def by_openai(url: str) -> list[object]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="placeholder", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        return [chunk async for chunk in stream]


async def by_anthropic(url: str) -> list[object]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="placeholder", max_retries=0) as client:
        stream = await client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        return [event async for event in stream]


async def test_openai_s_own_client(tmp_path: Path) -> None:
    async with taping(tmp_path / "tape.jsonl", [ANSWER]) as taped:
        recorded = await by_openai(f"http://127.0.0.1:{taped.relay.port}")
    assert len(recorded) > 4
    assert [recording.answer.end for recording in read_cassette(tmp_path / "tape.jsonl")] == ["end"]
    async with open_loopback(cassette=tmp_path / "tape.jsonl", speed=0) as server:
        assert await by_openai(server.url) == recorded


async def test_anthropic_s_own_client(tmp_path: Path) -> None:
    async with taping(tmp_path / "tape.jsonl", [ANSWER], "anthropic") as taped:
        recorded = await by_anthropic(f"http://127.0.0.1:{taped.relay.port}")
    assert len(recorded) > 4
    assert [recording.answer.end for recording in read_cassette(tmp_path / "tape.jsonl")] == ["end"]
    async with open_loopback(cassette=tmp_path / "tape.jsonl", speed=0) as server:
        assert await by_anthropic(server.url) == recorded
