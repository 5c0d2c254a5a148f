"""OTP's supervisor as its documentation words it, run to completion: the oracle of the decision tests.

Nothing overlaps here and nothing is decided in pieces: an end is followed at once by everything that comes of it. It
knows children, not incarnations, serials or phases. Beside OTP's rules it has what nexus3 adds: a delay before each
restart, and parking.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from nexus3.supervisor.spec import ChildSpec, SupervisorSpec

Entry = tuple[str, str, float]
"""What happened (start, stop, escalate, auto), to whom, when."""


@dataclass
class Fate:
    ready_since: float | None = None
    crashes: int = 0
    restarts: list[float] = field(default_factory=list)
    was_parked: bool = False


@dataclass
class Otp:
    spec: SupervisorSpec
    starts_well: Callable[[], bool]
    now: float = 0.0
    known: dict[str, ChildSpec] = field(default_factory=dict)
    fates: dict[str, Fate] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)
    restarts: list[float] = field(default_factory=list)
    log: list[Entry] = field(default_factory=list)
    over: bool = False

    def add(self, child: ChildSpec) -> None:
        self.known[child.name] = child
        self.fates[child.name] = Fate()
        if not self.start(child.name):
            self.ended(child.name, crashed=True)

    def remove(self, name: str) -> None:
        if name in self.alive:
            self.stop(name)
        self.forget(name)

    def restart(self, name: str) -> None:
        if self.known[name].restart == "temporary":
            return
        if name in self.alive:
            self.stop(name)
        if not self.start(name):
            self.ended(name, crashed=True)

    def ended(self, name: str, *, crashed: bool) -> None:
        self.alive.discard(name)
        child = self.known[name]
        if child.restart == "permanent" or (child.restart == "transient" and crashed):
            self.bring_back(name)
            return
        if child.restart == "temporary" or child.dynamic:
            self.forget(name)
        if child.significant:
            left = [other for other in self.alive if self.known[other].significant]
            if self.spec.auto_shutdown == "any_significant" or not left:
                self.give_up("auto", "")

    def bring_back(self, name: str) -> None:
        failed: str | None = name
        while failed is not None:
            child, fate = self.known[failed], self.fates[failed]
            stable = fate.ready_since is not None and self.now - fate.ready_since >= child.backoff.reset_after
            fate.crashes = 1 if stable else fate.crashes + 1
            if self.spec.intensity is not None:
                self.restarts.append(self.now)
                period = self.spec.intensity.window
                if len([t for t in self.restarts if self.now - t <= period]) > self.spec.intensity.max_restarts:
                    self.give_up("escalate", failed)
                    return
            fate.restarts.append(self.now)
            too_many = (
                len([t for t in fate.restarts if self.now - t <= child.intensity.window]) > child.intensity.max_restarts
            )
            if too_many or (fate.was_parked and not stable):
                if child.on_exhausted == "escalate":
                    self.give_up("escalate", failed)
                    return
                delay, fate.restarts, fate.was_parked = child.park_for, [], True
            else:
                delay = min(child.backoff.max, child.backoff.min * child.backoff.factor ** min(fate.crashes - 1, 9))
                fate.was_parked = False
            failed = self.start_again(failed, delay)

    def start_again(self, name: str, delay: float) -> str | None:
        """Restart ``name`` and whom the strategy names. Returns the child that failed to start, if one did."""
        order = list(self.known)
        match self.spec.strategy:
            case "one_for_one":
                concerned = [name]
            case "one_for_all":
                concerned = order
            case "rest_for_one":
                concerned = order[order.index(name) :]
        for other in reversed(concerned):
            if other in self.alive:
                self.stop(other)
                if self.known[other].restart == "temporary":
                    self.forget(other)
        self.now += delay
        for other in concerned:
            if other in self.known and not self.start(other):
                if self.known[other].restart != "temporary":
                    return other
                raise AssertionError("a temporary child was brought back")
        return None

    def start(self, name: str) -> bool:
        self.log.append(("start", name, self.now))
        well = self.starts_well()
        self.fates[name].ready_since = self.now if well else None
        if well:
            self.alive.add(name)
        return well

    def stop(self, name: str) -> None:
        self.alive.discard(name)
        self.log.append(("stop", name, self.now))

    def forget(self, name: str) -> None:
        del self.known[name]
        del self.fates[name]

    def give_up(self, why: str, name: str) -> None:
        self.log.append((why, name, self.now))
        self.shut_down()

    def shut_down(self) -> None:
        self.over = True
        for other in reversed(self.known):
            if other in self.alive:
                self.stop(other)
