"""Decisions, without trio: against an oracle of OTP's rules, and under events that come in any order."""

import os
from random import Random

import pytest

from nexus3.supervisor.decide import first_pass_is_over
from nexus3.supervisor.spec import AutoShutdown, Backoff, ChildSpec, Intensity, Restart, Strategy, SupervisorSpec
from nexus3.supervisor.state import Add, Begin, Close, Exited, Ready, Remove, Shutdown, Start, Stuck, TimerFired
from nexus3.supervisor.state import Restart as RestartChild
from tests.supervisor.otp import Fate, Otp
from tests.supervisor.world import NEVER, World

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))


def any_supervisor(rng: Random) -> SupervisorSpec:
    strategies: tuple[Strategy, ...] = ("one_for_one", "one_for_all", "rest_for_one")
    shutdowns: tuple[AutoShutdown, ...] = ("never", "any_significant", "all_significant")
    limit = Intensity(rng.randrange(2, 12), 16.0) if rng.random() < 0.5 else None
    return SupervisorSpec(rng.choice(strategies), limit, rng.choice(shutdowns))


def any_child(name: str, supervisor: SupervisorSpec, rng: Random, *, dynamic: bool = False) -> ChildSpec:
    """Times are sums of powers of two, so that both sides compute the same floats."""
    restarts: tuple[Restart, ...] = ("permanent", "permanent", "transient", "temporary")
    restart = rng.choice(restarts)
    may_be_significant = supervisor.auto_shutdown != "never" and restart != "permanent"
    return ChildSpec(
        name,
        NEVER,
        restart=restart,
        backoff=Backoff(min=0.25, max=4.0, factor=2.0, reset_after=32.0),
        intensity=Intensity(rng.randrange(6), 8.0),
        on_exhausted=rng.choice(("park", "park", "escalate")),
        park_for=16.0,
        significant=may_be_significant and rng.random() < 0.5,
        dynamic=dynamic,
    )


class Luck:
    """Which starts go well: the same for both sides, as long as both start the same children in the same order."""

    def __init__(self) -> None:
        self.chance = 1.0
        self._ours = Random(0)
        self._theirs = Random(0)

    def draw(self, rng: Random) -> None:
        self.chance = rng.choice((0.5, 0.8, 0.95))
        seed = rng.random()
        self._ours, self._theirs = Random(seed), Random(seed)

    def for_us(self) -> bool:
        return self._ours.random() < self.chance

    def for_otp(self) -> bool:
        return self._theirs.random() < self.chance


def compare_with_otp(seed: int, steps: int) -> int:
    """Random histories of whole supervisors, each end followed by all that comes of it. Returns the steps taken."""
    print(f"seed {seed}")
    rng = Random(seed)
    taken = 0
    while taken < steps:
        spec = any_supervisor(rng)
        names = [f"child-{number}" for number in range(rng.randrange(1, 6))]
        luck = Luck()
        world = World(spec)
        otp = Otp(spec, luck.for_otp)
        for child in [any_child(name, spec, rng) for name in names]:
            world.add(child)
            otp.known[child.name] = child
            otp.fates[child.name] = Fate()
            otp.start(child.name)
        world.take(Begin())
        world.settle(lambda: True, rng)
        assert world.log == otp.log
        while not otp.over and taken < steps:
            taken += 1
            luck.draw(rng)
            pause = rng.choice((0.0, 0.25, 1.0, 8.0, 32.0, 64.0))
            world.now += pause
            otp.now += pause
            what = rng.choice(("crash", "crash", "crash", "return", "restart", "add", "remove", "shutdown"))
            living = sorted(otp.alive)
            if what in ("crash", "return") and living:
                name = rng.choice(living)
                world.exit(world.serial(name), "crashed" if what == "crash" else "returned")
                world.settle(luck.for_us, rng)
                otp.ended(name, crashed=what == "crash")
            elif what == "restart" and otp.known:
                name = rng.choice(sorted(otp.known))
                world.take(RestartChild(name))
                world.settle(luck.for_us, rng)
                otp.restart(name)
            elif what == "remove" and len(otp.known) > 1:
                name = rng.choice(sorted(otp.known))
                world.take(Remove(name, drain=True))
                world.settle(luck.for_us, rng)
                otp.remove(name)
            elif what == "add" and len(otp.known) < 6:
                child = any_child(f"late-{taken}", spec, rng, dynamic=rng.random() < 0.5)
                world.add(child)
                world.settle(luck.for_us, rng)
                otp.add(child)
            elif what == "shutdown" and rng.random() < 0.1:
                world.take(Shutdown(drain=True))
                world.settle(luck.for_us, rng)
                otp.shut_down()
            assert world.log == otp.log, f"seed {seed}, step {taken}: {what}"
            assert world.now == otp.now
            assert set(world.live.values()) == otp.alive
            assert list(world.state.children) == ([] if world.finished else list(otp.known))
            assert world.finished == otp.over
            world.log.clear()
            otp.log.clear()
    return taken


def test_decisions_are_those_of_otp() -> None:
    assert compare_with_otp(SEED, 5_000) == 5_000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED + 1, SEED + 5))
def test_decisions_are_those_of_otp_for_100_000_steps(seed: int) -> None:
    assert compare_with_otp(seed, 25_000) == 25_000


def storm(seed: int, steps: int) -> int:
    """Events in any order, overlapping; :class:`World` checks at each step what must always hold."""
    print(f"seed {seed}")
    rng = Random(seed)
    taken = 0
    while taken < steps:
        spec = any_supervisor(rng)
        world = World(spec, rng)
        world.add(*(any_child(f"child-{number}", spec, rng) for number in range(rng.randrange(5))))
        if rng.random() < 0.9:
            world.take(Begin())
        stuck: set[int] = set()
        for _ in range(rng.randrange(200)):
            world.now += rng.choice((0.0, 0.1, 1.0, 40.0))
            live, names = sorted(world.live), sorted(world.state.children)
            match rng.randrange(14):
                case 0 | 1 | 2 if live:
                    world.exit(rng.choice(live), rng.choice(("returned", "crashed")))
                case 3 | 4 | 5 if waiting := [serial for serial in live if serial not in world.is_ready]:
                    world.ready(rng.choice(waiting))
                case 6 if world.asked:
                    world.exit(world.asked[0], "returned")
                case 7 if late := [serial for serial in live if serial not in stuck]:
                    serial = rng.choice(late)
                    stuck.add(serial)
                    world.take(Stuck(world.live[serial], serial))
                case 8 | 9 if world.timers:
                    timer = world.timers.pop(rng.randrange(len(world.timers)))
                    world.take(TimerFired(timer[1], timer[2]))
                case 10 if world.state.stage in ("new", "open") and len(names) < 8:
                    world.add(any_child(f"late-{world.steps}", spec, rng, dynamic=rng.random() < 0.5))
                case 11 if names:
                    world.take(Remove(rng.choice(names), drain=rng.random() < 0.5))
                case 12 if names:
                    world.take(RestartChild(rng.choice(names)))
                case 13 if rng.random() < 0.05:
                    world.take(Close())
        world.take(Shutdown(drain=rng.random() < 0.5))
        world.take(Shutdown(drain=True))
        while live := sorted(world.live):
            assert not world.finished
            world.exit(rng.choice(live), rng.choice(("returned", "crashed")))
        assert world.finished
        assert world.state.children == {}
        for _, name, serial in world.timers:
            assert world.take(TimerFired(name, serial)) == []
        taken += world.steps
    return taken


def test_whatever_comes_in_whatever_order() -> None:
    assert storm(SEED, 20_000) >= 20_000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED + 1, SEED + 5))
def test_whatever_comes_in_whatever_order_for_longer(seed: int) -> None:
    assert storm(seed, 100_000) >= 100_000


# -- what the two above do not reach


def world(*specs: ChildSpec, strategy: Strategy = "one_for_one", rng: Random | None = None) -> World:
    made = World(SupervisorSpec(strategy), rng)
    made.add(*specs)
    made.take(Begin())
    return made


def test_what_comes_late_changes_nothing() -> None:
    it = world(ChildSpec("a", NEVER, backoff=Backoff(1, 1)))
    first = it.serial("a")
    it.exit(first, "crashed")
    _, _, timer = it.timers[0]
    it.take(RestartChild("a"))
    before = it.state
    for late in (
        Ready("a", first),
        Exited("a", first, "crashed"),
        Stuck("a", first),
        TimerFired("a", timer),
        Ready("b", 1),
        Exited("b", 1, "crashed"),
        Stuck("b", 1),
        TimerFired("b", 1),
        Begin(),
    ):
        assert it.take(late) == []
        assert it.state == before, late


def test_the_timer_of_an_earlier_wait_does_not_shorten_a_later_one() -> None:
    it = world(ChildSpec("a", NEVER, backoff=Backoff(1, 1)))
    it.exit(it.serial("a"), "crashed")
    it.take(RestartChild("a"))
    it.exit(it.serial("a"), "crashed")
    earlier, later = it.timers
    assert it.take(TimerFired(*earlier[1:])) == []
    assert Start("a", it.state.serial + 1) in it.take(TimerFired(*later[1:]))


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_the_first_pass_is_over_when_each_is_ready_or_has_failed_or_waits_for_one_that_has(strategy: Strategy) -> None:
    it = World(SupervisorSpec(strategy))
    it.add(*(ChildSpec(name, NEVER) for name in "abc"))
    assert not first_pass_is_over(it.state)
    it.take(Begin())
    it.ready(it.serial("a"))
    assert not first_pass_is_over(it.state)
    it.exit(it.serial("b"), "crashed")
    if strategy == "one_for_one":
        assert not first_pass_is_over(it.state)
        it.ready(it.serial("c"))
    assert first_pass_is_over(it.state)
    it.take(Close())
    assert first_pass_is_over(it.state)


def test_the_delay_is_jittered_inside_the_cap_and_grows_until_it_was_stable() -> None:
    it = world(
        ChildSpec("a", NEVER, backoff=Backoff(1, 8, 2, reset_after=60), intensity=Intensity(100, 1)), rng=Random(5)
    )

    def delay_after(ready_for: float) -> float:
        serial = it.serial("a")
        it.ready(serial)
        it.now += ready_for
        it.exit(serial, "crashed")
        due, name, timer = it.timers.pop()
        waited = due - it.now
        it.now = due
        it.take(TimerFired(name, timer))
        return waited

    for ceiling in (1, 2, 4, 8, 8, 8):
        assert ceiling / 2 <= delay_after(59.9) <= ceiling
    assert 0.5 <= delay_after(60) <= 1
    assert 1 <= delay_after(0) <= 2


def test_a_child_on_trial_parks_again_at_the_next_crash_unless_it_was_stable() -> None:
    spec = ChildSpec("a", NEVER, backoff=Backoff(1, 1, 1, reset_after=60), intensity=Intensity(1, 1000), park_for=30)
    it = world(spec)
    states: list[str] = []
    for ready_for in (0.0, 0.0, 1.0, 60.0, 0.0):
        serial = it.serial("a")
        it.ready(serial)
        it.now += ready_for
        it.exit(serial, "crashed")
        states.append(it.told[-1][1])
        due, name, timer = it.timers.pop()
        it.now = due
        it.take(TimerFired(name, timer))
    assert states == ["restarting", "parked", "parked", "restarting", "parked"]


def test_a_first_start_on_probation_that_fails_is_forgotten_and_not_counted() -> None:
    it = World(SupervisorSpec("one_for_all", Intensity(0, 10)))
    it.add(ChildSpec("a", NEVER))
    it.take(Begin())
    it.ready(it.serial("a"))
    it.take(Add(ChildSpec("b", NEVER), first_or_never=True))
    it.exit(it.serial("b"), "crashed")
    assert list(it.state.children) == ["a"]
    assert it.asked == []
    assert it.state.stage == "open"


def test_a_stuck_child_does_not_hold_its_siblings() -> None:
    it = world(*(ChildSpec(name, NEVER, backoff=Backoff(1, 1)) for name in "abc"), strategy="one_for_all")
    for name in "abc":
        it.ready(it.serial(name))
    it.log.clear()
    it.exit(it.serial("a"), "crashed")
    it.take(Stuck("c", it.serial("c")))
    it.exit(it.serial("b"), "returned")
    it.now = 1
    it.take(TimerFired(*it.timers[0][1:]))
    it.ready(it.serial("a"))
    it.ready(it.serial("b"))
    assert it.log == [("stop", "c", 0), ("stop", "b", 0), ("start", "a", 1), ("start", "b", 1)]
    it.exit(it.serial("c"), "returned")
    assert it.log[-1] == ("start", "c", 1)


def test_a_child_that_becomes_ready_when_it_is_to_be_ended_is_not_told_so() -> None:
    it = world(*(ChildSpec(name, NEVER) for name in "abc"), strategy="one_for_all")
    for name in "abc":
        it.ready(it.serial(name))
    it.take(RestartChild("b"))
    it.exit(it.serial("b"), "returned")
    it.told.clear()
    it.exit(it.serial("a"), "crashed")
    it.ready(it.serial("b"))
    it.exit(it.serial("c"), "returned")
    it.exit(it.serial("b"), "returned")
    assert it.told == [("a", "restarting", 1), ("c", "restarting", 1), ("b", "restarting", 2)]
