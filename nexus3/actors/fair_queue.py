"""Who is served next: by priority, fair over callers, and nobody left behind. Pure: the time comes as an argument.

* **Priorities are strict**: while an interactive item waits, no normal one is taken, and no batch one while a normal
  one waits.
* **Ageing** keeps that from starving anyone: what has waited ``promote_after`` seconds in a priority moves to the next
  higher one, to the end of its caller's line there. So the first batch item of a caller is among the interactive ones
  after twice that time, and one round of callers later it is out.
* **Callers take turns** within a priority, in proportion to their weights (weighted fair queueing). Each line carries
  a *tag*, the virtual time of its next turn. The line with the smallest tag is served, and its tag grows by one over its
  weight; so over any stretch in which two lines wait all the time, their shares differ from their weights by less than
  one turn each. How much a caller has queued does not count.

A caller that comes back keeps the tag it left with, so that asking one at a time gains nothing; a new one begins at the
present virtual time, which grows by one in a round of all lines: it waits a round at most, and ever new callers cannot
keep an old one waiting.

Putting, taking and removing cost a few dictionary operations and one on a heap of callers; an item is promoted twice
at most. Memory is proportional to what is queued.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar, get_args

from nexus3.wire.requests import Priority

Item = TypeVar("Item", bound=Hashable)

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Highest first."""

_SPARE_LINES = 64
"""Empty lines that are always kept; beyond them, as many as items are queued."""


class FairQueue(Generic[Item]):
    """Items in the order of the rules above. An item is in it once at most, whatever its priority."""

    def __init__(self, *, promote_after: float, weights: Mapping[str, float] | None = None) -> None:
        """``promote_after`` in seconds. A caller without a weight has 1.0, and so have those without a name together."""
        self.promote_after = promote_after
        self.weights: Mapping[str, float] = weights or {}
        """Hold for lines that begin from now on."""
        self._levels = {priority: _Turns[Item]() for priority in PRIORITIES}

    def __len__(self) -> int:
        return sum(len(level.items) for level in self._levels.values())

    def __contains__(self, item: object) -> bool:
        return any(item in level.items for level in self._levels.values())

    def __iter__(self) -> Iterator[Item]:
        """Highest priority first, and in each the longest waiting first: not the order in which they are served."""
        for level in self._levels.values():
            yield from level.items

    def put(self, item: Item, caller: str | None, priority: Priority, now: float) -> None:
        """Queue an item at the end of its caller's line in ``priority``."""
        assert item not in self, "an item is queued once"
        weight = 1.0 if caller is None else self.weights.get(caller, 1.0)
        self._levels[priority].put(item, caller, weight, now)

    def take(self, now: float) -> Item | None:
        """Remove and return the next one; ``None`` where nothing is queued."""
        self._promote(now)
        for level in self._levels.values():
            if level.items:
                return level.take()
        return None

    def remove(self, item: Item) -> bool:
        """Take an item out from wherever it stands; false where it is not in."""
        for level in self._levels.values():
            if item in level.items:
                level.remove(item)
                return True
        return False

    def least(self) -> tuple[Priority, Item] | None:
        """The one that could be missed first: of the lowest priority that has any, the longest waiting, with its
        present priority."""
        for priority in reversed(PRIORITIES):
            for item in self._levels[priority].items:
                return priority, item
        return None

    def _promote(self, now: float) -> None:
        # From the top, so that one call moves an item by one priority.
        for higher, lower in itertools.pairwise(self._levels.values()):
            while lower.items:
                item, (since, line) = next(iter(lower.items.items()))
                if now - since < self.promote_after:
                    break
                lower.remove(item)
                higher.put(item, line.caller, line.weight, now)


class _Line(Generic[Item]):
    """What one caller has queued in one priority, first come first."""

    __slots__ = ("caller", "items", "weight")

    def __init__(self, caller: str | None, weight: float) -> None:
        self.caller = caller
        self.weight = weight
        # Not a dict: finding the first key of one costs as much as keys were deleted before it.
        self.items: OrderedDict[Item, None] = OrderedDict()


class _Turns(Generic[Item]):
    """The callers of one priority, taking turns.

    A line stays in the heap when it is empty, until it would be served: then its caller owes nothing any more.
    """

    def __init__(self) -> None:
        self.items: OrderedDict[Item, tuple[float, _Line[Item]]] = OrderedDict()
        """When each came, and in which line it stands; in the order of coming."""
        self._lines: dict[str | None, _Line[Item]] = {}
        self._heap: list[tuple[float, int, _Line[Item]]] = []
        """Each line once, by its tag; equal ones in the order of their last change."""
        self._weight = 0.0
        """Of all lines together."""
        self._time = 0.0
        """The virtual time, as it was when the last one was taken ..."""
        self._next_time = 0.0
        """... and as it will be, at least, for the next."""
        self._numbers = itertools.count()

    def put(self, item: Item, caller: str | None, weight: float, now: float) -> None:
        line = self._lines.get(caller)
        if line is None:
            if len(self._heap) > 2 * len(self.items) + _SPARE_LINES:
                self._drop_empty_lines()
            line = self._lines[caller] = _Line(caller, weight)
            self._weight += weight
            heapq.heappush(self._heap, (self._time, next(self._numbers), line))
        line.items[item] = None
        self.items[item] = (now, line)

    def take(self) -> Item:
        while not (line := self._heap[0][2]).items:
            heapq.heappop(self._heap)
            del self._lines[line.caller]
            self._weight -= line.weight
        tag = self._heap[0][0]
        self._time = max(self._next_time, tag)
        self._next_time = self._time + 1 / self._weight
        heapq.heapreplace(self._heap, (tag + 1 / line.weight, next(self._numbers), line))
        item, _ = line.items.popitem(last=False)
        del self.items[item]
        self._begin_anew_if_empty()
        return item

    def remove(self, item: Item) -> None:
        _, line = self.items.pop(item)
        del line.items[item]
        self._begin_anew_if_empty()

    def _begin_anew_if_empty(self) -> None:
        """Where nobody waits, nobody owes: and rounding errors end here too."""
        if not self.items:
            self._lines.clear()
            self._heap.clear()
            self._weight = self._time = self._next_time = 0.0

    def _drop_empty_lines(self) -> None:
        """Callers that never came back, or left before their turn, must not add up."""
        self._heap = [entry for entry in self._heap if entry[2].items]
        heapq.heapify(self._heap)
        self._lines = {line.caller: line for _, _, line in self._heap}
        self._weight = sum(line.weight for line in self._lines.values())
