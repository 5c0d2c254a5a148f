"""Builds what the tests of this dialect feed in: targets, chunks, streams. And folds events back into an answer."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from nexus3.wire.catalog import CATALOG, ProviderTypeName, Target
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import open_decoder
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
from nexus3.wire.limits import DEFAULT_LIMITS, DecodeLimits
from nexus3.wire.messages import Usage


def target(type_name: ProviderTypeName = "openai", model: str = "gpt-x", **quirks: object) -> Target:
    row = CATALOG[type_name]
    return Target(
        provider="p",
        type=row,
        model=model,
        url="http://127.0.0.1/v1/chat/completions",
        quirks=msgspec.structs.replace(row.quirks, **quirks),
    )


def chunk(delta: object = None, finish: str | None = None, **more: object) -> dict[str, object]:
    """A chunk with one choice; ``more`` are keys of the chunk."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "c1", "model": "m1", "choices": [choice], **more}


def calls(*fragments: object) -> dict[str, object]:
    """A chunk with tool call fragments."""
    return chunk({"tool_calls": list(fragments)})


def call(index: int | None = None, call_id: str | None = None, name: str | None = None, args: object = None) -> object:
    """A tool call fragment, without the keys that are ``None``."""
    function = {key: value for key, value in (("name", name), ("arguments", args)) if value is not None}
    keys = (("index", index), ("id", call_id), ("function", function or None))
    return {key: value for key, value in keys if value is not None}


def sse(*items: object) -> bytes:
    """A stream of events: objects as JSON, text as it is."""
    return b"".join(
        b"data: " + (item.encode() if isinstance(item, str) else json.dumps(item).encode()) + b"\n\n" for item in items
    )


DONE = "[DONE]"


class Read(NamedTuple):
    """What a decoder made of a stream."""

    events: list[StreamEvent]
    outcome: Reply | Failure
    emitted: bool


def read(
    pieces: bytes | Iterable[bytes],
    where: Target | None = None,
    *,
    limits: DecodeLimits = DEFAULT_LIMITS,
    cut: Failure | None = None,
    request_id: str | None = "req-1",
) -> Read:
    """Feed the pieces, then the end."""
    decoder = open_decoder(where or target(), request_id=request_id, limits=limits)
    events: list[StreamEvent] = []
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        events += decoder.feed(piece)
    events += decoder.end(cut)
    assert decoder.outcome is not None
    return Read(events, decoder.outcome, decoder.emitted)


def reply(pieces: bytes | Sequence[bytes], where: Target | None = None) -> Reply:
    outcome = read(pieces, where).outcome
    assert isinstance(outcome, Reply), outcome
    return outcome


def failure(pieces: bytes | Sequence[bytes], where: Target | None = None) -> Failure:
    outcome = read(pieces, where).outcome
    assert isinstance(outcome, Failure), outcome
    return outcome


class Folded(NamedTuple):
    """What a reader of the events has seen."""

    content: str
    refusal: str
    reasoning: str
    calls: list[tuple[str, str, str]]
    """Id, name, arguments."""
    usage: Usage | None


def fold(events: Iterable[StreamEvent]) -> Folded:
    """Put an answer together from its events, and check their grammar on the way."""
    content, refusal, reasoning = "", "", ""
    calls: list[tuple[str, str, str]] = []
    completed: list[int] = []
    usage: Usage | None = None
    for place, event in enumerate(events):
        assert isinstance(event, ResponseStarted) == (place == 0), "ResponseStarted comes first, and once"
        match event:
            case ResponseStarted():
                pass
            case ContentDelta(text, is_refusal):
                assert text
                if is_refusal:
                    refusal += text
                else:
                    content += text
            case ReasoningDelta(text):
                assert text
                reasoning += text
            case ToolCallStarted(index, call_id, name):
                assert index == len(calls)
                assert call_id
                assert name
                calls.append((call_id, name, ""))
            case ToolCallDelta(index, arguments):
                assert arguments
                call_id, name, before = calls[index]
                calls[index] = (call_id, name, before + arguments)
            case ToolCallCompleted(index, tool_call):
                assert index == len(completed), "calls are completed in order"
                completed.append(index)
                assert (tool_call.id, tool_call.name, tool_call.raw_arguments) == calls[index]
            case UsageUpdated(usage):
                pass
            case Notice():
                pass
            case _:
                raise AssertionError(f"not an event of a decoder: {event}")
            # Nothing but the completions of the other calls, or notices, may follow a completion.
        if completed and not isinstance(event, ToolCallCompleted):
            raise AssertionError(f"after a completion came {event}")
    return Folded(content, refusal, reasoning, calls, usage)


def folded(answer: Reply) -> Folded:
    """The same, from the message."""
    message = answer.message
    assert isinstance(message.content, str)
    return Folded(
        message.content,
        message.refusal or "",
        "".join(block.text for block in message.reasoning),
        [(one.id, one.name, one.raw_arguments) for one in message.tool_calls],
        answer.usage,
    )


def notices(events: Iterable[StreamEvent]) -> list[str]:
    """The codes of all notices."""
    return [event.code for event in events if isinstance(event, Notice)]
