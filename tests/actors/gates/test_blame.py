"""Which failures count in the breaker."""

import msgspec
import pytest

from nexus3.actors.gates.blame import judged, speaks_against
from nexus3.wire.classify import response_failure
from nexus3.wire.failures import Failure, Phase, fail


def status(number: int) -> Failure:
    return response_failure(number, {}, b"", wall_now=0.0)


def late(reason: str, phase: Phase) -> Failure:
    return fail("timeout", reason, "Late.", phase=phase)


def lost(reason: str, phase: Phase, *, retryable: bool = True) -> Failure:
    return fail("transport", reason, "Lost.", phase=phase, retryable=retryable)


@pytest.mark.parametrize(
    "failure",
    [
        *(status(number) for number in (500, 502, 503, 504, 520, 529)),
        fail("overloaded", "overloaded_error", "In the stream.", phase="first_event"),
        late("connect", "connect"),
        late("headers", "headers"),
        late("first_event", "first_event"),
        late("progress", "stream"),
        late("idle", "stream"),
        late("deadline", "first_event"),
        lost("connect", "connect"),
        lost("reset", "request"),
        lost("cut", "stream"),
        fail("protocol", "stream_truncated", "Cut.", phase="stream", retryable=True),
    ],
    ids=lambda failure: f"{failure.kind}-{failure.reason}",
)
def test_trouble_of_the_provider_counts(failure: Failure) -> None:
    assert speaks_against(failure, time_given=600.0)
    assert judged(failure, time_given=600.0) == "failure"


@pytest.mark.parametrize(
    "failure",
    [
        *(status(number) for number in (400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429)),
        late("deadline_queued", "queued"),
        late("deadline", "stream"),
        lost("certificate", "connect", retryable=False),
        lost("pool", "connect"),
        fail("protocol", "content_type", "A page.", phase="headers", retryable=False),
        fail("rate_limit", "rate_limit_error", "In the stream.", phase="first_event"),
        fail("cancelled", "caller_left", "Left.", phase="stream"),
        fail("slow_consumer", "stall_timeout", "Slow.", phase="stream"),
        fail("limit", "max_events", "Too many.", phase="stream"),
        fail("internal", "bug", "Ours."),
    ],
    ids=lambda failure: f"{failure.kind}-{failure.reason}",
)
def test_what_is_the_request_s_or_ours_does_not(failure: Failure) -> None:
    assert not speaks_against(failure, time_given=600.0)
    assert judged(failure, time_given=600.0) == "neutral"


def test_an_impatient_caller_s_deadline_is_its_own_affair() -> None:
    failure = late("deadline", "first_event")
    assert [speaks_against(failure, time_given=seconds) for seconds in (4.9, 5.0)] == [False, True]


def test_a_timeout_in_our_own_stall_is_ours() -> None:
    failure = late("first_event", "first_event")
    assert [speaks_against(failure, time_given=600.0, lag=lag) for lag in (0.25, 0.26)] == [True, False]
    assert speaks_against(status(504), time_given=600.0, lag=1.0)


def test_a_status_below_300_says_nothing_about_a_timeout() -> None:
    assert speaks_against(msgspec.structs.replace(late("idle", "stream"), status=200), time_given=600.0)


def test_an_answer_is_a_success() -> None:
    assert judged(None, time_given=1.0) == "success"
