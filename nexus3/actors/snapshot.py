"""How the slots stand at one moment, as plain data."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from nexus3.actors.slot import ChildState, Slot


class ChildSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How one child stands."""

    kind: str
    """``provider``, or ``task`` for a callable of the host's own."""
    state: Literal["starting", "ready", "paused", "draining", "restarting", "parked", "stopped"]
    generation: int
    """Counts incarnations from 1."""
    restarts: int
    queued: int
    in_flight: int
    """Requests that hold a place, the ones being torn down included."""
    breaker: str = "closed"
    cooldown: float | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor at one moment, as plain data."""

    children: dict[str, ChildSnapshot]
    counters: dict[str, int]
    """``accepted``, ``settled``, ``requeued``, ``backstop``, ``outcome.<kind>`` over all children, and
    ``dead_letter.<reason>``."""


class Supervised(Protocol):
    """What is told of a child that is no provider."""

    @property
    def state(self) -> ChildState: ...
    @property
    def generation(self) -> int: ...
    @property
    def restarts(self) -> int: ...


def take_snapshot(slots: Mapping[str, Slot], children: Mapping[str, Supervised], others: Counter[str]) -> Snapshot:
    """A copy; synchronous. ``others`` are counters beside the slots' own."""
    counters: Counter[str] = Counter(others)
    for slot in slots.values():
        counters.update(slot.counters)
    providers = {
        name: ChildSnapshot(
            kind="provider",
            state=_state_of(slot),
            generation=slot.generation,
            restarts=slot.restarts,
            queued=len(slot.mailbox),
            in_flight=len(slot.running),
        )
        for name, slot in slots.items()
    }
    tasks = {
        name: ChildSnapshot(
            kind="task", state=child.state, generation=child.generation, restarts=child.restarts, queued=0, in_flight=0
        )
        for name, child in children.items()
        if name not in slots
    }
    return Snapshot(children=providers | tasks, counters=dict(counters))


def _state_of(slot: Slot) -> Literal["starting", "ready", "paused", "draining", "restarting", "parked", "stopped"]:
    """The actor's state; where it is ready, what its operator did to it."""
    if slot.state == "ready":
        if slot.is_closed:
            return "draining"
        if slot.is_paused:
            return "paused"
    return slot.state
