"""How the slots stand at one moment, as plain data."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from nexus3.actors.gates.billing import AccountSnapshot
from nexus3.actors.slot.slot import ChildState, Slot


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
    queued_by_caller: dict[str, int] = {}
    """How many each caller has waiting; under ``""`` those of callers without a name."""
    queued_ages: tuple[float, ...] = ()
    """Seconds since each waiting request was accepted, the oldest first."""
    in_flight_ages: tuple[float, ...] = ()
    """Seconds since each that holds a place was first begun, the oldest first."""
    breaker: str = "closed"
    cooldown: float | None = None
    """Seconds until the last of its models that are throttled may be asked again; ``None`` where none is."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The supervisor at one moment, as plain data."""

    children: dict[str, ChildSnapshot]
    counters: dict[str, int]
    """``accepted``, ``settled``, ``requeued``, ``backstop``, ``outcome.<kind>`` over all children, and
    ``dead_letter.<reason>``."""
    spending: tuple[AccountSnapshot, ...] = ()
    """Every account that has a cap: the supervisor's, the providers', the callers'."""


class Supervised(Protocol):
    """What is told of a child that is no provider."""

    @property
    def state(self) -> ChildState: ...
    @property
    def generation(self) -> int: ...
    @property
    def restarts(self) -> int: ...


def take_snapshot(
    slots: Mapping[str, Slot],
    children: Mapping[str, Supervised],
    others: Counter[str],
    clock: Callable[[], float],
    spending: tuple[AccountSnapshot, ...] = (),
) -> Snapshot:
    """A copy; synchronous. ``others`` are counters beside the slots' own. ``clock`` is trio's; it may have
    stopped.
    """
    counters: Counter[str] = Counter(others)
    for slot in slots.values():
        counters.update(slot.counters)
    providers = {name: _provider(slot, clock) for name, slot in slots.items()}
    tasks = {
        name: ChildSnapshot(
            kind="task", state=child.state, generation=child.generation, restarts=child.restarts, queued=0, in_flight=0
        )
        for name, child in children.items()
        if name not in slots
    }
    return Snapshot(children=providers | tasks, counters=dict(counters), spending=spending)


def _provider(slot: Slot, clock: Callable[[], float]) -> ChildSnapshot:
    waiting = slot.mailbox.waiting()
    now = _now(clock)
    cools_for = slot.gates.cooling_until() - now
    begun = [now if ticket.started_at is None else ticket.started_at for ticket in slot.places.holders]
    return ChildSnapshot(
        kind="provider",
        state=_state_of(slot),
        generation=slot.generation,
        restarts=slot.restarts,
        queued=len(waiting),
        in_flight=len(begun),
        queued_by_caller=dict(Counter(ticket.caller or "" for ticket in waiting)),
        queued_ages=tuple(now - at for at in sorted(ticket.accepted_at for ticket in waiting)),
        in_flight_ages=tuple(now - at for at in sorted(begun)),
        breaker=slot.gates.breaker.state,
        cooldown=cools_for if cools_for > 0 else None,
    )


def _state_of(slot: Slot) -> Literal["starting", "ready", "paused", "draining", "restarting", "parked", "stopped"]:
    """The actor's state; where it is ready, what its operator did to it."""
    if slot.state == "ready":
        if slot.is_closed:
            return "draining"
        if slot.places.is_paused:
            return "paused"
    return slot.state


def _now(clock: Callable[[], float]) -> float:
    """The time; after the run's end the end of all times, when nothing waits any more."""
    try:
        return clock()
    except RuntimeError:
        return math.inf
