"""What a provider's headers say about when to come back: ``Retry-After`` and the rate-limit snapshot.

Facts are from the vendors' documents and recorded traffic: OpenAI spells resets as Go durations (``6m0s``), Azure as
whole seconds, Anthropic as RFC 3339, OpenRouter as milliseconds since the epoch. Garbage and ``-1`` occur; both mean
"not said". Header names are lower case here.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal

import msgspec

Dimension = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_NUMBER = re.compile(r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|μs|ms|s|m|h|d)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 64
"""No honest value is longer, and no number that long is infinite."""
_EXACT_DIGITS = 15
"""Of a whole number that a float holds as it is."""


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit as the last response stated it. ``None`` is what it did not say."""

    limit: int | None = None
    remaining: int | None = None
    reset_after: float | None = None
    """Seconds from the response until the limit is whole again, never negative."""


def retry_after(headers: Mapping[str, str], *, wall_now: float) -> float | None:
    """Seconds the provider asks to wait: ``retry-after-ms``, then ``retry-after`` in seconds or as a date.

    A date is measured against the response's own ``date``, else against ``wall_now`` (seconds since the epoch), so
    that a wrong clock of ours does not matter; one in the past is 0. A zero beside a positive value loses: Azure sends
    ``retry-after-ms: 0`` with ``retry-after: 1``.
    """
    said = (
        milliseconds(headers.get("retry-after-ms")),
        seconds(headers.get("retry-after")),
        _until(headers.get("retry-after"), headers, wall_now),
    )
    known = [hint for hint in said if hint is not None]
    return next((hint for hint in known if hint > 0), 0.0 if known else None)


def rate_limits(headers: Mapping[str, str], *, wall_now: float) -> dict[Dimension, RateLimit]:
    """The limits a response states, without those it says nothing useful about."""
    found: dict[Dimension, RateLimit] = {}
    if _NAMES.isdisjoint(headers):
        return found
    for dimension, limit, remaining, reset in _STATED_IN:
        if (limit in headers or remaining in headers or reset in headers) and dimension not in found:
            most, left = _count(headers.get(limit)), _count(headers.get(remaining))
            after = _reset(headers.get(reset), headers, wall_now)
            if most is not None or left is not None or after is not None:
                found[dimension] = RateLimit(limit=most, remaining=left, reset_after=after)
    return found


_WORDS: tuple[tuple[Dimension, str], ...] = (
    ("requests", "requests"),
    ("tokens", "tokens"),
    ("input_tokens", "input-tokens"),
    ("output_tokens", "output-tokens"),
)


def _names(form: str) -> tuple[str, str, str]:
    return form.format(field="limit"), form.format(field="remaining"), form.format(field="reset")


_STATED_IN: tuple[tuple[Dimension, str, str, str], ...] = (
    *((dimension, *_names("x-ratelimit-{field}-" + word)) for dimension, word in _WORDS),
    *((dimension, *_names("anthropic-ratelimit-" + word + "-{field}")) for dimension, word in _WORDS),
    ("requests", *_names("x-ratelimit-{field}")),
)
"""Where each dimension is stated; the first names of one that say anything count. OpenRouter names no dimension."""
_NAMES = frozenset(name for _, *names in _STATED_IN for name in names)


def seconds(text: str | None) -> float | None:
    """A finite number of seconds, not negative: ``30``, ``1.5``, or a Go duration (``6m0s``, ``12ms``)."""
    return None if text is None or len(text) > _LONGEST else _seconds(text)


# Resets come with every response, in few spellings: whole numbers of a small unit.
@lru_cache(maxsize=1024)
def _seconds(text: str) -> float | None:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    total, end = 0.0, 0
    while part := _DURATION_PART.match(text, end):
        total += float(part[1]) * _SECONDS[part[2]]
        end = part.end()
    return total if text and end == len(text) else None


def milliseconds(text: str | None) -> float | None:
    """A plain number of milliseconds, in seconds."""
    if text is None or len(text) > _LONGEST or not _NUMBER.fullmatch(text.strip()):
        return None
    return float(text) / 1000.0


def _reset(text: str | None, headers: Mapping[str, str], wall_now: float) -> float | None:
    """A duration, or a moment: RFC 3339, or since the epoch, in seconds or milliseconds by its magnitude."""
    if text is None:
        return None
    value = _seconds(text) if len(text) <= _LONGEST else None
    if value is None:
        return _until(text, headers, wall_now)
    if value > 1e12:
        return max(0.0, value / 1000.0 - wall_now)
    if value > 1e9:
        return max(0.0, value - wall_now)
    return value


def _until(text: str | None, headers: Mapping[str, str], wall_now: float) -> float | None:
    moment = _moment(text)
    if moment is None:
        return None
    return max(0.0, moment - (_said_at(headers.get("date")) or wall_now))


@lru_cache(maxsize=4)
def _said_at(date: str | None) -> float | None:
    """Every moment in one response is measured against it."""
    return _moment(date)


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date in any of its three spellings, or of an RFC 3339 time."""
    if text is None or len(text) > _LONGEST:
        return None
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text) if text[:1].isdigit() else parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if text.isdigit() and len(text) <= _EXACT_DIGITS and text.isascii():  # as a rule
        return int(text)
    if len(text) > _LONGEST:
        return None
    return int(float(text)) if _NUMBER.fullmatch(text.strip()) else None
