"""Whatever bytes come, the decoder gives events in their grammar and one typed end. It never raises."""

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.anthropic_messages import decode_body
from nexus3.wire.failures import ERRORS
from nexus3.wire.limits import DEFAULT_LIMITS
from tests.wire.anthropic_messages.helpers import (
    Read,
    a_target,
    block_delta,
    block_start,
    block_stop,
    finish,
    fold,
    read,
    sse,
    start,
    text_block,
    thinking_block,
    tool_block,
)

SEED = 408

TAPE = sse(
    start(),
    *thinking_block(0, "c2ln", "Need ", "weather."),
    *text_block(1, "Checking", " 😀."),
    block_start(2, type="server_tool_use", id="srv", name="web_search", input={}),
    block_delta(2, type="input_json_delta", partial_json='{"q": 1}'),
    block_stop(2),
    *tool_block(3, "toolu_1", "get", "", '{"city": ', '"SF"}'),
    {"type": "ping"},
    *finish("tool_use"),
)


def pieces_of(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(5)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def check(answer: Read) -> None:
    fold(answer.events)
    if not isinstance(answer.outcome, Reply):
        assert answer.outcome.kind in ERRORS.keys() - {"internal"}
        assert answer.outcome.phase == ("stream" if answer.outcome.emitted else "first_event")


def test_random_bytes() -> None:
    rng = random.Random(SEED)
    alphabet = [b"event: ", b"data: ", b"\n", b"\n\n", b'{"type":"', b"message_start", b'"}', b"\xff", b"[" * 9, b"\r"]
    for case in range(600):
        data = b"".join(rng.choice([*alphabet, rng.randbytes(3)]) for _ in range(rng.randrange(60)))
        print(f"seed {SEED}, case {case}")
        check(read(*pieces_of(data, rng)))


def test_mutated_streams() -> None:
    rng = random.Random(SEED)
    replies = 0
    for case in range(900):
        data = bytearray(TAPE)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 40)]
                case 2:
                    data[at:at] = data[at : at + rng.randrange(1, 200)]
                case _:
                    data[at:at] = rng.choice([b"null", b'"', b"{", b"}", b"\n\n", b"-1", b"\\ud83d"])
        print(f"seed {SEED}, case {case}")
        answer = read(*pieces_of(bytes(data), rng))
        check(answer)
        replies += isinstance(answer.outcome, Reply)
    assert 50 < replies < 850, f"{replies} of the cases are replies: the mutations are too weak or too strong"


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = """type index delta content_block message usage error text thinking partial_json id name input content
stop_reason signature citation data to stop_details output_tokens"""
TYPES = """message_start content_block_start content_block_delta content_block_stop message_delta message_stop error
text thinking redacted_thinking tool_use server_tool_use fallback text_delta thinking_delta input_json_delta
signature_delta citations_delta refusal"""
known_keys = st.sampled_from(KEYS.split())
known_types = st.sampled_from(TYPES.split())
odd_objects: Any = st.recursive(
    st.dictionaries(known_keys, json_values | known_types, max_size=4),
    lambda inner: st.dictionaries(known_keys, inner | known_types | st.lists(inner, max_size=2), max_size=5),
    max_leaves=8,
)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(payloads=st.lists(odd_objects, max_size=5), begun=st.booleans(), ended=st.booleans())
def test_odd_but_well_formed_events(payloads: list[object], begun: bool, ended: bool) -> None:
    before = [start(), *text_block(0, "a")[:2], tool_block(1, "t", "f")[0]] if begun else []
    data = sse(*before, *payloads, *(finish() if ended else []))
    whole = read(data)
    check(whole)
    assert read(*(data[at : at + 7] for at in range(0, len(data), 7))) == whole


@settings(max_examples=200, derandomize=True, deadline=None)
@given(body=odd_objects, content=st.lists(odd_objects, max_size=3))
def test_odd_bodies(body: dict[str, object], content: list[object]) -> None:
    for said in (body, {**body, "content": content}):
        events, outcome = decode_body(json.dumps(said).encode(), a_target(), request_id=None, limits=DEFAULT_LIMITS)
        check(Read(events, outcome))


words = st.text(st.characters(codec="utf-8"), max_size=6)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    blocks=st.lists(st.tuples(st.sampled_from(["text", "thinking", "tool"]), st.lists(words, max_size=4)), max_size=6)
)
def test_the_message_is_the_fold_of_the_events(blocks: list[tuple[str, list[str]]]) -> None:
    """``read`` holds the fold against the reply; here against what was streamed, too."""
    payloads: list[object] = []
    for index, (kind, pieces) in enumerate(blocks):
        match kind:
            case "text":
                payloads += text_block(index, *pieces)
            case "thinking":
                payloads += thinking_block(index, "c2ln", *pieces)
            case _:
                payloads += tool_block(index, f"t{index}", "f", *pieces)
    folded = fold(read(sse(start(), *payloads, *finish())).events)
    streamed = {
        kind: ["".join(pieces) for was, pieces in blocks if was == kind] for kind in ("text", "thinking", "tool")
    }
    assert folded.text == "".join(streamed["text"])
    assert folded.reasoning == "".join(streamed["thinking"])
    assert [call.raw_arguments for call in folded.calls] == streamed["tool"]
