"""Every recorded exchange through the whole house: a real socket, the pool, the actor, the reply channel."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from nexus3 import (
    CompletionRequest,
    Message,
    Role,
    StreamComplete,
    StreamFailed,
    Submission,
    Supervisor,
    open_supervisor,
)
from nexus3.loopback import open_loopback, open_loopback_process
from tests.transcripts.recordings import (
    FOLDER,
    expected,
    is_failure,
    needs_recordings,
    provider_type,
    recordings,
    seen,
)

pytestmark = needs_recordings

SEED = 20261122
CUTS = 50
SMALL = 64 << 10


def request(model: str) -> CompletionRequest:
    return CompletionRequest(model=model, messages=(Message(role=Role.USER, content="replay"),), timeout=30)


@asynccontextmanager
async def house(**headers: str) -> AsyncIterator[Supervisor]:
    """A supervisor on a server process that replays; retries are off, so that one request is one exchange."""
    async with open_loopback_process(transcripts=FOLDER, seed=SEED) as server:
        config: dict[str, Any] = dict(server.config)
        config["providers"] = {
            name: {**settings, "max_retries": 0, "extra_headers": headers}
            for name, settings in config["providers"].items()
        }
        async with open_supervisor(config) as supervisor:
            yield supervisor


async def terminal(supervisor: Supervisor, model: str) -> StreamComplete | StreamFailed:
    submission = Submission(request(model))
    async with supervisor.submissions() as submit:
        await submit.send(submission)
    with trio.fail_after(20):
        async with submission.events as events:
            found = [event async for event in events]
    ends = [event for event in found if isinstance(event, StreamComplete | StreamFailed)]
    assert len(ends) == 1
    assert found[-1] is ends[0]
    return ends[0]


async def check_all(supervisor: Supervisor, *, only: set[str] | None = None) -> int:
    checked = 0
    wrong: list[str] = []
    for name, record in recordings().items():
        if only is not None and name not in only:
            continue
        checked += 1
        end = await terminal(supervisor, f"{provider_type(record)}:transcript:{name}")
        match end:
            case StreamFailed(error) if not is_failure(record):
                wrong.append(f"{name}: {error}")
            case StreamComplete() if is_failure(record):
                wrong.append(f"{name}: came out as a success")
            case StreamComplete(message):
                got, want = seen(end), expected(record, message)
                wrong += [f"{name}: {key}: {got[key]!r} is not {want[key]!r}" for key in want if got[key] != want[key]]
            case _:
                pass
    assert wrong == []
    return checked


async def test_all_recordings_at_random_segments() -> None:
    async with house() as supervisor:
        assert await check_all(supervisor) == len(recordings())


async def test_small_recordings_byte_by_byte() -> None:
    small = {
        name
        for name, record in recordings().items()
        if len(record["response"].get("sse") or record["response"].get("body_text") or "") < SMALL
    }
    async with house(**{"x-nexus3-segments": "1"}) as supervisor:
        assert await check_all(supervisor, only=small) == len(small)


async def test_all_recordings_where_no_stream_was_asked_for() -> None:
    async with open_loopback(transcripts=FOLDER, seed=SEED) as server:
        config: dict[str, Any] = dict(server.config)
        config["providers"] = {
            name: {**settings, "max_retries": 0, "stream": "never"} for name, settings in config["providers"].items()
        }
        async with open_supervisor(config) as supervisor:
            assert await check_all(supervisor) == len(recordings())


@pytest.mark.parametrize("how", ["eof", "truncate", "reset"])
async def test_a_stream_cut_anywhere_never_hangs_and_is_a_success_only_when_it_was_complete(how: str) -> None:
    rng = random.Random(f"{SEED}{how}")
    print(f"seed {SEED}")
    outcomes: Counter[str] = Counter()
    async with open_loopback(transcripts=FOLDER, seed=SEED) as server:
        for name, record in recordings().items():
            if not record["response"].get("sse"):
                continue
            body = record["response"]["sse"].encode()
            config: dict[str, Any] = dict(server.config)
            settings = config["providers"][provider_type(record)]
            cuts = [rng.randrange(len(body)) for _ in range(CUTS // 3 + 1)]
            providers = {
                f"cut-{place}": {
                    **settings,
                    "max_retries": 0,
                    "extra_headers": {"x-nexus3-cut": str(cut), "x-nexus3-cut-how": how},
                }
                for place, cut in enumerate(cuts)
            }
            async with open_supervisor({"providers": providers}) as supervisor:
                for place, cut in enumerate(cuts):
                    end = await terminal(supervisor, f"cut-{place}:transcript:{name}")
                    outcomes["success" if isinstance(end, StreamComplete) else end.error.kind] += 1
                    if isinstance(end, StreamComplete):
                        assert completed_at(record) <= cut, f"{name} cut at {cut} of {len(body)}: a success too early"
                    else:
                        assert end.error.kind in ("transport", "protocol") or is_failure(record), f"{name} at {cut}"
    print(dict(outcomes))
    assert outcomes["success"] > 0
    assert sum(outcomes.values()) == len(cuts) * sum(1 for r in recordings().values() if r["response"].get("sse"))


def completed_at(record: dict[str, Any]) -> int:
    """The first byte offset at which the stream has said that it is complete, read line by line, on its own."""
    offset = 0
    for line in record["response"]["sse"].encode().splitlines(keepends=True):
        offset += len(line)
        text = line.strip()
        if not text.startswith(b"data:"):
            continue
        data = text[5:].strip()
        if data == b"[DONE]":
            break
        chunk = json.loads(data)
        choices = chunk.get("choices") or [{}]
        if (
            chunk.get("type") == "message_stop"
            or (chunk.get("delta") or {}).get("stop_reason")
            or any(choice.get("finish_reason") for choice in choices)
        ):
            break
    return offset - (len(line) - len(line.rstrip()))
