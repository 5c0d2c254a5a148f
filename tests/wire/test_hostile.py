"""Whatever bytes come, a decoder gives events and an outcome: no exception, no hang, nothing against the grammar."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from nexus3.wire.catalog import CATALOG, ProviderTypeName, Target
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.dialects import CODECS
from nexus3.wire.events import (
    ContentDelta,
    Notice,
    ReasoningDelta,
    ResponseStarted,
    StreamEvent,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    UsageUpdated,
)
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DEFAULT_LIMITS
from tests.transcripts.recordings import provider_type, recordings

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))

OWN_STREAMS: list[tuple[ProviderTypeName, bytes]] = [
    (
        "openai",
        b'data: {"id":"a","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"lo","tool_calls":[{"index":0,"id":"c","function":'
        b'{"name":"f","arguments":"{\\"a\\":"}}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    ),
    (
        "anthropic",
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"c",'
        b'"usage":{"input_tokens":3}}}\n\nevent: content_block_start\n'
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking",'
        b'"thinking":"","signature":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta",'
        b'"thinking":"hm"}}\n\nevent: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use",'
        b'"id":"t","name":"f","input":{}}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta",'
        b'"index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":'
        b'{"output_tokens":5}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
]

TOKENS = [
    b"\r\n\r\n",
    b"null", b"true", b"-1", b"1e999", b"NaN", b'""', b"[]", b"{}", b'"\\ud83d"', b"[[[[[[[[", b"\n\n", b"\r",
    b"data: ", b"data:", b"event: error\n", b": ping\n\n", b"data: [DONE]\n\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\x00",
    b'"error":{"message":"x"},', b'"finish_reason":"stop"', b'"choices":null', b'"index":99999999999', b'"delta":[]',
    b'"type":"message_stop"', b'"type":"content_block_stop"', b"\xe2\x80\xa8", b"9" * 400,
]  # fmt: skip


def target(name: ProviderTypeName) -> Target:
    row = CATALOG[name]
    return Target(provider=name, type=row, model="m", url="http://127.0.0.1/", quirks=row.quirks)


def mutated(stream: bytes, rng: random.Random) -> bytes:
    body = bytearray(stream)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(6):
            case 0:
                body[at : at + rng.randint(1, 40)] = b""
            case 1:
                body[at:at] = rng.choice(TOKENS)
            case 2:
                body[at : at + 1] = rng.randbytes(1)
            case 3:
                end = min(len(body), at + rng.randint(1, 400))
                body[at:at] = body[at:end]
            case 4:
                body[at : at + rng.randint(1, 8)] = rng.choice(TOKENS)
            case _:
                del body[at:]
    return bytes(body)


def type_of(record: dict[str, Any]) -> ProviderTypeName:
    name = provider_type(record)
    return next(row for row in CATALOG if row == name)


def cases(count: int, rng: random.Random) -> Iterator[tuple[ProviderTypeName, bytes]]:
    streams = OWN_STREAMS + [
        (type_of(record), record["response"]["sse"].encode())
        for record in recordings().values()
        if record["response"].get("sse") and len(record["response"]["sse"]) < 40_000
    ]
    for number in range(count):
        name, stream = rng.choice(streams)
        if number % 10 == 0:
            yield name, rng.randbytes(rng.randint(0, 400))
        else:
            yield name, mutated(stream, rng)


def check_grammar(events: list[StreamEvent], outcome: object) -> None:
    """What the vocabulary promises of every stream."""
    started = [place for place, event in enumerate(events) if isinstance(event, ResponseStarted)]
    content = [
        place
        for place, event in enumerate(events)
        if isinstance(event, ContentDelta | ReasoningDelta | ToolCallStarted | ToolCallDelta | ToolCallCompleted)
    ]
    assert len(started) <= 1
    assert not content or (started and started[0] < content[0])
    open_calls: dict[int, str] = {}
    done: list[int] = []
    for event in events:
        match event:
            case ContentDelta(text) | ReasoningDelta(text):
                assert text
            case ToolCallStarted(index, call_id, name):
                assert index == len(open_calls)
                assert call_id
                assert name
                open_calls[index] = ""
            case ToolCallDelta(index, arguments):
                assert arguments
                open_calls[index] += arguments
            case ToolCallCompleted(index, call):
                done.append(index)
                assert call.raw_arguments == open_calls[index]
            case ResponseStarted() | UsageUpdated() | Notice():
                pass
            case _:
                raise AssertionError(f"a decoder does not make {event}")
    if isinstance(outcome, Reply):
        assert done == list(range(len(open_calls)))
        text = "".join(event.text for event in events if isinstance(event, ContentDelta) and not event.refusal)
        assert outcome.message.content == text
    else:
        assert isinstance(outcome, Failure)
        assert outcome.message


def run(count: int) -> Counter[str]:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    outcomes: Counter[str] = Counter()
    for number, (name, body) in enumerate(cases(count, rng)):
        decoder = CODECS[CATALOG[name].dialect].open_decoder(target(name), request_id=None, limits=DEFAULT_LIMITS)
        events: list[StreamEvent] = []
        at = 0
        try:
            while at < len(body):
                size = rng.choice((1, 7, 64, 1024, 16384))
                events += decoder.feed(body[at : at + size])
                at += size
            if decoder.outcome is None:
                events += decoder.end()
            check_grammar(events, decoder.outcome)
            decoder.partial()
        except BaseException:
            print(f"case {number} of seed {SEED}, {name}: {body!r}")
            raise
        outcome = decoder.outcome
        assert outcome is not None
        outcomes["reply" if isinstance(outcome, Reply) else f"{outcome.kind}/{outcome.reason}"] += 1
    print(dict(outcomes))
    return outcomes


def test_hostile_streams_give_events_or_a_typed_failure() -> None:
    outcomes = run(2_000)
    assert outcomes["reply"] > 20
    assert len(outcomes) > 3


@pytest.mark.soak
def test_a_hundred_thousand_hostile_streams() -> None:
    assert sum(run(100_000).values()) == 100_000
