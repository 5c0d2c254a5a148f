"""What a supervisor knows, what happens to it, and what it has done: the vocabulary of :mod:`decide`. Plain data."""

from dataclasses import dataclass, field
from typing import Literal

from nexus3.supervisor.spec import ChildSpec, ChildState, SupervisorSpec

Phase = Literal["waiting", "starting", "ready", "stopping", "stuck", "stopped"]
"""``waiting``: shall run, and waits for its turn or its time. ``stopping``: asked to end. ``stuck``: was asked, and did
not end in time; it still runs. ``stopped``: ended for good, but known, and revived with its siblings."""

Then = Literal["restarting", "parked", "stopped"]
"""What becomes of an incarnation that is to be ended, when it has ended."""

Stage = Literal["new", "open", "closing", "ending", "ended"]
"""``closing``: nothing is started any more. ``ending``: children are stopped in reverse order."""

Ending = Literal["returned", "crashed"]


@dataclass(frozen=True, slots=True)
class Child:
    """One child as it stands."""

    spec: ChildSpec
    phase: Phase = "waiting"
    told: ChildState | None = None
    generation: int = 0
    """Incarnations so far."""
    serial: int = 0
    """Of its live incarnation, or while it waits of its live timer. 0: none. What comes with another is late."""
    then: Then | None = None
    """Set on a live incarnation: it is to be ended, and this follows."""
    not_before: float = 0.0
    """No incarnation starts earlier."""
    ready_at: float | None = None
    restarts: tuple[float, ...] = ()
    """When restarts were decided, within the window of the intensity."""
    streak: int = 0
    """Crashes since the last stable incarnation."""
    on_trial: bool = False
    """It came back from being parked, and parks again at the next crash, unless it was stable before."""
    first_or_never: bool = False
    """Forgotten, without a restart, if its first start fails."""


@dataclass(frozen=True, slots=True)
class State:
    """A whole supervisor."""

    spec: SupervisorSpec = field(default_factory=SupervisorSpec)
    children: dict[str, Child] = field(default_factory=dict)
    """In start order. Never changed in place."""
    stage: Stage = "new"
    queue: tuple[str, ...] = ()
    """Children that start one after the other, in this order: each when the one before is ready."""
    restarts: tuple[float, ...] = ()
    """Of all children, within the window of the supervisor's intensity."""
    serial: int = 0
    """The last one given out."""
    drain: bool = True
    """While ``ending``: children get their drain stage."""


# -- events


@dataclass(frozen=True, slots=True)
class Begin:
    """The block begins."""


@dataclass(frozen=True, slots=True)
class Ready:
    """An incarnation has reported that it is ready."""

    name: str
    serial: int


@dataclass(frozen=True, slots=True)
class Exited:
    """An incarnation has ended, with all of its tasks. One that was never ready has failed to start."""

    name: str
    serial: int
    ending: Ending


@dataclass(frozen=True, slots=True)
class Stuck:
    """An incarnation was cancelled and has not ended in time."""

    name: str
    serial: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time of a :class:`SetTimer` has come."""

    name: str
    serial: int


@dataclass(frozen=True, slots=True)
class Add:
    """One more child. Its name is free."""

    spec: ChildSpec
    first_or_never: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """Stop a child and forget it. ``drain``: in good order."""

    name: str
    drain: bool


@dataclass(frozen=True, slots=True)
class Restart:
    """A new incarnation of one child, at once; no crash, so nothing is counted."""

    name: str


@dataclass(frozen=True, slots=True)
class Close:
    """Start nothing any more."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop everything in reverse order. ``drain``: in good order."""

    drain: bool


Event = Begin | Ready | Exited | Stuck | TimerFired | Add | Remove | Restart | Close | Shutdown


# -- actions


@dataclass(frozen=True, slots=True)
class Tell:
    """The child's ``on_state``."""

    name: str
    state: ChildState
    generation: int


@dataclass(frozen=True, slots=True)
class Start:
    """Run an incarnation; answer with Ready, and with exactly one Exited."""

    name: str
    serial: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End an incarnation in stages; its Exited tells the end."""

    name: str
    serial: int
    drain: bool


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer with TimerFired after ``delay`` seconds."""

    name: str
    serial: int
    delay: float


@dataclass(frozen=True, slots=True)
class Forget:
    """The child is not known any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Escalate:
    """Give up: this child crashed too often. Shutdown shall follow."""

    name: str


@dataclass(frozen=True, slots=True)
class AutoShutdown:
    """The significant children have ended. Shutdown shall follow."""


@dataclass(frozen=True, slots=True)
class Finished:
    """After Shutdown: no incarnation runs."""


Action = Tell | Start | Stop | SetTimer | Forget | Escalate | AutoShutdown | Finished
