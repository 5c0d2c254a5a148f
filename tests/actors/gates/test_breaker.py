"""When a provider is given a rest, for how long, and who may try it again."""

import heapq
from random import Random

import msgspec
import pytest

from nexus3.actors.gates.breaker import Breaker, Change, Judgement, Permit, State
from nexus3.actors.gates.verdict import PASS, Refuse
from tests.actors.gates.walks import STEPS, dice


class Half(Random):
    """Dice that always fall in the middle: a jitter of nothing."""

    def random(self) -> float:
        return 0.5


DICE = Half()


def report(breaker: Breaker, how: Judgement, now: float) -> Change | None:
    permit, change = breaker.begin(now)
    return change or breaker.ended(permit, how, now, DICE)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    assert [report(breaker, "failure", now) for _ in range(4)] == [None] * 4
    assert report(breaker, "failure", now) == Change(before="closed", after="open", failures=5, seconds=5.0)
    return breaker


def test_five_failures_in_a_row_open_it_for_five_seconds() -> None:
    breaker = opened()
    verdict = breaker.ask(2.0)
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.kind, verdict.failure.reason, verdict.failure.retry_after) == (
        "unavailable",
        "breaker_open",
        3.0,
    )
    assert breaker.ask(5.0) == PASS


def test_a_success_between_them_begins_the_count_anew_and_a_neutral_end_does_not() -> None:
    breaker = Breaker()
    for how in ["failure"] * 4 + ["success"] + ["failure"] * 4 + ["neutral"]:
        assert report(breaker, how, 0.0) is None  # type: ignore[arg-type]  # a list of literals is one of str
    assert report(breaker, "failure", 0.0) is not None


def side_by_side(*ends: str) -> list[bool]:
    """Attempts that were begun together, in the order of the letters, and end in the order of the words, each ``f``,
    ``s`` or ``n`` with its letter: whether it was open after each end."""
    breaker = Breaker()
    permits = {letter: breaker.begin(0.0)[0] for letter in "abcdefgh"}
    how: dict[str, Judgement] = {"f": "failure", "s": "success", "n": "neutral"}
    opened = []
    for end in ends:
        breaker.ended(permits[end[1]], how[end[0]], 1.0, DICE)
        opened.append(breaker.state == "open")
    return opened


def test_attempts_side_by_side_are_counted_in_the_order_of_their_beginning() -> None:
    assert side_by_side("fc", "fa", "fe", "fb", "fd") == [False] * 4 + [True]
    # One that still runs parts the row: failures come sooner than answers. Its own failure closes the gap.
    assert side_by_side("fa", "fb", "fd", "fe", "ff", "fg") == [False] * 6
    assert side_by_side("fa", "fb", "fd", "fe", "ff", "fg", "fc") == [False] * 6 + [True]
    # A success parts it by its beginning and by its end; what ends without a verdict does neither.
    assert side_by_side("sc", "fa", "fb", "fd", "fe", "ff") == [False] * 6
    assert side_by_side("fa", "fb", "fc", "fd", "sh", "fe", "ff", "fg") == [False] * 8
    assert side_by_side("fa", "fb", "nc", "fd", "fe", "ff") == [False] * 5 + [True]
    assert side_by_side("fa", "fb", "fd", "fe", "nc", "ff") == [False] * 5 + [True]


def side_by_side_by_lot(rng: Random, *, attempts: int, failed_share: float, failing_takes: float) -> bool:
    """A hundred places, never empty, from a quiet moment on: whether it opens. Answers take 0.2 s and more, 1.2 in the
    mean."""
    breaker = Breaker()
    running: list[tuple[float, int, Permit, Judgement]] = []

    def begin(now: float) -> None:
        how: Judgement = "failure" if rng.random() < failed_share else "success"
        takes = failing_takes if how == "failure" else 0.2 + rng.expovariate(1)
        permit, _ = breaker.begin(now)
        heapq.heappush(running, (now + takes, permit.number, permit, how))

    for _ in range(100):
        begin(0.0)
    for _ in range(attempts):
        now, _, permit, how = heapq.heappop(running)
        if breaker.ended(permit, how, now, rng) is not None:
            return True
        begin(now)
    return False


@pytest.mark.parametrize("failing_takes", [0.001, 0.05, 1.2, 5.0])
@pytest.mark.parametrize("runs", [20, pytest.param(1_000, marks=pytest.mark.soak)])
def test_one_failure_in_ten_among_a_hundred_side_by_side_does_not_open_it(failing_takes: float, runs: int) -> None:
    """But for chance: five of one in ten in a row come up once in a hundred thousand attempts. By the order of their
    ends alone, nearly every run would, whether they fail at once or by a timeout."""
    seed = dice("side by side").random()
    opened = sum(
        side_by_side_by_lot(Random(seed + run), attempts=1_000, failed_share=0.1, failing_takes=failing_takes)
        for run in range(runs)
    )
    print(f"{failing_takes} s to fail: {opened} of {runs} runs of 1,000 attempts open it")
    assert opened <= max(2, 0.02 * runs)


def test_half_of_twenty_within_thirty_seconds_open_it() -> None:
    breaker = Breaker()
    for number in range(19):
        assert report(breaker, "failure" if number % 2 else "success", 1.0) is None
    assert report(breaker, "failure", 29.0) == Change(before="closed", after="open", failures=10, seconds=5.0)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    breaker = Breaker()
    for number in range(19):
        assert report(breaker, "success" if number % 2 else "failure", 1.0) is None
    assert report(breaker, "failure", 31.0) is None


def test_what_opened_it_is_not_held_against_it_twice() -> None:
    breaker = Breaker()
    for number in range(27):
        assert report(breaker, "success" if number % 3 else "failure", 1.0) is None
    assert [report(breaker, "failure", 1.0) for _ in range(5)][-1] is not None
    for _ in range(2):
        breaker.ended(breaker.begin(6.0)[0], "success", 6.0, DICE)
    assert [report(breaker, "failure", 7.0) for _ in range(4)] == [None] * 4


def test_two_probes_one_after_the_other_close_it() -> None:
    breaker = opened()
    first, change = breaker.begin(5.0)
    assert change == Change(before="open", after="half_open", failures=0)
    assert first.is_probe
    assert isinstance(breaker.ask(5.0), Refuse)
    assert breaker.answered(first, 6.0) is None
    second, change = breaker.begin(6.0)
    assert (second.is_probe, change) == (True, None)
    assert breaker.answered(second, 7.0) == Change(before="half_open", after="closed", failures=0)
    assert breaker.ended(first, "success", 8.0, DICE) is None
    assert breaker.state == "closed"


def test_a_probe_that_fails_doubles_the_time_up_to_a_minute_and_a_calm_minute_halves_it_all() -> None:
    breaker = opened()
    seconds = []
    for _ in range(6):
        probe, _ = breaker.begin(breaker.until)
        change = breaker.ended(probe, "failure", breaker.until, DICE)
        assert change is not None
        assert (change.before, change.after) == ("half_open", "open")
        seconds.append(change.seconds)
    assert seconds == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    for calm, expected in [(59.0, 60.0), (60.0, 5.0)]:
        closed = breaker.until
        for _ in range(2):
            breaker.ended(breaker.begin(closed)[0], "success", closed, DICE)
        assert breaker.state == "closed"
        for _ in range(4):
            report(breaker, "failure", closed + calm)
        change = report(breaker, "failure", closed + calm)
        assert change is not None
        assert change.seconds == expected


def test_a_probe_cut_after_its_first_event_still_speaks_against_the_provider() -> None:
    breaker = opened()
    first, _ = breaker.begin(5.0)
    breaker.answered(first, 5.0)
    change = breaker.ended(first, "failure", 6.0, DICE)
    assert change == Change(before="half_open", after="open", failures=1, seconds=10.0)


def test_a_probe_without_a_verdict_leaves_its_place_to_the_next() -> None:
    breaker = opened()
    probe, _ = breaker.begin(5.0)
    assert breaker.ended(probe, "neutral", 5.5, DICE) is None
    assert (breaker.state, breaker.ask(5.5)) == ("half_open", PASS)


def test_what_was_sent_before_it_opened_says_nothing_afterwards() -> None:
    breaker = Breaker()
    early = [breaker.begin(0.0)[0] for _ in range(10)]
    for permit in early[:5]:
        breaker.ended(permit, "failure", 1.0, DICE)
    until = breaker.until
    assert isinstance(breaker.ask(1.0), Refuse)
    breaker.ended(early[5], "failure", 2.0, DICE)
    probe, _ = breaker.begin(until)
    assert [breaker.ended(permit, "failure", until, DICE) for permit in early[6:8]] == [None, None]
    assert [breaker.ended(permit, "success", until, DICE) for permit in early[8:]] == [None, None]
    assert (breaker.state, breaker.until) == ("half_open", until)
    breaker.answered(probe, until)
    assert breaker.state == "half_open"


def test_observe_lets_all_pass_and_tells_the_same() -> None:
    breaker = Breaker("observe")
    changes = [report(breaker, "failure", 0.0) for _ in range(7)]
    assert changes[4] == Change(before="closed", after="open", failures=5, seconds=5.0)
    assert changes[5:] == [None, None]
    assert breaker.ask(1.0) == PASS
    probe, change = breaker.begin(5.0)
    assert (probe.is_probe, change is not None, breaker.ask(5.0)) == (True, True, PASS)
    other, _ = breaker.begin(5.0)
    assert not other.is_probe
    assert breaker.ended(other, "failure", 5.0, DICE) is None
    breaker.answered(probe, 5.0)
    breaker.answered(breaker.begin(5.0)[0], 5.0)
    assert breaker.state == "closed"


def test_off_is_always_closed() -> None:
    breaker = Breaker("off")
    assert [report(breaker, "failure", 0.0) for _ in range(50)] == [None] * 50
    assert (breaker.state, breaker.ask(0.0)) == ("closed", PASS)


LEGAL: set[tuple[State, State]] = {
    ("closed", "open"),
    ("open", "half_open"),
    ("half_open", "open"),
    ("half_open", "closed"),
}


class Witness:
    """Keeps the whole history of a stretch, and says from it, by the rules as written, what must happen."""

    def __init__(self) -> None:
        self.state: State = "closed"
        self.samples: list[tuple[float, bool]] = []
        self.failed: set[int] = set()
        """Permits that ended so since the last success, by their numbers ..."""
        self.without_verdict: set[int] = set()
        self.exponent = 0
        self.closed_at = float("-inf")
        self.answered = 0
        self.rows = 0
        """Openings for a row alone."""

    def sees(self, number: int, how: Judgement, now: float) -> None:
        if how == "neutral":
            self.without_verdict.add(number)
            return
        self.samples.append((now, how == "success"))
        if how == "failure":
            self.failed.add(number)
        else:
            self.failed, self.without_verdict = set(), set()

    def must_open(self, number: int, now: float, running: int) -> bool:
        first = last = number
        while first - 1 in self.failed | self.without_verdict:
            first -= 1
        while last + 1 in self.failed | self.without_verdict:
            last += 1
        recent = [ok for moment, ok in self.samples if moment // 3 > now // 3 - 10]
        if len(recent) >= max(20, running) and 2 * recent.count(False) >= len(recent):
            return True
        is_row = len(self.failed.intersection(range(first, last + 1))) >= 5
        self.rows += is_row
        return is_row

    def changed(self, change: Change, now: float, breaker: Breaker) -> None:
        assert (change.before, change.after) == (self.state, breaker.state)
        assert (change.before, change.after) in LEGAL
        if change.after == "open":
            if change.before == "half_open":
                self.exponent += 1
            elif now - self.closed_at >= 60:
                self.exponent = 0
            assert change.seconds is not None
            nominal = min(60.0, 5 * 2.0**self.exponent)
            assert 0.9 * nominal <= change.seconds <= 1.1 * nominal
            assert breaker.until == now + change.seconds
        if change.after == "closed":
            assert self.answered == 2
            self.closed_at = now
        self.state, self.samples, self.answered = change.after, [], 0
        self.failed, self.without_verdict = set(), set()


@STEPS
@pytest.mark.parametrize("mode", ["on", "observe"])
def test_no_walk_leaves_the_rules(mode: str, steps: int) -> None:
    rng = dice(f"breaker {mode}")
    breaker = Breaker(mode)  # type: ignore[arg-type]  # from the parameters above
    witness = Witness()
    now, until = 0.0, 0.0
    running: dict[int, tuple[Permit, int]] = {}
    answered: set[int] = set()
    probe: int | None = None
    stretch, health, pace, seen = 0, 0.9, 1.0, dict.fromkeys(LEGAL, 0)

    def heed(change: Change | None) -> None:
        nonlocal stretch, probe
        assert (change is None) == (breaker.state == witness.state)
        if change is not None:
            seen[change.before, change.after] += 1
            witness.changed(change, now, breaker)
            stretch += 1
            probe = None

    for _ in range(steps):
        now += rng.choice((0.0, 0.1, rng.expovariate(pace), rng.expovariate(pace / 10)))
        if rng.random() < 0.01:
            health = rng.choice((0.0, 0.3, 0.55, 0.9, 1.0))
            pace = rng.choice((1.0, 10.0, 30.0))
        action = rng.random()
        if action < 0.5 or not running:
            verdict = breaker.ask(now)
            free = witness.state == "closed" or (now >= breaker.until if witness.state == "open" else probe is None)
            assert (verdict == PASS) == (free or mode == "observe")
            if verdict == PASS:
                was = witness.state
                permit, change = breaker.begin(now)
                heed(change)
                assert permit.is_probe == (free and was != "closed")
                running[permit.number] = (permit, stretch)
                if permit.is_probe:
                    probe = permit.number
        elif action < 0.995:
            latest = sorted(running)[-20:]
            number = rng.choice((latest[0], rng.choice(latest)))
            permit, begun_in = running[number]
            if rng.random() < 0.3:
                if probe == number:
                    probe = None
                    witness.answered += 1
                    answered.add(number)
                    heed(breaker.answered(permit, now))
                else:
                    assert breaker.answered(permit, now) is None
                continue
            del running[number]
            how: Judgement = rng.choice(("success", "neutral")) if rng.random() < health else "failure"
            if begun_in == stretch and witness.state == "closed":
                witness.sees(number, how, now)
                must_open = how == "failure" and witness.must_open(
                    number, now, [begun for _, begun in running.values()].count(stretch)
                )
                change = breaker.ended(permit, how, now, rng)
                assert (change is not None) == must_open
                heed(change)
                continue
            if probe == number:
                probe = None
                if how == "success":
                    witness.answered += 1
            change = breaker.ended(permit, how, now, rng)
            if witness.state == "half_open" and begun_in == stretch and permit.is_probe and how == "failure":
                assert change is not None
            heed(change)
        else:  # the incarnation dies with all that runs on it
            for number, (permit, begun_in) in running.items():
                if begun_in == stretch and witness.state == "closed":
                    witness.sees(number, "neutral", now)
                heed(breaker.ended(permit, "neutral", now, rng))
            running.clear()
            probe = None
        assert breaker.until >= until
        until = breaker.until
    assert min(seen.values()) > 0, seen
    assert witness.rows > 0
    print(f"{steps} steps: {witness.rows} openings for a row, of {seen['closed', 'open']} in all")


def test_a_change_is_plain_data() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Change(before="closed", after="open", failures=5, seconds=5.5))) == {
        "before": "closed",
        "after": "open",
        "failures": 5,
        "seconds": 5.5,
    }
