"""What a gate answers when a request asks to begin an attempt, and how the answers of several gates become one."""

import math
from collections.abc import Sequence

import msgspec

from nexus3.wire.failures import Failure


class Pass(msgspec.Struct, frozen=True):
    """Nothing stands in the way."""


class Wait(msgspec.Struct, frozen=True):
    """Not yet; ask again at ``until``."""

    until: float | None
    """On the clock that the gate was asked by. ``None`` hangs on a running attempt, not on the clock: ask again
    whenever one ends. Each has a deadline, so that comes."""
    failure: Failure
    """How the request ends where it cannot wait that long."""
    is_callers: bool = False
    """What it waits for is the caller's own: it stands in the way of no other's requests."""


class Refuse(msgspec.Struct, frozen=True):
    """No, and waiting would not help as far as can be told."""

    failure: Failure


Verdict = Pass | Wait | Refuse

PASS = Pass()


def combined(verdicts: Sequence[Verdict]) -> Verdict:
    """One answer out of many; the order counts.

    The first refusal wins: it spares the request a wait that ends in it. Else the latest wait, the earlier gate's
    where two are equal: to ask before that would be in vain. A wait without a time comes after all that have one.
    """
    if verdicts.count(PASS) == len(verdicts):  # as a rule
        return PASS
    longest: Wait | None = None
    for verdict in verdicts:
        match verdict:
            case Pass():
                pass
            case Refuse():
                return verdict
            case Wait():
                if longest is None or _moment(verdict) > _moment(longest):
                    longest = verdict
    return longest or PASS


def within(verdict: Verdict, latest: float) -> Verdict:
    """The verdict for a request that must have begun by ``latest``: a wait beyond that is refused now, not later."""
    if verdict is not PASS and isinstance(verdict, Wait) and verdict.until is not None and verdict.until > latest:
        return Refuse(verdict.failure)
    return verdict


def _moment(wait: Wait) -> float:
    return -math.inf if wait.until is None else wait.until
