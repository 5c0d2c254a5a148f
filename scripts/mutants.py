"""Breaks the kernel on purpose, one small way at a time, and sees whether the tests notice.

    python scripts/mutants.py                  all of them: killed or survived, and a percentage
    python scripts/mutants.py --only 3 17      these
    python scripts/mutants.py --list

Works on a copy of the tree. A mutant that no longer applies is an error: the list is maintained with the code.
"""
# ruff: noqa: E501 - code is quoted as it stands

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).parents[1]
SCHEDULES = ("tests/schedules",)
SUPERVISION = ("tests/supervisor", "tests/config/test_supervisor_settings.py")
REQUIRED = 95.0
"""Per cent that must be killed."""
TIMEOUT = 120.0
"""Seconds for one mutant's tests; a mutant that needs more has hung, and is killed."""


class Mutant(NamedTuple):
    """``old`` stands exactly once in ``file`` (under ``nexus3/``) and becomes ``new``."""

    file: str
    what: str
    old: str
    new: str
    tests: tuple[str, ...] = SCHEDULES
    """Which tests must notice."""


MUTANTS: tuple[Mutant, ...] = (
    # -- ticket
    Mutant(
        "actors/ticket.py",
        "first no longer wins",
        "        if self.terminal is not None:\n            return False\n        self.terminal = terminal",
        "        self.terminal = terminal",
    ),
    Mutant("actors/ticket.py", "settle leaves the outlet open", "        self._outlet.close()\n", ""),
    Mutant(
        "actors/ticket.py",
        "settle does not stop the work",
        '            self.scope.cancel(reason="the request is settled")',
        "            pass",
    ),
    Mutant(
        "actors/ticket.py",
        "settle forgets the ledger",
        "            self.on_settled(self)",
        "            pass",
    ),
    Mutant(
        "actors/ticket.py",
        "no stall timeout",
        "with trio.move_on_after(stall_timeout):",
        'with trio.move_on_after(float("inf")):',
    ),
    Mutant(
        "actors/ticket.py",
        "a full buffer loses events",
        "        if self.offer(events):\n            return\n",
        "        self.offer(events)\n        return\n",
    ),
    Mutant(
        "actors/ticket.py",
        "a full buffer is delivered twice",
        "                await self._outlet.send(events)\n",
        "                await self._outlet.send(events)\n                self.offer(events)\n",
    ),
    Mutant("actors/ticket.py", "failures lose the partial answer's flag", "emitted=ticket.emitted,", "emitted=False,"),
    # -- reply
    Mutant(
        "actors/reply.py",
        "leaving a stream does not end its request",
        '        self._ticket.fail(fail("cancelled", "caller_left", "The caller closed the stream.", retryable=False))\n',
        "",
    ),
    Mutant(
        "actors/reply.py",
        "leaving a stream leaves its inlet open",
        "        self._inlet.close()\n        self._ticket",
        "        self._ticket",
    ),
    Mutant(
        "actors/reply.py",
        "a dropped stream goes on",
        "            ticket.token.run_sync_soon(_abandon, ticket, self._inlet)",
        "            pass",
    ),
    Mutant(
        "actors/reply.py",
        "the terminal comes again and again",
        "        self._over = True\n",
        "",
    ),
    Mutant(
        "actors/reply.py",
        "an event is given twice",
        "        self._next += 1\n",
        "        self._next += self._handed_out % 40 != 5\n",
    ),
    # -- forward
    Mutant("actors/forward.py", "the brought channel is left open", "    with reply_to:\n", "    if True:\n"),
    Mutant("actors/forward.py", "the stream is left open", "            stream.close()\n", ""),
    Mutant("actors/forward.py", "no dead letter", "            if not delivered:\n", "            if False:\n"),
    Mutant(
        "actors/forward.py",
        "a full channel waits for ever",
        "with trio.move_on_after(stall_timeout) as stall:",
        'with trio.move_on_after(float("inf")) as stall:',
    ),
    Mutant(
        "actors/forward.py",
        "nothing is flushed at the block's end",
        "            delivered = _flush([*in_hand, *stream.rest()], reply_to)\n",
        "",
        ("tests/actors/test_forward.py",),
    ),
    # -- mailbox
    Mutant(
        "actors/mailbox.py",
        "the reaper forgets to settle",
        "                    self.remove(ticket)\n                    ticket.fail(_expired(ticket))\n",
        "                    self.remove(ticket)\n",
    ),
    Mutant(
        "actors/mailbox.py",
        "the alarm is not set for a newcomer",
        "        heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))\n        self._set_alarm()",
        "        heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))",
    ),
    Mutant(
        "actors/mailbox.py",
        "one more than there is room for",
        "return len(self) >= self.capacity",
        "return len(self) > self.capacity",
    ),
    Mutant(
        "actors/mailbox.py",
        "settled tickets keep their room",
        "        elif not self._queue.remove(ticket):\n            return\n",
        "        else:\n            return\n",
    ),
    Mutant(
        "actors/mailbox.py",
        "what was put back does not expire",
        "        heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))\n",
        "        if not ticket.crashes:\n"
        "            heapq.heappush(self._deadlines, (ticket.deadline, next(self._numbers), ticket))\n",
    ),
    Mutant(
        "actors/fair_queue.py",
        "a line is served from its end",
        "        item, _ = line.items.popitem(last=False)\n",
        "        item, _ = line.items.popitem(last=True)\n",
    ),
    Mutant(
        "actors/fair_queue.py",
        "taking forgets an item's priority",
        "        return levels[0].take(now)\n",
        "        return levels[-1].take(now)\n",
    ),
    # -- slot
    Mutant(
        "actors/slot.py",
        "a free place wakes nobody",
        "        self.running.discard(ticket)\n        self._work.set()\n",
        "        self.running.discard(ticket)\n",
    ),
    Mutant(
        "actors/slot.py",
        "places are not given back",
        "        self.running.discard(ticket)\n        self._work.set()\n",
        "        self._work.set()\n",
    ),
    Mutant("actors/slot.py", "requeue is forgotten", "                self.mailbox.put_back(ticket)\n", ""),
    Mutant(
        "actors/slot.py",
        "what ran is requeued whatever it was",
        "            elif ticket.emitted:\n",
        "            elif False:\n",
    ),
    Mutant("actors/slot.py", "crashes are not counted", "            ticket.crashes += 1\n", ""),
    Mutant(
        "actors/slot.py",
        "retry_unsafe is not looked at",
        "elif ticket.sent and not self.provider.retry_unsafe:",
        "elif False:",
    ),
    Mutant(
        "actors/slot.py",
        "double billing is not told",
        "                if ticket.sent:\n",
        "                if False:\n",
    ),
    Mutant(
        "actors/slot.py",
        "parking forgets the queue",
        "                for ticket in self.mailbox.waiting():\n                    ticket.fail(_PARKED)\n",
        "",
    ),
    Mutant(
        "actors/slot.py",
        "a parked slot takes requests",
        '        elif self.state == "parked":\n            ticket.fail(_PARKED)\n',
        "",
    ),
    Mutant(
        "actors/slot.py",
        "a restart recovers nothing",
        "                self.restarts += 1\n                self._recover()\n",
        "                self.restarts += 1\n",
    ),
    Mutant(
        "actors/slot.py",
        "one place too many",
        "len(self.running) < self.provider.limits.max_connections",
        "len(self.running) <= self.provider.limits.max_connections",
    ),
    Mutant("actors/slot.py", "settled tickets stay in the ledger", "        self.tickets.pop(ticket.id, None)\n", ""),
    Mutant("actors/slot.py", "settled tickets stay in the mailbox", "        self.mailbox.remove(ticket)\n", ""),
    Mutant(
        "actors/slot.py",
        "a drained slot says nothing",
        "        if not self.tickets:\n            self._idle.set()\n",
        "        if not self.tickets:\n",
    ),
    Mutant(
        "actors/slot.py",
        "settle_all settles one",
        "            ticket.fail(reason)\n\n    async def drained",
        "            ticket.fail(reason)\n            break\n\n    async def drained",
    ),
    Mutant(
        "actors/slot.py",
        "a second incarnation's wait counts as no wait",
        "ticket.started_at = ticket.started_at or trio.current_time()",
        "ticket.started_at = trio.current_time() + 1",
    ),
    # -- provider
    Mutant(
        "actors/provider.py",
        "the deadline is not kept while running",
        "trio.CancelScope(deadline=ticket.deadline) as ticket.scope",
        "trio.CancelScope() as ticket.scope",
    ),
    Mutant(
        "actors/provider.py",
        "a late request is left alone",
        "            ticket.fail(_late(ticket))\n",
        "            pass\n",
    ),
    Mutant("actors/provider.py", "the scope is not the ticket's", "as ticket.scope:", "as _:"),
    Mutant("actors/provider.py", "release is forgotten", "        slot.release(ticket)\n", "        pass\n"),
    Mutant(
        "actors/provider.py",
        "a crash is taken for one request's bug",
        "    except ActorFault:\n        raise\n",
        "",
    ),
    Mutant(
        "actors/provider.py",
        "the caller's context is lost",
        "            ticket.context.run(\n                nursery.start_soon, _serve,",
        "            (lambda run, *args: run(*args))(\n                nursery.start_soon, _serve,",
    ),
    # -- exchange
    Mutant(
        "actors/exchange.py",
        "retries after content",
        "emitted=ticket.emitted,\n",
        "emitted=False,\n",
    ),
    Mutant(
        "actors/exchange.py",
        "retries without a wait",
        "        await trio.sleep(delay)\n",
        "        await trio.sleep(0)\n",
    ),
    Mutant(
        "actors/exchange.py",
        "the last failure is not told",
        "            if delay is None:\n                ticket.fail(failure)\n",
        "            if delay is None:\n",
    ),
    Mutant(
        "actors/exchange.py",
        "a slow reader is not settled",
        '            ticket.fail(\n                fail("slow_consumer"',
        '            (lambda _: None)(\n                fail("slow_consumer"',
    ),
    Mutant(
        "actors/exchange.py",
        "attempts are not counted",
        "        ticket.attempts += 1\n",
        "        ticket.attempts = 1\n",
    ),
    Mutant(
        "actors/exchange.py",
        "the next attempt counts as sent before it is",
        "        ticket.sent = False\n",
        "        ticket.sent = ticket.sent or ticket.attempts > 1\n",
    ),
    Mutant(
        "actors/exchange.py",
        "the wait outlives the deadline",
        "remaining=min(ticket.deadline, ticket.patience) - trio.current_time(),",
        'remaining=float("inf"),',
    ),
    # -- attempt and answer
    Mutant("actors/attempt.py", "sending is not noted", "        ticket.sent = True\n", ""),
    Mutant(
        "actors/answer.py",
        "content is not noted",
        "            self._ticket.emitted = True\n",
        "",
    ),
    Mutant(
        "actors/answer.py",
        "a truncated stream has no end",
        "                events = decoder.end()\n",
        "                events = []\n",
    ),
    Mutant(
        "actors/answer.py",
        "what does not fit at once is lost",
        "                    await self._ticket.deliver(events, self._limits.stall_timeout)\n                    watch.resume()",
        "                    watch.resume()",
    ),
    Mutant(
        "actors/answer.py",
        "a cut loses the answer that was complete",
        "        outcome = self._conclude(decoder.outcome or failure)\n",
        "        outcome = self._conclude(failure)\n",
    ),
    Mutant(
        "actors/exchange.py",
        "work goes on for a settled request",
        "            if failure is None or ticket.terminal is not None:\n",
        "            if failure is None:\n",
    ),
    # -- admission
    Mutant(
        "actors/admission.py",
        "a refused request is left alone",
        "            ticket.fail(self._refusal)\n            return\n",
        "            return\n",
    ),
    Mutant(
        "actors/admission.py", "the end settles nobody", "            slot.settle_all(CLOSED)\n", "            pass\n"
    ),
    Mutant(
        "actors/admission.py",
        "the request's timeout is not looked at",
        "(ticket.request.timeout or slot.provider.request_timeout)",
        "slot.provider.request_timeout",
    ),
    Mutant(
        "actors/admission.py",
        "forwarders are not waited for",
        "                    self._forwarding.add(ticket)\n",
        "",
    ),
    Mutant(
        "actors/admission.py",
        "a drain does not wait",
        "            await slot.drained()\n",
        "            pass\n",
    ),
    # -- supervisor
    Mutant(
        "supervisor/tree.py",
        "leaving does not settle",
        "                    abandon()\n",
        "                    pass\n",
    ),
    Mutant(
        "supervisor/decide.py",
        "one restart more than the intensity allows",
        "len(recent) >= spec.intensity.max_restarts",
        "len(recent) > spec.intensity.max_restarts",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "the supervisor's own intensity forgets nothing",
        "        self.restarts = tuple(at for at in self.restarts if at >= self.now - limit.window)\n",
        "",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "a temporary child is brought back with its siblings",
        'what = "stopped" if child.spec.restart == "temporary" else then',
        "what = then",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "rest_for_one takes all",
        "            names = names[names.index(name) :]\n",
        "            names = names[0:]\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "children are stopped in the order of their start",
        "            for child in reversed(self.children.values()):\n",
        "            for child in list(self.children.values()):\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "the jitter goes over the ceiling",
        "self.rng.uniform(ceiling / 2, ceiling)",
        "self.rng.uniform(ceiling, ceiling * 1.5)",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "a stable life does not wipe the row of crashes",
        "streak = 1 if was_stable else child.streak + 1",
        "streak = child.streak + 1",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "a late timer starts a child",
        'child.phase == "waiting" and child.serial == serial and',
        'child.phase == "waiting" and',
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "a late report is taken for one of the live incarnation",
        'child.serial != serial or child.phase in ("waiting", "stopped")',
        'child.phase in ("waiting", "stopped")',
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "a child on trial is treated like any other",
        "(child.on_trial and not was_stable) or",
        "",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/decide.py",
        "one significant child is all of them",
        'others = any(other.spec.significant and other.phase != "stopped" for other in self.children.values())',
        "others = False",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/tree.py",
        "leaving by an exception waits for a drain that has begun",
        "        if not drain:\n            for child in self._by_key.values():\n",
        "        if False:\n            for child in self._by_key.values():\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/tree.py",
        "the ordered stop has no deadline",
        '            self._nursery.start_soon(self._hurry, name="nexus3 shutdown deadline")\n',
        "            pass\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/tree.py",
        "the body's own error gives way to the escalation",
        '                body_error.add_note(f"meanwhile: {self._escalation} ({self._escalation.__cause__!r})")\n',
        "                raise self._escalation\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/tree.py",
        "a caller that gives up a start leaves the child behind",
        "            self._take_back(child)\n",
        "",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/tree.py",
        "a child runs in the context of whoever restarts it",
        "        child.context.copy().run(\n",
        "        trio.lowlevel.current_task().context.copy().run(\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/runner.py",
        "a start may take for ever",
        "        self._wait.deadline = trio.current_time() + self._spec.start_timeout\n",
        "",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/runner.py",
        "nobody is reported as stuck",
        '            self._is_stuck("".join(_stacks(self._task)))\n',
        "            pass\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/runner.py",
        "the stack of a stuck child stops at its own task",
        "            yield from _stacks(child)\n",
        "            pass\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/runner.py",
        "Control-C in a child is a crash",
        "        if self.interrupt is not None:\n            return\n",
        "        self.interrupt = None\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/runner.py",
        "a child may return before it was ready",
        "                    if not self._is_ready and not self._scope.cancel_called:\n",
        "                    if False:\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/child.py",
        "a watch ends without a word",
        "                watcher.send_nowait(Down(self.spec.name, self.generation, reason))\n",
        "                pass\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/child.py",
        "a wait for a start goes on when the child is gone",
        "        self._settle(math.inf, None, self._stopped())\n",
        "",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/child.py",
        "a restart is answered by the incarnation that it ends",
        "if pending.after < generation]",
        "if pending.after <= generation]",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/dynamic.py",
        "readiness is not awaited",
        "    return found is not None and found.kind is not inspect.Parameter.POSITIONAL_ONLY\n",
        "    return False\n",
        SUPERVISION,
    ),
    Mutant(
        "supervisor/dynamic.py",
        "the house's intensity does not hold for the host's tasks",
        "        intensity=policy.intensity,\n",
        "",
        SUPERVISION,
    ),
    # -- control
    Mutant(
        "runtime.py",
        "what a removed provider did is forgotten",
        "                self._admission.counters.update(slot.counters)  # what it did stays done\n",
        "",
        ("tests/actors/test_snapshot.py", "tests/schedules"),
    ),
    Mutant(
        "runtime.py",
        "a restart gives running requests no time",
        "            with trio.move_on_after(self.config.supervisor.restart_grace):\n",
        "            with trio.move_on_after(0):\n",
        SUPERVISION,
    ),
)

Verdict = Literal["killed", "survived", "stale"]


def judge(mutant: Mutant, workplace: Path) -> Verdict:
    """Apply, test, take back."""
    path = workplace / "nexus3" / mutant.file
    whole = path.read_text("utf-8")
    if whole.count(mutant.old) != 1:
        return "stale"
    path.write_text(whole.replace(mutant.old, mutant.new), "utf-8")
    try:
        return "survived" if passes(mutant.tests, workplace) else "killed"
    finally:
        path.write_text(whole, "utf-8")


def passes(tests: Sequence[str], workplace: Path) -> bool:
    """Whether the tests are content with the tree as it is. A run that hangs is not."""
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not soak", *tests],
            cwd=workplace,
            env={**os.environ, "PYTHONPATH": str(workplace), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0


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
    chosen = options.only or range(1, len(MUTANTS) + 1)
    if options.list:
        for number in chosen:
            print(f"{number:3} {MUTANTS[number - 1].file:24} {MUTANTS[number - 1].what}")
        return 0
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="nexus3-mutants-") as folder:
        workplace = copy_of_the_tree(Path(folder))
        for tests in {MUTANTS[number - 1].tests for number in chosen}:
            if not passes(tests, workplace):
                print(f"{' '.join(tests)} fail without any mutant")
                return 1
        for number in chosen:
            mutant = MUTANTS[number - 1]
            began = time.perf_counter()
            verdicts.append(judge(mutant, workplace))
            seconds = time.perf_counter() - began
            print(f"{number:3} {verdicts[-1]:8} {seconds:5.1f} s  {mutant.file}: {mutant.what}", flush=True)
    killed, stale = verdicts.count("killed"), verdicts.count("stale")
    percent = 100 * killed / len(verdicts)
    print(f"{killed} of {len(verdicts)} mutants killed, {percent:.1f} %; {stale} no longer apply")
    return 0 if percent >= REQUIRED and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
