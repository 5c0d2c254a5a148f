"""The cooldown of one model at one provider: after a 429, nobody asks again too early. Pure: the time is an argument.

What the provider asks for holds for all, and is never shortened by a later, smaller wish. A 429 that names no time
delays its own request only; three of them within ten seconds begin a cooldown all the same, twice as long each time.
Afterwards the way opens slowly: one request at a time, and twice as many with each that succeeds, so that those who
have waited do not come back as one.

An outcome is judged in the stretch in which its attempt began: what was under way when a cooldown began can lengthen
it, but neither counts as another sign of trouble nor as a sign of recovery.
"""

from collections import deque
from typing import Literal

import msgspec

from nexus3.actors.gates.verdict import PASS, Verdict, Wait
from nexus3.wire.failures import Failure, fail

LONGEST = 600.0
"""Seconds; a wish for more is taken for this."""
BARE = 3
"""Throttled answers without a time ..."""
BARE_WITHIN = 10.0
"""... within so many seconds begin a cooldown."""
LONGEST_BARE = 60.0
SLOW_START_FROM = 1.0
"""Seconds. Fewer gather behind a shorter cooldown than would make a crowd, so it ends without a slow start."""
FULL_PACE = 64
"""Attempts side by side at which the slow start is over."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A cooldown began, or its slow start is over: one line in the log. Wishes that lengthen it are not told."""

    what: Literal["cooling", "over"]
    seconds: float = 0.0
    """How long it lasts."""
    asked: bool = False
    """The provider named the time."""


class Cooldown:
    """Outlives incarnations, and is kept where other state is suspect and made anew."""

    def __init__(self) -> None:
        self.until = 0.0
        """When the present or the last one is over. Never goes back."""
        self.stretch = 0
        """Counts cooldowns: what :meth:`begin` returns, and :meth:`ended` wants back."""
        self._pace: int | None = None
        """How many may run side by side; ``None`` is any number."""
        self._running = 0
        """Of the present stretch."""
        self._bare: deque[float] = deque()
        self._doublings = 0

    def ask(self, now: float) -> Verdict:
        """Whether an attempt may begin; changes nothing."""
        if now < self.until:
            left = self.until - now
            failure = fail("rate_limit", "cooldown", f"The model is throttled and cools down for another {left:.3g} s.")
            return Wait(self.until, msgspec.structs.replace(failure, retry_after=left))
        if self._pace is not None and self._running >= self._pace:
            return Wait(None, fail("rate_limit", "slow_start", "The model was throttled; requests begin again slowly."))
        return PASS

    def is_idle(self, now: float) -> bool:
        """Nothing of it would be missed."""
        return now >= self.until and self._pace is None and not self._running and not self._bare

    def begin(self) -> int:
        """An attempt begins that :meth:`ask` let pass."""
        self._running += 1
        return self.stretch

    def ended(self, stretch: int, failure: Failure | None, now: float) -> Change | None:
        """The attempt that began in ``stretch`` is over, or has its first event: ``None`` is success, anything but
        ``rate_limit`` says nothing. Once for each :meth:`begin`."""
        is_of_now = stretch == self.stretch
        if is_of_now:
            self._running -= 1
        if failure is None:
            return self._recovered() if is_of_now and now >= self.until else None
        if failure.kind != "rate_limit":
            return None
        if failure.retry_after is not None:
            return self._cool(min(failure.retry_after, LONGEST), now, asked=True)
        if not is_of_now or not failure.retryable:
            return None  # not retryable: one request that is larger than a minute's allowance
        while self._bare and self._bare[0] <= now - BARE_WITHIN:
            self._bare.popleft()
        self._bare.append(now)
        if len(self._bare) < BARE:
            return None
        seconds = min(LONGEST_BARE, 2.0 ** min(self._doublings, 10))
        self._doublings += 1
        return self._cool(seconds, now, asked=False)

    def _recovered(self) -> Change | None:
        self._doublings = 0
        self._bare.clear()
        if self._pace is None:
            return None
        self._pace *= 2
        if self._pace < FULL_PACE:
            return None
        self._pace = None
        return Change(what="over")

    def _cool(self, seconds: float, now: float, *, asked: bool) -> Change | None:
        began = now >= self.until
        self.until = max(self.until, now + seconds)
        if seconds >= SLOW_START_FROM:
            self._pace = 1
        if not began or not seconds:
            return None
        self.stretch += 1
        self._running = 0
        self._bare.clear()
        return Change(what="cooling", seconds=seconds, asked=asked)
