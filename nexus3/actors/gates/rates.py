"""Requests and tokens per minute, of one provider or of one model: when the next request may start. Pure: the time is
an argument.

Limits come from the configuration and from the headers of responses, and all that are known must agree. Where the
provider says how much remains, that is kept count of, and requests wait only when it comes to an end: somebody else may
ask with the same key. Where it does not, as with configured limits, requests are *paced*: a bucket fills at the limit's
rate and holds a fiftieth of a minute's worth, so that no stretch of a minute has more than the limit in it, whether the
provider counts by a bucket of its own or by the clock. A request starts when its estimated cost is there, or the bucket
is full; a big one leaves a debt that the next ones wait out. What it really took is put right when its usage is known.
"""

import math
from collections.abc import Mapping
from typing import assert_never

import msgspec

from nexus3.actors.gates.estimate import Estimate
from nexus3.actors.gates.verdict import PASS, Verdict, Wait, combined
from nexus3.wire.failures import fail
from nexus3.wire.messages import Usage
from nexus3.wire.retry_hints import Dimension, RateLimit

PACE = 0.98
"""Of the limit's rate. With the burst, a minute's limit."""
BURST = 0.02
"""Of a minute's worth; of requests, one at least."""
SURPLUS = 0.1
"""Of a minute's worth: as much of what was reserved for too long is made good."""
LOW = 0.05
"""Of the limit: what is left to the provider, for estimates that were too low and requests that arrive together."""
LONGEST_PAUSE = 60.0
"""Seconds that a limit by the hour or the day, used up, is not asked again. If that was too early, the 429 names the
time."""
FASTER = 2.0
"""A limit that is whole again this many times sooner than within a minute counts shorter periods."""
TRUSTED_SHARE = 0.1
"""Of the limit must be used before the time until it is whole tells its period: providers round that to seconds."""
_TOLERANCE = 1e-6

NAMES: Mapping[Dimension, str] = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
}


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """A response stated a limit that was not known, or has changed: one line in the log."""

    dimension: Dimension
    limit: int
    """As stated; by the minute, mostly."""


class Rates:
    """The limits of one scope. Outlives incarnations; what was learned goes where the state is made anew."""

    def __init__(self, now: float, *, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """As configured; ``None`` is not limited but by what the provider states."""
        self._configured: dict[Dimension, _Bucket] = {}
        if requests_per_minute is not None:
            self._configured["requests"] = _Bucket.full("requests", requests_per_minute, now)
        if tokens_per_minute is not None:
            self._configured["tokens"] = _Bucket.full("tokens", tokens_per_minute, now)
        self._learned: dict[Dimension, _Bucket] = {}
        self._know()

    def _know(self) -> None:
        """Gather what every request asks for."""
        self._buckets = (*self._configured.values(), *self._learned.values())
        self.is_limited = bool(self._buckets)
        """Any limit is known: otherwise nobody needs an estimate."""
        self.counts_tokens = any(bucket.dimension != "requests" for bucket in self._buckets)
        """A limit on tokens is known: otherwise a request's size does not matter."""

    def ask(self, estimate: Estimate, now: float) -> Verdict:
        """Whether a request of this size may start, else when; changes nothing."""
        verdicts = [bucket.ask(_cost(bucket.dimension, estimate), now) for bucket in self._buckets]
        return verdicts[0] if len(verdicts) == 1 else combined(verdicts)

    def begin(self, estimate: Estimate, now: float) -> None:
        """A request starts that :meth:`ask` let pass: its estimated cost is taken."""
        for bucket in self._buckets:
            bucket.take(_cost(bucket.dimension, estimate), now)

    def ended(self, estimate: Estimate, usage: Usage | None, *, sent: bool, now: float) -> None:
        """Put right what :meth:`begin` took; once for each. ``usage`` is what the provider stated so far; what it did
        not state stands as estimated. What was not sent took nothing."""
        for bucket in self._buckets:
            taken = _cost(bucket.dimension, estimate)
            if surplus := taken - (_used(bucket.dimension, estimate, usage) if sent else 0.0):
                bucket.give_back(surplus, now)

    def learn(self, stated: Mapping[Dimension, RateLimit], now: float) -> list[Learned]:
        """What a response's headers state, as :func:`nexus3.wire.retry_hints.rate_limits` reads them."""
        news = []
        for dimension, rate in stated.items():
            if dimension == "tokens" and "input_tokens" in stated:
                continue  # that is only whichever of its parts is tighter, and counts what came from the cache
            if rate.limit is None or rate.limit <= 0:
                continue
            bucket = self._learned.get(dimension)
            if bucket is None:
                bucket = self._learned[dimension] = _Bucket.full(dimension, rate.limit, now)
                self._know()
                is_new = True
            else:
                is_new = bucket.limit != rate.limit
            bucket.state(rate, rate.limit, now)
            if is_new:
                news.append(Learned(dimension=dimension, limit=rate.limit))
        return news


class _Bucket(msgspec.Struct):
    """One limit in one dimension."""

    dimension: Dimension
    limit: float
    per_minute: float
    level: float
    """What may be taken, as of ``seen``; below zero where more was taken than was there."""
    seen: float
    room: float = math.inf
    """What the provider has left for us, as of ``seen``: by its last word, or by ours where that is less. Known where
    a response stated it."""
    longest_reset: float = 0.0
    paused_until: float = 0.0

    @classmethod
    def full(cls, dimension: Dimension, per_minute: float, now: float) -> "_Bucket":
        bucket = cls(dimension, per_minute, per_minute, 0.0, now)
        bucket.level = bucket.burst
        return bucket

    @property
    def burst(self) -> float:
        return max(1.0, BURST * self.per_minute)

    def ask(self, cost: float, now: float) -> Verdict:
        if self.room >= cost + LOW * self.limit and self.paused_until <= now and self.room < math.inf:
            return PASS  # there was room enough before any came back
        level, room = self._filled(now)
        if room < math.inf:  # the provider has told
            missing = (min(cost + LOW * self.limit, self.limit) - room) * 60.0 / self.per_minute
        else:
            missing = (min(cost, self.burst) - level) * 60.0 / (PACE * self.per_minute)
        wait = max(self.paused_until - now, missing)
        if wait <= _TOLERANCE:
            return PASS
        what = f"{self.limit:g} {NAMES[self.dimension]} per minute are allowed; the next may go in {wait:.3g} s."
        failure = fail("rate_limit", f"{self.dimension}_per_minute", what)
        return Wait(now + wait, msgspec.structs.replace(failure, retry_after=wait))

    def take(self, cost: float, now: float) -> None:
        self._fill(now)
        self.level -= cost
        self.room -= cost

    def give_back(self, amount: float, now: float) -> None:
        """``amount`` is negative where more was used than taken."""
        self._fill(now)
        most = max(self.level, self.burst, SURPLUS * self.per_minute)
        self.level = min(self.level + amount, most)
        self.room += amount

    def state(self, rate: RateLimit, limit: int, now: float) -> None:
        """A response told of this limit."""
        self._fill(now)
        self.limit = limit
        self.longest_reset = max(self.longest_reset, rate.reset_after or 0.0)
        self.per_minute = _per_minute(limit, rate, self.longest_reset)
        if rate.remaining is None:
            return
        # What was sent since is not in the provider's word yet, but it is in our reckoning.
        self.room = min(self.room, rate.remaining)
        if rate.remaining == 0 and rate.reset_after is not None and rate.reset_after > LONGEST_PAUSE:
            self.paused_until = max(self.paused_until, now + LONGEST_PAUSE)

    def _filled(self, now: float) -> tuple[float, float]:
        """Level and room at ``now``. What the level holds beyond the burst was given back, and is not added to."""
        more = self.per_minute / 60.0 * (now - self.seen)
        if more <= 0.0:
            return self.level, self.room
        level = self.level + PACE * more
        if level > self.burst:
            level = max(self.level, self.burst)
        room = self.room + more
        if room > self.limit:
            room = max(self.room, self.limit)
        return level, room

    def _fill(self, now: float) -> None:
        self.level, self.room = self._filled(now)
        self.seen = max(self.seen, now)


def _per_minute(limit: int, rate: RateLimit, longest_reset: float) -> float:
    """The limit by the minute, as most are. One that is always whole again much sooner counts a shorter period. One by
    the hour or the day is not spread evenly over it: what remains is watched, and that is enough."""
    if rate.remaining is None or not rate.reset_after:
        return limit
    used = limit - rate.remaining
    if used < TRUSTED_SHARE * limit:
        return limit
    found = limit * 60.0 / max(limit / used * rate.reset_after, longest_reset)
    return found if found >= FASTER * limit else limit


def _cost(dimension: Dimension, estimate: Estimate) -> float:
    match dimension:
        case "requests":
            return 1.0
        case "tokens":
            return estimate.tokens
        case "input_tokens":
            return estimate.uncached_tokens
        case "output_tokens":
            return estimate.output_tokens
        case _:
            assert_never(dimension)


def _used(dimension: Dimension, estimate: Estimate, usage: Usage | None) -> float:
    if usage is None:
        return _cost(dimension, estimate)
    all_input = estimate.input_tokens if usage.input_tokens is None else usage.input_tokens
    output = estimate.output_tokens if usage.output_tokens is None else usage.output_tokens
    match dimension:
        case "requests":
            return 1.0
        case "tokens":
            return all_input + output
        case "input_tokens":
            if usage.input_tokens is None:
                return estimate.uncached_tokens
            return all_input - min(usage.cache_read_tokens or 0, all_input)
        case "output_tokens":
            return output
        case _:
            assert_never(dimension)
