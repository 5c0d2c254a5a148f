"""One supervised child as its shell sees it: its incarnation, who watches it, who waits for it."""

import contextvars
import math
from typing import Literal

import msgspec
import trio

from nexus3.errors import NexusError
from nexus3.supervisor.runner import Incarnation
from nexus3.supervisor.spec import ChildSpec, ChildState


class ChildStopped(NexusError):  # noqa: N818 - it states what happened
    """The child was stopped before it was ready."""


class Down(msgspec.Struct, frozen=True):
    """One death: an incarnation has ended, with all of its tasks."""

    name: str
    generation: int
    """0: no child of that name was known."""
    reason: BaseException | Literal["returned", "stopped", "gone"]
    """The crash; or it returned; or it was stopped, by request or with a sibling; or it was dead when asked about."""


class StuckChild(msgspec.Struct, frozen=True):
    """A child that ignores cancellation. It still runs, and holds the block's end."""

    name: str
    generation: int
    stack: str
    """Where its tasks stand, as text; without the values of locals."""


class Pending:
    """A start that somebody waits for: the first of a generation above ``after``."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.done = trio.Event()
        self.value: object = None
        self.error: BaseException | None = None

    def settle(self, value: object, error: BaseException | None) -> None:
        self.value, self.error = value, error
        self.done.set()


class SupervisedChild:
    """One child. Written by its tree only."""

    def __init__(self, spec: ChildSpec, key: str) -> None:
        self.spec = spec
        self.key = key
        """Its name in the decisions: differs from the spec's where a namesake has not quite ended yet."""
        self.context = contextvars.copy_context()
        """Of whoever added it; each incarnation runs in a copy."""
        self.state: ChildState = "starting"
        self.generation = 0
        self.restarts = 0
        self.incarnation: Incarnation | None = None
        self.crash: BaseException | None = None
        """How the last incarnation ended, until its state is told."""
        self.last_crash: BaseException | None = None
        self.timer: trio.CancelScope | None = None
        self.has_started = trio.Event()
        """Its first start has succeeded or failed."""
        self.gone = trio.Event()
        """It has ended for good and is forgotten."""
        self.released = trio.Event()
        """It is gone, or stuck: nothing is to be expected from it."""
        self._watchers: list[trio.MemorySendChannel[Down]] = []
        self._pending: list[Pending] = []

    def enter(self, state: ChildState, generation: int) -> None:
        """Tell ``on_state``, and those who wait for a start."""
        self.state = state
        self.generation = generation
        if state == "restarting":
            self.restarts += 1
        crash = None
        if state not in ("starting", "ready"):
            crash, self.crash = self.crash, None
        self.spec.on_state(state, generation, crash)
        if state != "starting":
            self.has_started.set()
        match state:
            case "starting":
                pass
            case "ready":
                self._settle(generation, self.incarnation.value if self.incarnation else None, None)
            case "restarting" | "parked" | "stopped":
                self._settle(generation, None, crash or self._stopped())

    def expect_start(self) -> Pending:
        """Wait for the next start, whatever becomes of a present incarnation."""
        pending = Pending(after=self.generation)
        self._pending.append(pending)
        return pending

    def died(self, reason: BaseException | Literal["returned", "stopped"]) -> None:
        """One Down for each watch."""
        for watcher in list(self._watchers):
            try:
                watcher.send_nowait(Down(self.spec.name, self.generation, reason))
            except trio.BrokenResourceError:
                self._watchers.remove(watcher)

    def is_stuck(self) -> None:
        self.released.set()
        if self.state == "starting":
            self.has_started.set()
            self._settle(self.generation, None, TimeoutError(f"{self.spec.name!r} neither starts nor ends"))

    def forget(self) -> None:
        """It will not be heard of again: watches end, waits fail."""
        self.stop_timer()
        self._settle(math.inf, None, self._stopped())
        for watcher in self._watchers:
            watcher.close()
        self.has_started.set()
        self.gone.set()
        self.released.set()

    def watch(self) -> trio.MemoryReceiveChannel[Down]:
        # Unbounded, since no death may be lost; a death takes a restart, and restarts are bounded.
        send, receive = trio.open_memory_channel[Down](math.inf)
        self._watchers.append(send)
        if self.state == "stopped":
            send.send_nowait(Down(self.spec.name, self.generation, "gone"))
        return receive

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel(reason="its child waits no more")
            self.timer = None

    def _settle(self, generation: float, value: object, error: BaseException | None) -> None:
        for pending in [pending for pending in self._pending if pending.after < generation]:
            self._pending.remove(pending)
            pending.settle(value, error)

    def _stopped(self) -> ChildStopped:
        return ChildStopped(f"child {self.spec.name!r} was stopped before it was ready")


def never_heard_of(name: str) -> trio.MemoryReceiveChannel[Down]:
    """What a watch of nobody gives: one Down, then the end."""
    send, receive = trio.open_memory_channel[Down](1)
    send.send_nowait(Down(name, 0, "gone"))
    send.close()
    return receive
