"""What holds for every stream, sensible or not."""

import copy
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat import decode_body, reading
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DEFAULT_LIMITS, DecodeLimits
from tests.wire.openai_chat.build import DONE, Folded, Read, chunk, fold, folded, read, sse, target
from tests.wire.openai_chat.vectors import VECTORS

bounded = settings(max_examples=300, derandomize=True, deadline=None)

texts = st.text(min_size=1, max_size=8)
fragments = st.builds(
    lambda index, call_id, name, arguments: {
        key: value
        for key, value in (("index", index), ("id", call_id), ("function", {"name": name, "arguments": arguments}))
        if value is not None
    },
    st.none() | st.integers(0, 2),
    st.none() | st.sampled_from(["", "t1", "t2"]),
    st.none() | st.sampled_from(["", "f", "g"]),
    st.none() | st.sampled_from(["", "{", "{}", '{"a":', "1}", '"b"', '{"a":1}']),
)
deltas = st.one_of(
    st.builds(lambda text: {"content": text}, texts),
    st.builds(lambda text: {"reasoning": text, "reasoning_content": text}, texts),
    st.builds(lambda text: {"refusal": text}, texts),
    st.builds(lambda items: {"tool_calls": items}, st.lists(fragments, max_size=3)),
    st.builds(
        lambda kind, index, text: {
            "reasoning": text,
            "reasoning_details": [{"type": f"reasoning.{kind}", "index": index, "text": text}],
        },
        st.sampled_from(["text", "summary"]),
        st.integers(0, 1),
        texts,
    ),
    st.just({"role": "assistant", "content": ""}),
)
counts = st.none() | st.integers(0, 9)
usages = st.none() | st.fixed_dictionaries({"prompt_tokens": counts, "completion_tokens": counts})
chunks = st.builds(lambda delta, usage: chunk(delta, usage=usage), deltas, usages)
finishes = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "odd", ""])
streams = st.builds(
    lambda said, finish, tail: [*said, chunk(finish=finish), *tail],
    st.lists(chunks, max_size=12),
    finishes,
    st.lists(chunks, max_size=2),
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "index", "id", "name", "content", "error", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def sound(result: Read) -> Folded | None:
    """Check what holds for every result."""
    outcome = result.outcome
    if isinstance(outcome, Failure):
        assert outcome.emitted == bool(result.events)
        assert not result.events or fold(result.events)
        return None
    seen = fold(result.events)
    assert seen == folded(outcome)
    return seen


@bounded
@given(streams)
def test_the_message_is_the_fold_of_its_events(stream: list[object]) -> None:
    result = read(sse(*stream, DONE))
    assert isinstance(result.outcome, Reply)
    sound(result)


@bounded
@given(streams, st.randoms(use_true_random=False))
def test_events_do_not_depend_on_the_segments(stream: list[object], chance: random.Random) -> None:
    body = sse(*stream, DONE)
    cuts = sorted(chance.randrange(len(body)) for _ in range(10))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(pieces) == read(body)


@bounded
@given(st.lists(chunks, max_size=8), st.randoms(use_true_random=False))
def test_what_has_no_end_is_never_an_answer(stream: list[object], chance: random.Random) -> None:
    body = sse(*stream)
    result = read(body[: chance.randrange(len(body) + 1)])
    assert isinstance(result.outcome, Failure)
    assert (result.outcome.kind, result.outcome.retryable) == ("protocol", True)
    sound(result)


def mutated(value: Any, chance: random.Random, odd: Any) -> Any:
    """``value`` with one place of it, at any depth, replaced by ``odd``."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        return value | {key: mutated(value[key], chance, odd)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], mutated(value[place], chance, odd), *value[place + 1 :]]
    return copy.deepcopy(odd)


def _refuse(data: bytes) -> object:
    raise msgspec.ValidationError("odd")


def both_ways(body: bytes, how: Any) -> tuple[Read, Read]:
    with pytest.MonkeyPatch.context() as patch:
        fast = how(body)
        patch.setattr(reading, "typed", _refuse)
        return fast, how(body)


@bounded
@given(st.lists(chunks, min_size=1, max_size=4), st.randoms(use_true_random=False), json_values)
def test_odd_types_give_events_or_a_failure_and_both_readers_agree(
    stream: list[Any], chance: random.Random, odd: Any
) -> None:
    place = chance.randrange(len(stream))
    stream[place] = mutated(stream[place], chance, odd)
    fast, slow = both_ways(sse(*stream, chunk(finish="stop"), DONE), read)
    assert fast == slow
    sound(fast)


def read_whole(body: bytes) -> Read:
    events, outcome = decode_body(body, target(), request_id="req-1", limits=DEFAULT_LIMITS)
    return Read(events, outcome, emitted=False)


@bounded
@given(deltas, st.randoms(use_true_random=False), json_values)
def test_odd_bodies_give_events_or_a_failure_and_both_readers_agree(
    message: Any, chance: random.Random, odd: Any
) -> None:
    body = {
        "id": "c1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1},
    }
    fast, slow = both_ways(json.dumps(mutated(body, chance, odd)).encode(), read_whole)
    assert fast == slow
    if isinstance(fast.outcome, Reply):
        assert fold(fast.events) == folded(fast.outcome)
    else:
        assert fast.events == []


SEED = 20_260_801


def damaged(body: bytes, chance: random.Random) -> bytes:
    """``body`` after one to five accidents."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[place : place + chance.randint(1, 20)]
            case 2:
                data[place:place] = data[chance.randrange(len(data) + 1) :][: chance.randint(1, 40)]
            case 3:
                data[place:place] = chance.choice(
                    [b"\n\n", b"\r", b"\x00", b'"', b"{", b"[", b"null", b"\xff", b"1e999"]
                )
            case _:
                data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 12)))
    return bytes(data)


@pytest.mark.parametrize("round_", range(10))
def test_damaged_streams_give_events_or_a_failure(round_: int) -> None:
    chance = random.Random(SEED + round_)
    print(f"seed {SEED + round_}")
    tight = DecodeLimits(max_line_bytes=400, max_event_bytes=500, max_events=12, max_tool_calls=2, max_json_depth=8)
    for vector in VECTORS:
        body = damaged(vector.body, chance)
        for limits in (DEFAULT_LIMITS, tight):
            result = read(body, target(vector.provider), limits=limits)
            sound(result)
        assert read([body[: len(body) // 2], body[len(body) // 2 :]], target(vector.provider), limits=tight) == result


@pytest.mark.parametrize("round_", range(5))
def test_random_bytes_are_no_answer(round_: int) -> None:
    chance = random.Random(SEED + round_)
    print(f"seed {SEED + round_}")
    for _ in range(100):
        junk = bytes(chance.choice(b'{}[]":,\n\r dat0\xf0\x9f\xff\\u') for _ in range(chance.randrange(120)))
        for body in (junk, b"data: " + junk + b"\n\n", b'data: {"choices": [' + junk + b"]}\n\n"):
            result = read(body)
            assert isinstance(result.outcome, Failure)
            assert result.events == []
        assert isinstance(decode_body(junk, target(), request_id=None, limits=DEFAULT_LIMITS)[1], Failure)
