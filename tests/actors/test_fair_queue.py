"""Who is served next: priorities, turns, ageing; checked against what fairness means, not against the algorithm."""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nexus3.actors.slot.fair_queue import PRIORITIES, FairQueue
from nexus3.wire.requests import Priority

NEVER = 1e9


def queue_of(*items: str, promote_after: float = NEVER) -> FairQueue[str]:
    """Items named like ``a1`` of caller ``a``, put at 0; normal, where no ``i:`` or ``b:`` says otherwise."""
    queue = FairQueue[str](promote_after=promote_after)
    for item in items:
        kind, _, name = item.rpartition(":")
        priority: Priority = {"i": "interactive", "b": "batch", "": "normal"}[kind]  # type: ignore[assignment]  # by construction
        queue.put(item, name[0], priority, 0.0)
    return queue


def served(queue: FairQueue[str], now: float = 0.0) -> Iterator[str]:
    while (item := queue.take(now)) is not None:
        yield item


def test_callers_take_turns_however_much_one_has_queued() -> None:
    queue = queue_of("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert list(served(queue)) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_higher_priorities_go_first() -> None:
    queue = queue_of("b:a1", "a2", "i:a3", "b:b1", "b2", "i:b3")
    assert list(queue) == ["i:a3", "i:b3", "a2", "b2", "b:a1", "b:b1"]
    assert list(served(queue)) == ["i:a3", "i:b3", "a2", "b2", "b:a1", "b:b1"]


def test_a_newcomer_is_next_but_for_those_who_are_behind() -> None:
    queue = queue_of(*(f"a{number}" for number in range(9)))
    assert [queue.take(0.0), queue.take(0.0)] == ["a0", "a1"]
    queue.put("b1", "b", "normal", 0.0)
    queue.put("b2", "b", "normal", 0.0)
    assert [queue.take(0.0) for _ in range(4)] == ["b1", "a2", "b2", "a3"]


def test_what_is_removed_is_gone_and_the_rest_keeps_its_order() -> None:
    queue = queue_of("a1", "a2", "a3", "b1", "b2")
    assert [queue.remove(item) for item in ("a2", "b1", "a2", "nobody")] == [True, True, False, False]
    assert (len(queue), "a2" in queue, "a3" in queue) == (3, False, True)
    assert list(served(queue)) == ["a1", "b2", "a3"]


def test_the_one_that_is_missed_least() -> None:
    queue = queue_of("i:a1", "b2", "a3", "b:c4", "b:a5")
    found = []
    while (least := queue.least()) is not None:
        found.append(least)
        queue.remove(least[1])
    assert found == [("batch", "b:c4"), ("batch", "b:a5"), ("normal", "b2"), ("normal", "a3"), ("interactive", "i:a1")]


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=8), st.integers(0, 500))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_shares_follow_the_weights_within_a_turn(weights: list[float], turns: int) -> None:
    """Between any two who wait all the time, in any stretch: served over weight differs by a turn of each at most."""
    names = {f"c{number}": weight for number, weight in enumerate(weights)}
    queue = FairQueue[tuple[str, int]](promote_after=NEVER, weights=names)
    counts = Counter(dict.fromkeys(names, 0))
    for name, number in itertools.product(names, range(turns + 1)):
        queue.put((name, number), name, "normal", 0.0)
    for _ in range(turns):
        item = queue.take(0.0)
        assert item is not None
        counts[item[0]] += 1
        for one, other in itertools.combinations(names, 2):
            ahead = abs(counts[one] / names[one] - counts[other] / names[other])
            assert ahead <= (1 / names[one] + 1 / names[other]) * (1 + 1e-9)


def test_asking_one_at_a_time_gains_nothing() -> None:
    """A caller that comes back as soon as it is served, among nine that wait all the time, has a tenth."""
    queue = FairQueue[tuple[str, int]](promote_after=NEVER)
    numbers = itertools.count()
    for caller in "abcdefghi":
        for _ in range(1000):
            queue.put((caller, next(numbers)), caller, "normal", 0.0)
    queue.put(("one", 0), "one", "normal", 0.0)
    counts: Counter[str] = Counter()
    for _ in range(1000):
        caller, _number = queue.take(0.0) or ("", 0)
        counts[caller] += 1
        if caller == "one":
            queue.put(("one", next(numbers)), "one", "normal", 0.0)
    assert counts == Counter(dict.fromkeys([*"abcdefghi", "one"], 100))


def test_ever_new_callers_do_not_keep_an_old_one_waiting() -> None:
    queue = queue_of(*(f"a{number}" for number in range(20)))
    queue.put("n0", "n0", "normal", 0.0)
    order = []
    for number in range(1, 2001):
        order.append(queue.take(0.0) or "")
        queue.put(f"n{number}", f"n{number}", "normal", 0.0)
    turns = [place for place, item in enumerate(order) if item.startswith("a")]
    assert [order[place] for place in turns] == [f"a{number}" for number in range(20)]
    gaps = [later - place for place, later in itertools.pairwise(turns)]
    assert max(gaps) <= 2 * 21 + 65, gaps  # lines that are known at most, with 21 queued


def test_a_line_that_stood_still_is_promoted_every_second_turn() -> None:
    queue = queue_of("i:a1", "i:a2", "i:a3", "i:a4", "b1", "b2", "b:c1", promote_after=30.0)
    assert [queue.take(29.9), queue.take(30.0), queue.take(30.0), queue.take(30.0)] == ["i:a1", "b1", "i:a2", "b:c1"]
    # b2 is the first of its line only since 30.
    assert [queue.take(59.9), queue.take(60.0)] == ["i:a3", "b2"]
    assert list(served(queue)) == ["i:a4"]


def test_a_flood_that_grows_old_does_not_overtake_the_others() -> None:
    """Were it the item that ages, all of the flood's would be promoted together, before everyone else's."""
    queue = queue_of(*(f"a{number}" for number in range(1000)), promote_after=30.0)
    position = []
    for second in range(100, 600, 10):
        queue.put(f"b{second}", "b", "normal", float(second))
        position.append([queue.take(float(second)), queue.take(float(second))].index(f"b{second}"))
    assert set(position) <= {0, 1}


@pytest.mark.parametrize("lines", [1, 5, 20])
def test_batch_waits_no_longer_than_the_ageing_bound(lines: int) -> None:
    """One second a turn, interactive work without end: the bound is the setting and two turns for each such line."""
    queue = FairQueue[tuple[str, float]](promote_after=30.0)
    rng = random.Random(lines)
    longest = 0.0
    for second in range(3000):
        now = float(second)
        for caller in ("x", "y"):
            queue.put((f"{caller}-interactive", now), caller, "interactive", now)
        for line in range(lines):
            if not any(name == f"batch-{line}" for name, _ in queue) and rng.random() < 0.05:
                queue.put((f"batch-{line}", now), f"batch-{line}", "batch", now)
        name, since = queue.take(now) or ("", now)
        if name.startswith("batch"):
            longest = max(longest, now - since)
        if len(queue) > 200:  # the mailbox is bounded
            for item in [item for item in queue if item[0].endswith("interactive")][20:]:
                queue.remove(item)
    print(f"\n{lines} batch lines under interactive work without end: longest wait {longest:.0f} turns")
    assert 30 <= longest <= 30 + 2 * lines


def test_callers_that_never_come_back_leave_nothing() -> None:
    queue = FairQueue[int](promote_after=NEVER)
    queue.put(-1, "stays", "normal", 0.0)
    queue.put(-2, "stays", "normal", 0.0)
    for number in range(5_000):  # each leaves before its turn
        queue.put(number, f"c{number}", "normal", 0.0)
        queue.remove(number)
    level = queue._levels["normal"]
    assert len(level._heap) == len(level._lines) <= 70
    for number in range(5_000):  # each is served once
        queue.put(number, f"c{number}", "normal", 0.0)
        item = queue.take(0.0)
        assert item is not None
        if item < 0:
            queue.put(item, "stays", "normal", 0.0)
    assert len(level._heap) == len(level._lines) <= 2 * len(queue) + 65
    while queue.take(0.0) is not None:
        pass
    assert (len(level._heap), len(level._lines), level._weight, level._time) == (0, 0, 0.0, 0.0)


class Model(RuleBasedStateMachine):
    """Lists of what was put, by priority and caller. It says what may come next; the queue chooses among that."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.numbers = itertools.count()
        self.queue = FairQueue[int](promote_after=10.0, weights={"a": 3.0, "b": 0.5})
        self.lines: dict[tuple[Priority, str | None], list[int]] = defaultdict(list)
        self.still: dict[tuple[Priority, str | None], float] = {}

    def _left(self, key: tuple[Priority, str | None]) -> None:
        if not self.lines[key]:
            del self.lines[key], self.still[key]

    @rule(seconds=st.floats(0.0, 12.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(caller=st.sampled_from([None, "a", "b", "c"]), priority=st.sampled_from(PRIORITIES), count=st.integers(1, 4))
    def put(self, caller: str | None, priority: Priority, count: int) -> None:
        for _ in range(count):
            item = next(self.numbers)
            self.queue.put(item, caller, priority, self.now)
            if not self.lines[priority, caller]:
                self.still[priority, caller] = self.now
            self.lines[priority, caller].append(item)

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.lines, key=str)))
        item = data.draw(st.sampled_from(self.lines[key]))
        assert self.queue.remove(item)
        assert not self.queue.remove(item)
        self.lines[key].remove(item)
        self._left(key)

    @rule()
    def take(self) -> None:
        item = self.queue.take(self.now)
        if not self.lines:
            assert item is None
            return
        highest = min((PRIORITIES.index(priority) for priority, _ in self.lines), default=0)
        key = next(key for key, line in self.lines.items() if item in line)
        # First come, first served within a line; and not a lower priority but one that stood still for longest.
        assert self.lines[key][0] == item
        if PRIORITIES.index(key[0]) > highest:
            lower = [since for (name, _), since in self.still.items() if PRIORITIES.index(name) > highest]
            assert self.now - self.still[key] >= 10.0
            assert self.still[key] == min(lower)
        del self.lines[key][0]
        self.still[key] = self.now
        self._left(key)

    @invariant()
    def holds_what_was_put(self) -> None:
        assert sorted(self.queue) == sorted(itertools.chain(*self.lines.values()))
        assert len(self.queue) == sum(map(len, self.lines.values()))

    @invariant()
    def knows_the_weight_of_its_lines(self) -> None:
        for level in self.queue._levels.values():
            assert level._weight == pytest.approx(sum(line.weight for line in level._lines.values()))
            assert {line.name for _, _, line in level._heap} == set(level._lines)


TestAgainstTheModel = Model.TestCase
TestAgainstTheModel.settings = settings(max_examples=100, stateful_step_count=50, derandomize=True, deadline=None)
