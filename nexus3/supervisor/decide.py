"""What happens after an incarnation has ended. Pure: history in, decision out."""

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from nexus3.supervisor.spec import ChildSpec

Ending = Literal["returned", "crashed"]


@dataclass(frozen=True)
class History:
    """Of one child. Times are those of the caller's clock."""

    restarts: tuple[float, ...] = ()
    """When restarts were decided, within the window of the intensity."""
    streak: int = 0
    """Crashes since the last stable incarnation."""


@dataclass(frozen=True)
class RestartIn:
    """Start the next incarnation after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True)
class Park:
    """Start one incarnation, on trial, after ``seconds``; refuse work until then."""

    seconds: float


@dataclass(frozen=True)
class Stop:
    """The child has ended for good."""


@dataclass(frozen=True)
class Escalate:
    """Give up the whole supervisor."""


Decision = RestartIn | Park | Stop | Escalate


def decide(
    spec: ChildSpec, history: History, ending: Ending, *, ready_for: float, now: float, rng: Random
) -> tuple[History, Decision]:
    """The child's new history and what to do. ``ready_for``: seconds that the incarnation was ready, 0 for never.

    A child that comes back from being parked has its window empty but its streak kept: it is on trial, and the next
    crash parks it again at once.
    """
    match spec.restart:
        case "temporary":
            return history, Stop()
        case "transient" if ending == "returned":
            return history, Stop()
        case _:
            pass
    streak = 1 if ready_for >= spec.backoff.reset_after else history.streak + 1
    recent = tuple(at for at in history.restarts if at > now - spec.intensity.window)
    on_trial = history.streak > spec.intensity.max_restarts and streak > 1
    if on_trial or len(recent) >= spec.intensity.max_restarts:
        parked = replace(history, restarts=(), streak=max(streak, spec.intensity.max_restarts + 1))
        return parked, Escalate() if spec.on_exhausted == "escalate" else Park(spec.park_for)
    ceiling = min(spec.backoff.max, spec.backoff.min * spec.backoff.factor ** min(streak - 1, 64))
    return History((*recent, now), streak), RestartIn(rng.uniform(ceiling / 2, ceiling))
