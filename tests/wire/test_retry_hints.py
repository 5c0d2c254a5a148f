"""When a provider says to come back: every spelling of Retry-After, and of the rate-limit headers."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.retry_hints import RateLimit, rate_limits, retry_after

PROPERTY = settings(max_examples=400, derandomize=True, deadline=None)

NOW = 1_790_000_000.0
"""Monday, 21 September 2026, 14:13:20 GMT."""
DATE = {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 2 "}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "20s"}, 20.0),
        ({"retry-after": "1m30s"}, 90.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "12.5"}, 0.0125),
        ({"retry-after-ms": "250", "retry-after": "10"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after-ms": "-5", "retry-after": "abc"}, None),
        # Dates, in the three spellings of HTTP; without a date header ours is the clock.
        ({"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT"}, 30.0),
        ({"retry-after": "Monday, 21-Sep-26 14:13:50 GMT"}, 30.0),
        ({"retry-after": "Mon Sep 21 14:13:50 2026"}, 30.0),
        ({"retry-after": "2026-09-21T14:13:50Z"}, 30.0),
        # The provider's clock is eight minutes ahead of ours, and only its own difference counts.
        ({"retry-after": "Mon, 21 Sep 2026 14:22:00 GMT", "date": "Mon, 21 Sep 2026 14:21:00 GMT"}, 60.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT", "date": "yesterday"}, 30.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:12:00 GMT", **DATE}, 0.0),
        ({"retry-after": "Tue, 01 Jan 1980 00:00:00 GMT"}, 0.0),
        ({"retry-after": "0001-01-01T00:00:00+23:00"}, 0.0),
        # What says nothing.
        ({"retry-after": ""}, None),
        ({"retry-after": "abc"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "2, 5"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after-ms": "9" * 400}, None),
        ({"retry-after": "Mon, 99 Foo 2026 14:13:50 GMT"}, None),
        ({"retry-after": "Mon, 21 Sep 99999 99:99:99 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers, wall_now=NOW) == expected


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        ("1s", 1.0),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("100us", 1e-4),
        ("5µs", 5e-6),
        ("0s", 0.0),
        ("30", 30.0),
        ("2026-09-21T14:14:20Z", 60.0),
        ("2026-09-21T16:14:20+02:00", 60.0),
        ("2026-09-21T14:14:20.500Z", 60.5),
        ("2026-09-21T14:14:20", 60.0),
        ("1790000090", 90.0),
        ("1790000090000", 90.0),
        ("1700000000", 0.0),
        ("2020-01-01T00:00:00Z", 0.0),
        ("9" * 400, None),
        ("-1", None),
        ("", None),
        ("s", None),
        ("5x", None),
        ("5s later", None),
        ("2026-13-21T14:14:20Z", None),
    ],
)
def test_a_reset_in_every_spelling(reset: str, expected: float | None) -> None:
    found = rate_limits({"x-ratelimit-limit-requests": "100", "x-ratelimit-reset-requests": reset}, wall_now=NOW)
    assert found["requests"].limit == 100
    assert found["requests"].reset_after == (None if expected is None else pytest.approx(expected))


def test_a_date_without_a_zone_is_gmt_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after({"retry-after": "Mon Sep 21 14:13:50 2026"}, wall_now=NOW) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_openai_states_requests_and_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "12ms",
    }
    assert rate_limits(headers, wall_now=NOW) == {
        "requests": RateLimit(limit=10000, remaining=9999, reset_after=360.0),
        "tokens": RateLimit(limit=200000, remaining=0, reset_after=0.012),
    }


def test_anthropic_states_four_dimensions_and_moments() -> None:
    headers = {
        f"anthropic-ratelimit-{word}-{field}": value
        for word in ("requests", "tokens", "input-tokens", "output-tokens")
        for field, value in (("limit", "50"), ("remaining", "49"), ("reset", "2026-09-21T14:13:21Z"))
    }
    stated = RateLimit(limit=50, remaining=49, reset_after=1.0)
    assert rate_limits({**headers, **DATE}, wall_now=0.0) == {
        "requests": stated,
        "tokens": stated,
        "input_tokens": stated,
        "output_tokens": stated,
    }


def test_openrouter_names_no_dimension() -> None:
    headers = {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790000120000"}
    assert rate_limits(headers, wall_now=NOW) == {"requests": RateLimit(limit=50, remaining=0, reset_after=120.0)}


def test_of_several_spellings_the_first_that_says_anything_counts() -> None:
    headers = {
        "x-ratelimit-limit": "3",
        "anthropic-ratelimit-requests-limit": "2",
        "x-ratelimit-limit-requests": "-1",
        "anthropic-ratelimit-tokens-limit": "20",
        "x-ratelimit-limit-tokens": "10",
    }
    assert rate_limits(headers, wall_now=NOW) == {"requests": RateLimit(limit=2), "tokens": RateLimit(limit=10)}


def test_what_is_not_said_is_none_and_what_says_nothing_is_absent() -> None:
    headers = {
        "x-ratelimit-limit-requests": "-1",
        "x-ratelimit-remaining-requests": "119",
        "x-ratelimit-reset-requests": "",
        "x-ratelimit-remaining-tokens": "-1",
        "x-ratelimit-limit-tokens": "lots",
    }
    assert rate_limits(headers, wall_now=NOW) == {"requests": RateLimit(remaining=119)}
    assert rate_limits({}, wall_now=NOW) == {}


_NAMES = st.sampled_from(["retry-after", "retry-after-ms", "date", "x-ratelimit-reset", "x-ratelimit-limit-tokens"])
_VALUES = st.text(max_size=40) | st.from_regex(r"[0-9:TZ. +GMTa-z,-]{0,40}", fullmatch=True)


@PROPERTY
@given(headers=st.dictionaries(_NAMES, _VALUES))
def test_no_header_raises_and_no_hint_is_negative(headers: dict[str, str]) -> None:
    wait = retry_after(headers, wall_now=NOW)
    assert wait is None or 0 <= wait < float("inf")
    for stated in rate_limits(headers, wall_now=NOW).values():
        assert stated.reset_after is None or 0 <= stated.reset_after < float("inf")
