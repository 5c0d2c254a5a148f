"""What a child is: a plain async callable, and how it shall be kept running."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio

Restart = Literal["permanent", "transient", "temporary"]
"""Restarted always; after a crash only; never."""

ChildState = Literal["starting", "ready", "restarting", "parked", "stopped"]


class OnState(Protocol):
    """Told synchronously how a child fares: the whole seam between supervision and what is supervised.

    ``error`` is the crash that ended the last incarnation, where one did; all of that incarnation's tasks have ended.
    """

    def __call__(self, state: ChildState, generation: int, error: BaseException | None, /) -> None: ...


def _nobody_listens(state: ChildState, generation: int, error: BaseException | None) -> None:
    pass


class Run(Protocol):
    """An incarnation: reports readiness by ``task_status.started()``, then runs until it ends or is cancelled."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]: ...


@dataclass(frozen=True)
class Backoff:
    """Seconds before a restart: exponential from ``min``, jittered, never over ``max``."""

    min: float = 0.1
    max: float = 5.0
    factor: float = 2.0
    reset_after: float = 60.0
    """An incarnation that was ready this long wipes the count of crashes."""


@dataclass(frozen=True)
class Intensity:
    """More than ``max_restarts`` within ``window`` seconds is too many."""

    max_restarts: int = 5
    window: float = 30.0


@dataclass(frozen=True)
class ChildSpec:
    """One child. ``run`` is called anew for each incarnation."""

    name: str
    run: Run
    on_state: OnState = _nobody_listens
    restart: Restart = "permanent"
    backoff: Backoff = field(default_factory=Backoff)
    intensity: Intensity = field(default_factory=Intensity)
    on_exhausted: Literal["park", "escalate"] = "park"
    park_for: float = 30.0
    start_timeout: float = 10.0
