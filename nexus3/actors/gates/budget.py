"""The retry budget of one provider: retries are paid for by the requests that come in. Pure: the time is an argument.

However many requests fail, the attempts stay a fixed share above their number, so that an outage is not made worse by
those who suffer from it. The caller of :mod:`nexus3.actors.gates.retry` asks here before it waits. The numbers (a fifth
of the requests, a small floor for providers that are rarely asked) follow what Finagle and Envoy have settled on.
"""

from typing import Literal, assert_never

CAPACITY = 50.0
"""Tokens at the start, and at most. With ten, one request in some thousands is denied a retry by chance where a tenth
of all attempts fails; with fifty none is, and a minute's outage at 50 requests a second makes 1.23 attempts each."""
PER_FIRST_ATTEMPT = 0.2
FLOOR = 1.0
"""Below this, one token a second comes back whatever happens."""
FLOOR_PER_SECOND = 1.0
HEDGE_RESERVE = 5.0
"""Hedges are sent only while this much is left for retries."""

Expense = Literal["retry", "timeout_retry", "stale_replay", "hedge"]
"""What has a price. A request sent again because the actor crashed has none: that fault is ours."""


class RetryBudget:
    """Tokens between 0 and :data:`CAPACITY`. Outlives incarnations."""

    def __init__(self, now: float) -> None:
        self._tokens = CAPACITY
        self._seen = now
        self.is_exhausted = False
        """The last expense was denied."""

    def tokens(self, now: float) -> float:
        """What is left at ``now``, the floor's refill included."""
        if self._tokens >= FLOOR:
            return self._tokens
        return min(FLOOR, self._tokens + FLOOR_PER_SECOND * max(0.0, now - self._seen))

    def deposit(self, now: float) -> None:
        """A request makes its first attempt."""
        self._set(min(CAPACITY, self.tokens(now) + PER_FIRST_ATTEMPT), now)

    def spend(self, expense: Expense, now: float) -> Literal["granted", "denied", "exhausted"]:
        """Pay, or be told that it cannot be paid. ``exhausted`` is the first denial since the last grant: worth a line
        in the log. What is denied costs nothing."""
        left = self.tokens(now)
        if left < price(expense):
            first = not self.is_exhausted
            self.is_exhausted = True
            self._set(left, now)
            return "exhausted" if first else "denied"
        self.is_exhausted = False
        self._set(left - price(expense), now)
        return "granted"

    def _set(self, tokens: float, now: float) -> None:
        self._tokens = tokens
        self._seen = max(self._seen, now)


def price(expense: Expense) -> float:
    """In tokens. A retry after a timeout holds a place for another whole timeout, so it is twice as dear."""
    match expense:
        case "retry" | "stale_replay" | "hedge":
            return 1.0
        case "timeout_retry":
            return 2.0
        case _:
            assert_never(expense)
