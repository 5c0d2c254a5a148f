"""Who is served next: by priority, fair over callers, and nobody left behind. Pure: the time comes as an argument.

Each caller has a line in each priority, first come first served. Which line is next:

* **Priorities are strict**: a normal item is taken while no interactive one waits, a batch one while no other does.
* **Callers take turns** within a priority, in proportion to their weights (weighted fair queueing). Each line carries
  a *tag*, the virtual time of its next turn. The line with the smallest tag is served, and its tag grows by one over
  its weight; so over any stretch in which two lines wait all the time, their shares differ from their weights by less
  than one turn each. How much a caller has queued does not count.
* **Ageing** keeps the first rule from starving anyone: the first item of a line of lower priority that has stood still
  for ``promote_after`` seconds is promoted, that is, taken before those of higher priority; the line then waits anew.
  It is the line that ages, not the item: otherwise whoever has queued the most would soon have the most old items,
  and they would leave the other callers waiting. Every second turn at most goes to a promoted item, so that a crowd of
  them cannot shut out the others in their turn.

* **Who may not go yet is passed over**: whoever takes says of which items it is time, and is asked about the first of
  a line only. A caller's items of different *kinds* (models, that is) stand in lines of their own, so that a kind that
  must wait keeps none of another kind waiting.

A caller that comes back soon keeps the tag it left with, so that asking one at a time gains nothing. A new one begins
at the present virtual time, before the next turn of those that were just served. That time grows by one in a round of
all lines, those of callers that just left included: so ever new callers, each with a right to a turn of its own, make
the turns of an old one rarer, but cannot keep it waiting for ever.

Putting, taking and removing cost a few dictionary operations and one on a heap of lines; taking, one more for each line
that is passed over. Memory is proportional to what is queued.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, get_args

from nexus3.wire.requests import Priority

Item = TypeVar("Item", bound=Hashable)

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Highest first."""

_SPARE_LINES = 64
"""Empty lines that are always kept; beyond them, twice as many as items are queued."""


class FairQueue(Generic[Item]):
    """Items in the order of the rules above. An item is in it once at most, whatever its priority."""

    def __init__(self, *, promote_after: float, weights: Mapping[str, float] | None = None) -> None:
        """``promote_after`` in seconds. Callers without a weight have 1.0 each; those without a name are one caller."""
        self.promote_after = promote_after
        self.weights: Mapping[str, float] = weights or {}
        """Hold for lines that begin from now on."""
        self._levels = {priority: _Level[Item]() for priority in PRIORITIES}
        self._level_of: dict[Item, _Level[Item]] = {}
        self._lone: tuple[Item, str | None, Priority, float, str] | None = None
        """What was put into an empty queue, and not joined by another yet: it needs no line and no turn."""
        self._promoted_last = False

    def __len__(self) -> int:
        return len(self._level_of) if self._lone is None else 1

    def __contains__(self, item: object) -> bool:
        return item in self._level_of if self._lone is None else item is self._lone[0]

    def __iter__(self) -> Iterator[Item]:
        """Highest priority first, and in each the longest waiting first: not the order in which they are served."""
        if self._lone is not None:
            yield self._lone[0]
        for level in self._levels.values():
            yield from level.items

    def put(self, item: Item, caller: str | None, priority: Priority, now: float, kind: str = "") -> None:
        """Queue an item at the end of its caller's line of that kind."""
        assert item not in self, "an item is queued once"
        if self._lone is not None:
            lone, self._lone = self._lone, None
            self._put(*lone)
        elif not self._level_of:
            self._lone = (item, caller, priority, now, kind)
            return
        self._put(item, caller, priority, now, kind)

    def _put(self, item: Item, caller: str | None, priority: Priority, now: float, kind: str) -> None:
        weight = 1.0 if caller is None else self.weights.get(caller, 1.0)
        level = self._level_of[item] = self._levels[priority]
        level.put(item, (caller, kind), weight, now)

    def take(self, now: float, may_go: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """Remove and return the next item of those that may go; ``None`` where there is none."""
        if self._lone is not None:
            lone = self._lone[0]
            if not may_go(lone):
                return None
            self._lone = None
            self._promoted_last = False
            return lone
        levels = [level for level in self._levels.values() if level.items]
        # Each level with the line whose turn it is; the first has the highest priority.
        able = [(level, line) for level in levels if (line := level.next_line(may_go)) is not None]
        if not able:
            return None
        promoted = None if self._promoted_last else self._to_promote(able[1:], may_go, now)
        self._promoted_last = promoted is not None
        if promoted is not None:
            level, line = promoted
            taken = level.take_promoted(line, now)
        else:
            level, line = able[0]
            taken = level.take(line, now)
        del self._level_of[taken]
        return taken

    def _to_promote(
        self, able: Sequence[tuple["_Level[Item]", "_Line[Item]"]], may_go: Callable[[Item], bool], now: float
    ) -> tuple["_Level[Item]", "_Line[Item]"] | None:
        """Of the levels below the first, the line that has stood still for longest, if for long enough."""
        longest, longest_since = None, now - self.promote_after
        for level, _ in able:
            line, since = level.stillest(may_go)
            if since < longest_since or (longest is None and since == longest_since):
                longest, longest_since = (level, line), since
        return longest

    def remove(self, item: Item) -> bool:
        """Take an item out from wherever it stands; false where it is not in."""
        if self._lone is not None and self._lone[0] is item:
            self._lone = None
            return True
        level = self._level_of.pop(item, None)
        if level is None:
            return False
        level.remove(item)
        return True

    def least(self) -> tuple[Priority, Item] | None:
        """The item that is missed least, with its priority: of the lowest one that has any, the longest waiting."""
        if self._lone is not None:
            return self._lone[2], self._lone[0]
        for priority in reversed(PRIORITIES):
            for item in self._levels[priority].items:
                return priority, item
        return None


_Name = tuple[str | None, str]
"""A line's: caller and kind."""


class _Line(Generic[Item]):
    """What one caller has queued of one kind in one priority, first come first."""

    __slots__ = ("items", "name", "weight")

    def __init__(self, name: "_Name", weight: float) -> None:
        self.name = name
        self.weight = weight
        # Not a dict: finding the first key of one costs as much as keys were deleted before it.
        self.items: OrderedDict[Item, None] = OrderedDict()

    @property
    def first(self) -> Item:
        return next(iter(self.items))


class _Level(Generic[Item]):
    """The lines of one priority.

    An empty line stays in the heap until it would be served: then its caller owes nothing any more.
    """

    def __init__(self) -> None:
        self.items: OrderedDict[Item, _Line[Item]] = OrderedDict()
        """Each with its line, in the order of coming."""
        self._lines: dict[_Name, _Line[Item]] = {}
        self._still: OrderedDict[_Line[Item], float] = OrderedDict()
        """Lines with items, and since when each has not been served; the longest first."""
        self._heap: list[tuple[float, int, _Line[Item]]] = []
        """Each line once, by its tag; equal ones in the order of their last change."""
        self._weight = 0.0
        """Of all lines in the heap together."""
        self._time = 0.0
        """The virtual time, as it was when the last item was taken ..."""
        self._next_time = 0.0
        """... and as it will be, at least, for the next."""
        self._numbers = itertools.count()

    def stillest(self, may_go: Callable[[Item], bool]) -> tuple[_Line[Item], float]:
        """Of the lines that may go, the one that was not served for longest, and since when. There must be one."""
        return next((line, since) for line, since in self._still.items() if may_go(line.first))

    def put(self, item: Item, name: _Name, weight: float, now: float) -> None:
        line = self._lines.get(name) or self._begin_line(name, weight)
        if not line.items:
            self._still[line] = now
        line.items[item] = None
        self.items[item] = line

    def next_line(self, may_go: Callable[[Item], bool]) -> _Line[Item] | None:
        """Of the lines that may go, the one whose turn it is; it is at the top of the heap then."""
        passed_over: list[tuple[float, int, _Line[Item]]] = []
        found = None
        while self._heap and found is None:
            entry = self._heap[0]
            line = entry[2]
            if line.items and may_go(line.first):
                found = line
                break
            heapq.heappop(self._heap)
            if line.items:
                passed_over.append(entry)
            else:
                del self._lines[line.name]
                self._weight -= line.weight
        for tag, number, line in passed_over:
            # Who could not go did not save up turns: behind the one who could.
            entry = (tag, number, line) if found is None else (max(tag, self._heap[0][0]), next(self._numbers), line)
            heapq.heappush(self._heap, entry)
        return found

    def take(self, line: _Line[Item], now: float) -> Item:
        """The first item of the line that :meth:`next_line` has found, for its turn."""
        tag = self._heap[0][0]
        self._time = max(self._next_time, tag)
        self._next_time = self._time + 1 / self._weight
        heapq.heapreplace(self._heap, (tag + 1 / line.weight, next(self._numbers), line))
        return self._take_from(line, now)

    def take_promoted(self, line: _Line[Item], now: float) -> Item:
        """Out of turn, without a charge."""
        return self._take_from(line, now)

    def remove(self, item: Item) -> None:
        line = self.items.pop(item)
        del line.items[item]
        if not line.items:
            del self._still[line]
        self._begin_anew_if_empty()

    def _take_from(self, line: _Line[Item], now: float) -> Item:
        item, _ = line.items.popitem(last=False)
        del self.items[item]
        del self._still[line]
        if line.items:
            self._still[line] = now
        self._begin_anew_if_empty()
        return item

    def _begin_line(self, name: _Name, weight: float) -> _Line[Item]:
        if len(self._heap) > 2 * len(self.items) + _SPARE_LINES:
            self._drop_empty_lines()
        line = self._lines[name] = _Line[Item](name, weight)
        self._weight += weight
        heapq.heappush(self._heap, (self._time, next(self._numbers), line))
        return line

    def _drop_empty_lines(self) -> None:
        """Callers that never came back, or left before their turn, must not add up."""
        self._heap = [entry for entry in self._heap if entry[2].items]
        heapq.heapify(self._heap)
        self._lines = {line.name: line for _, _, line in self._heap}
        self._weight = sum(line.weight for line in self._lines.values())

    def _begin_anew_if_empty(self) -> None:
        """Where nobody waits, nobody owes; rounding errors end here too."""
        if not self.items:
            self._lines.clear()
            self._heap.clear()
            self._weight = self._time = self._next_time = 0.0
