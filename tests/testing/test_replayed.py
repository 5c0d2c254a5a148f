"""``replayed``: a recorded conversation for an app's own tests, and its misses."""

from pathlib import Path

import pytest

from nexus3 import CompletionRequest, Message, ProviderError, Role, open_supervisor
from nexus3.loopback import CassetteError, open_loopback
from nexus3.loopback.cassette import open_cassette
from nexus3.testing import CassetteMissed, replayed
from tests.loopback.tapes import recording

ANSWER = (
    '{"id": "1", "model": "m", "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}'
)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    with open_cassette(tmp_path / "tape.jsonl", str) as writer:
        writer.append(recording(asked, ANSWER, headers={"content-type": "application/json"}))
    return tmp_path / "tape.jsonl"


async def ask(config: object, text: str) -> object:
    assert isinstance(config, dict)
    quiet = config["providers"]["openai"] | {"stream": "never"}
    async with open_supervisor({"providers": {"openai": quiet}}) as supervisor:
        request = CompletionRequest(model="openai:m", messages=(Message(role=Role.USER, content=text),))
        return (await supervisor.complete(request)).message.content


async def test_what_was_recorded_is_answered(tape: Path) -> None:
    async with replayed(tape) as server:
        assert await ask(server.config, "hi") == "Hello"


async def test_a_miss_that_the_app_swallowed_is_raised_on_leaving(tape: Path) -> None:
    with pytest.raises(CassetteMissed) as missed:
        async with replayed(tape) as server:
            with pytest.raises(ProviderError) as failed:
                await ask(server.config, "hello")
            assert len(server.exchanges) == 1, "nobody sent it again"
    told = (
        "POST /v1/chat/completions was not recorded: nearest is recording 1 of 1, which differs at "
        "body.messages[0].content: recorded 'hi', got 'hello'"
    )
    assert str(missed.value) == told
    assert (failed.value.kind, failed.value.reason, failed.value.retryable) == ("not_found", "cassette_miss", False)
    assert told in failed.value.message


async def test_the_app_s_own_exception_leaves_with_the_misses_as_notes(tape: Path) -> None:
    with pytest.raises(ProviderError) as failed:
        async with replayed(tape) as server:
            await ask(server.config, "hello")
    assert len(failed.value.__notes__) == 1
    assert "recorded 'hi', got 'hello'" in failed.value.__notes__[0]


async def test_in_strict_order_a_second_time_is_a_miss(tape: Path) -> None:
    with pytest.raises(CassetteMissed, match="all 1 recordings have been played"):
        async with replayed(tape, strict_order=True) as server:
            assert await ask(server.config, "hi") == "Hello"
            with pytest.raises(ProviderError):
                await ask(server.config, "hi")


async def test_what_cannot_be_played_is_said_at_once(tmp_path: Path, tape: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await replayed(tmp_path / "nothing.jsonl").__aenter__()
    diary = tmp_path / "diary.txt"
    diary.write_text("dear diary")
    with pytest.raises(CassetteError):
        await replayed(diary).__aenter__()
    with pytest.raises(ValueError, match="speed"):
        await open_loopback(cassette=tape, speed=-1).__aenter__()
    with pytest.raises(ValueError, match="a cassette answers alone"):
        await open_loopback(cassette=tape, script=[]).__aenter__()
