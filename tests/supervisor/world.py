"""A world for ``decide`` without trio: it does what the actions say, at once or when told, and keeps the books."""

from collections.abc import Callable
from random import Random

from nexus3.supervisor.decide import decide
from nexus3.supervisor.spec import ChildSpec, ChildState, Run, SupervisorSpec
from nexus3.supervisor.state import (
    Action,
    Add,
    AutoShutdown,
    Ending,
    Escalate,
    Event,
    Exited,
    Finished,
    Forget,
    Ready,
    SetTimer,
    Shutdown,
    Start,
    State,
    Stop,
    Tell,
    TimerFired,
)


async def never(**_: object) -> None:
    raise AssertionError("nothing runs here")


NEVER: Run = never


class Steady(Random):
    """No jitter: the longest delay always."""

    def uniform(self, a: float, b: float) -> float:
        return b


class World:
    """The supervisor's state, live incarnations and timers. Everything that is done checks what must always hold."""

    def __init__(self, spec: SupervisorSpec, rng: Random | None = None) -> None:
        self.state = State(spec)
        self.rng = rng or Steady()
        self.now = 0.0
        self.live: dict[int, str] = {}
        """Incarnations by serial."""
        self.is_ready: set[int] = set()
        self.asked: list[int] = []
        """Incarnations that were asked to stop, in this order."""
        self.timers: list[tuple[float, str, int]] = []
        self.told: list[tuple[str, ChildState, int]] = []
        self.log: list[tuple[str, str, float]] = []
        self.steps = 0
        self.finished = False

    def add(self, *specs: ChildSpec) -> None:
        for spec in specs:
            self.take(Add(spec))

    def take(self, event: Event) -> list[Action]:
        self.steps += 1
        before = self.state
        self.state, actions = decide(before, event, self.now, self.rng)
        for action in actions:
            self.act(action)
        for name, child in self.state.children.items():
            runs = [serial for serial, owner in self.live.items() if owner == name]
            if child.phase in ("waiting", "stopped"):
                assert runs == [], f"{name} is {child.phase} and runs"
            else:
                assert runs == [child.serial], f"{name} is {child.phase} with {runs}"
        return list(actions)

    def act(self, action: Action) -> None:
        match action:
            case Start(name, serial):
                assert self.state.stage == "open"
                assert name not in self.live.values(), "two incarnations of one child"
                child = self.state.children[name]
                assert child.spec.restart != "temporary" or child.generation == 1, "a temporary child was brought back"
                self.live[serial] = name
                self.log.append(("start", name, self.now))
            case Stop(name, serial):
                assert self.live[serial] == name
                assert serial not in self.asked
                self.asked.append(serial)
                self.log.append(("stop", name, self.now))
            case SetTimer(name, serial, delay):
                assert delay > 0
                self.timers.append((self.now + delay, name, serial))
            case Tell(name, state, generation):
                if state in ("restarting", "parked", "stopped"):
                    assert name not in self.live.values(), "told of an end before the end"
                self.told.append((name, state, generation))
            case Forget(name):
                assert name not in self.live.values()
                assert name not in self.state.children
            case Escalate(name):
                self.log.append(("escalate", name, self.now))
            case AutoShutdown():
                self.log.append(("auto", "", self.now))
            case Finished():
                assert self.live == {}
                assert not self.finished
                self.finished = True

    def serial(self, name: str) -> int:
        return next(serial for serial, owner in self.live.items() if owner == name)

    def ready(self, serial: int) -> None:
        self.is_ready.add(serial)
        self.take(Ready(self.live[serial], serial))

    def exit(self, serial: int, ending: Ending) -> None:
        name = self.live.pop(serial)
        self.is_ready.discard(serial)
        if serial in self.asked:
            self.asked.remove(serial)
        self.take(Exited(name, serial, ending))

    def settle(self, starts_well: Callable[[], bool], rng: Random) -> None:
        """Run until nothing is under way: stops succeed at once, starts go well or not, timers fire in their time."""
        while True:
            if self.asked:
                self.exit(self.asked[0], rng.choice(("returned", "crashed")))
            elif starting := [serial for serial in self.live if serial not in self.is_ready]:
                assert len(starting) == 1, "one after the other"
                if starts_well():
                    self.ready(starting[0])
                else:
                    self.exit(starting[0], "crashed")
            elif self.log and self.log[-1][0] in ("escalate", "auto") and self.state.stage == "closing":
                self.take(Shutdown(drain=True))
            elif self.timers:
                timer = min(self.timers)
                self.timers.remove(timer)
                self.now = max(self.now, timer[0])
                self.take(TimerFired(timer[1], timer[2]))
            else:
                return
