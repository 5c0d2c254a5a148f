"""The circuit breaker of one provider: after repeated failures, fail at once, and send a probe now and then. Pure: the
time and the dice are arguments.

*Closed*, all pass; five failures in a row, or half of at least twenty within thirty seconds, open it. *Open*, none
pass for a while that grows from five seconds to a minute. *Half open*, one probe at a time: two that succeed close it,
one that fails opens it for longer. An attempt is judged only in the stretch it was begun in: what was sent before the
breaker opened says nothing about the provider after it.

Attempts run side by side, and by their ends alone they would be counted in an order that lies: failures come sooner
than answers, and timeouts of requests that came together come together. Ten of a hundred requests that are refused at
once, after a quiet minute, would open it before the first answer is there. So attempts have failed *in a row* where no
success ended since the first of them, and they were begun one directly after the other: one that is still running
parts a row until it ends. And the share of failures means something only where more attempts have ended than run.

Which failures speak against a provider is :mod:`nexus3.actors.gates.blame`'s matter.
"""

from collections import deque
from random import Random
from typing import Literal, NamedTuple, assert_never

import msgspec

from nexus3.actors.gates.verdict import PASS, Refuse, Verdict
from nexus3.actors.settings import BreakerMode
from nexus3.wire.failures import fail

CONSECUTIVE = 5
"""Failures in a row that open it."""
SAMPLES = 20
FAILED_SHARE = 0.5
"""Of at least :data:`SAMPLES` in the window, and no fewer than are still running: opens it too."""
BUCKET = 3.0
"""Seconds; the window is ten of them."""
BUCKETS = 10
FIRST_OPEN = 5.0
LONGEST_OPEN = 60.0
JITTER = 0.1
PROBES = 2
"""That must succeed, one after the other."""
CALM = 60.0
"""Seconds closed after which the next opening is as short as the first one."""

State = Literal["closed", "open", "half_open"]
Judgement = Literal["success", "failure", "neutral"]


class Permit(msgspec.Struct, frozen=True):
    """That one attempt was let through, and when: hand it back to :meth:`Breaker.ended`, once."""

    number: int
    stretch: int
    is_probe: bool


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The breaker went from one state to another: one line in the log."""

    before: State
    after: State
    failures: int
    """Counted in the window, or in the row, whichever is more; 0 unless it opens."""
    seconds: float | None = None
    """How long it stays open."""


class Breaker:
    """Outlives incarnations. In mode ``observe`` it keeps its state and lets all pass; ``off``, it stays closed."""

    def __init__(self, mode: BreakerMode = "on") -> None:
        self.mode: BreakerMode = mode
        self.state: State = "closed"
        """*Open* lasts until the first attempt after :attr:`until` begins, which is the probe."""
        self.until = 0.0
        """When the present or the last opening is over."""
        self.reopened = 0
        """The exponent of the time it is open."""
        self._closed_since: float | None = None
        self._rows: dict[int, _Row] = {}
        """Since the last success; each by the numbers of its first and its last permit."""
        self._successes = 0
        """Of probes, since it is half open."""
        self._window: deque[_Bucket] = deque()
        self._stretch = 0
        self._running = 0
        """Attempts of this stretch."""
        self._numbers = 0
        self._probe: Permit | None = None
        """The one that has no answer yet."""

    def ask(self, now: float) -> Verdict:
        """Whether an attempt may begin; changes nothing."""
        if self.mode != "on" or self.state == "closed" or self._may_probe(now):
            return PASS
        failure = fail("unavailable", "breaker_open", "The provider fails again and again; it is given a rest.")
        wait = self.until - now
        return Refuse(msgspec.structs.replace(failure, retry_after=wait) if wait > 0 else failure)

    def begin(self, now: float) -> tuple[Permit, Change | None]:
        """An attempt begins that :meth:`ask` let pass."""
        change = None
        probes = self._may_probe(now)
        if probes and self.state == "open":
            change = self._go("half_open")
        self._numbers += 1
        self._running += 1
        permit = Permit(self._numbers, self._stretch, probes)
        if probes:
            self._probe = permit
        return permit, change

    def answered(self, permit: Permit, now: float) -> Change | None:
        """The attempt's first event came. For a probe that is success; the others are judged by their end."""
        if permit != self._probe:
            return None
        self._probe = None
        self._successes += 1
        if self._successes < PROBES:
            return None
        self._closed_since = now
        return self._go("closed")

    def ended(self, permit: Permit, how: Judgement, now: float, rng: Random) -> Change | None:
        """The attempt is over. ``neutral`` is no verdict: cancelled, throttled, refused for what it asked; the place of
        a probe is free again."""
        if permit.stretch != self._stretch:
            return None
        self._running -= 1
        if self.mode == "off":
            return None
        match self.state:
            case "open":
                return None
            case "half_open":
                if not permit.is_probe:
                    return None
                if how == "failure":
                    self.reopened += 1
                    return self._open(1, now, rng)
                if how == "success":
                    return self.answered(permit, now)
                if permit == self._probe:
                    self._probe = None
                return None
            case "closed":
                return self._sample(permit.number, how, now, rng)
            case _:
                assert_never(self.state)

    def _may_probe(self, now: float) -> bool:
        match self.state:
            case "closed":
                return False
            case "open":
                return now >= self.until
            case "half_open":
                return self._probe is None
            case _:
                assert_never(self.state)

    def _sample(self, number: int, how: Judgement, now: float, rng: Random) -> Change | None:
        """The attempt of permit ``number`` ended while it is closed."""
        if how == "neutral":
            self._join(number, failures=0)
            return None
        bucket = self._bucket(now)
        if how == "success":
            self._rows.clear()
            bucket.successes += 1
            return None
        in_a_row = self._join(number, failures=1)
        bucket.failures += 1
        failures = sum(bucket.failures for bucket in self._window)
        samples = failures + sum(bucket.successes for bucket in self._window)
        if in_a_row < CONSECUTIVE and (samples < max(SAMPLES, self._running) or failures < FAILED_SHARE * samples):
            return None
        if self._closed_since is None or now - self._closed_since >= CALM:
            self.reopened = 0
        return self._open(max(failures, in_a_row), now, rng)

    def _join(self, number: int, *, failures: int) -> int:
        """One more attempt has ended without success; the failures of the row that it is in now. One without a verdict
        lengthens no row, but parts none either."""
        row = _Row(number, number, failures)
        if (before := self._rows.pop(number - 1, None)) is not None:
            self._rows.pop(before.first, None)
            row = _Row(before.first, row.last, before.failures + row.failures)
        if (after := self._rows.pop(number + 1, None)) is not None:
            self._rows.pop(after.last, None)
            row = _Row(row.first, after.last, row.failures + after.failures)
        self._rows[row.first] = self._rows[row.last] = row
        return row.failures

    def _bucket(self, now: float) -> "_Bucket":
        """The window's latest; those that have left it are dropped."""
        number = int(now // BUCKET)
        if not self._window or self._window[-1].number < number:
            self._window.append(_Bucket(number))
        while self._window[0].number <= number - BUCKETS:
            self._window.popleft()
        return self._window[-1]

    def _open(self, failures: int, now: float, rng: Random) -> Change:
        # Past the cap the exponent may grow without end; its power may not.
        seconds = min(LONGEST_OPEN, FIRST_OPEN * 2.0 ** min(self.reopened, 10)) * rng.uniform(1 - JITTER, 1 + JITTER)
        self.until = now + seconds
        change = self._go("open")
        return msgspec.structs.replace(change, failures=failures, seconds=seconds)

    def _go(self, after: State) -> Change:
        change = Change(before=self.state, after=after, failures=0)
        self.state = after
        self._stretch += 1
        self._running = 0
        self._rows.clear()
        self._successes = 0
        self._window.clear()
        self._probe = None
        return change


class _Row(NamedTuple):
    """Attempts that were begun one directly after the other, all ended, none with success."""

    first: int
    last: int
    failures: int


class _Bucket(msgspec.Struct):
    number: int
    """Of the three-second stretch of the clock."""
    successes: int = 0
    failures: int = 0
