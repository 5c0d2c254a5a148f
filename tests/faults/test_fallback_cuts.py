"""A stream that breaks at any byte, with a model of the other dialect to fall back to: every character is told once.

The oracle reads what had arrived whole before the break with a decoder of its own, a dozen lines per dialect.
"""

import itertools
import json
import os
from collections import Counter
from random import Random
from typing import Any

import pytest
from trio.testing import MockClock

from nexus3 import (
    CompletionRequest,
    ContentDelta,
    FallbackSelected,
    Message,
    Role,
    StreamComplete,
    StreamFailed,
    ToolCall,
)
from nexus3.loopback import Answer
from nexus3.testing import Chunk, Cut, Exchange, Head, Reply, Step, open_house
from nexus3.testing.spoken import spoken
from nexus3.wire.messages import Origin, ReasoningBlock
from tests.actors.scripted import events_of

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))
CUTS = 1_000
LETTERS = 'abcdefghij ÄÖÜßéñ 漢字 \N{GRINNING FACE}\N{FAMILY}\u2028"\\\n'

CONFIG: dict[str, Any] = {
    "providers": {
        "openai": {"type": "openai", "base_url": "http://127.0.0.1:9/v1"},
        "anthropic": {"type": "anthropic", "base_url": "http://127.0.0.1:9"},
    },
    "models": {
        "from-openai": {"provider": "openai", "model_id": "gpt", "fallbacks": ["anthropic:claude"]},
        "from-anthropic": {"provider": "anthropic", "model_id": "claude", "fallbacks": ["openai:gpt"]},
    },
}
for settings in CONFIG["providers"].values():
    settings |= {"api_key": "sk-test-1234", "allow_loopback": True, "max_retries": 0, "breaker": "off"}


class Stage:
    """One request at a time: its first model breaks somewhere, its second one answers whole."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.first: str = ""
        self.texts: dict[str, list[str]] = {}
        """What each provider would say, in pieces."""
        self.arrived = b""
        """Of the broken stream."""

    def set(self, first: str) -> None:
        self.first = first
        # No text begins as another does: what comes of which model can be told.
        self.texts = {name: [f"{name}: ", *self._pieces()] for name in ("openai", "anthropic")}

    def _pieces(self) -> list[str]:
        rng = self.rng
        return ["".join(rng.choices(LETTERS, k=rng.randint(1, 9))) for _ in range(rng.randint(0, 6))]

    def __call__(self, exchange: Exchange) -> Reply:
        """The script."""
        answer = Answer(self.texts[exchange.provider])
        if exchange.provider != self.first:
            return answer
        url, headers, body = exchange.url, exchange.headers, exchange.body
        steps = list(spoken(answer, number=exchange.number, url=url, headers=headers, body=body))
        whole = b"".join(step.data for step in steps if isinstance(step, Chunk))
        self.arrived = whole[: self.rng.randint(0, len(whole) - 1)]
        [head] = [step for step in steps if isinstance(step, Head)]
        return [head, *self._cut_up(self.arrived), Cut(self.rng.choice(("reset", "closed")))]

    def _cut_up(self, data: bytes) -> list[Step]:
        places = sorted(self.rng.randint(0, len(data)) for _ in range(self.rng.randint(0, 8)))
        pairs = itertools.pairwise([0, *places, len(data)])
        return [Chunk(data[begin:end]) for begin, end in pairs if begin < end]


def understood(name: str, data: bytes) -> tuple[str, bool]:
    """The text that these bytes of a stream say, and whether they say that it is complete.

    The last event may lack its blank line: it is read where its data is whole.
    """
    text, complete = "", False
    for event in data.split(b"\n\n"):
        payload = b"".join(line.removeprefix(b"data:") for line in event.split(b"\n") if line.startswith(b"data:"))
        try:
            said: Any = json.loads(payload)
        except ValueError:
            continue  # cut off, or [DONE], which comes after the finish
        if name == "anthropic":
            text += said.get("delta", {}).get("text", "") if said["type"] == "content_block_delta" else ""
            complete = complete or bool(said.get("delta", {}).get("stop_reason")) or said["type"] == "message_stop"
        else:
            for choice in said["choices"]:
                text += choice["delta"].get("content") or ""
                complete = complete or choice["finish_reason"] is not None
    return text, complete


async def test_no_character_is_lost_or_told_twice_wherever_the_stream_breaks(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "nexus3")
    print(f"\nNEXUS3_SEED={SEED}")
    rng = Random(f"cuts {SEED}")
    stage = Stage(rng)
    fates: Counter[str] = Counter()
    async with open_house(stage, CONFIG) as house:
        for number in range(CUTS):
            first, second = rng.sample(("openai", "anthropic"), 2)
            stage.set(first)
            before = len(house.network.exchanges)
            request = CompletionRequest(model=f"from-{first}", messages=(Message(role=Role.USER, content="hi"),))
            events = await events_of(house.supervisor, request)
            end = events[-1]
            told = "".join(event.text for event in events if isinstance(event, ContentDelta))
            arrived, complete = understood(first, stage.arrived)
            asked = [exchange.provider for exchange in house.network.exchanges[before:]]
            hops = [event for event in events if isinstance(event, FallbackSelected)]
            where = f"cut {number} of {first} after {stage.arrived!r}"
            match end:
                case StreamComplete(message) if complete:
                    fates["complete before the cut"] += 1
                    assert (told, message.content, asked, hops) == (arrived, arrived, [first], []), where
                case StreamFailed(error, partial):
                    fates["failed with what had come"] += 1
                    assert arrived, where
                    assert partial is not None, where
                    assert (told, partial.content, asked, hops) == (arrived, arrived, [first], []), where
                    assert error.emitted, where
                case StreamComplete(message):
                    fates["fell back"] += 1
                    assert arrived == "", where
                    whole = "".join(stage.texts[second])
                    assert (told, message.content, asked) == (whole, whole, [first, second]), where
                    assert [(hop.provider, hop.error.kind) for hop in hops] == [(second, "transport")], where
                    assert events.index(hops[0]) < min(
                        at for at, event in enumerate(events) if isinstance(event, ContentDelta)
                    )
                case _:
                    raise AssertionError(where)
    print(dict(fates))
    assert min(fates.values()) >= CUTS // 20
    assert len(fates) == 3


@pytest.mark.parametrize("first", ["openai", "anthropic"])
async def test_the_other_dialect_gets_the_history_in_its_own_words(first: str, autojump_clock: MockClock) -> None:
    """A tool's id stays the one that its result names; a signature goes to nobody but the one who gave it."""
    signed = ReasoningBlock(
        text="Rain?",
        signature="c2lnbmVk",
        origin=Origin(dialect="anthropic_messages", provider="anthropic", model="claude"),
    )
    call = ToolCall(id="call_7", name="weather", arguments={"city": "Köln"}, raw_arguments='{"city": "Köln"}')
    messages = (
        Message(role=Role.USER, content="How is it there?"),
        Message(role=Role.ASSISTANT, content="Let me see.", tool_calls=(call,), reasoning=(signed,)),
        Message(role=Role.TOOL, content="Rain.", tool_call_id="call_7"),
    )
    bodies: dict[str, Any] = {}

    def script(exchange: Exchange) -> Reply:
        bodies[exchange.provider] = json.loads(exchange.body)
        return Answer(status=401) if exchange.provider == first else Answer("It rains.")

    async with open_house(script, CONFIG) as house:
        done = await house.supervisor.complete(CompletionRequest(model=f"from-{first}", messages=messages))
    assert done.message.content == "It rains."
    [asked] = [message["tool_calls"][0] for message in bodies["openai"]["messages"] if message.get("tool_calls")]
    [told] = [message for message in bodies["openai"]["messages"] if message["role"] == "tool"]
    assert (asked["id"], asked["function"]["name"], json.loads(asked["function"]["arguments"])) == (
        "call_7",
        "weather",
        {"city": "Köln"},
    )
    assert (told["tool_call_id"], told["content"]) == ("call_7", "Rain.")
    blocks = [block for message in bodies["anthropic"]["messages"] for block in _blocks(message["content"])]
    [used] = [block for block in blocks if block["type"] == "tool_use"]
    [result] = [block for block in blocks if block["type"] == "tool_result"]
    assert (used["id"], used["name"], used["input"]) == ("call_7", "weather", {"city": "Köln"})
    assert result["tool_use_id"] == "call_7"
    assert "Rain." in json.dumps(result["content"])
    [thought] = [block for block in blocks if block["type"] == "thinking"]
    assert (thought["thinking"], thought["signature"]) == ("Rain?", "c2lnbmVk")
    assert "c2lnbmVk" not in json.dumps(bodies["openai"])


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def test_the_oracle_understands_a_whole_answer() -> None:
    for name, path in (("openai", "/v1/chat/completions"), ("anthropic", "/v1/messages")):
        body = json.dumps(
            {"model": "m", "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": ""}]}
        )
        headers = [("x-api-key", "k"), ("anthropic-version", "2023-06-01")] if name == "anthropic" else []
        url = f"http://127.0.0.1:9{path}"
        steps = spoken(Answer(["a", "ß", LETTERS]), number=0, url=url, headers=headers, body=body.encode())
        data = b"".join(step.data for step in steps if isinstance(step, Chunk))
        assert understood(name, data) == (f"aß{LETTERS}", True)
        assert understood(name, b"") == ("", False)
