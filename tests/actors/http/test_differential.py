"""Differential fuzzing: mutated responses, read by us, by h11 and by httptools (llhttp).

Where all three take a response they must find the same body, and where they part there must be a reason: every class of
deviation is in :data:`DEVIATIONS`, each a claim about the bytes. One that is not listed fails the test.
"""

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple

import h11
import httptools
import pytest

from tests.actors.http.responses import CHUNKED, FIVE, HELLO, LIMITS, OK, Outcome, cut_at, read
from tests.actors.http.test_body import BODIES
from tests.actors.http.test_head import HEADS

SEED = 20_250_611

Verdict = bytes | None
"""The body of the first final response, or ``None``: refused, or not whole when the connection ends."""


def by_h11(data: bytes) -> Verdict:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMITS.max_header_bytes)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "h"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    body = bytearray()
    try:
        connection.receive_data(data)
        while True:
            match connection.next_event():
                case h11.NEED_DATA:
                    connection.receive_data(b"")
                case h11.Data(data=piece):
                    body += piece
                case h11.EndOfMessage():
                    return bytes(body)
                case h11.ConnectionClosed() | h11.PAUSED:
                    return None
    except h11.RemoteProtocolError:
        return None


class _Tools:
    """Callbacks of httptools, until the first final response is whole."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.done = False
        self.names = set[bytes]()
        self.status = 0
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        if not self.done:
            self.names.clear()
            self.status = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.add(name.lower())

    def on_headers_complete(self) -> None:
        if not self.done:
            self.status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if not self.done:
            self.body += data

    def on_message_complete(self) -> None:
        # A 1xx has no body; a status below 100 is no 1xx.
        self.done = self.done or not 100 <= self.status < 200


def by_httptools(data: bytes) -> Verdict:
    tools = _Tools()
    try:
        tools.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return bytes(tools.body) if tools.done else None
    # It cannot be told of the connection's end, which ends a body that has no framing.
    has_framing = bool(tools.names & {b"content-length", b"transfer-encoding"})
    is_whole = tools.done or (tools.status >= 200 and not has_framing)
    return bytes(tools.body) if is_whole else None


class Case(NamedTuple):
    """One response, and what each reader made of it."""

    data: bytes
    ours: Outcome
    h11: Verdict
    tools: Verdict

    @property
    def heads(self) -> bytes:
        """All heads that were read, the last one's empty line included; without one, everything."""
        at = 0
        while (end := self.data.find(b"\r\n\r\n", at)) >= 0:
            if not re.match(rb"HTTP/1\.[01] 1", self.data[at:]):
                return self.data[: end + 4]
            at = end + 4
        return self.data

    @property
    def behind(self) -> bytes:
        return self.data[len(self.heads) :]

    @property
    def status(self) -> bytes:
        """Of the final response, as written."""
        found = re.search(rb"(?:^|\r\n\r\n)HTTP/1\.[01] ([2-9][0-9][0-9])", self.heads)
        return found[1] if found else b""

    @property
    def lengths(self) -> list[bytes]:
        return self.header(b"content-length")

    @property
    def transfer_codings(self) -> list[bytes]:
        return [value.lower() for value in self.header(b"transfer-encoding")]

    def header(self, name: bytes) -> list[bytes]:
        """All values of one name in the heads."""
        return [v.strip(b" \t") for v in re.findall(rb"(?i)\n%b[ \t]*:([^\r\n]*)" % re.escape(name), self.heads)]


Kind = Literal["we refuse", "we accept", "we differ"]


class Deviation(NamedTuple):
    """One class of responses that we do not read like an oracle does."""

    reason: str
    kind: Kind
    applies: Callable[[Case], object]


def by(*reasons: str) -> Callable[[Case], bool]:
    return lambda case: case.ours.refused in reasons


DEVIATIONS: dict[str, Deviation] = {
    # What RFC 9112 forbids, or lets a reader accept, and we refuse.
    "LF without CR": Deviation(
        "h11 ends lines at a bare LF (9112, 2.2 allows it). A reader on the way that does not sees other headers.",
        "we refuse",
        lambda case: case.ours.refused in ("bad_head", "bad_trailer") and re.search(rb"(?<!\r)\n", case.data),
    ),
    "folded line": Deviation(
        "h11 joins a line that begins with a blank to the one before (9112, 5.2: obsolete, may be rejected).",
        "we refuse",
        lambda case: case.ours.refused in ("bad_head", "bad_trailer") and re.search(rb"\n[ \t]", case.data),
    ),
    "control character": Deviation(
        "Both take some in reason phrases, h11 in values and extensions too; no grammar of HTTP has any but tab.",
        "we refuse",
        lambda case: (
            case.ours.refused in ("bad_head", "bad_trailer", "bad_chunk")
            and re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]", case.data)
        ),
    ),
    "version": Deviation(
        "h11 takes any digits, httptools 2.0 too. We speak 1.1 and understand 1.0; framing is not ours to guess.",
        "we refuse",
        lambda case: by("bad_head", "not_http")(case) and re.search(rb"HTTP/(?!1\.[01] )[0-9]\.[0-9]", case.heads),
    ),
    "status": Deviation(
        "Both take statuses from 000 to 999. 9110, 15: those outside 100 to 599 are invalid.",
        "we refuse",
        lambda case: by("bad_head")(case) and re.search(rb"HTTP/1\.[01] [06-9][0-9][0-9]", case.heads),
    ),
    "empty line before": Deviation(
        "httptools skips empty lines before a status line. After another response they are its surplus.",
        "we refuse",
        lambda case: by("not_http", "bad_head")(case) and re.search(rb"^[\r\n]|\n\r?\n[\r\n]", case.heads),
    ),
    "transfer coding": Deviation(
        "httptools takes any list that ends in chunked, and any coding where there is no body; we read chunked alone.",
        "we refuse",
        lambda case: by("bad_head")(case) and case.transfer_codings not in ([], [b"chunked"]),
    ),
    "transfer coding in HTTP/1.0": Deviation(
        "Both decode it. 9112, 6.1: its framing is to be treated as faulty.",
        "we refuse",
        lambda case: by("bad_framing")(case) and b"HTTP/1.0" in case.heads and case.transfer_codings,
    ),
    "transfer coding and length": Deviation(
        "h11 lets the coding win. 9112, 6.3: it is how responses are split.",
        "we refuse",
        lambda case: by("bad_framing")(case) and case.transfer_codings and case.lengths,
    ),
    "list of lengths": Deviation(
        "h11 reads '5, 5' as 5 (9110, 8.6 allows it). Somebody merged two headers, and may have trusted either.",
        "we refuse",
        lambda case: by("bad_framing")(case) and any(b"," in value for value in case.lengths),
    ),
    "long length": Deviation(
        "h11 takes 20 digits, httptools what fits 64 bits, zeros before it too. 18 are more than any body has.",
        "we refuse",
        lambda case: by("bad_framing", "bad_head")(case) and any(len(value) > 18 for value in case.lengths),
    ),
    "content coding": Deviation(
        "To both it is a header. We ask for identity, decompress nothing, and hand no other body on as an answer.",
        "we refuse",
        lambda case: by("content_encoding")(case) and case.header(b"content-encoding"),
    ),
    "too many headers": Deviation(
        "Neither counts them.",
        "we refuse",
        lambda case: case.ours.limit == "max_header_count" and case.data.count(b"\r\n") > LIMITS.max_header_count,
    ),
    "too many 1xx": Deviation(
        "Neither counts them.",
        "we refuse",
        lambda case: (
            case.ours.limit == "max_informational_responses" and len(re.findall(rb"HTTP/1.[01] 1", case.data)) > 8
        ),
    ),
    "blank behind a chunk's size": Deviation(
        "h11 skips it; 9112, 7.1 has none.",
        "we refuse",
        lambda case: by("bad_chunk")(case) and re.search(rb"\n[0-9A-Fa-f]+(;[^\r]*)?[ \t]+\r\n", case.data),
    ),
    "long size": Deviation(
        "httptools takes any number of leading zeros, h11 20 digits. 16 are all that a length can have.",
        "we refuse",
        lambda case: by("bad_chunk")(case) and re.search(rb"\n[0-9A-Fa-f]{17,}", case.data),
    ),
    "long extension": Deviation(
        "Neither counts their bytes; nobody who reads a body needs them.",
        "we refuse",
        lambda case: by("bad_chunk")(case) and re.search(rb";[^\r\n]{240,}", case.data),
    ),
    "malformed extension": Deviation(
        "h11 takes any characters behind a semicolon; 9112, 7.1.1 has names with tokens or quoted strings as values.",
        "we refuse",
        lambda case: by("bad_chunk")(case) and re.search(rb"\n[0-9A-Fa-f]+[ \t]*;", case.data),
    ),
    # What an oracle refuses though it is legal, or harmless as we read it.
    "quoted extension": Deviation(
        "h11 takes no blank before the semicolon, httptools none within quotes. 9112, 7.1.1 allows both.",
        "we accept",
        lambda case: re.search(rb"(?:^|\n)[0-9A-Fa-f]+(?=[^\r\n]*[ \t\"])[ \t]*;", case.behind),
    ),
    "equal lengths": Deviation(
        "httptools refuses a second length, though it is the same. 9110, 8.6 allows either; it can mean but one thing.",
        "we accept",
        lambda case: len(case.lengths) > 1 and len(set(case.lengths)) == 1,
    ),
    "framing in trailers": Deviation(
        "httptools heeds lengths and codings there. 9110, 6.5.1 forbids to; we drop all trailers unread.",
        "we accept",
        lambda case: re.search(rb"(?i)\n(content-length|transfer-encoding)[ \t]*:", case.behind),
    ),
    "blank behind the coding": Deviation(
        "httptools refuses 'chunked' with a tab behind it. 9110, 5.5: blanks around a value are no part of it.",
        "we accept",
        lambda case: re.search(rb"(?i)\ntransfer-encoding:[^\r]*chunked[ \t]+\r", case.heads),
    ),
    "close in a 1xx": Deviation(
        "httptools takes a connection to end at a 1xx that says close, or HTTP/1.0. None is the last one (9110, 15.2).",
        "we accept",
        lambda case: re.search(rb"(?i)HTTP/1\.(0 1|1 1.*\nconnection:.*\nHTTP)", case.heads, re.DOTALL),
    ),
}
"""Every way in which we are known not to read like h11 or httptools, with the reason for it."""


def kind_of(case: Case) -> Kind | None:
    """How we part from an oracle, if we do."""
    oracles = (case.h11, case.tools)
    if case.ours.refused is not None:
        return None if oracles == (None, None) else "we refuse"
    if any(body is not None and body != case.ours.payload for body in oracles):
        return "we differ"
    return "we accept" if None in oracles else None


TOKENS = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b"\t", b" ", b"\x0b", b"\x7f", b"\x80", b"\xff", b":", b";", b",",
    b'"', b"=", b"0", b"5", b"f", b"-", b"+", b"_", b"0x", b"0\r\n\r\n", b"5\r\nhello\r\n", b"1\r\nx\r\n",
    b"5;a=b\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0", b"HTTP/1.1",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 3\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"Content-Encoding: gzip\r\n", b"X-A: b\r\n", b" c\r\n",
    b"chunked", b"identity", b"gzip, ", b"204", b"304", b"101", b"100", b"999",
]  # fmt: skip
"""What responses are made of, and what readers have stumbled over."""


def mutated(seeds: list[bytes], rng: random.Random) -> bytes:
    """A response with one to four changes: bytes flipped, removed, repeated, put in, or another's tail."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        head = data.find(b"\r\n\r\n") + 4
        at = rng.randrange(head if 4 <= head <= len(data) and rng.random() < 0.6 else 0, len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 5, 20)))
        match rng.randrange(7):
            case 0 if data:
                data[at - 1] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end]
            case 3:
                data[at:end] = rng.choice(TOKENS)
            case 4:
                other = rng.choice(seeds)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case _:
                data[at:at] = rng.choice(TOKENS)
    return bytes(data)


def seeds() -> list[bytes]:
    """The corpus of the other tests without its giants, and plain good responses, which mutations should start from."""
    good = [
        CHUNKED + HELLO,
        CHUNKED + b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-A: b\r\n\r\n",
        FIVE + b"hello",
        OK + b"Date: x\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n"
        b'data: {"choices": [], "id": 1}\n\r\n10\r\n\ndata: [DONE]\n\n\n\r\n0\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\n" + FIVE + b"hello",
        OK + b"\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    ]
    corpus = [data for data, _ in [*BODIES.values(), *HEADS.values()] if len(data) < 2_000]
    return corpus + good * (3 * len(corpus) // len(good))


def judge(case: Case, seen: Counter[str]) -> None:
    kind = kind_of(case)
    if kind is None:
        seen["agreed: read" if case.ours.refused is None else "agreed: refused"] += 1
        return
    names = [name for name, deviation in DEVIATIONS.items() if deviation.kind == kind and deviation.applies(case)]
    assert names, f"{kind}, for no listed reason: {case}"
    seen.update(names)


def fuzz(count: int, *, seed: int = SEED) -> Counter[str]:
    """Read ``count`` mutated responses with all three; returns how often each deviation was met."""
    rng = random.Random(seed)
    start = seeds()
    seen = Counter[str]()
    for number in range(count):
        data = mutated(start, rng)
        ours = read([data])
        places = [rng.randrange(len(data) + 1) for _ in range(rng.choice((1, 2, 8)))]
        try:
            assert read(cut_at(data, places)) == ours, places
            judge(Case(data, ours, by_h11(data), by_httptools(data)), seen)
        except BaseException:
            print(f"response {number} of seed {seed}: {data!r}")
            raise
    return seen


def test_no_deviation_in_the_corpus_without_a_reason() -> None:
    for data, _ in [*BODIES.values(), *HEADS.values()]:
        judge(Case(data, read([data]), by_h11(data), by_httptools(data)), Counter())


def test_no_deviation_without_a_reason() -> None:
    seen = fuzz(2_000)
    print(seen)
    assert seen["agreed: read"] > 400


@pytest.mark.soak
def test_no_deviation_without_a_reason_at_length() -> None:
    seen = fuzz(100_000, seed=SEED + 1)
    print(seen)
    assert seen["agreed: read"] > 20_000
    assert sorted(set(DEVIATIONS) - set(seen)) == [], "listed, and met no more"
