"""Each key of ``supervisor`` does what it says, to providers and to the host's own tasks. In virtual time."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from nexus3 import ContentDelta, ProviderError, SupervisorEscalated
from nexus3.config.schema import SupervisorSettings
from nexus3.loopback import Answer
from nexus3.testing import HANG, House, Opening, Pause, crash, open_house
from nexus3.testing.network import opens_at_once
from tests.actors import test_spend
from tests.actors.house import HELLO, ask

NAMES = ("one", "two", "three")
QUICK = {"backoff_min": 0.5, "backoff_max": 0.5}


def config(supervisor: Mapping[str, object]) -> dict[str, object]:
    provider = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "allow_loopback": True}
    return {
        "default_model": "two:m",
        "providers": {name: dict(provider) for name in NAMES},
        "supervisor": {**QUICK, **supervisor},
    }


@asynccontextmanager
async def supervised(
    settings: Mapping[str, object], *, answer: Answer = HELLO, opening: Opening = opens_at_once
) -> AsyncIterator[House]:
    async with open_house([answer], config(settings), opening=opening) as house:
        yield house


class Flaky:
    """A task that dies a second after each start."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(trio.current_time())
        await trio.sleep(1)
        raise OSError("flaky")


@pytest.mark.parametrize(
    ("strategy", "generations"),
    [("one_for_one", [1, 2, 1]), ("rest_for_one", [1, 2, 2]), ("one_for_all", [2, 2, 2])],
)
async def test_strategy(strategy: str, generations: list[int], autojump_clock: MockClock) -> None:
    async with supervised({"strategy": strategy}) as (sup, _):
        crash(sup, "two")
        await trio.sleep(5)
        assert [sup.snapshot().children[name].generation for name in NAMES] == generations
        for name in NAMES:
            assert (await sup.complete(ask(model=f"{name}:m"))).message.content == "Hello"


async def test_max_restarts_and_restart_window(autojump_clock: MockClock) -> None:
    async with supervised({"max_restarts": 2, "restart_window": 20.0, "park_for": 1000.0}) as (sup, _):
        for expected in ("ready", "ready", "parked"):
            crash(sup, "two")
            await trio.sleep(5)
            assert sup.snapshot().children["two"].state == expected
    async with supervised({"max_restarts": 2, "restart_window": 8.0}) as (sup, _):
        for _ in range(5):
            crash(sup, "two")
            await trio.sleep(5)
            assert sup.snapshot().children["two"].state == "ready", "the first is out of the window by the third"


@pytest.mark.parametrize("each", [1, 100])
async def test_max_total_restarts_counts_all_children_together(each: int, autojump_clock: MockClock) -> None:
    with pytest.raises(SupervisorEscalated) as caught:
        async with supervised({"max_total_restarts": 2, "total_restart_window": 60.0, "max_restarts": each}) as (
            sup,
            _,
        ):
            for name in NAMES:
                await trio.sleep(5)
                crash(sup, name)
            await trio.sleep(1000)
    assert "'three'" in str(caught.value)
    assert trio.current_time() == pytest.approx(15)


async def test_total_restart_window(autojump_clock: MockClock) -> None:
    async with supervised({"max_total_restarts": 2, "total_restart_window": 8.0}) as (sup, _):
        for name in NAMES * 2:
            await trio.sleep(5)
            crash(sup, name)
        await trio.sleep(5)
        assert [sup.snapshot().children[name].restarts for name in NAMES] == [2, 2, 2]


async def test_on_exhausted(autojump_clock: MockClock) -> None:
    flaky = Flaky()
    with pytest.raises(SupervisorEscalated):
        async with supervised({"max_restarts": 0, "on_exhausted": "escalate"}) as (sup, _):
            sup.start_soon(flaky, name="flaky")
            await trio.sleep(1000)
    assert trio.current_time() == pytest.approx(1), "the host's own tasks obey it too"
    with pytest.raises(SupervisorEscalated):
        async with supervised({"max_restarts": 0, "on_exhausted": "escalate"}) as (sup, _):
            crash(sup, "two")
            await trio.sleep(1000)


async def test_park_for(autojump_clock: MockClock) -> None:
    async with supervised({"max_restarts": 0, "park_for": 7.0}) as (sup, _):
        crash(sup, "two")
        await trio.sleep(6.9)
        with pytest.raises(ProviderError, match="parked"):
            await sup.complete(ask())
        await trio.sleep(0.2)
        assert (await sup.complete(ask())).message.content == "Hello"
        flaky = Flaky()
        began = trio.current_time()
        sup.start_soon(flaky, name="flaky")
        await trio.sleep(10)
        assert [at - began for at in flaky.starts] == pytest.approx([0, 8]), "the host's own tasks obey it too"


async def test_the_backoff(autojump_clock: MockClock) -> None:
    """Jitter takes off half at most; a task that has run for ``reset_after`` begins anew."""
    backoff = {"backoff_min": 1.0, "backoff_factor": 3.0, "backoff_max": 20.0, "max_restarts": 100}
    async with supervised({**backoff, "reset_after": 50.0}) as (sup, _):
        flaky = Flaky()
        sup.start_soon(flaky, name="flaky")
        await trio.sleep(200)
    waits = [later - earlier - 1 for earlier, later in zip(flaky.starts, flaky.starts[1:], strict=False)]
    for wait, longest in zip(waits, [1, 3, 9, 20, 20, 20], strict=False):
        assert longest / 2 <= wait <= longest
    async with supervised({**backoff, "reset_after": 0.9}) as (sup, _):
        flaky = Flaky()
        sup.start_soon(flaky, name="flaky")
        await trio.sleep(20)
    waits = [later - earlier - 1 for earlier, later in zip(flaky.starts, flaky.starts[1:], strict=False)]
    assert len(waits) >= 9
    assert max(waits) <= 1


async def test_start_timeout(autojump_clock: MockClock) -> None:
    slow: Opening = lambda name, incarnation: [Pause(4)] if name == "two" and incarnation == 1 else []  # noqa: E731
    for start_timeout, generation in ((3.0, 2), (5.0, 1)):
        async with supervised({"start_timeout": start_timeout}, opening=slow) as (sup, _):
            await trio.sleep(10)
            assert sup.snapshot().children["two"].generation == generation
    hung: Opening = lambda name, incarnation: [HANG] if name == "two" and incarnation == 1 else []  # noqa: E731
    began = trio.current_time()
    async with supervised({"start_timeout": 3.0}, opening=hung) as (sup, _):
        assert trio.current_time() == pytest.approx(began + 3), "the block is entered when the first start has failed"

        async def never_ready(*, task_status: trio.TaskStatus[None]) -> None:
            await trio.sleep_forever()

        with pytest.raises(TimeoutError, match="within 3 s"):
            await sup.start(never_ready)


async def test_restart_grace(autojump_clock: MockClock) -> None:
    """What runs longer is treated as in a crash: content has been seen, so it fails."""
    long = Answer(["a"] * 10, delay=1.0)
    ends: dict[float, str] = defaultdict(str)
    for grace in (2.0, 20.0):
        async with supervised({"restart_grace": grace}, answer=long) as (sup, _), sup.stream(ask()) as stream:
            while not isinstance(await stream.receive(), ContentDelta):
                pass
            began = trio.current_time()
            await sup.restart("two")
            assert trio.current_time() - began == pytest.approx(2 if grace == 2 else 9, abs=0.1)
            try:
                async for event in stream:
                    ends[grace] = type(event).__name__
            except ProviderError as error:
                ends[grace] = error.reason
    assert ends == {2.0: "mid_stream", 20.0: "StreamComplete"}


async def test_cancel_grace(autojump_clock: MockClock) -> None:
    async def deaf() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(50)

    with capture_logs() as lines:
        async with supervised({"cancel_grace": 4.0}) as (sup, _), trio.open_nursery() as nursery:
            sup.start_soon(deaf, name="deaf")
            await trio.sleep(1)
            nursery.start_soon(sup.restart, "deaf")
            await trio.sleep(3.9)
            assert "actor.stuck" not in [line["event"] for line in lines]
            await trio.sleep(0.2)
            assert [line["actor"] for line in lines if line["event"] == "actor.stuck"] == ["deaf"]


async def test_shutdown_timeout(autojump_clock: MockClock) -> None:
    """Five tasks that end in turn, each in its own time; when time is up, those that are left end at once."""

    async def takes_its_time() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(4)

    took = []
    for timeout in (10.0, 100.0):
        async with supervised({"shutdown_timeout": timeout, "cancel_grace": 60.0}) as (sup, _):
            for number in range(5):
                sup.start_soon(takes_its_time, name=f"task-{number}")
            await trio.sleep(1)
            leaving = trio.current_time()
        took.append(trio.current_time() - leaving)
    assert took == pytest.approx([10 + 4, 5 * 4])


@pytest.mark.parametrize(("how", "ends_after"), [("any_significant", 1), ("all_significant", 3)])
async def test_auto_shutdown(how: str, ends_after: float, autojump_clock: MockClock) -> None:
    async with supervised({"auto_shutdown": how}) as (sup, _):
        sup.start_soon(trio.sleep, 1, name="a", restart="transient", significant=True)
        await sup.start(trio.sleep, 3, name="b", restart="temporary", significant=True)
        sup.start_soon(trio.sleep, 0.5, name="c", restart="temporary")
        await trio.sleep(1000)
    assert trio.current_time() == pytest.approx(ends_after)


async def test_a_significant_task_needs_a_meaning(autojump_clock: MockClock) -> None:
    async with supervised({}) as (sup, _):
        with pytest.raises(ValueError, match="auto_shutdown"):
            sup.start_soon(trio.sleep_forever, restart="transient", significant=True)
    async with supervised({"auto_shutdown": "any_significant"}) as (sup, _):
        with pytest.raises(ValueError, match="permanent"):
            sup.start_soon(trio.sleep_forever, significant=True)


TESTED = {
    "strategy": test_strategy,
    "max_restarts": test_max_restarts_and_restart_window,
    "restart_window": test_max_restarts_and_restart_window,
    "max_total_restarts": test_max_total_restarts_counts_all_children_together,
    "total_restart_window": test_total_restart_window,
    "on_exhausted": test_on_exhausted,
    "park_for": test_park_for,
    "backoff_min": test_the_backoff,
    "backoff_max": test_the_backoff,
    "backoff_factor": test_the_backoff,
    "reset_after": test_the_backoff,
    "start_timeout": test_start_timeout,
    "restart_grace": test_restart_grace,
    "cancel_grace": test_cancel_grace,
    "shutdown_timeout": test_shutdown_timeout,
    "auto_shutdown": test_auto_shutdown,
    "spend_cap": test_spend.test_a_supervisor_s_cap_is_for_all_its_providers_together,
    "caller_spend_caps": test_spend.test_a_caller_has_the_cap_of_its_name_else_that_of_every_caller,
    "on_unknown_price": test_spend.test_or_it_goes_through_and_is_told_and_counted,
}


def test_every_key_has_a_test_of_its_effect() -> None:
    assert set(TESTED) == set(SupervisorSettings.model_fields)
