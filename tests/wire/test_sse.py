"""Server-sent events: what counts as one, that the cuts between reads do not matter, that memory is bounded."""

import json
import os
import random
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.sse import FrameTooLarge, ServerSentEvent, SseDecoder

PROPERTY = settings(max_examples=400, derandomize=True, deadline=None)

LIMITS = {"max_line_bytes": 1 << 20, "max_event_bytes": 4 << 20}


def message(*data: bytes) -> list[ServerSentEvent]:
    return [ServerSentEvent("message", item) for item in data]


def read(pieces: Iterable[bytes]) -> tuple[list[ServerSentEvent], int, ServerSentEvent | None]:
    """Everything a decoder makes of a stream: events, comments, and what the end brings."""
    decoder = SseDecoder(**LIMITS)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events, decoder.comments, decoder.end()


def by_the_book(stream: bytes) -> list[ServerSentEvent]:
    """The standard's algorithm, one byte at a time, with our choices: no empty data, JSON lines are events."""
    lines: list[bytes] = []
    line, at = bytearray(), 3 if stream.startswith(b"\xef\xbb\xbf") else 0
    while at < len(stream):
        byte = stream[at : at + 1]
        if byte in (b"\r", b"\n"):
            lines.append(bytes(line))
            line.clear()
            at += 1 if stream[at : at + 2] == b"\r\n" else 0
        else:
            line += byte
        at += 1
    events: list[ServerSentEvent] = []
    name = b""
    data: list[bytes] = []
    for line_read in lines:
        if not line_read:
            if b"\n".join(data):
                events.append(ServerSentEvent(name.decode("utf-8", "replace") or "message", b"\n".join(data)))
            name, data = b"", []
        elif line_read.startswith(b"{") and not data and is_json(line_read):
            events.append(ServerSentEvent(name.decode("utf-8", "replace") or "message", line_read))
            name = b""
        else:
            field, _, value = line_read.partition(b":")
            value = value[1:] if value.startswith(b" ") else value
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
    return events


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


Events = Sequence[tuple[str, bytes]]

STREAMS: dict[str, tuple[bytes, Events]] = {
    "nothing": (b"", []),
    "one event": (b"data: a\n\n", message(b"a")),
    "several events": (b"data: a\n\ndata: b\n\ndata: c\n\n", message(b"a", b"b", b"c")),
    "names": (
        b"event: ping\ndata: {}\n\nevent: stop\ndata: 1\n\n",
        [ServerSentEvent("ping", b"{}"), ServerSentEvent("stop", b"1")],
    ),
    "a name holds for one event": (b"event: a\ndata: 1\n\ndata: 2\n\n", [("a", b"1"), ("message", b"2")]),
    "an empty name is none": (b"event: a\nevent:\ndata: 1\n\n", message(b"1")),
    "the name may come last": (b"data: 1\nevent: a\n\n", [("a", b"1")]),
    "a name without data is no event": (b"event: a\n\ndata: 1\n\n", message(b"1")),
    "several data lines are one": (b"data: a\ndata\ndata: b\n\n", message(b"a\n\nb")),
    "JSON over two data lines": (b'data: {"a":\ndata: 1}\n\n', message(b'{"a":\n1}')),
    "no space behind the colon": (b"data:a\n\n", message(b"a")),
    "only one space is taken": (b"data:  a \n\n", message(b" a ")),
    "a colon in the data": (b"data: a:b: c\n\n", message(b"a:b: c")),
    "CRLF": (b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [("x", b"a"), ("message", b"b")]),
    "CR": (b"event: x\rdata: a\r\rdata: b\r\r", [("x", b"a"), ("message", b"b")]),
    "ends mixed": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r", message(b"a", b"b", b"c", b"d")),
    "CR before LF LF": (b"data: a\r\n\ndata: b\n\n", message(b"a", b"b")),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", message(b"a")),
    "only the first one": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", message(b"b")),
    "a mark later is no mark": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", message(b"a")),
    "comments": (b": ping\n\n:\n\ndata: a\n: between\ndata: b\n\n", message(b"a\nb")),
    "unknown fields": (b"id: 7\nretry: 10\nDATA: no\n data: no\nfoo\ndata: a\n\n", message(b"a")),
    "a longer word is another field": (b"database: a\n\ndata : b\n\n", []),
    "empty data is a keep-alive": (b"data:\n\ndata: \n\ndata\n\ndata: a\n\n", message(b"a")),
    "empty data among others": (b"data: a\n\n" * 2 + b"data: \n\n" + b"data: a\n\n", message(b"a", b"a", b"a")),
    "further blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", message(b"a", b"b")),
    "characters that other splitters end lines at": (
        "data: \u2028 \u2029 \x85 \x0b \x0c \x1c é 😀\n\n".encode(),
        message("\u2028 \u2029 \x85 \x0b \x0c \x1c é 😀".encode()),
    ),
    "bytes that are no text": (b"event: \xff\ndata: \xff\x00\n\n", [("\ufffd", b"\xff\x00")]),
    "JSON lines without data:": (b'{"error":1}\n{"b":2}\n\n', message(b'{"error":1}', b'{"b":2}')),
    "a JSON line with a name": (b'event: error\n{"error":1}\n\n', [("error", b'{"error":1}')]),
    "a brace that begins no JSON": (b"{broken\ndata: a\n\n", message(b"a")),
    "a JSON line within an event": (b'data: [\n{"a":1}\ndata: ]\n\n', message(b"[\n]")),
    "an end that is none": (b"data: a\n\ndata: b\n", message(b"a")),
    "two data lines among single ones": (b"data: a\n\ndata: b\ndata: c\n\ndata: d\n\n", message(b"a", b"b\nc", b"d")),
    "a data line missing among pairs": (
        b"event: a\ndata: 1\n\nevent: b\n\nevent: c\ndata: 2\ndata: 3\n\n",
        [("a", b"1"), ("c", b"2\n3")],
    ),
    "a pair turned round among pairs": (b"event: a\ndata: 1\n\ndata: 2\nevent: b\n\n", [("a", b"1"), ("b", b"2")]),
    "data that contains the next field's name": (
        b"data: data: a\n\ndata: event: b\n\n",
        message(b"data: a", b"event: b"),
    ),
}


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_is_read_as_the_standard_says(stream: bytes, events: Events) -> None:
    assert read([stream])[0] == events


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS.keys())
def test_the_reference_of_these_tests_agrees(stream: bytes, events: Events) -> None:
    assert by_the_book(stream) == events


@pytest.mark.parametrize("stream", [stream for stream, _ in STREAMS.values()], ids=STREAMS.keys())
def test_events_do_not_depend_on_where_the_bytes_were_cut(stream: bytes) -> None:
    whole = read([stream])
    for cut in range(len(stream) + 1):
        assert read([stream[:cut], stream[cut:]]) == whole, f"cut at byte {cut}"
        # Warmed up: an event before, so that the cut meets the state that most reads of a stream meet.
        before = b"data: 0\n\n"
        if not stream.startswith(b"\xef"):
            warm = read([before, stream[:cut], stream[cut:]])
            assert warm == ([*message(b"0"), *whole[0]], *whole[1:]), f"cut at byte {cut}, in mid-stream"
    assert read(stream[at : at + 1] for at in range(len(stream))) == whole
    assert read(piece for at in range(len(stream)) for piece in (b"", stream[at : at + 1], b"")) == whole


def test_the_first_line_of_a_stream_with_a_mark_may_be_a_blank_one() -> None:
    assert read([b"\xef\xbb\xbf\n\ndata: a\n\n"])[0] == message(b"a")
    assert read([b"\xef\xbb", b"\xbf", b"data: a\n\n"])[0] == message(b"a")


_LINES = st.sampled_from(
    [
        *(b"data: {}", b"data: x", b"data:y", b"data:", b"data", b"data: data: ", b"data: \xe2\x80\xa8"),
        *(b"event: a", b"event:b", b"event: ", b"event: \xff", b": c", b"", b"id: 1"),
        *(b'{"a":1}', b"{", b" ", b"\xef\xbb\xbf"),
    ]
)
_ENDS = st.sampled_from([b"\n", b"\n", b"\n\n", b"\r\n", b"\r", b""])
_ANY_STREAM = st.lists(st.tuples(_LINES, _ENDS), max_size=12).map(lambda lines: b"".join(a + b for a, b in lines))
# Nearly ordinary: events all alike, with an odd one among them that only a look inside tells apart.
_SINGLES = [b"data: {}\n\n"] * 6 + [b"data: \n\n", b"data: 1\ndata: 2\n\n", b"data:1\n\n", b"data: 1\r\n\r\n", b"\n"]
_PAIRS = [b"event: a\ndata: {}\n\n"] * 6 + [
    *(b"event: a\n\n", b"event: a\ndata: 1\ndata: 2\n\n", b"event: a\ndata: \n\n", b"event: \ndata: 1\n\n"),
    *(b"event:a\ndata:1\n\n", b"event: a\nid: 1\n\n", b"event: a\nid: 1\ndata: 1\n\n", b": c\n\n"),
]
_ORDINARY_STREAM = (
    st.lists(st.sampled_from(_SINGLES), max_size=10)
    | st.lists(st.sampled_from(_PAIRS), max_size=10)
    | st.lists(st.sampled_from(_SINGLES + _PAIRS), max_size=10)
).map(b"".join)


def cut(stream: bytes, places: list[int]) -> Iterator[bytes]:
    bounds = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return (stream[start:end] for start, end in pairwise(bounds))


@PROPERTY
@given(stream=_ANY_STREAM | _ORDINARY_STREAM, places=st.lists(st.integers(0, 200), max_size=8))
def test_any_stream_in_any_pieces_is_what_the_book_says(stream: bytes, places: list[int]) -> None:
    whole = read([stream])
    assert whole[0] == by_the_book(stream)
    assert read(cut(stream, places)) == whole
    # A byte at a time never meets the shortcut for whole events; the same stream at once does.
    assert read(stream[at : at + 1] for at in range(len(stream))) == whole


@PROPERTY
@given(stream=st.binary(max_size=60), places=st.lists(st.integers(0, 60), max_size=5))
def test_any_bytes_are_taken(stream: bytes, places: list[int]) -> None:
    assert read(cut(stream, places)) == read([stream])


def transcripts() -> list[Path]:
    here = Path(__file__).parents[2]
    return sorted(Path(os.environ.get("NEXUS3_TRANSCRIPTS", here / "../shared/transcripts")).glob("*.json"))


def test_recorded_streams_in_random_pieces() -> None:
    if not transcripts():
        pytest.skip("no recorded transcripts on this machine (NEXUS3_TRANSCRIPTS)")
    seed = 20261122
    print(f"seed {seed}")
    rng = random.Random(seed)
    streams = 0
    for path in transcripts():
        stream = json.loads(path.read_bytes())["response"].get("sse", "").encode()
        if not stream:
            continue
        streams += 1
        whole = read([stream])
        last = [] if whole[2] is None else [whole[2]]
        assert [*whole[0], *last] == by_the_book(stream + b"\n\n"), path.stem
        for _ in range(5):
            assert read(cut(stream, rng.choices(range(len(stream)), k=40))) == whole, path.stem
        assert read(stream[at : at + 7] for at in range(0, len(stream), 7)) == whole, path.stem
    assert streams > 20


@pytest.mark.parametrize(
    ("rest", "last"),
    [
        (b"data: [DONE]", b"[DONE]"),
        (b"data: [DONE]\n", b"[DONE]"),
        (b"data: [DONE]\r\n", b"[DONE]"),
        (b"data:[DONE] ", b"[DONE] "),
        (b'data: {"a": 1}', b'{"a": 1}'),
        (b'data: {"a":\ndata: 1}\n', b'{"a":\n1}'),
        (b'data: {"a": 1}\nid: 1', b'{"a": 1}'),
        (b'{"error": 1}', b'{"error": 1}'),
    ],
)
def test_a_whole_last_event_without_its_blank_line_is_read(rest: bytes, last: bytes) -> None:
    decoder = SseDecoder(**LIMITS)
    assert decoder.feed(b"data: 0\n\n" + rest) == message(b"0")
    assert decoder.pending
    assert decoder.end() == ServerSentEvent("message", last)
    assert not decoder.pending


def test_the_last_event_keeps_its_name() -> None:
    decoder = SseDecoder(**LIMITS)
    decoder.feed(b"event: message_stop\ndata: {}")
    assert decoder.end() == ServerSentEvent("message_stop", b"{}")


@pytest.mark.parametrize(
    "rest", [b'data: {"a": ', b'data: {"a": 1}}', b"data: text\n", b"event: a\n", b"dat", b": com"]
)
def test_a_last_event_that_was_cut_off_is_not_guessed(rest: bytes) -> None:
    decoder = SseDecoder(**LIMITS)
    assert decoder.feed(b"data: 0\n\n" + rest) == message(b"0")
    assert decoder.end() is None
    assert decoder.pending


@pytest.mark.parametrize(
    "stream", [b"", b"data: 0\n\n", b"data: 0\n\n: comment\n", b"\n\n", b"data:\n\n", b"data: 0\r\r"]
)
def test_nothing_is_pending_between_events(stream: bytes) -> None:
    decoder = SseDecoder(**LIMITS)
    decoder.feed(stream)
    assert not decoder.pending
    assert decoder.end() is None


def test_comments_are_counted_when_they_arrive() -> None:
    decoder = SseDecoder(**LIMITS)
    decoder.feed(b": OPENROUTER PROCESSING\n")
    assert decoder.comments == 1
    decoder.feed(b"\n:\n\n:half")
    assert decoder.comments == 2
    assert decoder.feed(b"data: 0\n\n: again\n\n") == []
    assert decoder.comments == 4


SMALL = {"max_line_bytes": 20, "max_event_bytes": 30}


def outcome(pieces: Iterable[bytes]) -> tuple[list[ServerSentEvent], str | None]:
    """All events under small limits, and the limit that was passed, if any."""
    decoder = SseDecoder(**SMALL)
    events: list[ServerSentEvent] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
    except FrameTooLarge as error:
        return events + error.events, error.limit
    return events, None


@pytest.mark.parametrize(
    ("stream", "events", "limit"),
    [
        (b"data: " + b"a" * 14 + b"\n\n", message(b"a" * 14), None),
        (b"data: " + b"a" * 15 + b"\n\n", [], "max_line_bytes"),
        (b"data: " + b"a" * 15, [], "max_line_bytes"),
        (b": " + b"a" * 19 + b"\n", [], "max_line_bytes"),
        (b"data: 0\n\ndata: 1\n\n" + b"a" * 21, message(b"0", b"1"), "max_line_bytes"),
        (b"data: 0\n\ndata: " + b"a" * 15 + b"\n\ndata: 2\n\n", message(b"0"), "max_line_bytes"),
        (b"data: " + b"a" * 14 + b"\ndata: " + b"b" * 14 + b"\n\n", message(b"a" * 14 + b"\n" + b"b" * 14), None),
        (b"data: 0\n\n" + (b"data: " + b"a" * 9 + b"\n") * 4, message(b"0"), "max_event_bytes"),
        (b"data\n" * 32, [], "max_event_bytes"),
        (b"data: 0123456789\n\n" * 9, message(*[b"0123456789"] * 9), None),
    ],
)
def test_limits_hold_at_the_byte_however_it_is_cut(stream: bytes, events: Events, limit: str | None) -> None:
    assert outcome([stream]) == (events, limit)
    for place in range(len(stream) + 1):
        assert outcome([stream[:place], stream[place:]]) == (events, limit), f"cut at byte {place}"
    assert outcome(stream[at : at + 1] for at in range(len(stream))) == (events, limit)


def test_the_error_says_which_limit_and_what_had_arrived() -> None:
    decoder = SseDecoder(**SMALL)
    with pytest.raises(FrameTooLarge, match="max_line_bytes: more than 20 bytes") as caught:
        decoder.feed(b"data: 0\n\n" + b"a" * 21)
    assert (caught.value.limit, caught.value.bytes_limit, caught.value.events) == ("max_line_bytes", 20, message(b"0"))


def test_comments_and_other_fields_fill_no_event() -> None:
    assert outcome([b"data: 0\n" + b": comment\nid: 1\n" * 1000 + b"\n"]) == (message(b"0"), None)


def test_an_unfinished_last_line_may_pass_the_limit_of_the_event() -> None:
    decoder = SseDecoder(max_line_bytes=100, max_event_bytes=10)
    decoder.feed(b'data: "0123456789"')
    with pytest.raises(FrameTooLarge) as caught:
        decoder.end()
    assert caught.value.limit == "max_event_bytes"


def peak_bytes(pieces: Iterator[bytes], decoder: SseDecoder) -> int:
    tracemalloc.start()
    try:
        for piece in pieces:
            decoder.feed(piece)
    except FrameTooLarge:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("line", [b"a" * 4096, b"data: " + b"a" * 1000 + b"\n", b"data:\n" * 600, b": c\n" * 1000])
def test_an_endless_stream_without_events_holds_no_more_than_the_limits(line: bytes) -> None:
    limit = 256 << 10
    decoder = SseDecoder(max_line_bytes=limit, max_event_bytes=limit)
    assert peak_bytes((line for _ in range(8 * limit // len(line))), decoder) < 2.5 * limit


def seconds_for(stream: bytes, piece: int) -> float:
    pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]

    def once() -> float:
        decoder = SseDecoder(max_line_bytes=1 << 24, max_event_bytes=1 << 24)
        begin = time.process_time()
        for item in pieces:
            decoder.feed(item)
        return time.process_time() - begin

    return min(once() for _ in range(3))


@pytest.mark.parametrize("unit", [b"a", b"data: a\n", b"data: a\n\n", b"\r"])
def test_time_grows_with_the_bytes_and_not_with_their_square(unit: bytes) -> None:
    size = 128 << 10
    stream = b"data: " + unit * (size // len(unit))
    assert seconds_for(stream * 8, 16) < 24 * max(seconds_for(stream, 16), 1e-3)
