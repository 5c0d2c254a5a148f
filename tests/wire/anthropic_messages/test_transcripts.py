"""Recorded traffic of the vendor, read whole, in random pieces, byte by byte, and cut short; and sent back.

The recordings lie outside of the project: in the folder that ``NEXUS3_TRANSCRIPTS`` names, else beside it.
"""

import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.anthropic_messages import decode_body
from nexus3.wire.limits import DEFAULT_LIMITS
from nexus3.wire.messages import Message, ReasoningBlock, Usage
from tests.wire.anthropic_messages.helpers import (
    Folded,
    Read,
    a_request,
    a_target,
    body_of,
    fold,
    read,
    spelled,
)

FOLDER = Path(os.environ.get("NEXUS3_TRANSCRIPTS", Path(__file__).parents[3].parent / "shared" / "transcripts"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no recorded traffic at {FOLDER}")

SEED = 20_261_122

DISPUTED = {
    "anthropic-s-b494c0c7ed": "the expected arguments are a guess at JSON that was cut off; such arguments are None",
}
"""Recordings whose expected result we hold to be wrong, and why."""


def recordings() -> list[dict[str, Any]]:
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        record = json.loads(path.read_text())
        if record["dialect"] == "anthropic-messages" and record["response"]["status"] < 400:
            found.append(record)
    return found


RECORDINGS = recordings()
STREAMS = [record for record in RECORDINGS if "sse" in record["response"]]


def by_id(record: dict[str, Any]) -> str:
    return str(record["id"])


def target_of(record: dict[str, Any]) -> Any:
    """The model that was asked, else the one that answered."""
    asked = (record["request"].get("body") or {}).get("model")
    return a_target(asked or "claude-sonnet-4-5")


def read_record(record: dict[str, Any]) -> Read:
    response = record["response"]
    if "sse" in response:
        return read(response["sse"].encode(), target=target_of(record))
    text = response.get("body_text") or json.dumps(response["body_json"])
    events, outcome = decode_body(text.encode(), target_of(record), request_id=None, limits=DEFAULT_LIMITS)
    assert isinstance(outcome, Reply)
    assert fold(events) == Folded.of_reply(outcome)
    return Read(events, outcome)


def expected_usage(counters: dict[str, Any] | None) -> Usage | None:
    if counters is None:
        return None
    read_tokens, written = counters.get("cache_read_input_tokens"), counters.get("cache_creation_input_tokens")
    return Usage(
        input_tokens=counters["input_tokens"] + (read_tokens or 0) + (written or 0),
        output_tokens=counters["output_tokens"],
        cache_read_tokens=read_tokens,
        cache_write_tokens=written,
        reasoning_tokens=(counters.get("output_tokens_details") or {}).get("thinking_tokens"),
    )


@pytest.mark.parametrize("record", RECORDINGS, ids=by_id)
def test_a_recorded_answer_is_read_as_expected(record: dict[str, Any]) -> None:
    expected = record["expected"]
    reply = read_record(record).reply
    message = reply.message
    assert message.content == expected["text"]
    assert "".join(block.text for block in message.reasoning) == expected["reasoning"]
    assert reply.raw_stop_reason == expected["finish_reason"]
    assert reply.usage == expected_usage(expected["usage"])
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    wanted = [{key: call[key] for key in ("id", "name", "arguments")} for call in expected["tool_calls"]]
    if record["id"] in DISPUTED:
        assert wanted != calls
        assert [call.raw_arguments for call in message.tool_calls] == [
            call["arguments_raw"] for call in expected["tool_calls"]
        ]
    else:
        assert calls == wanted
    thinking = [_recorded_form(block) for block in message.reasoning]
    assert thinking == expected.get("thinking_blocks", [])
    kept = [block["type"] for block in message.blocks]
    if kept:
        assert kept == expected["block_order"]
    assert not set(expected.get("other_blocks", [])) - set(kept)


def _recorded_form(block: ReasoningBlock) -> dict[str, str | None]:
    if block.data is not None:
        return {"redacted_data_sha256": hashlib.sha256(block.data.encode()).hexdigest()}
    return {"thinking": block.text, "signature": block.signature}


@pytest.mark.parametrize("record", STREAMS, ids=by_id)
def test_where_the_bytes_were_cut_makes_no_difference(record: dict[str, Any]) -> None:
    data, target = record["response"]["sse"].encode(), target_of(record)
    whole = read(data, target=target)
    rng = random.Random(f"{SEED}/{record['id']}")
    for _ in range(5):
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((1, 3, 30, 300))))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert read(*pieces, target=target) == whole, f"seed {SEED}, cuts {cuts}"
    assert read(*(data[i : i + 1] for i in range(len(data))), target=target) == whole


@pytest.mark.parametrize("record", STREAMS, ids=by_id)
def test_a_stream_that_is_cut_before_its_marker_never_succeeds(record: dict[str, Any]) -> None:
    data, target = record["response"]["sse"].encode(), target_of(record)
    marker = max(
        data.find(b"\nevent: message_delta"), data.find(b"\nevent: message_stop") if _has_no_delta(data) else 0
    )
    assert marker > 0
    whole_at = marker + len(data[marker:].split(b"\ndata: ", 1)[0]) + 7  # where the marker's own data begins
    whole_at += len(data[whole_at:].split(b"\n", 1)[0].rstrip())
    rng = random.Random(f"{SEED}/{record['id']}")
    for at in (0, 1, whole_at - 1, *(rng.randrange(whole_at) for _ in range(60))):
        failure = read(data[:at], target=target).failure
        reason = "stream_truncated" if at > 0 else "empty_response"
        assert (failure.kind, failure.reason, failure.retryable) == ("protocol", reason, True), f"seed {SEED}, cut {at}"
    assert read(data[:whole_at], target=target).reply.raw_stop_reason == record["expected"]["finish_reason"]


def _has_no_delta(data: bytes) -> bool:
    return b"\nevent: message_delta" not in data


@pytest.mark.parametrize("record", RECORDINGS, ids=by_id)
def test_a_reply_goes_back_with_the_blocks_it_came_with(record: dict[str, Any]) -> None:
    """Thinking, and all that we only keep, byte for byte; a caller may have stored the message as JSON meanwhile."""
    reply = read_record(record).reply.message
    stored = Message.model_validate_json(reply.model_dump_json())
    assert stored == reply
    if not (reply.blocks or reply.reasoning):
        assert [call.id for call in stored.tool_calls] == [call["id"] for call in record["expected"]["tool_calls"]]
        return
    sent = body_of(spelled(a_request(["go on", stored, "and then?"]), target_of(record)))["messages"]
    assert isinstance(sent, list)
    again = list(sent[1]["content"])
    came = record["response"].get("body_json", {}).get("content") or list(reply.blocks)
    if came:
        assert json.dumps([_sent_form(block) for block in again]) == json.dumps(
            [_sent_form(block) for block in came if block["type"] != "text" or block["text"].strip()]
        )
    signed = [block["signature"] for block in again if block["type"] == "thinking"]
    assert signed == [block.signature for block in reply.reasoning if block.signature]


def _sent_form(block: dict[str, Any]) -> dict[str, Any]:
    """Without what may be left out: a null, and a caller of a tool that is the model itself."""
    kept = {key: block[key] for key in sorted(block) if block[key] is not None}
    return {key: value for key, value in kept.items() if (key, value) != ("caller", {"type": "direct"})}
