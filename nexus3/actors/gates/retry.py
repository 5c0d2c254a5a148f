"""Whether and when a failed attempt is made again. Pure: the caller brings the clock and the dice.

Legal only while nothing was emitted. Transport trouble and server errors wait by full jitter; throttling by equal
jitter, since full jitter collapses to nothing against quotas that count minutes. What the provider asks for
(``retry_after``) is a floor, with a little on top so that waiting requests do not come back as one.

What all requests together may repeat is the budget's matter (:mod:`nexus3.actors.gates.budget`): the caller asks there
once it is told a delay.
"""

from random import Random

import msgspec

from nexus3.wire.failures import Failure

MIN_ATTEMPT = 1.0
"""Seconds that must be left of the deadline after the wait, or the attempt is not worth starting."""
MAX_TIMEOUT_RETRIES = 1
"""A timeout has cost the caller its whole step limit already."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's settings say about retries; delays in seconds."""

    max_retries: int = 3
    """After the first attempt."""
    backoff: float = 2.0
    """The base of the exponent."""
    max_delay: float = 8.0
    max_throttle_delay: float = 30.0
    max_retry_after: float = 60.0
    """A provider that asks for more is not slept through: the failure goes out at once, with its wish."""
    retry_unsafe: bool = True
    """Send again what the provider may have received, though no answer tells what became of it."""


def delay_before_retry(
    failure: Failure, policy: Policy, *, attempts: int, timeouts: int, emitted: bool, remaining: float, rng: Random
) -> float | None:
    """Seconds to wait before attempt ``attempts + 1``; ``None`` where there must be none.

    ``attempts`` were made and ``timeouts`` of them ran into a limit of ours; ``remaining`` seconds are left until the
    request's deadline, or until the caller's own where that is earlier.
    """
    if emitted or not failure.retryable or attempts > policy.max_retries:
        return None
    if timeouts > MAX_TIMEOUT_RETRIES or (_is_unanswered(failure) and not policy.retry_unsafe):
        return None
    step = policy.backoff ** (attempts - 1)
    if failure.retry_after is not None:
        if failure.retry_after > policy.max_retry_after:
            return None
        delay = failure.retry_after + rng.uniform(0, min(1.0, 0.1 * failure.retry_after))
    elif _is_throttling(failure):
        ceiling = min(policy.max_throttle_delay, 1.0 * step)
        delay = ceiling / 2 + rng.uniform(0, ceiling / 2)
    else:
        delay = rng.uniform(0, min(policy.max_delay, 0.5 * step))
    return delay if delay + MIN_ATTEMPT <= remaining else None


def _is_throttling(failure: Failure) -> bool:
    """The provider is asked too much. A 503 that says no more than its status is down, as after any 5xx."""
    if failure.kind == "overloaded":
        return not (failure.status == 503 and failure.reason == "service_unavailable")
    return failure.kind == "rate_limit"


def _is_unanswered(failure: Failure) -> bool:
    """The request was sent, at least in part, and the provider's own verdict on it never came."""
    if failure.kind not in ("transport", "timeout", "protocol") or failure.phase in ("queued", "connect"):
        return False
    return failure.status is None or failure.status < 300
