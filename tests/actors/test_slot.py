"""The slot by itself, without an incarnation: whom it takes, whom it lets through, and what it tells the gates."""

import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3.actors.gates.ask import Ask
from nexus3.actors.gates.verdict import PASS
from nexus3.actors.pipe import Pipe
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.slot.places import CANCEL_GRACE
from nexus3.actors.slot.slot import SUSPECT_WITHIN, Slot
from nexus3.actors.ticket import Ticket
from nexus3.config.resolve import resolve
from nexus3.observe.log import host_log
from nexus3.wire.events import StreamComplete, StreamFailed
from nexus3.wire.failures import Failure, fail
from nexus3.wire.messages import Message, Role, Usage
from nexus3.wire.requests import CompletionRequest

GONE = fail("cancelled", "test", "gone")
DOWN = msgspec.structs.replace(fail("server", "down", "down"), status=500)
THROTTLED = msgspec.structs.replace(fail("rate_limit", "throttled", "slower"), status=429, retry_after=20.0)
DONE = StreamComplete(Message(role=Role.ASSISTANT, content="x"), usage=Usage(input_tokens=3, output_tokens=4))


def provider(**settings: Any) -> ProviderConfig:
    return ProviderConfig(type="ollama", **settings)


def a_slot(**settings: Any) -> Slot:
    slot = Slot(resolve("a", provider(**settings), {}), host_log())
    slot.on_state("ready", 1, None)
    return slot


def ticket(name: str, timeout: float = 600.0, *, model: str = "m", text: str = "?") -> Ticket:
    made = Ticket(CompletionRequest(messages=(Message(role=Role.USER, content=text),)), Pipe(1))
    made.id, made.model = name, model
    made.ask = Ask(made.request, model, None)
    made.accepted_at = trio.current_time()
    made.deadline = made.accepted_at + timeout
    return made


def admitted(slot: Slot, *tickets: Ticket) -> None:
    for each in tickets:
        slot.admit(each)


async def taken(slot: Slot) -> list[Ticket]:
    """All that may begin now."""
    found: list[Ticket] = []
    while True:
        with trio.move_on_after(0) as nobody:
            each = await slot.dispatch.next_ticket(trio.Event())
            assert each is not None
            found.append(each)
        if nobody.cancelled_caught:
            return found


def end_of(each: Ticket) -> tuple[str, str] | None:
    if each.terminal is None:
        return None
    assert isinstance(each.terminal, StreamFailed)
    return each.terminal.error.kind, each.terminal.error.reason


def attempted(slot: Slot, each: Ticket, failure: Failure) -> None:
    """What the work does when its attempt has failed, but for its place."""
    each.attempts += 1
    each.sent = True
    each.attempt_failure = failure


def break_down(slot: Slot, times: int) -> None:
    """So many attempts in a row fail."""
    for _ in range(times):
        stake = slot.gates.begin(Ask(ticket("x").request, "m", None), trio.current_time(), is_first=True)
        slot.gates.ended(stake, DOWN, None, sent=True, time_given=600, now=trio.current_time())


# -- who is taken


def served(slot: Slot) -> list[Ticket]:
    """Those whose work a generation begins at once; filled as they come."""
    begun: list[Ticket] = []
    slot.dispatch.start = begun.append
    return begun


async def test_who_finds_a_free_place_and_nobody_waiting_begins_at_once() -> None:
    slot = a_slot(max_connections=2)
    begun = served(slot)
    admitted(slot, first := ticket("1"), second := ticket("2"), third := ticket("3"))
    assert (begun, slot.places.holders, len(slot.mailbox)) == ([first, second], {first, second}, 1)
    assert [each.state for each in (first, second, third)] == ["running", "running", "queued"]
    first.fail(GONE)
    slot.release(first)
    slot.admit(fourth := ticket("4"))
    assert begun == [first, second], "the third was there before"
    assert await taken(slot) == [third]
    assert fourth.state == "queued"


async def test_who_must_wait_for_the_gates_does_not_begin_though_a_place_is_free() -> None:
    slot = a_slot(requests_per_minute=50)
    begun = served(slot)
    admitted(slot, first := ticket("1"), second := ticket("2"))
    assert (begun, second.state) == ([first], "queued")


@pytest.mark.parametrize("unable", ["paused", "restarting", "retired"])
async def test_nobody_begins_on_a_generation_that_takes_nothing(unable: str) -> None:
    slot = a_slot()
    begun = served(slot)
    match unable:
        case "paused":
            slot.pause()
        case "restarting":
            slot.on_state("restarting", 1, None)
        case _:
            slot.reconfigure(slot.provider)
    slot.admit(each := ticket("1"))
    assert (begun, each.state) == ([], "queued")


async def test_work_that_was_cancelled_takes_its_generation_with_it() -> None:
    slot = a_slot()
    begun = served(slot)
    admitted(slot, crashed := ticket("1"))
    slot.release(crashed)
    assert slot.places.free == 0, "they are no room for those who wait, either"
    slot.admit(later := ticket("2"))
    assert (begun, later.state) == ([crashed], "queued")
    assert await taken(slot) == [], "nor does its loop begin anything"
    slot.new_generation()
    assert await taken(slot) == [later]


@pytest.mark.parametrize("where", ["to another", "to another model here"])
async def test_work_that_moved_on_leaves_its_generation_as_it_is_and_begins_when_it_is_over(where: str) -> None:
    here = a_slot()
    there = a_slot() if where == "to another" else here
    begun, begun_there = served(here), served(there) if there is not here else []
    here.admit(moved := ticket("1"))
    here.let_go(moved)
    there.take_over(moved)
    assert (moved.state, begun_there) == ("queued", []), "its last attempt has not ended"
    here.release(moved)
    assert await taken(there) == [moved]
    assert moved in there.places.holders
    here.admit(later := ticket("2"))
    assert (begun, later in here.places.holders) == ([moved, later], True)


async def test_who_cannot_begin_in_time_is_refused_at_the_door(autojump_clock: MockClock) -> None:
    slot = a_slot()
    slot.pause()
    break_down(slot, 5)
    slot.admit(late := ticket("late"))
    assert (end_of(late), slot.counters["refused.breaker_open"]) == (("unavailable", "breaker_open"), 1)


async def test_a_paused_slot_counts_no_place_as_room_and_nor_does_one_without_an_incarnation() -> None:
    for unable in ("paused", "restarting", "ready"):
        slot = a_slot(mailbox_capacity=1, max_connections=1)
        if unable == "paused":
            slot.pause()
        else:
            slot.on_state("restarting" if unable == "restarting" else "ready", 1, None)
        admitted(slot, first := ticket("1"), second := ticket("2"), third := ticket("3"))
        full = ("unavailable", "mailbox_full")
        assert [end_of(each) for each in (first, second, third)] == [None, None if unable == "ready" else full, full]


async def test_a_settled_ticket_does_not_move_on_and_who_moves_on_is_not_settled() -> None:
    slot = a_slot()
    moved: list[Ticket] = []

    def move_on(each: Ticket, _: Failure) -> bool:
        moved.append(each)
        return True

    slot.move_on = move_on
    settled, live = ticket("settled"), ticket("live")
    settled.fail(GONE)
    slot.give_up(settled, DOWN)
    slot.give_up(live, DOWN)
    assert (moved, end_of(live)) == ([live], None)
    slot.move_on = lambda _, __: False
    slot.give_up(live, DOWN)
    assert end_of(live) == ("server", "down")


@pytest.mark.parametrize(
    ("settings", "change", "is_able"),
    [
        ({}, lambda slot: None, True),
        ({}, lambda slot: slot.on_state("restarting", 1, None), True),
        ({}, lambda slot: slot.on_state("parked", 1, None), False),
        ({}, lambda slot: slot.on_state("stopped", 1, None), False),
        ({}, Slot.pause, False),
        ({}, lambda slot: slot.close(GONE), False),
        ({}, lambda slot: break_down(slot, 5), False),
        ({"mailbox_capacity": 1}, lambda slot: admitted(slot, ticket("1")), False),
        ({"mailbox_capacity": 1, "on_full": "wait"}, lambda slot: admitted(slot, ticket("1")), True),
    ],
)
async def test_who_is_able(settings: dict[str, Any], change: Callable[[Slot], object], is_able: bool) -> None:
    slot = a_slot(max_connections=1, **settings)
    admitted(slot, running := ticket("running"))
    assert await taken(slot) == [running]
    change(slot)
    assert slot.is_able is is_able


async def test_without_a_key_it_is_not_able() -> None:
    assert not Slot(resolve("a", ProviderConfig(type="openai"), {}), host_log()).is_able


# -- who may go


async def test_a_smaller_request_does_not_slip_past_a_larger_one_of_its_model(autojump_clock: MockClock) -> None:
    slot = a_slot(tokens_per_minute=60_000.0)
    first, large, small = (ticket(name, text="x" * length) for name, length in (("1", 80_000), ("2", 80_000), ("3", 1)))
    first.caller, large.caller, small.caller = "a", "b", "c"  # one caller's requests keep their order in any case
    admitted(slot, first, large, small)
    assert await taken(slot) == [first]
    while slot.gates.ask(small.ask, trio.current_time()) is not PASS:  # noqa: ASYNC110 - virtual time passes
        await trio.sleep(0.5)
    assert await taken(slot) == []
    while not (one := await taken(slot)):  # noqa: ASYNC110
        await trio.sleep(0.5)
    assert one == [large]


async def test_one_model_s_cooldown_keeps_no_other_model_waiting(autojump_clock: MockClock) -> None:
    slot = a_slot()
    admitted(slot, first := ticket("1"))
    assert await taken(slot) == [first]
    attempted(slot, first, THROTTLED)
    first.fail(THROTTLED)
    slot.release(first)
    admitted(slot, cooling := ticket("2"))
    assert await taken(slot) == []
    admitted(slot, other := ticket("3", model="other"))
    assert await taken(slot) == [other]
    await trio.sleep(21)
    assert await taken(slot) == [cooling]


async def test_who_cannot_wait_for_the_end_of_a_cooldown_is_told_when_it_begins(autojump_clock: MockClock) -> None:
    slot = a_slot(max_connections=1)
    admitted(slot, first := ticket("1"), hasty := ticket("2", 10.0), patient := ticket("3"), other := ticket("4", 10.0))
    other.model, other.ask = "other", Ask(other.request, "other", None)
    assert await taken(slot) == [first]
    attempted(slot, first, THROTTLED)
    slot.release(first)
    assert [end_of(each) for each in (hasty, patient, other)] == [("rate_limit", "cooldown"), None, None]


async def test_a_retry_that_is_refused_ends_with_what_went_wrong(autojump_clock: MockClock) -> None:
    slot = a_slot()
    admitted(slot, first := ticket("1"))
    assert await taken(slot) == [first]
    attempted(slot, first, fail("server", "overrun", "down"))
    slot.dispatch.postpone(first, trio.current_time() + 1)
    slot.release(first)
    break_down(slot, 5)
    await trio.sleep(2)
    assert await taken(slot) == []
    assert end_of(first) == ("server", "overrun")


async def test_the_wait_ends_with_the_first_attempt_and_what_that_sent_is_over_with_the_second(
    autojump_clock: MockClock,
) -> None:
    slot = a_slot()
    assert slot.gates.pays_retry(is_timeout=False, now=trio.current_time())
    admitted(slot, first := ticket("1"))
    await trio.sleep(3)
    assert await taken(slot) == [first]
    first.attempts = 1
    first.sent = True
    earned = slot.gates.budget(trio.current_time())
    slot.dispatch.postpone(first, trio.current_time() + 4)
    slot.release(first)
    await trio.sleep(5)
    assert await taken(slot) == [first]
    assert (first.started_at, first.sent) == (first.accepted_at + 3, False)
    assert slot.gates.budget(trio.current_time()) == earned


async def test_a_place_that_is_given_back_wakes_who_waits_for_one(nursery: trio.Nursery) -> None:
    slot = a_slot(max_connections=1)
    began: list[Ticket] = []

    async def serve() -> None:
        while (each := await slot.dispatch.next_ticket(trio.Event())) is not None:
            began.append(each)

    nursery.start_soon(serve)
    admitted(slot, first := ticket("1"), second := ticket("2"))
    await wait_all_tasks_blocked()
    assert began == [first]
    first.fail(GONE)
    slot.release(first)
    await wait_all_tasks_blocked()
    assert began == [first, second]
    slot.ledger.settle_all(GONE)
    nursery.cancel_scope.cancel(reason="the test is over")


async def test_new_settings_retire_a_generation_that_waits_and_make_its_gates_anew(nursery: trio.Nursery) -> None:
    slot = a_slot()
    retired, heard = slot.new_generation(), list[Ticket | None]()

    async def serve() -> None:
        heard.append(await slot.dispatch.next_ticket(retired))

    nursery.start_soon(serve)
    await wait_all_tasks_blocked()
    break_down(slot, 5)
    slot.reconfigure(resolve("a", provider(max_connections=3), {}))
    await wait_all_tasks_blocked()
    assert (heard, slot.is_able, slot.new_generation().is_set()) == ([None], True, False)


async def test_new_settings_hold_for_who_comes_next_and_its_end_tells_them(caplog: pytest.LogCaptureFixture) -> None:
    slot = a_slot(max_connections=1)
    with caplog.at_level("INFO", "nexus3"):
        for count, port in ((1, 1), (3, 2)):
            slot.reconfigure(resolve("a", provider(max_connections=count, base_url=f"http://127.0.0.1:{port}/v1"), {}))
            slot.new_generation()
            admitted(slot, *(tickets := [ticket(f"{port}.{number}") for number in range(4)]))
            running = await taken(slot)
            assert len(running) == count
            for each in tickets:
                each.fail(GONE)
            for each in running:
                slot.release(each)
    told = [sorted(re.findall(r"\S*(?:generation|port)=\d+", text)) for text in caplog.messages if "settled" in text]
    first, second = ([f"nexus3.generation={number}", f"server.port={number}"] for number in (1, 2))
    assert told == [first] * 4 + [second] * 4


# -- who waits between two attempts


async def test_a_settled_ticket_waits_for_nothing() -> None:
    slot = a_slot()
    admitted(slot, first := ticket("1"))
    assert await taken(slot) == [first]
    first.fail(GONE)
    slot.dispatch.postpone(first, trio.current_time() + 1)
    assert (len(slot.mailbox), first.state) == (0, "settled")


@pytest.mark.parametrize("work", ["has ended", "goes on"])
async def test_each_retry_comes_at_its_time_however_they_are_put_back(
    work: str, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    began: list[tuple[str, float]] = []
    admitted(slot, *(tickets := [ticket(name) for name in ("late", "soon", "last")]))
    assert await taken(slot) == tickets

    async def serve() -> None:
        while (each := await slot.dispatch.next_ticket(trio.Event())) is not None:
            began.append((each.id, trio.current_time()))

    nursery.start_soon(serve)
    await wait_all_tasks_blocked()
    now = trio.current_time()
    for each, delay in zip(tickets, (5, 2, 9), strict=True):
        slot.dispatch.postpone(each, now + delay)
        if work == "has ended":  # which wakes whoever takes the next one; else the alarm alone does
            slot.release(each)
        await wait_all_tasks_blocked()
    await trio.sleep(10)
    assert began == [("soon", now + 2), ("late", now + 5), ("last", now + 9)]
    for each in tickets:
        each.fail(GONE)
    slot.stop_time()
    nursery.cancel_scope.cancel(reason="the test is over")


# -- who goes


async def test_who_is_let_go_leaves_nothing_behind(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    admitted(slot, running := ticket("running"))
    assert await taken(slot) == [running]
    slot.pause()
    admitted(slot, queued := ticket("queued"))
    drained: list[str] = []

    async def wait_for_the_drain() -> None:
        await slot.ledger.drained()
        drained.append("drained")

    nursery.start_soon(wait_for_the_drain)
    await wait_all_tasks_blocked()
    told = heard_by_the_gates(slot)
    attempted(slot, running, DOWN)
    slot.let_go(running)
    slot.let_go(queued)
    slot.release(running)
    await wait_all_tasks_blocked()
    assert (slot.ledger.tickets, len(slot.mailbox), slot.places.holders, drained) == ({}, 0, set(), ["drained"])
    assert [failure for failure, _, _ in told] == [DOWN]
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
    slot.stop_time()


async def test_the_last_one_let_go_leaves_no_alarm_and_all_that_are_left_are_settled_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    await wait_all_tasks_blocked()
    slot.pause()
    admitted(slot, only := ticket("only"))
    slot.let_go(only)
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
    admitted(slot, *(rest := [ticket(f"{number}") for number in range(3)]))
    slot.ledger.settle_all(GONE)
    assert [end_of(each) for each in rest] == [(GONE.kind, GONE.reason)] * 3
    slot.stop_time()


async def test_who_waited_for_the_gates_and_is_gone_leaves_no_alarm(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    slot = a_slot(requests_per_minute=50)
    nursery.start_soon(slot.keep_time)
    await wait_all_tasks_blocked()
    admitted(slot, first := ticket("1"), second := ticket("2"))
    assert await taken(slot) == [first]
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline < 10, "the gates open soon"
    for each in (first, second):
        each.fail(GONE)
    slot.release(first)
    slot.pause()
    admitted(slot, ticket("3"), ticket("4", 0.5))
    await trio.sleep(0.75)  # the alarm rings for the fourth, and asks what is next
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == 600 - 0.75
    slot.ledger.settle_all(GONE)
    slot.stop_time()


async def test_the_deadline_of_one_from_another_slot_is_kept(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    slot = a_slot()
    nursery.start_soon(slot.keep_time)
    await wait_all_tasks_blocked()
    slot.pause()
    slot.take_over(other := ticket("other", 7.0))
    await trio.sleep(8)
    assert (end_of(other), slot.counters["accepted"]) == (("timeout", "deadline_queued"), 0)
    slot.stop_time()


async def test_who_ends_within_the_grace_is_not_stuck_and_leaves_no_alarm(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    slot = a_slot(max_connections=1)
    nursery.start_soon(slot.keep_time)
    admitted(slot, slow := ticket("slow"))
    assert await taken(slot) == [slow]
    slow.scope = trio.CancelScope()
    admitted(slot, waiting := ticket("waiting", 2.0))
    slow.fail(GONE)
    await trio.sleep(CANCEL_GRACE - 1)
    assert (end_of(waiting), "actor.stuck" in caplog.text) == (("timeout", "deadline_queued"), False)
    slot.release(slow)
    assert trio.lowlevel.current_statistics().seconds_to_next_deadline == math.inf
    await trio.sleep(CANCEL_GRACE)
    assert "actor.stuck" not in caplog.text
    slot.stop_time()


@pytest.mark.parametrize("how", ["settled", "expired"])
async def test_the_stuck_are_told_though_the_last_request_ended_meanwhile(
    how: str, autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    slot = a_slot(max_connections=1)
    nursery.start_soon(slot.keep_time)
    admitted(slot, deaf := ticket("deaf"), other := ticket("other", 2.0))
    assert await taken(slot) == [deaf]
    deaf.scope = trio.CancelScope()
    deaf.fail(GONE)
    if how == "settled":
        other.fail(GONE)
    await trio.sleep(CANCEL_GRACE + 1)
    assert caplog.text.count("actor.stuck") == 1
    slot.release(deaf)
    slot.stop_time()


async def test_all_who_wait_for_rest_or_for_the_drain_are_told(nursery: trio.Nursery) -> None:
    slot = a_slot()
    told: list[str] = []

    async def wait(name: str, end: Callable[[], Awaitable[None]]) -> None:
        await end()
        told.append(name)

    for round_ in range(2):
        admitted(slot, running := ticket(f"{round_}"))
        assert await taken(slot) == [running]
        for name in ("a", "b"):
            nursery.start_soon(wait, f"{name} rest", slot.places.at_rest)
            nursery.start_soon(wait, f"{name} drain", slot.ledger.drained)
            await wait_all_tasks_blocked()
        assert told == []
        running.fail(GONE)
        await wait_all_tasks_blocked()
        assert sorted(told) == ["a drain", "b drain"]
        slot.release(running)
        await wait_all_tasks_blocked()
        assert sorted(told) == ["a drain", "a rest", "b drain", "b rest"]
        told.clear()


# -- what the gates are told

Told = tuple[Failure | None, Usage | None, float]
"""Failure, usage, and seconds of our own stall."""


def heard_by_the_gates(slot: Slot) -> list[Told]:
    """Grows with every end that the slot tells its gates, which go on as before."""
    told: list[Told] = []
    go_on = slot.gates.ended

    def ended(stake: Any, failure: Failure | None, usage: Usage | None, **more: Any) -> bool:
        told.append((failure, usage, more.get("lag", 0.0)))
        return go_on(stake, failure, usage, **more)

    setattr(slot.gates, "ended", ended)  # noqa: B010 - listened to, not replaced
    return told


@pytest.mark.parametrize(
    ("what_became_of_it", "told"),
    [
        ("answered", (None, DONE.usage, 0.0)),
        ("failed", (DOWN, None, 0.5)),
        ("failed and waits", (DOWN, None, 0.5)),
        ("cancelled", (GONE, None, 0.0)),
        ("interrupted", ("actor_crashed", None, 0.0)),
    ],
)
async def test_what_became_of_an_attempt_is_told_once(what_became_of_it: str, told: Any) -> None:
    slot = a_slot()
    heard = heard_by_the_gates(slot)
    admitted(slot, each := ticket("1"))
    assert await taken(slot) == [each]
    match what_became_of_it:
        case "answered":
            each.settle(DONE)
        case "failed" | "failed and waits":
            attempted(slot, each, DOWN)
            each.lag = 0.5
            if what_became_of_it == "failed":
                each.fail(DOWN)
            else:
                slot.dispatch.postpone(each, math.inf)
        case "cancelled":
            each.fail(GONE)
        case _:
            pass
    slot.release(each)
    slot.release(each)
    [(failure, usage, lag)] = heard
    what = failure.kind if what_became_of_it == "interrupted" and failure is not None else failure
    if what_became_of_it == "cancelled":
        assert failure is not None
        what = GONE if (failure.kind, failure.reason) == (GONE.kind, GONE.reason) else failure
    assert (what, usage, lag) == told


# -- crashes


@pytest.mark.parametrize(("apart", "is_forgotten"), [(SUSPECT_WITHIN - 1, True), (SUSPECT_WITHIN + 1, False)])
async def test_two_crashes_soon_after_each_other_make_the_retry_state_anew(
    apart: float, is_forgotten: bool, autojump_clock: MockClock
) -> None:
    slot = a_slot()
    break_down(slot, 5)
    states: list[str] = []
    for number in (1, 2):
        slot.on_state("restarting", number, RuntimeError("crash"))
        states.append(slot.gates.breaker.state)
        await trio.sleep(apart)
    assert states == ["open", "closed" if is_forgotten else "open"]


async def test_what_a_crash_puts_back_goes_first_in_its_order_and_only_what_ran_is_part_of_a_crash() -> None:
    slot = a_slot(max_connections=2)
    admitted(slot, *(tickets := [ticket(f"{number}") for number in range(4)]))
    assert await taken(slot) == tickets[:2]
    for number in (1, 2):
        slot.on_state("restarting", number, RuntimeError("crash"))
    assert [each.crashes for each in tickets] == [1, 1, 0, 0]
    assert await taken(slot) == tickets[:2]


async def test_parking_ends_what_ran_and_what_waits() -> None:
    slot = a_slot(max_connections=1)
    admitted(slot, ran := ticket("ran"), waits := ticket("waits"))
    assert await taken(slot) == [ran]
    ran.crashes = 1
    slot.on_state("parked", 1, RuntimeError("crash"))
    assert [end_of(ran), end_of(waits)] == [("actor_crashed", "poison_request"), ("unavailable", "parked")]
    assert (slot.ledger.tickets, slot.places.holders) == ({}, set())
    slot.admit(late := ticket("late"))
    assert end_of(late) == ("unavailable", "parked")
