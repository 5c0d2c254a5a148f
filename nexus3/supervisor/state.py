"""What a supervisor knows, what happens to it, and what it has done: the vocabulary of :mod:`decide`. Plain data."""

from typing import Literal

import msgspec

from nexus3.supervisor.spec import ChildSpec, ChildState, SupervisorSpec

Phase = Literal["waiting", "starting", "ready", "stopping", "stuck", "stopped"]
"""``waiting``: shall run, and waits for its turn or its time. ``stopping``: asked to end. ``stuck``: was asked, and did
not end in time; it still runs. ``stopped``: ended for good, but known, and revived with its siblings."""

Then = Literal["restarting", "parked", "stopped"]
"""What becomes of an incarnation that is to be ended, when it has ended."""

Stage = Literal["new", "open", "closing", "ending", "ended"]
"""``closing``: nothing is started any more. ``ending``: children are stopped in reverse order."""

Ending = Literal["returned", "crashed"]


class Child(msgspec.Struct, frozen=True):
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


class State(msgspec.Struct, frozen=True):
    """A whole supervisor."""

    spec: SupervisorSpec = msgspec.field(default_factory=SupervisorSpec)
    children: dict[str, Child] = msgspec.field(default_factory=dict)
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


class Begin(msgspec.Struct, frozen=True):
    """The block begins."""


class Ready(msgspec.Struct, frozen=True):
    """An incarnation has reported that it is ready."""

    name: str
    serial: int


class Exited(msgspec.Struct, frozen=True):
    """An incarnation has ended, with all of its tasks. One that was never ready has failed to start."""

    name: str
    serial: int
    ending: Ending


class Stuck(msgspec.Struct, frozen=True):
    """An incarnation was cancelled and has not ended in time."""

    name: str
    serial: int


class TimerFired(msgspec.Struct, frozen=True):
    """The time of a :class:`SetTimer` has come."""

    name: str
    serial: int


class Add(msgspec.Struct, frozen=True):
    """One more child. Its name is free."""

    spec: ChildSpec
    first_or_never: bool = False


class Remove(msgspec.Struct, frozen=True):
    """Stop a child and forget it. ``drain``: in good order."""

    name: str
    drain: bool


class Restart(msgspec.Struct, frozen=True):
    """A new incarnation of one child, at once; no crash, so nothing is counted."""

    name: str


class Close(msgspec.Struct, frozen=True):
    """Start nothing any more."""


class Shutdown(msgspec.Struct, frozen=True):
    """Stop everything in reverse order. ``drain``: in good order."""

    drain: bool


Event = Begin | Ready | Exited | Stuck | TimerFired | Add | Remove | Restart | Close | Shutdown


# -- actions


class Tell(msgspec.Struct, frozen=True):
    """The child's ``on_state``."""

    name: str
    state: ChildState
    generation: int


class Start(msgspec.Struct, frozen=True):
    """Run an incarnation; answer with Ready, and with exactly one Exited."""

    name: str
    serial: int


class Stop(msgspec.Struct, frozen=True):
    """End an incarnation in stages; its Exited tells the end."""

    name: str
    serial: int
    drain: bool


class SetTimer(msgspec.Struct, frozen=True):
    """Answer with TimerFired after ``delay`` seconds."""

    name: str
    serial: int
    delay: float


class Forget(msgspec.Struct, frozen=True):
    """The child is not known any more."""

    name: str


class Escalate(msgspec.Struct, frozen=True):
    """Give up: this child crashed too often. Shutdown shall follow."""

    name: str


class AutoShutdown(msgspec.Struct, frozen=True):
    """The significant children have ended. Shutdown shall follow."""


class Finished(msgspec.Struct, frozen=True):
    """After Shutdown: no incarnation runs."""


Action = Tell | Start | Stop | SetTimer | Forget | Escalate | AutoShutdown | Finished
