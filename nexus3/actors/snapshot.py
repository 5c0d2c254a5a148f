"""How the slots stand at one moment, as plain data."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import msgspec

from nexus3.actors.slot import Slot


class ChildSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How one child stands."""

    kind: str
    """``provider``."""
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


def take_snapshot(slots: Mapping[str, Slot], others: Counter[str]) -> Snapshot:
    """A copy; synchronous. ``others`` are counters beside the slots' own."""
    counters: Counter[str] = Counter(others)
    for slot in slots.values():
        counters.update(slot.counters)
    children = {
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
    return Snapshot(children=children, counters=dict(counters))


def _state_of(slot: Slot) -> Literal["starting", "ready", "paused", "draining", "restarting", "parked", "stopped"]:
    """The actor's state; where it is ready, what its operator did to it."""
    if slot.state == "ready":
        if slot.is_closed:
            return "draining"
        if slot.is_paused:
            return "paused"
    return slot.state
