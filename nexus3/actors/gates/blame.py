"""Whether a failure speaks against the provider, and so counts in its breaker. Pure.

What the provider says about a request (4xx), how fast it may be asked (429), what we or the caller refuse: none of it
means that the provider is down.
"""

from typing import assert_never

from nexus3.actors.gates.breaker import Judgement
from nexus3.wire.failures import Failure

SHORT_DEADLINE = 5.0
"""Seconds. Who gives a provider less than this has only himself to blame for the timeout."""
LAG = 0.25
"""Seconds of our own stall, during the wait that timed out, from which on the timeout is ours."""


def speaks_against(failure: Failure, *, time_given: float, lag: float = 0.0) -> bool:
    """Whether ``failure`` counts as the provider's.

    ``time_given`` is the request's total time in seconds, from acceptance to its deadline; ``lag`` is how long this
    process itself stood still while it waited.
    """
    status = failure.status if failure.status is not None and failure.status >= 300 else None
    match failure.kind:
        case "server" | "overloaded":
            return status is None or status >= 500  # 409 and 425 say something about the request
        case "timeout":
            if status is not None:
                return status >= 500  # 504; a 408 says that we were slow
            if failure.phase == "queued" or lag > LAG:
                return False
            if failure.reason == "deadline":
                # A long answer may outlast any deadline: that is no stall, or a step limit would have seen it.
                return time_given >= SHORT_DEADLINE and failure.phase != "stream"
            return True
        case "transport" | "protocol":
            # A stream cut short; not a certificate, nor a page that is no answer: those are the configuration's.
            return failure.retryable and failure.reason != "pool"
        case (
            "bad_request"
            | "context_length"
            | "content_filter"
            | "auth"
            | "quota"
            | "permission"
            | "not_found"
            | "rate_limit"
            | "blocked"
            | "limit"
            | "unsupported"
            | "unavailable"
            | "cancelled"
            | "slow_consumer"
            | "actor_crashed"
            | "internal"
        ):
            return False
        case _:
            assert_never(failure.kind)


def judged(failure: Failure | None, *, time_given: float, lag: float = 0.0) -> Judgement:
    """An attempt's end as a breaker sees it; ``None`` is an answer that came whole."""
    if failure is None:
        return "success"
    return "failure" if speaks_against(failure, time_given=time_given, lag=lag) else "neutral"
