"""What is known to go wrong in other actor libraries, each defect a named test: it does not go wrong here.

triotp is the nearest one on trio (the ``T`` numbers are of a study of its version 0.3.1); kameo, of Rust, has the most
instructive public history of what happens to mail at a restart (the numbers are of its issues).
"""

from collections.abc import Mapping
from random import Random

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3 import (
    ContentDelta,
    ProviderError,
    StreamComplete,
    StreamEvent,
    Submission,
    Supervisor,
    SupervisorEscalated,
    open_supervisor,
)
from nexus3.loopback import Answer
from nexus3.supervisor.spec import ChildSpec, Intensity
from nexus3.supervisor.tree import Tree
from nexus3.testing import HANG, Crash, Head, ScriptedNetwork, Sent, Step, check_at_rest, crash, open_house
from tests.actors.house import HELLO, ask

SLOW = Answer(["a"] * 10, delay=1.0)


def config(
    provider: Mapping[str, object] | None = None, supervisor: Mapping[str, object] | None = None
) -> Mapping[str, object]:
    one = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "allow_loopback": True}
    return {"default_model": "p:m", "providers": {"p": {**one, **(provider or {})}}, "supervisor": supervisor or {}}


async def nothing() -> None:
    pass


async def ending(sup: Supervisor, ends: list[str]) -> None:
    """One request; how it ended."""
    try:
        ends.append(str((await sup.complete(ask())).message.content))
    except ProviderError as error:
        ends.append(f"{error.kind}/{error.reason}")


# -- triotp


async def test_triotp_t1_a_caller_hangs_when_its_server_crashes(autojump_clock: MockClock) -> None:
    """There, whoever waits in a call when the handler raises waits for ever: the death closes nothing."""
    script: list[list[Step]] = [[Sent(), Head(headers={"content-type": "text/event-stream"}), HANG]]
    async with open_house(script, config({"retry_unsafe": False})) as (sup, _), trio.open_nursery() as nursery:
        ends: list[str] = []
        nursery.start_soon(ending, sup, ends)
        await trio.sleep(1)
        crash(sup, "p")
        await wait_all_tasks_blocked()
        assert ends == ["actor_crashed/sent"]


async def test_triotp_t2_a_late_reply_kills_the_server(autojump_clock: MockClock) -> None:
    """There, a reply to a caller that has given up raises in the server, which dies of it."""
    async with open_house([SLOW, HELLO], config()) as (sup, network):
        with trio.move_on_after(0.5) as gave_up:
            await sup.complete(ask())
        assert gave_up.cancelled_caught
        await trio.sleep(60)
        assert sup.snapshot().children["p"].generation == 1
        assert network.exchanges[0].ending == "left"
        assert (await sup.complete(ask())).message.content == "Hello"


async def test_triotp_t3_a_timeout_does_not_cover_the_queue(autojump_clock: MockClock) -> None:
    """There, a call with a timeout of 0.05 s took 0.53 s, since its clock starts when the server takes the message."""
    async with open_house([SLOW], config({"max_connections": 1})) as (sup, _), trio.open_nursery() as nursery:
        nursery.start_soon(sup.complete, ask())
        await trio.sleep(0.5)
        began = trio.current_time()
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask(timeout=0.05))
        assert (caught.value.kind, caught.value.phase) == ("timeout", "queued")
        assert trio.current_time() - began == pytest.approx(0.05)


async def test_triotp_t5_a_crashing_child_is_restarted_in_a_hot_loop(autojump_clock: MockClock) -> None:
    """There, a child was started 51 times within 34 ms, since nothing waits between two starts."""
    network = ScriptedNetwork([HELLO], opening=lambda *_: [Crash()])
    async with open_supervisor(config(), open_transport=network.open):
        await trio.sleep(0.034)
        assert network.incarnations["p"] == 1
        await trio.sleep(60)
        assert network.incarnations["p"] <= 7 + 6, "a burst, a rest of 30 s and one attempt, a rest and another"


async def test_triotp_t6_an_error_at_the_start_surfaces_as_another_one() -> None:
    """There, what ``init`` raises is hidden by the UnboundLocalError of its own cleanup."""

    async def fails(*, task_status: trio.TaskStatus[None]) -> None:
        raise OSError("no port")

    async with open_house([HELLO], config()) as (sup, _):
        with pytest.raises(OSError, match="no port") as caught:
            await sup.start(fails)
        assert type(caught.value) is OSError
        assert "fails" not in sup.snapshot().children


async def test_triotp_t7_the_intensity_counts_per_child_although_it_is_the_supervisor_s(
    autojump_clock: MockClock,
) -> None:
    """There, five children of one supervisor with a budget of 3 restarts were started 19 times before it gave up."""
    starts: list[float] = []

    async def flaky(*, task_status: trio.TaskStatus[None]) -> None:
        starts.append(trio.current_time())
        task_status.started()
        await trio.sleep(1)
        raise OSError

    specs = [ChildSpec(f"child-{number}", flaky) for number in range(5)]
    with pytest.raises(SupervisorEscalated):
        async with Tree(specs, Random(1), intensity=Intensity(3, 100)).block(drain=nothing, abandon=lambda: None):
            await trio.sleep_forever()
    assert 5 <= len(starts) <= 5 + 3


@pytest.mark.parametrize("how", ["body ends", "body raises", "cancelled", "stopped"])
async def test_triotp_t8_cleanup_does_not_run_on_cancellation(how: str, autojump_clock: MockClock) -> None:
    """There, ``terminate`` is called after an ``Exception`` only, and a cancelled server never cleans up."""
    cleaned: list[str] = []

    async def tidy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            cleaned.append("tidy")

    network = ScriptedNetwork([HELLO])
    with trio.CancelScope() as scope:
        try:
            async with open_supervisor(config(), open_transport=network.open) as sup:
                sup.start_soon(tidy)
                await wait_all_tasks_blocked()
                match how:
                    case "body raises":
                        raise KeyError
                    case "cancelled":
                        scope.cancel()
                        await trio.sleep_forever()
                    case "stopped":
                        await sup.restart("tidy")
                        assert cleaned == ["tidy"]
                        await wait_all_tasks_blocked()
                    case _:
                        pass
        except KeyError:
            pass
    assert cleaned == (["tidy", "tidy"] if how == "stopped" else ["tidy"])


# -- kameo


async def test_kameo_84_starting_deadlocks_with_a_tiny_mailbox(autojump_clock: MockClock) -> None:
    """There, an actor whose mailbox fills while it starts never does: what it waits for stands behind the full box."""
    ends: list[str] = []

    async def warms_up(*, task_status: trio.TaskStatus[None]) -> None:
        """Starts under the tree by asking a provider that has one place, and a mailbox for one."""
        for _ in range(5):
            await ending(sup, ends)
        task_status.started()
        await trio.sleep_forever()

    limits = {"max_connections": 1, "mailbox_capacity": 1}
    async with open_house([HELLO], config(limits)) as (sup, _):
        crash(sup, "p")  # so that the mailbox fills while the provider itself is starting
        await wait_all_tasks_blocked()
        assert sup.snapshot().children["p"].state == "restarting"
        await sup.start(warms_up)
        assert ends == ["Hello"] * 5


async def test_kameo_87_an_actor_that_asks_itself_waits_for_ever(autojump_clock: MockClock) -> None:
    """There, a handler that asks its own actor waits for an answer that only it could give. Here it can do so in the
    function that fetches its key, which a request of its own needs: the deadline ends it, typed."""

    async def key() -> tuple[str, None]:
        await sup.complete(ask(timeout=5.0))
        return "k", None

    async with open_house([HELLO], config({"api_key": key})) as (sup, network):
        with pytest.raises(ProviderError) as caught:
            await sup.complete(ask(timeout=20.0))
        assert (caught.value.kind, caught.value.reason) == ("auth", "key_function")
        assert trio.current_time() == pytest.approx(5), "the inner one's deadline"
        assert network.exchanges == []
        assert sup.snapshot().children["p"].generation == 1


async def test_kameo_335_waiting_mail_is_lost_at_a_restart(autojump_clock: MockClock) -> None:
    """There, whatever stood in the mailbox of an actor that crashed was dropped without a word."""
    script = iter([SLOW])
    limits = {"max_connections": 1}
    async with open_house(lambda _: next(script, HELLO), config(limits)) as (sup, _):
        ends: list[str] = []
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ending, sup, ends)
            await trio.sleep(2.5)
            assert sup.snapshot().children["p"].queued == 4
            crash(sup, "p")
        assert ends == ["actor_crashed/mid_stream", *["Hello"] * 4]


async def test_kameo_351_the_cure_was_to_drop_all_mail_with_an_error(autojump_clock: MockClock) -> None:
    """There, mail that was kept over a restart brought a deadlock back (#84), so that for a while all of it got an
    error. Here it is kept, and mail that comes while nobody is there is taken, also by a full house."""
    openings = iter([[], [Crash()], [Crash()]])
    limits = {"max_connections": 1, "mailbox_capacity": 8}
    async with open_house([HELLO], config(limits), opening=lambda *_: next(openings, [])) as (sup, network):
        ends: list[str] = []
        crash(sup, "p")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(ending, sup, ends)
            await wait_all_tasks_blocked()
            assert sup.snapshot().children["p"].queued == 8
            assert sup.snapshot().children["p"].in_flight == 0
        assert ends == ["Hello"] * 8
        assert network.incarnations == {"p": 4}


async def test_kameo_359_an_ask_over_a_restart_says_neither_what_happened_nor_what_it_had(
    autojump_clock: MockClock,
) -> None:
    """There, such an ask once failed without saying why, and took the message with it."""
    async with open_house([SLOW], config()) as (sup, _), sup.stream(ask()) as stream:
        with pytest.raises(ProviderError) as caught:
            async for event in stream:
                if isinstance(event, ContentDelta):
                    await trio.sleep(1.5)
                    crash(sup, "p")
    error = caught.value
    assert (error.kind, error.reason, error.retryable, error.emitted) == ("actor_crashed", "mid_stream", True, True)
    assert (error.provider, error.model, error.attempts) == ("p", "m", 1)
    assert error.partial is not None
    assert str(error.partial.content).startswith("aa")


@pytest.mark.parametrize(("how", "reason"), [("drained", "draining"), ("removed", "removed"), ("left", "draining")])
async def test_kameo_362_mail_sent_after_a_graceful_stop_is_dropped_silently(
    how: str, reason: str, autojump_clock: MockClock
) -> None:
    """There, an actor that was told to stop took messages that nobody would read."""
    served: list[str] = []
    refused: list[str] = []

    async def asks_meanwhile() -> None:
        await trio.sleep(1)
        await ending(sup, refused)

    async with trio.open_nursery() as nursery, open_house([SLOW], config()) as (sup, _):
        nursery.start_soon(ending, sup, served)
        await trio.sleep(1)
        nursery.start_soon(asks_meanwhile)
        if how == "drained":
            await sup.drain("p")
        elif how == "removed":
            await sup.remove_provider("p")
    assert (served, refused) == (["a" * 10], [f"unavailable/{reason}"])
    await ending(sup, refused)
    assert refused[1:] == ["unavailable/closed"]


@pytest.mark.parametrize("on_exhausted", ["park", "escalate"])
async def test_kameo_364_mail_is_lost_when_the_restart_budget_is_exhausted(
    on_exhausted: str, autojump_clock: MockClock
) -> None:
    """There, the hook for undelivered mail was not called when an actor was given up."""
    network = ScriptedNetwork([SLOW])
    supervisor = {"max_restarts": 0, "on_exhausted": on_exhausted, "park_for": 500.0}
    ends: list[str] = []
    brought, theirs = trio.open_memory_channel[StreamEvent](64)
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            try:
                async with open_supervisor(
                    config({"max_connections": 1}, supervisor), open_transport=network.open
                ) as sup:
                    for _ in range(4):
                        nursery.start_soon(ending, sup, ends)
                    await trio.sleep(2.5)
                    async with sup.submissions() as submit:
                        await submit.send(Submission(ask(), reply_to=brought))
                    crash(sup, "p")
                    await trio.sleep(1)
                    await ending(sup, ends)
            except SupervisorEscalated:
                pass
        events = [event async for event in theirs]
    reason = "parked" if on_exhausted == "park" else "closed"
    assert events
    assert not isinstance(events[-1], StreamComplete)
    running = "actor_crashed/mid_stream" if on_exhausted == "park" else "unavailable/closed"
    assert sorted(ends[:4]) == [running, *[f"unavailable/{reason}"] * 3]
    settled = [line for line in lines if line["event"] == "request.settled"]
    assert len(settled) == sup.snapshot().counters["accepted"], "each is told to the operator, too"
    check_at_rest(sup.snapshot())
