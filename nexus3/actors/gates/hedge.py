"""Whether a slow request is sent a second time, and when. Pure: the figures are arguments.

Where one answer in twenty takes far longer than the rest, a second request that starts as soon as the first one is
among those costs little and cuts the tail. The first event wins; the other attempt is cancelled, and may be billed.
Legal only until the first event, so nothing that the caller sees depends on it.
"""

import math
from collections import deque

from nexus3.actors.gates.breaker import State
from nexus3.actors.gates.budget import HEDGE_RESERVE

SAMPLES = 100
"""First events of a model that must be known before its slow ones can be told."""
WINDOW = 256
"""The last so many are kept."""
PERCENTILE = 0.95
SHORTEST_DELAY = 1.0
"""Seconds."""
SHARE = 0.05
"""Extra requests, of all."""
MOST_SAVED = 5.0
"""Hedges that a quiet time can save up."""


class Hedging:
    """What one model's hedges are decided by. Outlives incarnations."""

    def __init__(self) -> None:
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._credit = 0.0

    def observe(self, first_event_after: float) -> None:
        """An attempt's first event came ``first_event_after`` seconds after it began. Of a hedged pair only the winner
        counts: how long the other would have taken is not known."""
        self._waits.append(first_event_after)

    def request_began(self) -> None:
        """Earns a share of a hedge. Once a request, not once an attempt."""
        self._credit = min(MOST_SAVED, self._credit + SHARE)

    def delay(self, *, breaker: State, budget: float, queued: int) -> float | None:
        """Seconds after which a request that has no event yet is sent again; ``None`` where it must not be.

        ``budget`` is what the retry budget holds, ``queued`` how many wait for a place: a hedge must take none of
        theirs. Ask when the attempt begins, and again, by :meth:`spend`, when the delay is over.
        """
        if len(self._waits) < SAMPLES or not self._is_affordable(breaker, budget, queued):
            return None
        ordered = sorted(self._waits)
        return max(SHORTEST_DELAY, ordered[math.ceil(PERCENTILE * len(ordered)) - 1])

    def spend(self, *, breaker: State, budget: float, queued: int) -> bool:
        """The delay is over without an event: whether to send it now. True is counted; the caller pays the budget."""
        if not self._is_affordable(breaker, budget, queued):
            return False
        self._credit -= 1
        return True

    def _is_affordable(self, breaker: State, budget: float, queued: int) -> bool:
        return breaker == "closed" and budget >= HEDGE_RESERVE and queued == 0 and self._credit >= 1 - 1e-9
