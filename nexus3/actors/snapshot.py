"""How the slots stand at one moment, as plain data."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from nexus3.actors.slot import ChildState, Slot


class ChildSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How one child stands."""

    kind: str
    """``provider``."""
    state: ChildState
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
    """``accepted``, ``settled``, ``requeued``, ``backstop`` and ``outcome.<kind>``, over all children."""


def take_snapshot(slots: Mapping[str, Slot]) -> Snapshot:
    """A copy; synchronous."""
    counters: Counter[str] = Counter()
    for slot in slots.values():
        counters.update(slot.counters)
    children = {
        name: ChildSnapshot(
            kind="provider",
            state=slot.state,
            generation=slot.generation,
            restarts=slot.restarts,
            queued=len(slot.mailbox),
            in_flight=len(slot.running),
        )
        for name, slot in slots.items()
    }
    return Snapshot(children=children, counters=dict(counters))
