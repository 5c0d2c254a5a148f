"""Which recording answers, at which pace, and what a miss says."""

import math

import pytest

from nexus3.loopback import Answer
from nexus3.loopback.delivery import steps
from nexus3.loopback.player import Player, played
from nexus3.loopback.recordings import Recording
from nexus3.loopback.steps import Close, Pause, Send
from nexus3.wire.classify import response_failure
from tests.loopback.raw import chat_body, received
from tests.loopback.tapes import recording


def tapes(*turns: str) -> list[Recording]:
    """Each answered with its place in the cassette."""
    return [recording(chat_body(turn=turn), str(at), number=at) for at, turn in enumerate(turns)]


def ask(player: Player, turn: str) -> object:
    answer = player.answer(received(chat_body(turn=turn)))
    return b"".join(answer.body) if isinstance(answer.body, list) else answer.status


def test_equal_requests_are_answered_in_order_and_then_by_the_last() -> None:
    player = Player(tapes("a", "b", "a"))
    assert [ask(player, turn) for turn in "aaaba"] == [b"0", b"2", b"2", b"1", b"2"]
    assert player.misses == []
    assert player.unplayed == []


def test_in_strict_order_each_is_played_once_and_in_its_turn() -> None:
    player = Player(tapes("a", "b", "a"), strict_order=True)
    assert [ask(player, turn) for turn in "abbaa"] == [b"0", b"1", 404, b"2", 404]
    assert [miss.partition("not recorded: ")[2] for miss in player.misses] == [
        "next in order is recording 3 of 3, which differs at body.turn: recorded 'a', got 'b'",
        "all 3 recordings have been played, each in its turn",
    ]


def test_a_miss_names_the_nearest_recording_and_the_first_difference() -> None:
    far = recording(chat_body("other-model", turn="what?", seed=1))
    player = Player([far, *tapes("hello", "farewell"), far])
    answer = player.answer(received(chat_body(turn="hallo", temperature=0)))
    told = (
        "POST /v1/chat/completions was not recorded: nearest is recording 2 of 4, which differs at "
        "body.turn: recorded 'hello', got 'hallo'"
    )
    assert player.misses == [told]
    assert len(player.unplayed) == 4
    assert answer.status == 404
    assert told in str(answer.error)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/v1/chat/completions", "/x/y"])
def test_a_miss_is_a_failure_that_nobody_sends_again(path: str) -> None:
    sent = list(steps(Player([]).answer(received(chat_body(stream=True), path)), received(chat_body(), path)))
    head, _, body = b"".join(step.data for step in sent if isinstance(step, Send)).partition(b"\r\n\r\n")
    assert b"x-should-retry: false" in head
    failure = response_failure(404, {}, body, wall_now=0.0)
    assert (failure.kind, failure.reason, failure.retryable) == ("not_found", "cassette_miss", False)
    assert failure.message == f"POST {path} was not recorded: the cassette is empty"


def test_a_miss_repeats_no_key() -> None:
    key = "sk-proj-" + "k" * 24
    player = Player([recording(chat_body())])
    player.answer(received({**chat_body(), "seed": f"Bearer {key}"}, path=f"/v1/chat/completions?key={key}"))
    assert key not in player.misses[0]


@pytest.mark.parametrize(("speed", "waits"), [(1, [0.1, 0.1, 0.1]), (2, [0.05, 0.05, 0.05]), (0.5, [0.2] * 3), (0, [])])
def test_the_pace_is_the_recorded_one_by_the_speed(speed: float, waits: list[float]) -> None:
    tape = recording(chat_body(), "one", "two")
    sent = list(steps(played(tape.answer, speed), received(chat_body(stream=True))))
    assert [step.seconds for step in sent if isinstance(step, Pause)] == pytest.approx(waits)
    body = b"".join(step.data for step in sent if isinstance(step, Send)).partition(b"\r\n\r\n")[2]
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    if waits:
        assert [type(step) for step in sent] == [Pause, Send, Pause, Send, Pause, Send, Send]


@pytest.mark.parametrize("pieces", [(), ("one",), ("one", "two")])
def test_what_was_cut_is_cut_at_the_same_byte(pieces: tuple[str, ...]) -> None:
    tape = recording(chat_body(), *pieces, end="cut")
    sent = list(steps(played(tape.answer, 0), received(chat_body(stream=True))))
    sent = sent[: sent.index(Close("eof"))]
    body = b"".join(step.data for step in sent if isinstance(step, Send)).partition(b"\r\n\r\n")[2]
    assert body == b"".join(b"3\r\n%b\r\n" % piece.encode() for piece in pieces)


def test_status_and_headers_are_those_that_were_recorded() -> None:
    answer = played(recording({}, "{}", status=429, headers={"retry-after": "7"}).answer, 0)
    assert answer == Answer(
        status=429, headers={"retry-after": "7"}, default_headers=False, body=[b"{}"], pauses=[0.0], framing="chunked",
        fault=[],
    )  # fmt: skip


@pytest.mark.parametrize("speed", [-1.0, math.inf, math.nan])
def test_what_is_no_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="the speed is a factor"):
        Player([], speed=speed)
