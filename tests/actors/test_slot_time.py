"""The slot's one alarm: at the earliest deadline of what waits and of what was forgotten; off while it is idle."""

import pytest
import trio
from trio.testing import MockClock

from nexus3.actors.pipe import Pipe
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.slot.ledger import BACKSTOP_GRACE
from nexus3.actors.slot.places import CANCEL_GRACE
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket
from nexus3.config.resolve import resolve
from nexus3.observe.log import host_log
from nexus3.wire.events import StreamFailed
from nexus3.wire.failures import fail
from nexus3.wire.messages import Message, Role
from nexus3.wire.requests import CompletionRequest

GONE = fail("cancelled", "test", "gone")


def a_slot() -> Slot:
    slot = Slot(resolve("a", ProviderConfig(type="ollama"), {}), host_log())
    slot.on_state("ready", 1, None)
    return slot


def ticket(name: str, timeout: float) -> Ticket:
    made = Ticket(CompletionRequest(messages=(Message(role=Role.USER, content="?"),)), Pipe(1))
    made.id = name
    made.accepted_at = trio.current_time()
    made.deadline = made.accepted_at + timeout
    return made


def next_alarm() -> float:
    return trio.lowlevel.current_statistics().seconds_to_next_deadline


def end_of(each: Ticket) -> tuple[str, str] | None:
    if each.terminal is None:
        return None
    assert isinstance(each.terminal, StreamFailed)
    return each.terminal.error.kind, each.terminal.error.reason


async def test_the_alarm_follows_the_earliest_deadline(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    await trio.testing.wait_all_tasks_blocked()
    assert next_alarm() == float("inf")
    late, early, later = ticket("late", 9.0), ticket("early", 1.0), ticket("later", 12.0)
    slot.admit(late)
    assert next_alarm() == 9.0
    slot.admit(early)
    slot.admit(later)
    assert next_alarm() == 1.0
    await trio.sleep(5)
    assert (end_of(early), end_of(late)) == (("timeout", "deadline_queued"), None)
    assert next_alarm() == 4.0
    await trio.sleep(20)
    assert (end_of(late), end_of(later)) == (("timeout", "deadline_queued"),) * 2
    assert next_alarm() == float("inf")
    slot.stop_time()


async def test_an_idle_slot_has_no_alarm(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Where it had one, a virtual clock would jump to it."""
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    await trio.testing.wait_all_tasks_blocked()
    slot.admit(only := ticket("only", 5.0))
    only.fail(GONE)
    assert end_of(only) == (GONE.kind, GONE.reason)
    assert next_alarm() == float("inf")
    slot.admit(again := ticket("again", 5.0))
    assert next_alarm() == 5.0
    again.fail(GONE)
    slot.stop_time()


async def test_what_runs_past_its_deadline_is_caught_after_the_grace(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    await trio.testing.wait_all_tasks_blocked()
    slot.admit(forgotten := ticket("forgotten", 5.0))
    assert await slot.dispatch.next_ticket(trio.Event()) is forgotten
    await trio.sleep(5.0 + BACKSTOP_GRACE / 2)
    assert end_of(forgotten) is None
    await trio.sleep(BACKSTOP_GRACE)
    assert end_of(forgotten) == ("internal", "backstop")
    assert slot.counters["backstop"] == 1
    slot.stop_time()


async def test_what_a_crash_puts_back_expires_though_the_alarm_had_passed_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    await trio.testing.wait_all_tasks_blocked()
    slot.admit(first := ticket("first", 2.0))
    slot.admit(unlucky := ticket("unlucky", 9.0))
    assert [await slot.dispatch.next_ticket(trio.Event()) for _ in range(2)] == [first, unlucky]
    first.fail(GONE)
    slot.release(first)
    await trio.sleep(4)  # the alarm rang at 2; now it waits for the backstop of the other one
    slot.on_state("restarting", 1, RuntimeError("crash"))
    assert end_of(unlucky) is None
    assert next_alarm() == 5.0
    await trio.sleep(6)
    assert end_of(unlucky) == ("timeout", "deadline_queued")
    slot.stop_time()


async def test_who_may_not_go_yet_is_not_kept_past_its_deadline(autojump_clock: MockClock) -> None:
    """Whoever looks first ends it, the alarm or who takes the next one."""
    slot = a_slot()
    slot.mailbox.put(late := ticket("late", 1.0))
    await trio.sleep(1)
    assert slot.mailbox.take(lambda _: False) is None
    assert end_of(late) == ("timeout", "deadline_queued")


async def test_work_that_ignores_its_end_is_reported_with_its_stack(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    slot.admit(deaf := ticket("deaf", 60.0))
    assert await slot.dispatch.next_ticket(trio.Event()) is deaf

    async def listens_to_nobody() -> None:
        deaf.task = trio.lowlevel.current_task()
        with trio.CancelScope(shield=True), trio.CancelScope() as deaf.scope, trio.CancelScope(shield=True):
            await trio.sleep(20)
        slot.release(deaf)

    nursery.start_soon(listens_to_nobody)
    await trio.testing.wait_all_tasks_blocked()
    deaf.fail(GONE)
    await trio.sleep(CANCEL_GRACE - 1)
    assert "actor.stuck" not in caplog.text
    await trio.sleep(2)
    assert "actor.stuck" in caplog.text
    assert "listens_to_nobody" in caplog.text
    await trio.sleep(20)
    assert (slot.places.holders, next_alarm()) == (set(), float("inf"))
    assert caplog.text.count("actor.stuck") == 1
    slot.stop_time()
