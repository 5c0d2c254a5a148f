"""What a child and a supervisor are: a plain async callable, and how it shall be kept running.

All times are seconds. The words (permanent, transient, temporary; one_for_one, one_for_all, rest_for_one; significant)
are those of Erlang's OTP, with its meanings.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, Protocol

import msgspec
import trio

Restart = Literal["permanent", "transient", "temporary"]
"""Restarted always; after a crash only; never, even when a sibling's death ended it."""

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who is restarted with a child that died: nobody else; all; those that start after it."""

AutoShutdown = Literal["never", "any_significant", "all_significant"]
"""When the supervisor ends by itself: never; when a significant child has ended for good; when all of them have."""

OnExhausted = Literal["park", "escalate"]
"""What becomes of a child that crashes too often: it rests; or the whole supervisor gives up."""

ChildState = Literal["starting", "ready", "restarting", "parked", "stopped"]


class OnState(Protocol):
    """Told synchronously how a child fares: the whole seam between supervision and what is supervised.

    ``error`` is the crash that ended the last incarnation, where one did, told once. "restarting", "parked" and
    "stopped" are told only after all tasks of the incarnation have ended. Must not raise.
    """

    def __call__(self, state: ChildState, generation: int, error: BaseException | None, /) -> None: ...


def _nobody_listens(state: ChildState, generation: int, error: BaseException | None) -> None:
    pass


class Run(Protocol):
    """An incarnation: reports readiness by ``task_status.started()``, then runs until it ends or is cancelled."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]: ...


class Backoff(msgspec.Struct, frozen=True):
    """Seconds before a restart: exponential from ``min``, jittered, never over ``max``."""

    min: float = 0.1
    max: float = 5.0
    factor: float = 2.0
    reset_after: float = 60.0
    """An incarnation that was ready this long wipes the count of crashes."""


class Intensity(msgspec.Struct, frozen=True):
    """More than ``max_restarts`` within ``window`` seconds is too many."""

    max_restarts: int = 5
    window: float = 30.0


class Stages(msgspec.Struct, frozen=True):
    """How an incarnation is ended: ``drain`` seconds for the spec's ``drain``, then a cancel, then a report.

    There is no kill in trio: a task that has not ended ``cancel`` seconds after its cancellation is reported with its
    stack, and its supervisor goes on with the others.
    """

    drain: float = 5.0
    cancel: float = 2.0


class ChildSpec(msgspec.Struct, frozen=True):
    """One child. ``run`` is called anew for each incarnation."""

    name: str
    run: Run
    on_state: OnState = _nobody_listens
    restart: Restart = "permanent"
    backoff: Backoff = msgspec.field(default_factory=Backoff)
    intensity: Intensity = msgspec.field(default_factory=Intensity)
    on_exhausted: OnExhausted = "park"
    park_for: float = 30.0
    start_timeout: float = 10.0
    significant: bool = False
    """Its end for good counts for the supervisor's ``auto_shutdown``."""
    dynamic: bool = False
    """Forgotten when it has ended for good, also where it is transient (one that nobody wrote down beforehand)."""
    drain: Callable[[], Awaitable[None]] | None = None
    """Awaited before the cancel when the child is stopped in good order: let it finish what it has begun."""
    stages: Stages = msgspec.field(default_factory=Stages)


class SupervisorSpec(msgspec.Struct, frozen=True):
    """The rules that hold for all children of one supervisor."""

    strategy: Strategy = "one_for_one"
    intensity: Intensity | None = None
    """Restarts of all children together; more than that escalates. ``None``: only the children's own count."""
    auto_shutdown: AutoShutdown = "never"


class DynamicPolicy(msgspec.Struct, frozen=True):
    """How callables that are added by name alone (``start_soon``, ``start``) are kept running."""

    backoff: Backoff = msgspec.field(default_factory=Backoff)
    intensity: Intensity = msgspec.field(default_factory=Intensity)
    on_exhausted: OnExhausted = "park"
    park_for: float = 30.0
    start_timeout: float = 10.0
    stages: Stages = msgspec.field(default_factory=Stages)


def check_child(spec: ChildSpec, names: Iterable[str], auto_shutdown: AutoShutdown) -> None:
    """Refuse what cannot be supervised beside children of these ``names``.

    Raises:
        ValueError: the name is taken, or the child is significant where that has no meaning.
    """
    if spec.name in names:
        raise ValueError(f"a child named {spec.name!r} exists already: stop it first, or choose another name")
    if spec.significant and spec.restart == "permanent":
        raise ValueError(f"child {spec.name!r} is significant and permanent: it never ends for good")
    if spec.significant and auto_shutdown == "never":
        raise ValueError(f"child {spec.name!r} is significant, but the supervisor's auto_shutdown is 'never'")
