"""Breaks the kernel on purpose, one small way at a time, and sees whether the tests notice.

    python scripts/mutants.py                  all of them: killed or survived, and a percentage
    python scripts/mutants.py --only 3 17      these
    python scripts/mutants.py --list

Works on a copy of the tree, one run of the tests at a time. The list is maintained with the code: a mutant whose text
is not found exactly once, or that is no Python, is an error, told before anything runs.
"""
# ruff: noqa: E501 - code is quoted as it stands

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Most of them for the forks' sake, which have imported them already: see `passes`.
import httpx  # noqa: F401
import msgspec  # noqa: F401
import pydantic  # noqa: F401
import pytest
import structlog  # noqa: F401
import trio  # noqa: F401

ROOT = Path(__file__).parents[1]
REQUIRED = 95.0
"""Per cent that must be killed."""
PATIENCE = 20
"""Seconds for one test; whichever needs more has hung, and has noticed by that."""

OUTPUT = "output.txt"
"""In the copy: what the last run of tests has printed."""

# Which tests must notice: the cheapest first, for the first failure ends the run.
SCHEDULES = "tests/schedules/test_schedules.py::test_every_request_ends_exactly_once_whatever_happens[0]"
RESILIENCE = "tests/actors/test_resilience.py"
PATH = "tests/actors/test_supervised_path.py"
PIPE = ("tests/actors/test_pipe.py",)
REPLY = ("tests/actors/test_reply.py", PATH, SCHEDULES)
FORWARD = ("tests/actors/test_forward.py", "tests/actors/test_forward_flush.py", PATH, SCHEDULES)
QUEUE = ("tests/actors/test_slot.py", "tests/actors/test_fair_queue.py", "tests/actors/test_mailbox.py")
MAILBOX = ("tests/actors/test_slot_time.py", "tests/actors/test_mailbox.py")
CONTROL = "tests/actors/test_control.py"
SLOT = ("tests/actors/test_slot.py", "tests/actors/test_slot_time.py", RESILIENCE, SCHEDULES)
ALARM = ("tests/actors/test_alarm.py", "tests/actors/test_slot_time.py")
FATE = ("tests/actors/test_fate.py",)
SPEND, HEDGE = "tests/actors/test_spend.py", "tests/actors/test_hedge.py"
GATES = ("tests/actors/test_gatekeeper.py", RESILIENCE)
WORK = ("tests/actors/test_exchange.py", "tests/actors/test_answer.py", RESILIENCE, PATH, SCHEDULES)
DESK = ("tests/actors/test_admission.py", RESILIENCE, "tests/actors/test_exchange.py", PATH, SCHEDULES)
WATCH = ("tests/actors/test_watch.py", "tests/actors/test_answer.py", "tests/actors/test_lag.py")
LAG = ("tests/actors/test_lag.py",)
SUPERVISION = ("tests/supervisor", "tests/config/test_supervisor_settings.py")


class Mutant(NamedTuple):
    """``old`` stands exactly once in ``file`` (under ``nexus3/``) and becomes ``new``."""

    file: str
    tests: tuple[str, ...]
    what: str
    old: str
    new: str


def broken(file: str, tests: tuple[str, ...], *ways: tuple[str, str, str]) -> list[Mutant]:
    """Mutants of one file: each way says what goes wrong, the text as it stands, and the text that it becomes."""
    return [Mutant(file, tests, *way) for way in ways]


# One mutant a line, or three.
# fmt: off
MUTANTS: tuple[Mutant, ...] = (
    *broken(
        "actors/ticket.py",
        WORK,
        ("attempts are not counted", "        self.attempts += 1\n", "        self.attempts = 1\n"),
        ("attempts at this place are not counted", "        self.attempts_here += 1\n", "        self.attempts_here = 1\n"),
        ("what was told is told again", "        if self._pipe.offer(self.untold):\n            self.untold = []\n", "        self._pipe.offer([*self.untold])\n"),
    ),
    *broken(
        "actors/ticket.py",
        REPLY,
        ("first no longer wins",
         "        if self.terminal is not None:\n            return False\n        self.terminal = terminal",
         "        self.terminal = terminal"),
        ("settle leaves the pipe open", "        self._pipe.close()\n", ""),
        ("settle does not stop the work", '            self.scope.cancel(reason="the request is settled")', "            pass"),
        ("settle forgets the ledger", "            self.on_settled(self)", "            pass"),
        ("the stall timeout is another", "with trio.move_on_after(stall_timeout):", "with trio.move_on_after(stall_timeout * 9):"),
        ("a full buffer loses events",
         "        if self._pipe.offer(events):\n            return\n",
         "        self._pipe.offer(events)\n        return\n"),
        ("a full buffer is delivered twice",
         "                await self._pipe.put(events)\n",
         "                await self._pipe.put(events)\n                self.offer(events)\n"),
        ("work goes on when its reader has left", "                await trio.sleep_forever()\n", "                pass\n"),
        ("failures lose the partial answer's flag", "emitted=ticket.emitted,", "emitted=False,"),
        ("failures lose the partial answer", "partial or (decoder.partial() if ticket.emitted else None)", "partial"),
        ("what was held back is shown as partial", "(decoder.partial() if ticket.emitted else None)", "decoder.partial()"),
        ("failures lose the usage", "        usage = usage or decoder.usage\n", ""),
        ("who waits in the queue is told of a provider", "    if not ticket.attempts:\n", "    if False:\n"),
    ),
    *broken(
        "actors/pipe.py",
        PIPE,
        ("one more than the bound", "len(self._batches) >= self.capacity", "len(self._batches) > self.capacity"),
        ("a closed pipe takes more", "if self._closed or self._left or len(", "if self._left or len("),
        ("a pipe whose reader has left takes more", "if self._closed or self._left or len(", "if self._closed or len("),
        ("what is put wakes nobody",
         "            self._batches.append(batch)\n            self._wake_taker()\n",
         "            self._batches.append(batch)\n"),
        ("what is passed over is kept all the same", "        if not self._unread:\n", "        if True:\n"),
        ("a putter waits for a reader that has left",
         "            if self._closed or self._left:\n                raise trio.BrokenResourceError",
         "            if self._closed:\n                raise trio.BrokenResourceError"),
        ("a putter waits at a closed pipe",
         "            if self._closed or self._left:\n                raise trio.BrokenResourceError",
         "            if self._left:\n                raise trio.BrokenResourceError"),
        ("a second putter takes the first one's place",
         "            if self._putter is not None:\n                raise trio.Busy",
         "            if False:\n                raise trio.Busy"),
        ("a second taker takes the first one's place",
         "        if self._taker is not None:\n            raise trio.Busy",
         "        if False:\n            raise trio.Busy"),
        ("closing does not wake the taker", "        self._closed = True\n        self._wake_taker()\n", "        self._closed = True\n"),
        ("closing does not wake the putter",
         "        self._wake_taker()\n        self._wake_putter()\n\n    # -- the reader's end",
         "        self._wake_taker()\n\n    # -- the reader's end"),
        ("the end comes before what is in",
         "        if self._batches:\n            batch",
         "        if self._batches and not self._closed:\n            batch"),
        ("the last comes first", "self._batches.popleft()", "self._batches.pop()"),
        ("room wakes nobody",
         "            if self._putter is not None:\n                self._wake_putter()\n            return batch",
         "            return batch"),
        ("who takes after leaving waits for ever", "        if self._left:\n            raise trio.ClosedResourceError\n", ""),
        ("passing over keeps what is in", "        self._unread = True\n        self._batches.clear()\n", "        self._unread = True\n"),
        ("passing over leaves the putter waiting",
         "        self._unread = True\n        self._batches.clear()\n        self._wake_putter()\n",
         "        self._unread = True\n        self._batches.clear()\n"),
        ("passing over holds for what is in only", "        self._unread = True\n", ""),
        ("leaving is not noted", "        self._left = True\n", ""),
        ("leaving keeps what is in", "        self._left = True\n        self._batches.clear()\n", "        self._left = True\n"),
        ("leaving does not wake the putter",
         "        self._left = True\n        self._batches.clear()\n        self._wake_putter()\n",
         "        self._left = True\n        self._batches.clear()\n"),
        ("leaving does not wake the taker", "        self._wake_putter()\n        self._wake_taker()\n", "        self._wake_putter()\n"),
        ("a taker is woken twice", "            task, self._taker = self._taker, None\n", "            task = self._taker\n"),
        ("a putter is woken twice", "            task, self._putter = self._putter, None\n", "            task = self._putter\n"),
        ("a cancelled taker is not forgotten", "        self._taker = None\n        return trio", "        return trio"),
        ("a cancelled putter is not forgotten", "        self._putter = None\n        return trio", "        return trio"),
    ),
    *broken(
        "actors/reply/stream.py",
        REPLY,
        ("leaving a stream does not end its request", "        if self._ticket.terminal is None:\n            self._ticket.fail(_CALLER_LEFT)\n", ""),
        ("a closed stream goes on", "                if self._closed:\n                    raise trio.ClosedResourceError\n", ""),
        ("a dropped stream goes on", "            ticket.token.run_sync_soon(_abandon, ticket, self._pipe)", "            pass"),
        ("a finished stream may not be dropped", "if ticket is None or ticket.terminal is not None or", "if ticket is None or"),
        ("the terminal comes again and again", "        self._over = True\n", ""),
        ("an event is given twice", "        self._next += 1\n", ""),
        ("an event in hand is left out", "            self._next = at + 1\n", "            self._next = at + 2\n"),
        ("a request is submitted again with each batch", "            begin, self._begin = self._begin, None\n", "            begin = self._begin\n"),
        ("who reads without a block waits for nothing", "                if self._begin is not None:\n                    self._start()\n", ""),
        ("a large batch never gives the scheduler its turn",
         "                await trio.lowlevel.checkpoint()\n                self._turn = YIELD_EVERY\n            else",
         "                self._turn = YIELD_EVERY\n            else"),
        ("many small batches never give the scheduler its turn",
         "                if not self._turn:\n                    await trio.lowlevel.checkpoint()\n",
         "                if not self._turn:\n"),
        ("events are not counted against the turn", "            self._turn -= self._free - self._next\n", ""),
        ("who wants the end only reads on the way", "            self._pipe.pass_over()\n", ""),
        ("completing leaves the request alive when it is cancelled",
         "            return terminal\n        finally:\n            self.close()\n",
         "            return terminal\n        finally:\n            pass\n"),
        ("a failure is returned like a success",
         "            if isinstance(terminal, StreamFailed):\n                raise",
         "            if False:\n                raise"),
        ("streams for people tell instead of raising", "if self._raises and isinstance", "if False and isinstance"),
        ("the rest lacks what is in hand", "        events = self._batch[self._next :]\n", "        events: Batch = []\n"),
        ("the rest has no terminal", "            events.append(self._terminal())\n", "            pass\n"),
    ),
    *broken(
        "actors/reply/forward.py",
        FORWARD,
        ("the brought channel is left open", "    with reply_to:\n", "    if True:\n"),
        ("the stream is left open", "            stream.close()\n", ""),
        ("no dead letter", "            if not delivered:\n", "            if False:\n"),
        ("a dead letter though all was read", "                delivered = True\n", "                pass\n"),
        ("a full channel waits for ever", "with trio.move_on_after(stall_timeout) as stall:", 'with trio.move_on_after(float("inf")) as stall:'),
        ("a full channel is skipped", "        return not stall.cancelled_caught\n", ""),
        ("a full channel is not told as such",
         '                    ticket.fail(\n                        fail("slow_consumer"',
         '                    (lambda _: None)(\n                        fail("slow_consumer"'),
        ("nothing is flushed at the block's end", "            delivered = _flush([*in_hand, *stream.rest()], reply_to)\n", ""),
        ("the event in hand is lost at the block's end", "_flush([*in_hand, *stream.rest()], reply_to)", "_flush(stream.rest(), reply_to)"),
        ("an end without a terminal passes for delivered",
         "    return bool(events) and isinstance(events[-1], StreamComplete | StreamFailed)\n",
         "    return True\n"),
    ),
    *broken(
        "actors/slot/mailbox.py",
        MAILBOX,
        ("the reaper forgets to settle",
         "            self.remove(ticket)\n            ticket.fail(out_of_time(ticket))\n",
         "            self.remove(ticket)\n"),
        ("one more than there is room for", "len(self) >= self.capacity + free_places", "len(self) > self.capacity + free_places"),
        ("free places are no room", "len(self) >= self.capacity + free_places", "len(self) >= self.capacity"),
        ("settled tickets keep their room",
         "        elif not self._queue.remove(ticket):\n            return\n",
         "        else:\n            return\n"),
        ("what waits for later stays when it is settled", "        elif ticket in self._postponed:\n            del self._postponed[ticket]\n", ""),
        ("what was put back does not expire",
         "        heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))\n",
         "        if not ticket.crashes:\n            heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))\n"),
        ("what is put back goes last", "            self._returned.move_to_end(ticket, last=False)\n", ""),
        ("what waits for later has no room of its own",
         "len(self._returned) + len(self._postponed) + len(self._queue)",
         "len(self._returned) + len(self._queue)"),
        ("what waits for later never comes", "        if self._postponed:\n            self._bring_back(now)\n", ""),
        ("what waits for later comes at once", "        while self.next_due() <= now:\n", "        while self._due:\n"),
        ("who left before its time comes back",
         "        while self._due and self._postponed.get(self._due[0][2]) != self._due[0][1]:\n",
         "        while self._due and self._due[0][2] not in self._postponed and False:\n"),
        ("an expired ticket is handed out", "            if ticket.deadline > now:\n", "            if True:\n"),
        ("who may not go keeps an expired one behind", "each.deadline <= now or may_go(each)", "may_go(each)"),
        ("a caller's count only grows", "        left = self._by_caller[ticket.caller] - 1\n", "        left = self._by_caller[ticket.caller]\n"),
        ("a caller has no cap", "        if self.per_caller is not None and self", "        if False and self"),
        ("who comes with a lower priority sheds a higher one",
         "                if PRIORITIES.index(newcomer.request.priority) > PRIORITIES.index(priority):\n                    return False\n",
         ""),
        ("what is shed is not told", "                shed.fail(_SHED)\n", ""),
        ("room that was taken meanwhile is used", "                return len(self) < depth\n", "                return True\n"),
        ("deadlines of those that left add up", "        if len(self._deadlines) > _SPARE_DEADLINES + 2 * len(self):\n", "        if False:\n"),
    ),
    *broken(
        "actors/slot/fair_queue.py",
        QUEUE,
        ("a line is served from its end", "        item, _ = line.items.popitem(last=False)\n", "        item, _ = line.items.popitem(last=True)\n"),
        ("taking forgets an item's priority", "            level, line = able[0]\n", "            level, line = able[-1]\n"),
        ("nobody is promoted", "promoted = None if self._promoted_last else self._to_promote(able[1:], may_go, now)", "promoted = None"),
        ("those who are promoted shut out the others", "promoted = None if self._promoted_last else self._to", "promoted = self._to"),
        ("weights do not count", "(tag + 1 / line.weight, next", "(tag + 1, next"),
        ("a turn is free", "(tag + 1 / line.weight, next", "(tag, next"),
        ("a newcomer has all turns that it missed",
         "heapq.heappush(self._heap, (self._time, next(self._numbers), line))",
         "heapq.heappush(self._heap, (0.0, next(self._numbers), line))"),
        ("the time stands still for ever new callers",
         "        self._next_time = self._time + 1 / self._weight\n",
         "        self._next_time = self._time\n"),
        ("who could not go has saved up its turns", "(max(tag, self._heap[0][0]), next(self._numbers), line)", "(tag, number, line)"),
        ("who could not go loses its place", "            heapq.heappush(self._heap, entry)\n", "            pass\n"),
        ("items grow old, not lines",
         "        del self._still[line]\n        if line.items:\n            self._still[line] = now\n        self._begin",
         "        if not line.items:\n            del self._still[line]\n        self._begin"),
        ("empty lines add up", "        if len(self._heap) > 2 * len(self.items) + _SPARE_LINES:\n", "        if False:\n"),
        ("old debts are kept when nobody waits",
         "        if not self.items:\n            self._lines.clear()",
         "        if False:\n            self._lines.clear()"),
        ("a lone item goes before its time", "            if not may_go(lone):\n                return None\n", ""),
        ("a lone item stays when it is removed",
         "        if self._lone is not None and self._lone[0] is item:\n            self._lone = None\n",
         "        if self._lone is not None and self._lone[0] is item:\n"),
        ("a lone item is lost when another comes", "            self._put(*lone)\n", "            pass\n"),
        ("the newest of the lowest is missed least",
         "            for item in self._levels[priority].items:\n",
         "            for item in reversed(self._levels[priority].items):\n"),
    ),
    *broken(
        "actors/slot/slot.py",
        SLOT,
        ("a closed slot takes requests", "        if self._closed is not None:\n            self.give_up", "        if False:\n            self.give_up"),
        ("a parked slot takes requests", '        elif self.state == "parked":\n', "        elif False:\n"),
        ("a retired generation is given work", "        self.dispatch.start = None\n        self._retired.set()", "        self._retired.set()"),
        ("a dying generation is given work",
         '        if ticket.state == "running":\n',
         "        if False:\n"),
        ("who is let go keeps its stake until its work ends",
         "        self.dispatch.take_stake(ticket)\n        self.ledger.let_go",
         "        self.ledger.let_go"),
        ("who is let go stays in the ledger", "        self.ledger.let_go(ticket)\n", ""),
        ("places are served while nobody is ready", 'self.places.is_served = state == "ready"', "self.places.is_served = True"),
        ("a settled ticket moves on",
         "        if ticket.terminal is None and not self.move_on(ticket, failure):\n",
         "        if not self.move_on(ticket, failure):\n"),
        ("nobody moves on", "        if ticket.terminal is None and not self.move_on(ticket, failure):\n", "        if ticket.terminal is None:\n"),
        ("the last one's end turns off the alarm for the stuck",
         "        if not self.places.leaving:\n            self._alarm.off()\n",
         "        self._alarm.off()\n"),
        ("an idle slot has an alarm", "        if not self.places.leaving:\n            self._alarm.off()\n", "        pass\n"),
        ("who is resumed sleeps on",
         '        self._log(catalog.ACTOR_RESUMED, {"actor": self.name})\n        self.dispatch.wake()\n',
         '        self._log(catalog.ACTOR_RESUMED, {"actor": self.name})\n'),
        ("new settings do not retire the old generation", "        self._retired.set()\n", ""),
        ("the old generation is not woken for its end", "        self._retired.set()\n        self.dispatch.wake()\n", "        self._retired.set()\n"),
        ("new settings do not reach the gates", "        self.gates.reconfigure(provider, trio.current_time())\n", ""),
        ("the stake is not given back",
         "        self.free_place(ticket)\n        self.dispatch.take_stake(ticket)\n",
         "        self.free_place(ticket)\n"),
        ("an old fault ends the new incarnation",
         "                self.fault = trio.Event()\n            case",
         "                pass\n            case"),
        ("a restart recovers nothing",
         "                self.restarts += 1\n                self.ledger.recover()\n",
         "                self.restarts += 1\n"),
        ("state that may be the cause of crashes is kept",
         "                    self.gates.forget(self.provider, now)\n",
         "                    pass\n"),
        ("the first crash makes all state suspect", "                if now - self._crashed_at < SUSPECT_WITHIN:\n", "                if True:\n"),
        ("crashes long apart make all state suspect",
         "                if now - self._crashed_at < SUSPECT_WITHIN:\n",
         "                if self._crashed_at > -math.inf:\n"),
        ("parking recovers nothing",
         "                self._log(catalog.ACTOR_PARKED, which)\n                self.ledger.recover()\n",
         "                self._log(catalog.ACTOR_PARKED, which)\n"),
        ("parking forgets the queue",
         "                for ticket in self.mailbox.waiting():\n                    self.give_up(ticket, _PARKED)\n",
         ""),
        ("the next alarm forgets the mailbox",
         "return min(self.mailbox.earliest(), self.dispatch.opens_at, self.ledger.next_end())",
         "return min(self.dispatch.opens_at, self.ledger.next_end())"),
        ("the next alarm forgets the gates",
         "return min(self.mailbox.earliest(), self.dispatch.opens_at, self.ledger.next_end())",
         "return min(self.mailbox.earliest(), self.ledger.next_end())"),
        ("the next alarm forgets the ledger",
         "return min(self.mailbox.earliest(), self.dispatch.opens_at, self.ledger.next_end())",
         "return min(self.mailbox.earliest(), self.dispatch.opens_at)"),
        ("nothing that hangs is ended", "        self.ledger.stop_hanging(now)\n", ""),
        ("a slot that is idle once a place is free has an alarm",
         "        if not (self.places.holders or self.ledger.tickets):\n            self._became_idle()\n",
         ""),
        ("an idle slot expects its gates to open", "        self.dispatch.opens_at = math.inf\n", ""),
        ("places are not given back", "        self.free_place(ticket)\n", ""),
        ("a free place wakes nobody", "        self.places.give_back(ticket)\n        if self.mailbox:\n", "        self.places.give_back(ticket)\n        if False:\n"),
        ("new settings do not change the number of places", "        self.places.count = provider.limits.max_connections\n", ""),
        ("new settings do not reach the ledger", "self.provider = self.ledger.provider = provider", "self.provider = provider"),
        ("the ledger does not hear of generations", "self.generation = self.ledger.generation = self.generation + 1", "self.generation += 1"),
    ),
    *broken(
        "actors/slot/ledger.py",
        SLOT,
        ("who is let go stays in the mailbox",
         "        self._mailbox.remove(ticket)\n        if not self.tickets:\n            self._idle.set()\n            self._on_idle()",
         "        if not self.tickets:\n            self._idle.set()\n            self._on_idle()"),
        ("a slot that lets the last one go is not drained",
         "            self._idle.set()\n            self._on_idle()",
         "            self._on_idle()"),
        ("a slot that lets the last one go keeps its alarm",
         "            self._idle.set()\n            self._on_idle()",
         "            self._idle.set()"),
        ("settle_all settles one",
         "            ticket.fail(reason)\n\n    async def drained",
         "            ticket.fail(reason)\n            break\n\n    async def drained"),
        ("a second wait for a drain hides the first", "            if self._idle.is_set():  #", "            if True:  #"),
        ("no alarm for a new ticket",
         '        self._alarm.by(ticket.deadline)\n        self._counters["accepted"] += 1\n',
         '        self._counters["accepted"] += 1\n'),
        ("no alarm for a ticket from another slot",
         '        self._alarm.by(ticket.deadline)\n        ticket.state = "queued"\n',
         '        ticket.state = "queued"\n'),
        ("no alarm for a ticket that is put back",
         '        self._alarm.by(ticket.deadline)\n        self._counters["requeued"] += 1\n',
         '        self._counters["requeued"] += 1\n'),
        ("the backstop has no grace", "            if ticket.deadline + BACKSTOP_GRACE <= now:\n", "            if ticket.deadline <= now:\n"),
        ("no alarm for who was told to end",
         "            self._alarm.by(self._places.told_to_leave(ticket, now))\n",
         "            self._places.told_to_leave(ticket, now)\n"),
        ("a slot whose last ticket was settled has an alarm", "        elif not self.tickets:\n            self._on_idle()\n", ""),
        ("who only waited is part of a crash",
         'for ticket in self.tickets.values() if ticket.state == "running"]',
         "for ticket in self.tickets.values()]"),
        ("what is put back loses its order", "        for ticket in reversed(running):\n", "        for ticket in running:\n"),
        ("crashes are not counted", "            ticket.crashes += 1\n", ""),
        ("requeue is forgotten", "                self._requeue(ticket)\n", "                pass\n"),
        ("a crash's end is not told", "            else:\n                ticket.fail(failure)\n        self._places.holders", "        self._places.holders"),
        ("the dead incarnation holds its places", "        self._places.holders.clear()\n", ""),
        ("double billing is not told", "        if ticket.sent:\n            ticket.pending", "        if False:\n            ticket.pending"),
        ("what is put back counts as running", '        ticket.scope = None\n        ticket.state = "queued"\n', "        ticket.scope = None\n"),
        ("settled tickets stay in the ledger",
         "        self.tickets.pop(ticket.id, None)\n        self._mailbox.remove(ticket)\n        now",
         "        self._mailbox.remove(ticket)\n        now"),
        ("settled tickets stay in the mailbox", "        self._mailbox.remove(ticket)\n        now", "        now"),
        ("a drained slot says nothing", "            self._idle.set()\n        if ticket in", "            pass\n        if ticket in"),
        ("who is let go stays on the books",
         "        self.tickets.pop(ticket.id, None)\n        self._mailbox.remove(ticket)\n        if not",
         "        self._mailbox.remove(ticket)\n        if not"),
        ("the ledger's next end forgets the backstop",
         "return min(self._places.next_stuck(), *ends, math.inf)",
         "return self._places.next_stuck()"),
        ("the ledger's next end forgets who may be stuck",
         "return min(self._places.next_stuck(), *ends, math.inf)",
         "return min(*ends, math.inf)"),
        ("nobody is stuck", "        for ticket in self._places.stuck(now):\n", "        for ticket in ():\n"),
    ),
    *broken(
        "actors/slot/dispatch.py",
        SLOT,
        ("the gates are not asked at the door",
         "        if isinstance(verdict, Refuse):\n            self._counters",
         "        if False and isinstance(verdict, Refuse):\n            self._counters"),
        ("a free place is taken before those who wait", "verdict is PASS and not self._mailbox:", "verdict is PASS:"),
        ("a free place is taken though the gates say wait", "self.start is not None and verdict is PASS and not", "self.start is not None and not"),
        ("more places are taken than there are", "        if at_once and free and self.start is not None", "        if at_once and self.start is not None"),
        ("the way to a free place is through the mailbox", "        if at_once and free and self.start is not None", "        if at_once and not free and self.start is not None"),
        ("free places are no room", "self._mailbox.put(ticket, free)", "self._mailbox.put(ticket)"),
        ("new mail wakes nobody", "            self._said_full = False\n            self._work.set()\n", "            self._said_full = False\n"),
        ("the gates open, and nobody wakes",
         "            self.opens_at = math.inf\n            self._work.set()\n",
         "            self.opens_at = math.inf\n"),
        ("who moves begins before its last attempt has ended", "        if at_once and free and", "        if free and"),
        ("a cancelled generation serves on", "            if not (places.is_paused or places.is_ending) and", "            if not places.is_paused and"),
        ("a paused slot serves on", "            if not (places.is_paused or places.is_ending) and len(places.holders)", "            if len(places.holders)"),
        ("one place too many",
         "len(places.holders) < places.count",
         "len(places.holders) <= places.count"),
        ("a smaller request slips past a larger one of its model", "            if ticket.model in waiting or ticket.caller in waiting_callers:\n                return False\n", ""),
        ("one model's wait is all models'", "            if ticket.model in waiting or", "            if waiting or"),
        ("nobody wakes when the gates open", "                        opens_at = min(opens_at, until)\n", "                        pass\n"),
        ("who waits hides when others may go",
         "        self._open_at(min(opens_at, self._mailbox.next_due()))\n",
         "        self._open_at(opens_at)\n"),
        ("a refused one waits for its deadline",
         "                    refused[ticket] = failure\n                    return True\n",
         "                    return False\n"),
        ("a retry's refusal hides what went wrong",
         "            self._give_up(ticket, ticket.attempt_failure or failure)\n        self._open_at",
         "            self._give_up(ticket, failure)\n        self._open_at"),
        ("retries earn as much as new requests", "is_first=not ticket.attempts)", "is_first=True)"),
        ("what runs is not known as running", '        ticket.state = "running"\n', ""),
        ("the next attempt counts as sent before it is", "        ticket.sent = False  # what an", "        pass  # what an"),
        ("a ticket that runs holds no place", "        self._places.holders.add(ticket)\n", ""),
        ("every attempt begins the wait anew", "ticket.started_at = ticket.started_at or now", "ticket.started_at = now"),
        ("a wait is begun that cannot end in time", "return within(verdict, min(ticket.deadline, ticket.patience) - MIN_ATTEMPT)", "return verdict"),
        ("the caller's own deadline is not looked at", "min(ticket.deadline, ticket.patience) - MIN_ATTEMPT", "ticket.deadline - MIN_ATTEMPT"),
        ("the alarm is not set for the gates", "        self.opens_at = time\n        self._alarm.by(time)\n", "        self.opens_at = time\n"),
        ("a settled ticket waits for its retry",
         '        if ticket.terminal is not None:\n            return\n        ticket.state = "queued"\n',
         '        ticket.state = "queued"\n'),
        ("what waits for its retry counts as running",
         '            return\n        ticket.state = "queued"\n        ticket.scope',
         "            return\n        ticket.scope"),
        ("a retry comes at once", "        self._mailbox.put_back(ticket, due)\n", "        self._mailbox.put_back(ticket)\n"),
        ("nobody wakes for a retry", "        self._open_at(min(self.opens_at, due))\n", ""),
        ("a retry hides who is due before it", "        self._open_at(min(self.opens_at, due))\n", "        self._open_at(due)\n"),
        ("the stake is given back twice", "        stake, ticket.stake = ticket.stake, None\n", "        stake = ticket.stake\n"),
        ("what was interrupted counts as a success",
         "        if failure is None and not isinstance(terminal, StreamComplete):\n",
         "        if False:\n"),
        ("what was used is not told to the gates",
         "            _usage_of(ticket),\n",
         "            None,\n"),
        ("our own stall is told as the provider's", "            lag=ticket.lag,\n", ""),
        ("who cannot wait for the end of a cooldown waits all the same",
         "        if begins_to_cool:\n            self._turn_away(stake.model)\n",
         ""),
    ),
    *broken(
        "actors/slot/places.py",
        SLOT,
        ("a paused slot counts its places as room", "        if self.is_paused or self", "        if self"),
        ("a cancelled generation counts its places as room", "        if self.is_paused or self.is_ending or", "        if self.is_paused or"),
        ("a slot without an incarnation counts its places as room",
         "self.is_ending or not self.is_served:\n",
         "self.is_ending:\n"),
        ("who ended in time is called stuck", "        self.leaving.pop(ticket, None)\n", ""),
        ("a second wait for rest hides the first", "            if self._rest.is_set():", "            if True:"),
        ("nobody hears that all places are free", "            self._rest.set()\n", "            pass\n"),
        ("all that leave are stuck at once", " in self.leaving.items() if end <= now]", " in self.leaving.items()]"),
        ("the stuck are told again and again", "            del self.leaving[ticket]\n", "            pass\n"),
        ("who was told to end is not watched", "        self.leaving[ticket] = end = now + CANCEL_GRACE\n", "        end = now + CANCEL_GRACE\n"),
    ),
    *broken(
        "actors/slot/slot.py",
        ("tests/actors/test_slot.py", "tests/actors/test_route.py", RESILIENCE),
        ("a paused slot is able", "            and not self.places.is_paused\n", ""),
        ("a closed slot is able", "            and self._closed is None\n", ""),
        ("a parked slot is able",
         '            self.state in ("starting", "ready", "restarting")\n            and',
         "            True\n            and"),
        ("a full slot is able", '            and (not self.mailbox.is_full(self.places.free) or self.provider.limits.on_full == "wait")\n', ""),
        ("a full slot that lets all wait is not able", ' or self.provider.limits.on_full == "wait")', ")"),
        ("a slot whose breaker is open is able", '            and self.gates.breaker.state != "open"\n', ""),
        ("a slot without a key is able", "            and self.provider.unconfigured is None\n", ""),
    ),
    *broken(
        "actors/slot/alarm.py",
        ALARM,
        ("a later time puts the alarm off", "        if time < self.at:\n            self._set(time)\n", "        self._set(time)\n"),
        ("an earlier time is not noted", "        if time < self.at:\n            self._set(time)\n", "        pass\n"),
        ("who waits already is not told", "        self.at = self._wait.deadline = time\n", "        self.at = time\n"),
        ("the alarm cannot be turned off", "            self._set(math.inf)\n", "            pass\n"),
        ("it is turned off by a clock that runs", "        if self._is_virtual and self.at", "        if self.at"),
        ("what was set before it ran is forgotten", "trio.CancelScope(deadline=self.at) as self._wait", "trio.CancelScope() as self._wait"),
        ("it rings once",
         "                self.at = ring(trio.current_time())\n",
         "                ring(trio.current_time())\n                self.at = math.inf\n"),
        ("it cannot be stopped", '        self._running.cancel(reason="the slot is closed")\n', "        pass\n"),
    ),
    *broken(
        "actors/slot/fate.py",
        FATE,
        ("nothing is poison", "    if ticket.crashes >= 2:\n", "    if False:\n"),
        ("the third crash is one too many", "    if ticket.crashes >= 2:\n", "    if ticket.crashes >= 3:\n"),
        ("what was seen is repeated", "    if ticket.emitted:\n", "    if False:\n"),
        ("what may not be sent twice is", "    if ticket.sent and not retry_unsafe:\n", "    if False:\n"),
        ("what was not sent is not sent", "    if ticket.sent and not retry_unsafe:\n", "    if not retry_unsafe:\n"),
        ("poison may be sent again", "retryable=False, phase=phase)", "retryable=True, phase=phase)"),
    ),
    *broken(
        "actors/gates/gatekeeper.py",
        GATES,
        ("the breaker is not asked", "[self.breaker.ask(now), state", "[PASS, state"),
        ("the cooldown is not asked", "self.breaker.ask(now), state.cooldown.ask(now)", "self.breaker.ask(now), PASS"),
        ("the provider's rates are not asked",
         "in (self._rates, state.rates) if rates",
         "in (state.rates,) if rates"),
        ("the model's rates are not asked",
         "in (self._rates, state.rates) if rates",
         "in (self._rates,) if rates"),
        ("a limited rate hides the others", "            verdicts += [rates", "            verdicts = [rates"),
        ("requests earn no retries", "        if is_first:\n            self._budget", "        if False:\n            self._budget"),
        ("retries earn retries", "        if is_first:\n            self._budget", "        if True:\n            self._budget"),
        ("what runs is not counted", "        state.running += 1\n", ""),
        ("nothing is taken from the provider's rates", "            self._rates.begin(estimate, now)\n", ""),
        ("nothing is taken from the model's rates", "            state.rates.begin(estimate, now)\n", ""),
        ("a probe's first content is no success", "        change = self.breaker.answered(stake.permit, now)\n", "        change = None\n"),
        ("nothing is learned from headers",
         "        for news in state.rates.learn(stated, now):\n            self._tell_learned(stake.model, news)\n",
         ""),
        ("the breaker hears nothing of the end",
         "change = self.breaker.ended(stake.permit, judged(failure, time_given=time_given, lag=lag), now, self._rng)",
         "change = None"),
        ("our own stall counts", "judged(failure, time_given=time_given, lag=lag)", "judged(failure, time_given=time_given)"),
        ("every failure is the provider's",
         "judged(failure, time_given=time_given, lag=lag)",
         'judged(failure and msgspec.structs.replace(failure, kind="server", status=500), time_given=time_given)'),
        ("what ended runs on", "        state.running -= 1\n", ""),
        ("what was refused is paid for",
         "was_served = sent and not (failure is not None and failure.status is not None and failure.status >= 400)",
         "was_served = sent"),
        ("what was not sent is paid for", "was_served = sent and not (", "was_served = not ("),
        ("the provider's rates are not put right", "for rates in (self._rates, state.rates):", "for rates in (state.rates,):"),
        ("the model's rates are not put right", "for rates in (self._rates, state.rates):", "for rates in (self._rates,):"),
        ("estimates never get better", "                state.estimator.learn(stake.ask.size, usage)\n", "                pass\n"),
        ("no cooldown", "        cooling = state.cooldown.ended(stake.stretch, failure, now)\n", "        cooling = None\n"),
        ("a cooldown's beginning is not told", 'return cooling is not None and cooling.what == "cooling"', "return False"),
        ("a cooldown's end is told as a beginning", 'return cooling is not None and cooling.what == "cooling"', "return cooling is not None"),
        ("the budget is boundless", '        return outcome == "granted"\n', "        return True\n"),
        ("new settings leave the old breaker", '        stays."""\n        self._open_anew(provider, now)\n', '        stays."""\n'),
        ("suspect state stays",
         '        """The actor crashes again and again: state that outlives a crash may be its cause. Cooldowns stay."""\n        self._open_anew(provider, now)\n',
         '        """Models only."""\n'),
        ("suspect state of models stays", "            model.forget(now)\n", "            pass\n"),
        ("models add up", "                for key in idle:\n                    del self._models[key]\n", ""),
        ("a model in use is forgotten", "if not each.running and each.cooldown.is_idle(now)]", "if each.cooldown.is_idle(now)]"),
        ("a cooldown is forgotten with its model", "if not each.running and each.cooldown.is_idle(now)]", "if not each.running]"),
    ),
    *broken(
        "actors/admission.py",
        DESK,
        ("an unknown model is left alone", "            ticket.fail(found)\n            return\n", "            return\n"),
        ("a request may be sent twice",
         '            self._dead_letter(ticket, "submitted_twice")\n            return\n',
         '            self._dead_letter(ticket, "submitted_twice")\n'),
        ("a request whose reader has left is admitted", "            return  # its reader had left", "            pass  # its reader had left"),
        ("the caller's own deadline is no hint", "        ticket.patience = trio.current_effective_deadline()\n", ""),
        ("the request's timeout is not looked at", "(ticket.request.timeout or slot.provider.request_timeout)", "slot.provider.request_timeout"),
        ("the request's own fallbacks are not looked at", "            ticket.fallbacks = list(ticket.asked.fallbacks)\n", "            pass\n"),
        ("the model's fallbacks are not looked at", "            ticket.fallbacks = list(route.settings.fallbacks)\n", "            pass\n"),
        ("content falls back", "may_fall_back(failure, emitted=ticket.emitted)", "may_fall_back(failure, emitted=False)"),
        ("a closing supervisor sends requests on",
         "if not ticket.fallbacks or self._refusal is not None or not may",
         "if not ticket.fallbacks or not may"),
        ("the last fallback comes first", "ticket.fallbacks.pop(0)", "ticket.fallbacks.pop()"),
        ("a request goes on where nobody is able",
         "            if not there.is_able and ticket.fallbacks:\n                continue",
         "            if False:\n                continue"),
        ("the last fallback is not tried where it is not able",
         "            if not there.is_able and ticket.fallbacks:\n",
         "            if not there.is_able:\n"),
        ("the reader is not told of the move",
         "            ticket.untold.append(FallbackSelected(route.provider, route.model_id, error))\n",
         ""),
        ("what it fell back from is forgotten",
         "            ticket.before = (*ticket.before, msgspec.structs.replace(error.failure, before=()))\n",
         ""),
        ("what it fell back from is told over and over",
         "msgspec.structs.replace(error.failure, before=()))\n",
         "error.failure)\n"),
        ("the address stays", "                here.let_go(ticket)\n            _send_to(ticket, route)\n", "                here.let_go(ticket)\n"),
        ("attempts do not begin anew", "            ticket.attempts_here = ticket.timeouts_here = 0\n", ""),
        ("the old place's failure goes along",
         "            ticket.attempt_failure = ticket.decoder = ticket.scope = None\n",
         "            ticket.decoder = ticket.scope = None\n"),
        ("the move ends at the second place", "            there.move_on = self._move_on\n", ""),
        ("nobody takes over", "            there.take_over(ticket)\n", ""),
        ("the channel's caller is not noted", "                ticket.caller = ticket.caller or caller\n", ""),
        ("a drain has no ear for what was just sent", "        for _ in range(2):\n            await trio.lowlevel.checkpoint()\n", ""),
        ("the end settles nobody", "            slot.ledger.settle_all(CLOSED)\n", "            pass\n"),
        ("forwarders are not waited for", "                    self._forwarding.add(ticket)\n", ""),
        ("forwarders are waited for when they have ended", "                self._forwarding.discard(ticket)\n", ""),
        ("a drain does not wait", "            await slot.ledger.drained()\n", "            pass\n"),
        ("dead letters are not counted", '        self.counters[f"dead_letter.{reason}"] += 1\n', ""),
        ("a model's settings add nothing", "    ticket.request = with_defaults(ticket.asked, route.settings)\n", ""),
        ("the gates are asked about another model",
         "    ticket.ask = Ask(ticket.request, route.model_id, route.settings, ticket.caller)\n",
         '    ticket.ask = Ask(ticket.request, "", None)\n'),
    ),
    *broken(
        "actors/provider.py",
        (RESILIENCE, "tests/actors/test_exchange.py", PATH, SCHEDULES),
        ("release is forgotten", "        slot.release(ticket)\n", "        pass\n"),
        ("nobody heeds a fault", "        nursery.start_soon(_crash_on_fault, slot)\n", ""),
        ("a crash is taken for one request's bug",
         "        raise fault.with_traceback(None)  # noqa: B904 - it is the same exception\n",
         '        ticket.fail(fail("internal", "bug", "a fault"))\n'),
        ("a bug of one request is everybody's",
         "    except Exception as error:  # noqa: BLE001 - a bug",
         "    except LookupError as error:  # noqa: BLE001 - a bug"),
        ("a bug ends in silence", '        ticket.fail(fail("internal", "bug"', '        repr(fail("internal", "bug"'),
        ("work begins for a settled request", "        if ticket.terminal is not None:\n            return\n        route", "        route"),
        ("the caller's context is lost",
         "            ticket.context.run(\n                nursery.start_soon, _serve,",
         "            (lambda run, *args: run(*args))(\n                nursery.start_soon, _serve,"),
        ("it is ready before it can send",
         "            await nursery.start(_run_generation, slot, retired, open_transport, rng, log)\n            task_status.started()\n",
         "            task_status.started()\n            await nursery.start(_run_generation, slot, retired, open_transport, rng, log)\n"),
        ("a new generation never begins", "            await retired.wait()\n", "            await trio.sleep_forever()\n"),
    ),
    *broken(
        "actors/attempt/exchange.py",
        WORK,
        ("retries after content", "        emitted=ticket.emitted,\n", "        emitted=False,\n"),
        ("retries without a wait", "        due = trio.current_time() + delay\n", "        due = trio.current_time()\n"),
        ("there is no next attempt", "    slot.dispatch.postpone(ticket, due)\n", ""),
        ("the last failure is not told", "            slot.give_up(ticket, failure)\n            return\n", "            return\n"),
        ("a slow reader is not settled",
         '        ticket.fail(\n            fail("slow_consumer"',
         '        (lambda _: None)(\n            fail("slow_consumer"'),
        ("the last attempt's failure counts for this one", "    ticket.attempt_failure = None\n", ""),
        ("the gates do not hear how the attempt failed", "        ticket.attempt_failure = failure\n", ""),
        ("the wait outlives the deadline", "remaining=min(ticket.deadline, ticket.patience) - now,", 'remaining=float("inf"),'),
        ("the wait outlives the caller's own deadline", "remaining=min(ticket.deadline, ticket.patience) - now,", "remaining=ticket.deadline - now,"),
        ("retries are for nothing",
         "    if delay is None or not slot.gates.pays_retry(is_timeout=is_timeout, now=now):\n",
         "    if delay is None:\n"),
        ("our timeouts cost as little as other failures",
         "slot.gates.pays_retry(is_timeout=is_timeout, now=now)",
         "slot.gates.pays_retry(is_timeout=False, now=now)"),
        ("our timeouts are not counted", "    ticket.timeouts_here += is_timeout\n", ""),
        ("a provider's timeout is taken for ours",
         '    return failure.kind == "timeout" and (failure.status is None or failure.status < 300)\n',
         '    return failure.kind == "timeout"\n'),
        ("a timeout within the answer is the provider's", "(failure.status is None or failure.status < 300)", "failure.status is None"),
        ("the key is in what is told", "        failure = credentials.cleaned(failure)\n", ""),
        ("work goes on for a settled request", "        if failure is None or ticket.terminal is not None:\n", "        if failure is None:\n"),
        ("who tells of a retry waits past the deadline",
         "        with trio.CancelScope(deadline=ticket.deadline) as ticket.scope:\n            await ticket.deliver([",
         "        with trio.CancelScope() as ticket.scope:\n            await ticket.deliver(["),
        ("max_retries is not looked at", "        max_retries=provider.max_retries,\n", ""),
        ("retry_unsafe is not looked at", "        retry_unsafe=provider.retry_unsafe,\n", ""),
    ),
    *broken(
        "actors/attempt/attempt.py",
        WORK,
        ("a request has no greatest size", "    if len(encoded.body) > limits.max_request_bytes:\n", "    if False:\n"),
        ("what cannot be encoded is a bug", "        return error.failure\n    if len", "        raise\n    if len"),
        ("what the reader had no room for is not told", "    news: Batch = ticket.untold\n", "    news: Batch = []\n"),
        ("what the reader had no room for is told with every attempt", "    ticket.untold = []\n", ""),
        ("notices come with every attempt", "    if ticket.attempts_here == 1 and", "    if"),
        ("notices of a crash come with every attempt", "        ticket.pending_notices.clear()\n", "        pass\n"),
        ("the deadline is not kept while running", "        until=ticket.deadline,\n", '        until=float("inf"),\n'),
        ("the scope is not the ticket's", "    with watch.timer as ticket.scope:\n", "    with watch.timer:\n"),
        ("a request that settled meanwhile fails", "        return None  # the answer was complete", "        pass  # the answer was complete"),
        ("a stall is not told", "    ticket.lag = watch.lag()\n", ""),
        ("a late request has no end", "        if ticket.deadline <= trio.current_time():\n            return out_of_time(answer.ticket)\n", ""),
        ("a limit of ours is not told as such", "        cut = watch.failure()\n", "        pass\n"),
        ("connections are not used again", "                    await answer.drain(response)\n", "                    pass\n"),
        ("reasoning has no more time than an answer",
         '        reasoning=reasoning is not None and reasoning.effort != "none",\n',
         "        reasoning=False,\n"),
    ),
    *broken(
        "actors/slot/slot.py",
        (SPEND, HEDGE),
        ("a settlement elsewhere wakes nobody", "    def _wake(self) -> None:\n        if self.mailbox:\n", "    def _wake(self) -> None:\n        if False:\n"),
    ),
    *broken(
        "actors/slot/ledger.py",
        (SPEND, HEDGE),
        ("an answer is billed when its connection is drained",
         "            ticket.stake.bill.settle(terminal.usage, served=True, whole=True)\n",
         "            pass\n"),
    ),
    *broken(
        "actors/slot/dispatch.py",
        (SPEND, HEDGE),
        ("one caller's wait is all callers'",
         "                    if is_callers:\n                        waiting_callers.add(ticket.caller)\n",
         "                    if False:\n                        pass\n"),
        ("an unknown price is not told", "            ticket.pending_notices.append(_UNKNOWN_PRICE)\n", "            pass\n"),
        ("an unknown price is told with every attempt", ".lacks_price and not ticket.attempts_here:", ".lacks_price:"),
        ("what a part of an answer stated is not charged", "    return None if ticket.decoder is None else ticket.decoder.usage\n", "    return None\n"),
        ("a hedge waits for a place", "        if not self._places.free:\n            return None\n", ""),
        ("a hedge holds no place", "        self._places.holders.add(second)\n", ""),
    ),
    *broken(
        "actors/attempt/answer.py",
        (HEDGE,),
        ("nobody asks who speaks",
         "        self._claim()\n        if emitted",
         "        if emitted"),
    ),
    *broken(
        "actors/attempt/attempt.py",
        (HEDGE,),
        ("a hedge tells what the attempt has told", "    if ticket.attempts_here == 1 and not is_hedge:\n", "    if ticket.attempts_here == 1:\n"),
    ),
    *broken(
        "actors/gates/gatekeeper.py",
        (SPEND, HEDGE),
        ("spending is not asked about", "                verdicts.insert(1, self._meter.ask(ask, estimate, self._wake))\n", "                pass\n"),
        ("an answer's cost is not told", "        return usage if cost is None else msgspec", "        return usage if True else msgspec"),
        ("a hedge is free", '        self._budget.spend("hedge", now)  #', "        pass  #"),
        ("how long a request takes is not learned", "            state.hedging.observe(now - stake.began)\n", "            pass\n"),
        ("requests earn no hedges", "                state.hedging.request_began()\n", "                pass\n"),
        ("a bill is left open", "            stake.bill.settle(usage, served=was_served, whole=failure is None)\n", "            pass\n"),
        ("a part is charged as a whole", "served=was_served, whole=failure is None)", "served=was_served, whole=True)"),
    ),
    *broken(
        "actors/gates/billing.py",
        (SPEND,),
        ("what waits for others is not woken", "            wake()\n", "            pass\n"),
        ("a supervisor's cap holds nobody", "            caps[SUPERVISOR] = settings.spend_cap\n", "            pass\n"),
        ("a provider's cap holds nobody", '        self._set_cap(("provider", provider.name), provider.spend_cap)\n', ""),
        ("the price list is never asked", "            self._listed = price_list()  #", "            self._listed = nothing_listed  #"),
        ("a cap turns away in silence", "            self._tell(actor, account, verdict.failure.reason)\n", "            pass\n"),
        ("a cap says so each time", "            self._told.add((account, reason))\n", ""),
        ("callers share one account", '("caller", ask.caller or "")', '("caller", "")'),
        ("configured prices are not looked at", "            ask.prices,\n", "            None,\n"),
        ("what is not stated is free", "        used = used_by(expected, sent=served,", "        used = used_by(expected, sent=False,"),
        ("the provider's own word on the cost is not heard",
         "        stated = stated_cost(usage) if whole else None\n",
         "        stated = None\n"),
        ("what is reserved stays", "        self._meter.settle(self._reservation, used)\n", "        pass\n"),
    ),
    *broken(
        "actors/attempt/hedged.py",
        (HEDGE,),
        ("the loser goes on", '            loser.cancel(reason="the other attempt has answered")\n', ""),
        ("both speak", "        if self._decider is not lane:\n            raise _Outrun\n", ""),
        ("the reader is not told", "            ticket.offer([Notice(", "            repr([Notice("),
        ("it is not logged", "            self._log(catalog.REQUEST_HEDGED, told)\n", ""),
        ("a second one begins though the first has failed",
         '        if self._second is None:\n            self._second_scope.cancel(reason="the first attempt has ended")\n',
         ""),
        ("the first failure stands",
         "            if self._decider is lane or not self._has_spoken:\n",
         "            if self.failure is None:\n"),
        ("two places are held to the end",
         "            if self._second is not None:  # one of the two connections is gone\n                self._slot.free_place(self._second)\n",
         "            pass\n"),
        ("the loser's stake is kept", "                self._slot.dispatch.take_stake(lane)\n", ""),
        ("the winner's stake is the loser's", "        ticket.stake, decider.stake = decider.stake, None\n", ""),
        ("a reader that is behind is hedged", "        if not (self._first.announced and ticket.has_room):\n            return None\n", ""),
        ("settling the ticket ends neither", "        with trio.CancelScope() as ticket.scope:\n", "        with trio.CancelScope():\n"),
        ("what was said before a cut is lost", "self._ticket.sent, self._ticket.decoder = True, lane.decoder", "self._ticket.sent = True"),
        ("a crash in a lane is a group", "            self.error = error\n", "            raise\n"),
        ("what was sent by the other was not", "                ticket.sent = ticket.sent or lane.sent\n", ""),
    ),
    *broken(
        "actors/attempt/watch.py",
        WATCH,
        ("an unstreamed answer has a head's limit", 'limits.header_timeout if stream else float("inf")', "limits.header_timeout"),
        ("an unstreamed answer has a first event's limit", 'first_event if stream else float("inf")', "first_event"),
        ("reasoning has no more time",
         "limits.reasoning_first_event_timeout if reasoning else limits.first_event_timeout",
         "limits.first_event_timeout"),
        ("no limit but the timer's last", "        self.timer.set(self._step_by)\n", ""),
        ("stalls before the step count",
         "        self._step_by = self._clock.now() + seconds\n        self._lost_before = self._clock.lost\n",
         "        self._step_by = self._clock.now() + seconds\n"),
        ("stalls before the content count",
         "            self._step_by = now + self._limits.progress_timeout\n            self._lost_before = self._clock.lost\n",
         "            self._step_by = now + self._limits.progress_timeout\n"),
        ("pings keep a silent stream alive", '        if not content and self._step != "progress":\n            return\n', ""),
        ("pings are progress",
         '        if content:\n            self._step = "progress"\n',
         '        if True:\n            self._step = "progress"\n'),
        ("content is no progress", "            self._step_by = now + self._limits.progress_timeout\n", ""),
        ("no idle limit", "self.timer.set(min(self._step_by, now + self._limits.idle_timeout))", "self.timer.set(self._step_by)"),
        ("no progress limit",
         "self.timer.set(min(self._step_by, now + self._limits.idle_timeout))",
         "self.timer.set(now + self._limits.idle_timeout)"),
        ("each byte renews the tail's limit", '        if self._step != "tail":\n', "        if True:\n"),
        ("a tail has no limit", '            self._expect("tail", TAIL_GRACE)\n\n    def drain', "            pass\n\n    def drain"),
        ("a drain has no limit", "        self.timer.scope.deadline = trio.current_time() + self._limits.drain_timeout\n", ""),
        ("a drain has the answer's limits", '        self.timer.set(float("inf"))\n        self.timer.scope', "        self.timer.scope"),
        ("the caller's turn counts as the server's",
         "        \"\"\"The caller's turn: what it takes is not the server's time.\"\"\"\n        self.timer.set(float(\"inf\"))\n",
         '        """Nothing."""\n'),
        ("the server's turn has no limit", "                self._expect(self._step, self._limits.progress_timeout)\n", "                pass\n"),
        ("the first event's turn has no limit", "                self._expect(self._step, self._first_event_timeout)\n", "                pass\n"),
        ("there is no lag", "        return self._clock.lost - self._lost_before\n", "        return 0.0\n"),
        ("a silent stream is told as one without content", 'case "progress" if self._clock.now() < self._step_by:', 'case "progress" if False:'),
    ),
    *broken(
        "actors/lag.py",
        LAG,
        ("the clock runs while the loop stands still", "            self.lost += late\n", ""),
        ("a stall is counted twice", "            self.lost += late\n            self.beat_due = now\n", "            self.lost += late\n"),
        ("a busy turn is a stall", "        if late > UNNOTICED:\n", "        if late > 0:\n"),
        ("time is not kept", '            trio.lowlevel.spawn_system_task(self._keep, name="nexus3 timekeeper")\n', ""),
        ("time is kept twice", "            self._is_kept = True\n", ""),
        ("the first beat is not expected",
         "            self._is_kept = True\n            self._expect_beat()\n",
         "            self._is_kept = True\n"),
        ("the watchdog is not woken", "                self.watchdogs[0].set()\n", "                pass\n"),
        ("timers that were left ring", "        self._timers.discard(timer)\n", ""),
        ("a virtual clock has something to jump to", "            self._alarm.deadline = -math.inf  # where", "            pass  # where"),
        ("a virtual clock beats", "        if not self.is_virtual:\n            self.beat_due", "        if True:\n            self.beat_due"),
        ("the keeper is not woken for an earlier timer", "        self._alarm.deadline = self._next_look()\n", ""),
        ("stalls do not put a timer off", "min(self.earliest + self.lost, self.beat_due)", "min(self.earliest, self.beat_due)"),
        ("it beats once", "                self._expect_beat()\n                if now", "                if now"),
        ("no timer rings", "                    await self._ring(now)\n", "                    pass\n"),
        ("a new keeper is never needed", "            self._is_kept = False\n            self.beat_due", "            self.beat_due"),
        ("what is readable is not taken first", "            await trio.lowlevel.checkpoint()\n            await trio.lowlevel.checkpoint()\n", ""),
        ("one turn is enough for what is readable",
         "            await trio.lowlevel.checkpoint()\n            await trio.lowlevel.checkpoint()\n",
         "            await trio.lowlevel.checkpoint()\n"),
        ("who was renewed rings all the same",
         "                if timer.due <= now:\n                    timer.ring()\n",
         "                timer.ring()\n"),
        ("the others are forgotten",
         "        self.earliest = min((timer.due for timer in self._timers), default=math.inf)\n",
         "        self.earliest = math.inf\n"),
        ("a timer is not noted", "        if due < self.clock.earliest:\n            self.clock.look_at(due)\n", ""),
        ("a timer rings and says nothing", "        self.has_rung = True\n", ""),
        ("a timer rings in vain", '        self.scope.cancel(reason="a limit of nexus3 was reached")\n', "        pass\n"),
    ),
    *broken(
        "actors/attempt/answer.py",
        WORK,
        ("the end of the answer cuts off its drain", "        ticket.scope = None  # settling", "        pass  # settling"),
        ("sending is not noted", "        self.ticket.sent = True\n", ""),
        ("the limits of the answer do not begin", "        self._watch.sent()\n", ""),
        ("the head is not noted", "        self._watch.head_came()\n", ""),
        ("content is not noted", "            self.ticket.emitted = True\n", ""),
        ("the time of the first content is not noted", "            self.ticket.first_event_at = now\n", ""),
        ("a truncated stream has no end", "                events = decoder.end()\n", "                events = []\n"),
        ("what does not fit at once is lost",
         "                    await self.ticket.deliver(events, self._limits.stall_timeout)\n                    watch.resume()",
         "                    watch.resume()"),
        ("a slow reader is the provider's fault", "                    watch.pause()\n                    await", "                    await"),
        ("the server has no limit after a slow reader", "                    watch.resume()\n", ""),
        ("content does not renew the limits", "                    watch.bytes_came(content=decoder.emitted and bool(events))\n", ""),
        ("a cut loses the answer that was complete",
         "        return self._conclude(decoder.outcome or failure)\n",
         "        return self._conclude(failure)\n"),
        ("a cut loses what the decoder held back",
         "            await self.ticket.deliver(events, self._limits.stall_timeout)\n        return self._conclude(decoder.outcome or",
         "            pass\n        return self._conclude(decoder.outcome or"),
        ("a stream has no greatest length", "                if left < 0:\n", "                if False:\n"),
        ("a body has no greatest length", "        if left < 0:\n            problem", "        if False:\n            problem"),
        ("a body's first read is not measured", "pieces, left = first, limit - len(first[0])", "pieces, left = first, limit"),
        ("a page is read as a stream", '    if kind:\n        return "other"\n', '    if kind:\n        return "events"\n'),
        ("a server that does not stream is not understood", 'if kind == "application/json" or kind.endswith("+json"):', "if False:"),
        ("the tail has no limit of its own", "                watch.answer_is_complete()\n", "                pass\n"),
        ("an error is read as an answer", "        if not 200 <= response.status < 300:\n", "        if False:\n"),
        ("an error's body may take for ever", "        with trio.move_on_after(self._limits.error_body_timeout):\n", "        if True:\n"),
        ("an error whose body is cut is another",
         "            except TransportFault:\n                pass  #",
         "            except ZeroDivisionError:\n                pass  #"),
        ("an error's body has no greatest length",
         "                    if len(body) > self._limits.max_error_body_bytes:\n",
         "                    if False:\n"),
        ("a drain has no greatest length", "            while left > 0 and (data", "            while (data"),
        ("the provider's id of the exchange is lost", "            request_id=failure.request_id or self._request_id,\n", ""),
        ("the gates do not hear of the first content",
         "                self._slot.gates.answered(self._stake, now)\n",
         "                pass\n"),
        ("headers teach nothing",
         "        if self._stake is not None:\n            self._slot.gates.learn",
         "        if False:\n            self._slot.gates.learn"),
        ("what failed before content failed in the stream",
         'phase="first_event" if failure.phase == "stream" and not self.ticket.emitted else failure.phase',
         "phase=failure.phase"),
    ),
    *broken(
        "supervisor/tree.py",
        (PATH, SCHEDULES),
        ("leaving does not settle", "                            abandon()\n", "                            pass\n"),
    ),
    *broken(
        "supervisor/decide.py",
        SUPERVISION,
        ("one restart more than the intensity allows", "len(recent) >= spec.intensity.max_restarts", "len(recent) > spec.intensity.max_restarts"),
        ("the supervisor's own intensity forgets nothing",
         "        self.restarts = tuple(at for at in self.restarts if at >= self.now - limit.window)\n",
         ""),
        ("a temporary child is brought back with its siblings", 'what = "stopped" if child.spec.restart == "temporary" else then', "what = then"),
        ("rest_for_one takes all", "            names = names[names.index(name) :]\n", "            names = names[0:]\n"),
        ("children are stopped in the order of their start",
         "            for child in reversed(self.children.values()):\n",
         "            for child in list(self.children.values()):\n"),
        ("the jitter goes over the ceiling", "self.rng.uniform(ceiling / 2, ceiling)", "self.rng.uniform(ceiling, ceiling * 1.5)"),
        ("a stable life does not wipe the row of crashes", "streak = 1 if was_stable else child.streak + 1", "streak = child.streak + 1"),
        ("a late timer starts a child", 'child.phase == "waiting" and child.serial == serial and', 'child.phase == "waiting" and'),
        ("a late report is taken for one of the live incarnation",
         'child.serial != serial or child.phase in ("waiting", "stopped")',
         'child.phase in ("waiting", "stopped")'),
        ("a child on trial is treated like any other", "(child.on_trial and not was_stable) or", ""),
        ("one significant child is all of them",
         'others = any(other.spec.significant and other.phase != "stopped" for other in self.children.values())',
         "others = False"),
    ),
    *broken(
        "supervisor/tree.py",
        SUPERVISION,
        ("leaving by an exception waits for a drain that has begun",
         "        if not drain:\n            for child in self._by_key.values():\n",
         "        if False:\n            for child in self._by_key.values():\n"),
        ("the ordered stop has no deadline",
         '            self._nursery.start_soon(self._hurry, name="nexus3 shutdown deadline")\n',
         "            pass\n"),
        ("the body's own error gives way to the escalation",
         '                body_error.add_note(f"meanwhile: {self._escalation} ({self._escalation.__cause__!r})")\n',
         "                raise self._escalation\n"),
        ("a caller that gives up a start leaves the child behind", "            self._take_back(child)\n", ""),
        ("a child runs in the context of whoever restarts it",
         "        child.context.copy().run(\n",
         "        trio.lowlevel.current_task().context.copy().run(\n"),
    ),
    *broken(
        "supervisor/runner.py",
        SUPERVISION,
        ("a start may take for ever", "        self._wait.deadline = trio.current_time() + self._spec.start_timeout\n", ""),
        ("nobody is reported as stuck", '            self._is_stuck("".join(_stacks(self._task)))\n', "            pass\n"),
        ("the stack of a stuck child stops at its own task", "            yield from _stacks(child)\n", "            pass\n"),
        ("Control-C in a child is a crash", "        if self.interrupt is not None:\n            return\n", "        self.interrupt = None\n"),
        ("a child may return before it was ready",
         "                    if not self._is_ready and not self._scope.cancel_called:\n",
         "                    if False:\n"),
    ),
    *broken(
        "supervisor/child.py",
        SUPERVISION,
        ("a watch ends without a word",
         "                watcher.send_nowait(Down(self.spec.name, self.generation, reason))\n",
         "                pass\n"),
        ("a wait for a start goes on when the child is gone", "        self._settle(math.inf, None, self._stopped())\n", ""),
        ("a restart is answered by the incarnation that it ends", "if pending.after < generation]", "if pending.after <= generation]"),
    ),
    *broken(
        "supervisor/dynamic.py",
        SUPERVISION,
        ("readiness is not awaited", "    return found is not None and found.kind is not inspect.Parameter.POSITIONAL_ONLY\n", "    return False\n"),
        ("the house's intensity does not hold for the host's tasks", "        intensity=policy.intensity,\n", ""),
    ),
    *broken(
        "supervisor/tree.py",
        SUPERVISION,
        ("an escalation leaves the body alone", '                self._body.cancel(reason="the supervisor escalated")\n', "                pass\n"),
        ("an escalation is not told", "        if self._escalation is not None:\n            raise self._escalation\n", ""),
        ("what an action brings about is decided within it",
         "        if self._is_deciding:\n            return\n        self._is_deciding",
         "        self._is_deciding"),
        ("a crash is taken for a return", '"returned" if incarnation.error is None else "crashed"', '"returned"'),
        ("a crash is not told to on_state", "        child.crash = incarnation.error\n", ""),
        ("an interrupt ends one child only",
         '            self._body.cancel(reason="the program was interrupted")\n            self._take(s.Close())\n',
         ""),
        ("a namesake of one that is ending has its key", "        while key in self._by_key:  # a namesake", "        while False:  # a namesake"),
        ("a removed child keeps its name", "        del self.children[name]\n", ""),
        ("leaving waits under the outer scope", "                        guard.shield = True\n", "                        pass\n"),
    ),
    *broken(
        "supervisor/runner.py",
        SUPERVISION,
        ("a drain has no limit",
         "            self._wait = trio.CancelScope(deadline=trio.current_time() + self._spec.stages.drain)\n",
         "            self._wait = trio.CancelScope()\n"),
        ("a drain that fails keeps its error to itself",
         "                self.error = error\n            except (Key",
         "                del error\n            except (Key"),
        ("nobody drains", "        self._drains = drain and self._spec.drain is not None\n", "        self._drains = False\n"),
        ("the end is not reported", "        finally:\n            self._has_ended()\n", "        finally:\n            pass\n"),
    ),
    *broken(
        "runtime.py",
        ("tests/actors/test_snapshot.py",),
        ("what a removed provider did is forgotten",
         "                self._admission.counters.update(slot.counters)  # what it did stays done\n",
         ""),
    ),
    *broken(
        "runtime.py",
        (CONTROL, "tests/supervisor"),
        ("a restart gives running requests no time",
         "            with trio.move_on_after(self.config.supervisor.restart_grace):\n",
         "            with trio.move_on_after(0):\n"),
    ),
)
# fmt: on


def unfit(mutant: Mutant) -> str | None:
    """Why the mutant cannot be made of the tree as it is."""
    whole = (ROOT / "nexus3" / mutant.file).read_text("utf-8")
    found = whole.count(mutant.old)
    if found != 1:
        return f"its text is found {found} times:\n{mutant.old}"
    try:
        compile(whole.replace(mutant.old, mutant.new), mutant.file, "exec")
    except SyntaxError as error:
        return f"it is no Python: {error}"
    return None


def survives(mutant: Mutant, workplace: Path) -> bool:
    """Apply, test, take back."""
    path = workplace / "nexus3" / mutant.file
    whole = path.read_text("utf-8")
    path.write_text(whole.replace(mutant.old, mutant.new), "utf-8")
    try:
        return passes(mutant.tests, workplace)
    finally:
        path.write_text(whole, "utf-8")


def passes(tests: Sequence[str], workplace: Path) -> bool:
    """Whether the tests are content with the tree as it is."""
    # A fork has pytest and what else takes long to import already. Nothing of the project, which it takes from the copy.
    run = multiprocessing.get_context("fork").Process(target=_run_tests, args=(tests, workplace))
    run.start()
    run.join()
    assert run.pid is not None
    with suppress(ProcessLookupError):  # but for the servers that tests started and, hung, have left
        os.killpg(run.pid, signal.SIGKILL)
    return run.exitcode == 0


def _run_tests(tests: Sequence[str], workplace: Path) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests send; a shell's background ignores it
    os.chdir(workplace)
    os.environ["PYTHONPATH"] = str(workplace)
    sys.path.insert(0, str(workplace))
    sys.dont_write_bytecode = True
    with (workplace / OUTPUT).open("wb") as output, open(os.devnull, "rb") as nothing:
        for stream, descriptor in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(stream.fileno(), descriptor)
    limit = ["-o", f"faulthandler_timeout={PATIENCE}", "-o", "faulthandler_exit_on_timeout=true"]
    os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-m", "not soak", *limit, *tests]))


def copy_of_the_tree(into: Path) -> Path:
    """What the tests need, as it is now."""
    workplace = into / "tree"
    workplace.mkdir()
    for name in ("nexus3", "tests"):
        shutil.copytree(ROOT / name, workplace / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", workplace)
    return workplace


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Break the kernel on purpose, and see whether the tests notice.")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="numbers of mutants")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    options = parser.parse_args(arguments)
    chosen = {number: MUTANTS[number - 1] for number in options.only or range(1, len(MUTANTS) + 1)}
    if options.list:
        for number, mutant in chosen.items():
            print(f"{number:3} {mutant.file:24} {mutant.what}")
        return 0
    problems = [
        f"mutant {number} ({mutant.file}: {mutant.what}) must be written anew: {problem}"
        for number, mutant in chosen.items()
        if (problem := unfit(mutant)) is not None
    ]
    if problems:
        print("\n".join(problems))
        return 1
    survivors = 0
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="nexus3-mutants-") as folder:
        workplace = copy_of_the_tree(Path(folder))
        for tests in dict.fromkeys(each for mutant in chosen.values() for each in mutant.tests):
            if not passes([tests], workplace):
                print((workplace / OUTPUT).read_text("utf-8", "replace"))
                print(f"{tests} fails without any mutant")
                return 1
        for number, mutant in chosen.items():
            start = time.perf_counter()
            survived = survives(mutant, workplace)
            survivors += survived
            seconds = time.perf_counter() - start
            verdict = "SURVIVED" if survived else "killed"
            print(f"{number:3} {verdict:8} {seconds:5.1f} s  {mutant.file}: {mutant.what}", flush=True)
    killed = len(chosen) - survivors
    percent = 100 * killed / len(chosen)
    minutes = (time.perf_counter() - began) / 60
    print(f"{killed} of {len(chosen)} mutants killed, {percent:.1f} %, in {minutes:.1f} min")
    return 0 if percent >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
