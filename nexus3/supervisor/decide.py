"""What a supervisor does about what happens to it. Pure: no trio, no clock, no global randomness.

The rules are OTP's, with a backoff before each restart and with parking beside escalation. Whatever comes late (a timer
of an earlier wait, the end of an incarnation that was forgotten) carries an old serial number and changes nothing.
"""

from random import Random
from typing import Literal, assert_never

from msgspec.structs import replace

from nexus3.supervisor.spec import ChildState
from nexus3.supervisor.state import (
    Action,
    Add,
    AutoShutdown,
    Begin,
    Child,
    Close,
    Ending,
    Escalate,
    Event,
    Exited,
    Finished,
    Forget,
    Ready,
    Remove,
    Restart,
    SetTimer,
    Shutdown,
    Stage,
    Start,
    State,
    Stop,
    Stuck,
    Tell,
    TimerFired,
)


def decide(state: State, event: Event, now: float, rng: Random) -> tuple[State, tuple[Action, ...]]:
    """The supervisor after ``event``, and what is to be done about it, in this order.

    ``now`` is of one clock that never goes back; ``rng`` gives the jitter.
    """
    turn = _Turn(state, now, rng)
    turn.take(event)
    return turn.result(), tuple(turn.actions)


def first_pass_is_over(state: State) -> bool:
    """Every child is ready, or has failed once, or waits for one that has."""
    if state.stage == "new":
        return False
    if state.stage != "open" or not state.queue:
        return True
    return state.spec.strategy != "one_for_one" and any(child.streak for child in state.children.values())


class _Turn:
    """One decision in the making: a copy of the state, changed in place, and the actions so far."""

    def __init__(self, state: State, now: float, rng: Random) -> None:
        self.spec = state.spec
        self.children = dict(state.children)
        self.stage: Stage = state.stage
        self.queue = state.queue
        self.restarts = state.restarts
        self.serial = state.serial
        self.drain = state.drain
        self.now = now
        self.rng = rng
        self.actions: list[Action] = []

    def result(self) -> State:
        return State(self.spec, self.children, self.stage, self.queue, self.restarts, self.serial, self.drain)

    # -- events

    def take(self, event: Event) -> None:
        match event:
            case Begin():
                if self.stage == "new":
                    self.stage = "open"
                    self.queue = tuple(self.children)
            case Ready(name, serial):
                if (child := self._live(name, serial)) and child.phase == "starting" and child.then is None:
                    self.children[name] = replace(child, phase="ready", ready_at=self.now, first_or_never=False)
                    self._tell(name, "ready")
            case Exited(name, serial, ending):
                if child := self._live(name, serial):
                    self._exited(child, ending)
            case Stuck(name, serial):
                if child := self._live(name, serial):
                    self.children[name] = replace(child, phase="stuck")
            case TimerFired(name, serial):
                child = self.children.get(name)
                if child and child.phase == "waiting" and child.serial == serial and self.stage == "open":
                    self._start(name)
            case Add(spec, first_or_never):
                self.children[spec.name] = Child(spec, first_or_never=first_or_never)
                if self.stage == "open":
                    self._start_in_turn(spec.name)
            case Remove(name, drain):
                self._remove(self.children[name], drain=drain)
            case Restart(name):
                self._restart(self.children[name])
            case Close():
                self._close()
            case Shutdown(drain):
                self._shut_down(drain=drain)
            case _:
                assert_never(event)
        self._advance()

    def _live(self, name: str, serial: int) -> Child | None:
        """The child, where ``serial`` is that of its live incarnation."""
        child = self.children.get(name)
        if child is None or child.serial != serial or child.phase in ("waiting", "stopped"):
            return None
        return child

    def _exited(self, child: Child, ending: Ending) -> None:
        name = child.spec.name
        self.children[name] = replace(child, phase="waiting", serial=0, then=None)
        if self.stage != "open":
            self._end(name)
            return
        match child.then:
            case None:
                self._ended_by_itself(child, ending)
            case "stopped":
                self._end(name)
            case "restarting" | "parked":
                # Asked to end, by a sibling's death or by the user: however it ended, it is no crash.
                self._tell(name, child.then)
                if name not in self.queue:
                    self._start_in_turn(name)
            case _:
                assert_never(child.then)

    def _ended_by_itself(self, child: Child, ending: Ending) -> None:
        spec = child.spec
        if (
            child.first_or_never
            or spec.restart == "temporary"
            or (spec.restart == "transient" and ending == "returned")
        ):
            self._end(spec.name, known=spec.restart == "transient" and not (spec.dynamic or child.first_or_never))
            self._auto_shutdown(child)
            return
        if self._is_too_much_for_all():
            self._escalate(spec.name)
            return
        was_stable = child.ready_at is not None and self.now - child.ready_at >= spec.backoff.reset_after
        streak = 1 if was_stable else child.streak + 1
        recent = tuple(at for at in child.restarts if at >= self.now - spec.intensity.window)
        told: Literal["restarting", "parked"]
        if (child.on_trial and not was_stable) or len(recent) >= spec.intensity.max_restarts:
            if spec.on_exhausted == "escalate":
                self._escalate(spec.name)
                return
            told, delay, recent, on_trial = "parked", spec.park_for, (), True
        else:
            ceiling = min(spec.backoff.max, spec.backoff.min * spec.backoff.factor ** min(streak - 1, 64))
            told, delay, recent, on_trial = (
                "restarting",
                self.rng.uniform(ceiling / 2, ceiling),
                (*recent, self.now),
                False,
            )
        self.children[spec.name] = replace(
            self.children[spec.name], not_before=self.now + delay, restarts=recent, streak=streak, on_trial=on_trial
        )
        self._tell(spec.name, told)
        self._with_siblings(spec.name, told)

    def _is_too_much_for_all(self) -> bool:
        """Count one more restart against the supervisor's own intensity."""
        limit = self.spec.intensity
        if limit is None:
            return False
        self.restarts = tuple(at for at in self.restarts if at >= self.now - limit.window)
        if len(self.restarts) >= limit.max_restarts:
            return True
        self.restarts = (*self.restarts, self.now)
        return False

    def _auto_shutdown(self, child: Child) -> None:
        if not child.spec.significant or self.spec.auto_shutdown == "never":
            return
        others = any(other.spec.significant and other.phase != "stopped" for other in self.children.values())
        if self.spec.auto_shutdown == "any_significant" or not others:
            self._close()
            self.actions.append(AutoShutdown())

    # -- siblings

    def _with_siblings(self, name: str, then: Literal["restarting", "parked"]) -> None:
        """Bring back ``name``, and with it those that the strategy names; those still alive are ended first."""
        if self.spec.strategy == "one_for_one":
            self._start_in_turn(name)
            return
        until = self.children[name].not_before
        names = list(self.children)
        if self.spec.strategy == "rest_for_one":
            names = names[names.index(name) :]
        for other in names:
            child = self.children[other]
            # Nobody starts before the one that died may.
            self.children[other] = child = replace(child, not_before=max(child.not_before, until))
            match child.phase:
                case "starting" | "ready":
                    what = "stopped" if child.spec.restart == "temporary" else then
                    self.children[other] = replace(child, then=what)
                case "waiting":
                    self.children[other] = replace(child, serial=0)
                    if then == "parked":
                        self._tell(other, then)
                case "stopped":
                    self.children[other] = replace(child, phase="waiting")
                case "stopping" | "stuck":
                    pass  # what follows is settled
                case _:
                    assert_never(child.phase)
        again = {*names, *self.queue}
        self.queue = tuple(other for other in self.children if other in again)

    def _start_in_turn(self, name: str) -> None:
        """Start one child: on its own where siblings do not matter, else after those before it."""
        if self.spec.strategy == "one_for_one":
            self.queue = tuple(other for other in self.queue if other != name)
            self._start_or_wait(self.children[name])
        else:
            again = {name, *self.queue}
            self.queue = tuple(other for other in self.children if other in again)

    def _advance(self) -> None:
        """End what is to be ended, last first, one at a time; then start what is queued, first first, likewise."""
        if self.stage in ("new", "closing", "ended"):
            return
        if self.spec.strategy != "one_for_one" or self.stage == "ending":
            for child in reversed(self.children.values()):
                if child.phase == "stopping":
                    return
                if child.phase in ("starting", "ready") and (child.then or self.stage == "ending"):
                    self._stop(child, drain=self.drain)
                    return
        if self.stage == "ending":
            if not self.children:
                self.stage = "ended"
                self.actions.append(Finished())
            return
        while self.queue:
            head = self.children[self.queue[0]]
            match head.phase:
                case "waiting":
                    self._start_or_wait(head)
                    return
                case "starting" | "stopping":
                    return
                case "ready" | "stuck" | "stopped":
                    self.queue = self.queue[1:]
                case _:
                    assert_never(head.phase)

    # -- one child

    def _start_or_wait(self, child: Child) -> None:
        name = child.spec.name
        if child.not_before <= self.now:
            self._start(name)
        elif child.serial == 0:
            self.serial += 1
            self.children[name] = replace(child, serial=self.serial)
            self.actions.append(SetTimer(name, self.serial, child.not_before - self.now))

    def _start(self, name: str) -> None:
        child = self.children[name]
        self.serial += 1
        self.children[name] = replace(
            child,
            phase="starting",
            serial=self.serial,
            generation=child.generation + 1,
            then=None,
            ready_at=None,
        )
        self._tell(name, "starting")
        self.actions.append(Start(name, self.serial))

    def _stop(self, child: Child, *, drain: bool) -> None:
        self.children[child.spec.name] = replace(child, phase="stopping", then=child.then or "stopped")
        self.actions.append(Stop(child.spec.name, child.serial, drain))

    def _tell(self, name: str, told: ChildState) -> None:
        """Nobody is told twice in a row that it is parked."""
        child = self.children[name]
        if told == "parked" and child.told == "parked":
            return
        self.children[name] = replace(child, told=told)
        self.actions.append(Tell(name, told, child.generation))

    def _end(self, name: str, *, known: bool = False) -> None:
        """The child has ended for good, and is forgotten unless it stays ``known``."""
        self._tell(name, "stopped")
        self.queue = tuple(other for other in self.queue if other != name)
        if known:
            self.children[name] = replace(self.children[name], phase="stopped")
        else:
            del self.children[name]
            self.actions.append(Forget(name))

    def _remove(self, child: Child, *, drain: bool) -> None:
        name = child.spec.name
        match child.phase:
            case "waiting":
                self._end(name)
            case "stopped":
                del self.children[name]
                self.actions.append(Forget(name))
            case "starting" | "ready":
                self._stop(replace(child, then="stopped"), drain=drain)
            case "stopping" | "stuck":
                self.children[name] = replace(child, then="stopped")
            case _:
                assert_never(child.phase)

    def _restart(self, child: Child) -> None:
        if self.stage != "open" or child.spec.restart == "temporary":
            return
        name = child.spec.name
        again = replace(child, not_before=self.now)
        match child.phase:
            case "waiting" | "stopped":
                self.children[name] = replace(again, phase="waiting", serial=0)
                # Those queued with it may wait only for its sake.
                for other in self.queue:
                    if self.children[other].phase == "waiting":
                        self.children[other] = replace(self.children[other], not_before=self.now, serial=0)
                self._start_in_turn(name)
            case "starting" | "ready":
                self._stop(replace(again, then="restarting"), drain=True)
            case "stopping" | "stuck":
                self.children[name] = replace(again, then="stopped" if child.then == "stopped" else "restarting")
            case _:
                assert_never(child.phase)

    # -- the supervisor's end

    def _escalate(self, name: str) -> None:
        self._close()
        self.actions.append(Escalate(name))
        self._end(name)

    def _close(self) -> None:
        """Children that run go on until Shutdown: the block's body may still need them."""
        if self.stage in ("new", "open"):
            self.stage = "closing"
        self.queue = ()

    def _shut_down(self, *, drain: bool) -> None:
        if self.stage in ("ending", "ended"):
            return
        self._close()
        self.stage = "ending"
        self.drain = drain
        for child in list(self.children.values()):
            if child.phase in ("waiting", "stopped"):
                self._remove(child, drain=False)
