"""An answer becomes bytes, pauses and closings: compared whole, without a socket."""

import math
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.loopback import (
    Answer,
    Call,
    CloseAfter,
    Cut,
    DripHeaders,
    Endless,
    Error,
    ErrorEvent,
    Fault,
    Garbage,
    HangUp,
    InformationalFlood,
    NoMarker,
    OnlyPings,
    Raw,
    Received,
    Stall,
    StallHeaders,
    Surplus,
    WrongLength,
    redirect,
)
from nexus3.loopback.delivery import steps
from nexus3.loopback.steps import Close, Pause, Send, Step
from tests.loopback.raw import CHAT, MESSAGES, chat_body, received

TWO = ("Hel", "lo")


def streamed(path: str = CHAT) -> Received:
    return received(chat_body(stream=True, max_tokens=9), path)


def script(answer: Answer | Raw, request: Received | None = None, most: int = 60, *, keep: bool = True) -> list[str]:
    """The steps in short: text of a send without its chunking, ``pause 1.0``, ``close eof``."""
    return [_short(step) for step in islice(steps(answer, request or streamed(), keep=keep), most)]


def _short(step: Step) -> str:
    match step:
        case Pause(seconds):
            return f"pause {seconds}"
        case Close(how):
            return f"close {how}"
        case Send(data=data) if data.startswith(b"HTTP/1.1"):
            return data.split(b"\r\n")[0].decode()
        case Send(data=data):
            for word in (b'"Hel"', b'"lo"', b'"role"', b'"finish_reason":"stop"', b"[DONE]", b"error"):
                if word in data:
                    return word.decode().strip('"[]')
            return data.decode("latin-1")


HEAD, LEAD, FINISH, END = "HTTP/1.1 200 OK", "role", 'finish_reason":"stop', "0\r\n\r\n"


def test_a_plain_stream() -> None:
    assert script(Answer(TWO)) == [HEAD, LEAD, "Hel", "lo", FINISH, "DONE", END]


FAULTS: list[tuple[Fault, list[str]]] = [
    (Cut("head"), [HEAD, "close eof"]),
    (Cut(0), [HEAD, LEAD, "close eof"]),
    (Cut(1), [HEAD, LEAD, "Hel", "close eof"]),
    (Cut(99), [HEAD, LEAD, "Hel", "lo", "close eof"]),
    (Cut("finish"), [HEAD, LEAD, "Hel", "lo", FINISH, "close eof"]),
    (Cut("end"), [HEAD, LEAD, "Hel", "lo", FINISH, "DONE", "close eof"]),
    (Cut(1, "reset"), [HEAD, LEAD, "Hel", "close reset"]),
    (Cut(1, "end"), [HEAD, LEAD, "Hel", END]),
    (Stall(1), [HEAD, LEAD, "Hel", "pause inf", "lo", FINISH, "DONE", END]),
    (Stall("finish", 2.0), [HEAD, LEAD, "Hel", "lo", FINISH, "pause 2.0", "DONE", END]),
    (ErrorEvent(1), [HEAD, LEAD, "Hel", "error", END]),
    (Garbage(1, b"junk"), [HEAD, LEAD, "Hel", "4\r\njunk\r\n", "lo", FINISH, "DONE", END]),
    (Endless(1, b"abc", 4), [HEAD, LEAD, "Hel", "3\r\nabc\r\n", "1\r\na\r\n", "lo", FINISH, "DONE", END]),
    (HangUp(), ["close eof"]),
    (HangUp("reset"), ["close reset"]),
    (StallHeaders(), ["pause inf", HEAD, LEAD, "Hel", "lo", FINISH, "DONE", END]),
    (NoMarker(), [HEAD, LEAD, "Hel", "lo", END]),
    (NoMarker("finish"), [HEAD, LEAD, "Hel", "lo", "DONE", END]),
    (NoMarker("done"), [HEAD, LEAD, "Hel", "lo", FINISH, END]),
    (Surplus(b"MORE"), [HEAD, LEAD, "Hel", "lo", FINISH, "DONE", END + "MORE"]),
    (CloseAfter("reset", 0.5), [HEAD, LEAD, "Hel", "lo", FINISH, "DONE", END, "pause 0.5", "close reset"]),
    (
        InformationalFlood(0.1, 2),
        ["HTTP/1.1 103 Early Hints", "pause 0.1"] * 2 + [HEAD, LEAD, "Hel", "lo", FINISH, "DONE", END],
    ),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[str(fault) for fault, _ in FAULTS])
def test_a_fault_acts_at_its_place(fault: Fault, expected: list[str]) -> None:
    shown = script(Answer(TWO, fault=fault))
    # Nothing follows a close: the server stops there.
    assert shown[: next((at for at, step in enumerate(shown, 1) if step.startswith("close")), None)] == expected


def test_faults_of_several_kinds_go_together() -> None:
    answer = Answer(TWO, fault=[StallHeaders(1.0), Stall(1, 2.0), Garbage(1, b"x"), CloseAfter()])
    assert script(answer) == [
        "pause 1.0", HEAD, LEAD, "Hel", "pause 2.0", "1\r\nx\r\n", "lo", FINISH, "DONE", END, "pause 0.0", "close eof",
    ]  # fmt: skip


def test_a_truncated_chunk_promises_more_than_comes() -> None:
    *_, begun, close = list(steps(Answer(TWO, fault=Cut(1, "truncate")), streamed()))[:5]
    assert isinstance(begun, Send)
    size, _, data = begun.data.partition(b"\r\n")
    assert 0 < len(data) < int(size, 16)
    assert close == Close("eof")


@pytest.mark.parametrize(
    ("path", "ping"), [(CHAT, b": keep-alive\n\n"), (MESSAGES, b'event: ping\ndata: {"type": "ping"}\n\n')]
)
def test_pings_for_ever(path: str, ping: bytes) -> None:
    taken = list(islice(steps(Answer(TWO, fault=OnlyPings("head", 3.0)), streamed(path)), 1, 201))
    assert taken == [Send(b"%x\r\n%b\r\n" % (len(ping), ping), events=1), Pause(3.0)] * 100


def test_a_dripping_head_is_the_same_head() -> None:
    taken = list(steps(Answer(TWO), streamed()))
    dripped = list(steps(Answer(TWO, fault=DripHeaders(0.1)), streamed()))
    head = taken[0]
    assert isinstance(head, Send)
    drops = dripped[: 2 * len(head.data)]
    assert b"".join(drop.data for drop in drops[::2] if isinstance(drop, Send)) == head.data
    assert drops[1::2] == [Pause(0.1)] * len(head.data)
    assert dripped[len(drops) :] == taken[1:]


def test_hanging_up_within_the_head() -> None:
    assert list(steps(Answer(TWO, fault=HangUp(after_bytes=5)), streamed()))[:2] == [Send(b"HTTP/"), Close("eof")]


def test_an_unstreamed_answer_comes_by_length() -> None:
    head, body = steps(Answer("Hello"), received())
    assert isinstance(head, Send)
    assert isinstance(body, Send)
    assert b"content-length: %d\r\n" % len(body.data) in head.data
    assert (head.status, body.events, body.pieces) == (200, 0, 1)


def test_an_unstreamed_answer_can_be_cut_in_its_middle() -> None:
    whole = list(steps(Answer("Hello"), received()))[1]
    _, half, close, *_ = steps(Answer("Hello", fault=Cut(1)), received())
    assert isinstance(whole, Send)
    assert isinstance(half, Send)
    assert whole.data.startswith(half.data)
    assert len(half.data) == len(whole.data) // 2
    assert close == Close("eof")


def test_an_error_event_is_an_error_status_where_nothing_is_streamed() -> None:
    head, body = steps(Answer("Hello", fault=ErrorEvent(2, 503, "busy")), received())
    assert isinstance(head, Send)
    assert isinstance(body, Send)
    assert (head.status, b'"message":"busy"' in body.data) == (503, True)


@pytest.mark.parametrize("by", [-3, 7])
def test_a_wrong_length(by: int) -> None:
    head, body = steps(Answer("Hello", fault=WrongLength(by)), received())
    assert isinstance(head, Send)
    assert isinstance(body, Send)
    assert b"content-length: %d\r\n" % (len(body.data) + by) in head.data


def test_framing_by_closing() -> None:
    taken = list(steps(Answer(TWO, framing="close"), streamed()))
    head = taken[0]
    assert isinstance(head, Send)
    assert b"chunked" not in head.data
    assert b"content-length" not in head.data
    assert b"connection: close" in head.data
    assert taken[-1] == Close("eof")


def test_a_stream_by_length() -> None:
    head, *body = steps(Answer(TWO, framing="length"), streamed())
    assert isinstance(head, Send)
    assert b"content-length: %d\r\n" % sum(len(send.data) for send in body if isinstance(send, Send)) in head.data


def test_the_client_s_wish_to_close_is_granted() -> None:
    taken = list(steps(Answer(TWO), streamed(), keep=False))
    assert b"connection: close" in (taken[0].data if isinstance(taken[0], Send) else b"")
    assert taken[-1] == Close("eof")


def test_a_stream_although_none_was_asked_and_the_reverse() -> None:
    assert script(Answer(TWO, stream=True), received()) == script(Answer(TWO))
    assert len(script(Answer(TWO, stream=False), streamed())) == 2


def test_headers_take_the_place_of_the_default_ones() -> None:
    head, *_ = steps(Answer(TWO, headers={"Content-Type": "text/html", "x-a": "1"}), streamed())
    assert isinstance(head, Send)
    assert head.data == (
        b"HTTP/1.1 200 OK\r\nx-request-id: req_loopback_000000\r\nopenai-version: 2020-10-01\r\n"
        b"openai-processing-ms: 1\r\ntransfer-encoding: chunked\r\nContent-Type: text/html\r\nx-a: 1\r\n\r\n"
    )


def test_headers_may_repeat() -> None:
    head, *_ = steps(Answer(headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")], default_headers=False), received())
    assert isinstance(head, Send)
    assert head.data.endswith(b"\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n")


def test_a_foreign_body_whole_and_in_pieces() -> None:
    assert script(Answer(status=502, body=b"<html>"))[1:] == ["<html>"]
    assert script(Answer(body=[b"a", b"bc"], delay=1.0))[1:] == ["1\r\na\r\n", "pause 1.0", "2\r\nbc\r\n", END]


def test_a_redirect() -> None:
    head, body = steps(redirect("http://127.0.0.1:1/v1"), streamed())
    assert isinstance(head, Send)
    assert head.data.startswith(b"HTTP/1.1 307 Temporary Redirect\r\n")
    assert b"\r\nlocation: http://127.0.0.1:1/v1\r\n" in head.data
    assert body == Send(b"Moved")


def test_an_endless_error_body() -> None:
    taken = list(islice(steps(Answer(status=500, fault=Endless(filler=b"ab")), streamed()), 100))
    head = taken[0]
    assert isinstance(head, Send)
    assert (head.status, b"transfer-encoding: chunked" in head.data) == (500, True)
    assert taken[1:] == [Send(b"2\r\nab\r\n")] * 99


def test_pauses_stand_before_pieces() -> None:
    shown = script(Answer(("Hel", "Hel", "lo"), first_delay=3.0, delay=0.5))
    assert shown == [HEAD, LEAD, "pause 3.0", "Hel", "pause 0.5", "Hel", "pause 0.5", "lo", FINISH, "DONE", END]
    assert script(Answer("x", first_delay=3.0, delay=0.5), received())[0] == "pause 3.0"


def test_pieces_are_counted_where_they_end() -> None:
    for size in (0, 1, 5):
        taken = [step for step in steps(Answer(TWO, chunk_size=size), streamed()) if isinstance(step, Send)]
        assert (sum(send.events for send in taken), sum(send.pieces for send in taken)) == (5, 2)


def test_error_bodies_are_no_pieces() -> None:
    assert [step.pieces for step in steps(Answer(status=500), received()) if isinstance(step, Send)] == [0, 0]


def test_raw_bytes_go_out_as_they_are() -> None:
    assert list(steps(Raw([b"a", 0.5, b"b"]), streamed())) == [Send(b"a"), Pause(0.5), Send(b"b"), Close("eof")]
    assert list(steps(Raw([b"a"], then="keep"), streamed())) == [Send(b"a")]
    assert list(steps(Raw([], then="stall"), streamed())) == [Pause(math.inf)]


WORDS = st.lists(st.text(min_size=1, max_size=5), max_size=4)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    text=WORDS,
    reasoning=WORDS,
    arguments=WORDS,
    path=st.sampled_from([CHAT, MESSAGES, "/api/v1/chat/completions", "/openai/v1/chat/completions"]),
    chunk_size=st.integers(0, 40),
    framing=st.sampled_from(["chunked", "length", "close"]),
)
def test_how_a_stream_is_cut_and_framed_does_not_change_its_bytes(
    text: list[str], reasoning: list[str], arguments: list[str], path: str, chunk_size: int, framing: str
) -> None:
    def body(answer: Answer) -> bytes:
        _, *sends = [step for step in steps(answer, streamed(path)) if isinstance(step, Send)]
        if answer.framing != "chunked":
            return b"".join(send.data for send in sends)
        assert sends.pop() == Send(b"0\r\n\r\n")
        return b"".join(send.data.partition(b"\r\n")[2][:-2] for send in sends)

    said = Answer(text, reasoning=reasoning, tool_calls=[Call("f", arguments)], framing="close")
    match framing:
        case "chunked":
            other = Answer(
                text, reasoning=reasoning, tool_calls=said.tool_calls, framing="chunked", chunk_size=chunk_size
            )
        case "length":
            other = Answer(
                text, reasoning=reasoning, tool_calls=said.tool_calls, framing="length", chunk_size=chunk_size
            )
        case _:
            other = Answer(
                text, reasoning=reasoning, tool_calls=said.tool_calls, framing="close", chunk_size=chunk_size
            )
    assert body(other) == body(said)


def test_an_error_can_be_worded() -> None:
    answer = Answer(status=400, error=Error("no", type="t", code="c"))
    assert script(answer, received())[1] == "error"
    *_, body = steps(answer, received())
    assert body == Send(b'{"error":{"message":"no","type":"t","param":null,"code":"c"}}')
