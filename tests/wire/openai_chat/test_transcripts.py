"""Recorded answers of real servers, read by the decoder: every one of them, cut in every way."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus3.wire.catalog import CATALOG
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import decode_body
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DEFAULT_LIMITS
from nexus3.wire.messages import Usage
from tests.wire.openai_chat.build import Read, fold, folded, read, target

FOLDER = Path(os.environ.get("NEXUS3_TRANSCRIPTS") or Path(__file__).parents[4] / "shared" / "transcripts")

Record = dict[str, Any]

DISPUTED = {
    "openai-compatible-n-84531a7370": (
        "The content is the JSON object that a schema asked for, not its text; expected text is null. We give the text "
        "of the object: an answer must not be lost because a gateway parsed it."
    ),
    "openai-compatible-s-0c42159aa1": (
        "total_tokens is prompt + completion + reasoning, so completion_tokens lacks the reasoning: our output_tokens "
        "include it, here as everywhere."
    ),
    "openrouter-s-dd5c195f68": (
        "The error comes after finish_reason length. The answer was proven complete before it: a reply, with a notice."
    ),
}


def records(*, streamed_only: bool = False) -> list[Any]:
    parameters = []
    for path in sorted(FOLDER.glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        if record.get("dialect") != "openai-chat" or record["response"]["status"] >= 400:
            continue  # a status of an error is the classifier's, not the decoder's
        if "sse" in record["response"] or not streamed_only:
            parameters.append(pytest.param(record, id=record["id"]))
    return parameters or [pytest.param({}, marks=pytest.mark.skip(f"no recorded answers in {FOLDER}"))]


def where(record: Record) -> Any:
    name = record["provider_type"]
    return target(name if name in CATALOG else "vllm")


def read_body(record: Record) -> Read:
    response = record["response"]
    body = (response.get("body_text") or json.dumps(response["body_json"])).encode()
    events, outcome = decode_body(body, where(record), request_id="req-1", limits=DEFAULT_LIMITS)
    return Read(events, outcome, emitted=False)


def segmentations(body: bytes, seed: str) -> Iterator[list[bytes]]:
    yield [body]
    yield [body[place : place + 1] for place in range(len(body))] if len(body) < 100_000 else [body]
    chance = random.Random(seed)
    for _ in range(4):
        cuts = sorted(chance.sample(range(len(body) + 1), min(len(body), chance.randint(1, 60))))
        yield [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def usage_of(wire: Record | None, *, adds_reasoning: bool) -> Usage | None:
    """The expected usage in our words, written from the convention, not from the code."""
    if not wire:
        return None
    prompt = wire.get("prompt_tokens_details") or {}
    completion = wire.get("completion_tokens_details") or {}
    reasoning = completion.get("reasoning_tokens", wire.get("reasoning_tokens"))
    cost = wire.get("cost")
    cached = [
        prompt.get("cached_tokens"),
        *(wire.get(key) for key in ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")),
    ]
    written = [prompt.get("cache_write_tokens"), wire.get("cache_creation_input_tokens")]
    return Usage(
        input_tokens=wire["prompt_tokens"],
        output_tokens=wire["completion_tokens"] + (reasoning if adds_reasoning else 0),
        cache_read_tokens=next((count for count in cached if count is not None), None),
        cache_write_tokens=next((count for count in written if count is not None), None),
        reasoning_tokens=reasoning,
        cost=cost["total_cost"] if isinstance(cost, dict) else cost,
    )


def check(record: Record, result: Read) -> None:
    expected = record["expected"]
    if "error" in expected and record["id"] not in DISPUTED:
        assert isinstance(result.outcome, Failure)
        assert expected["error"]["message"] in result.outcome.message
        if expected.get("partial"):
            seen = fold(result.events)
            assert (seen.content, seen.reasoning) == (expected["text"], expected["reasoning"])
        return
    assert isinstance(result.outcome, Reply), result.outcome
    seen = fold(result.events)
    assert seen == folded(result.outcome)
    if "content_raw" in expected:
        assert json.loads(seen.content) == expected["content_raw"]
    else:
        assert seen.content == expected["text"]
    assert seen.reasoning == expected["reasoning"]
    assert seen.refusal == (expected.get("refusal") or "")
    wanted = [(one["id"], one["name"], one["arguments_raw"] or "") for one in expected["tool_calls"]]
    if (old := expected.get("function_call")) and old["name"]:
        wanted.append((seen.calls[0][0], old["name"], old["arguments_raw"]))
    assert seen.calls == wanted
    for one, given in zip(result.outcome.message.tool_calls, expected["tool_calls"], strict=False):
        parsed = given["arguments"]
        assert one.arguments == (parsed if isinstance(parsed, dict) else {} if not parsed else None)
    assert result.outcome.raw_stop_reason == (expected["finish_reason"] or None)
    adds_reasoning = record["id"] == "openai-compatible-s-0c42159aa1"
    assert result.outcome.usage == usage_of(expected["usage"], adds_reasoning=adds_reasoning)


@pytest.mark.parametrize("record", records())
def test_a_recorded_answer_is_read_as_it_was_meant(record: Record) -> None:
    if "sse" not in record["response"]:
        check(record, read_body(record))
        return
    body = record["response"]["sse"].encode()
    whole = read(body, where(record))
    check(record, whole)
    for pieces in segmentations(body, record["id"]):
        assert read(pieces, where(record)) == whole


@pytest.mark.parametrize("record", records(streamed_only=True))
def test_a_recorded_stream_that_is_cut_before_its_end_is_never_an_answer(record: Record) -> None:
    body = record["response"]["sse"].encode()
    chance = random.Random(record["id"])
    for cut in {chance.randrange(len(body)) for _ in range(30)}:
        result = read(body[:cut], where(record))
        said_more = b'"finish_reason":"' in body[:cut].replace(b" ", b"") or b"[DONE]" in body[:cut]
        if not said_more:
            assert isinstance(result.outcome, Failure), f"cut at byte {cut}"
            assert result.outcome.retryable or "error" in record["expected"], f"cut at byte {cut}"


@pytest.mark.parametrize("record", records())
def test_both_ways_of_reading_a_recorded_body_agree(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """The typed reader is a faster way to the same end."""
    import msgspec

    from nexus3.wire.codecs.openai_chat import reading

    def refuses(data: bytes) -> object:
        raise msgspec.ValidationError("odd")

    streamed = "sse" in record["response"]
    fast = read(record["response"]["sse"].encode(), where(record)) if streamed else read_body(record)
    monkeypatch.setattr(reading, "typed", refuses)
    slow = read(record["response"]["sse"].encode(), where(record)) if streamed else read_body(record)
    assert slow == fast
