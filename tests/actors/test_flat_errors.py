"""Whatever breaks, and wherever: what reaches the host's code is one of the documented exceptions, never a group.

Faults of all kinds, groups and the odd ones included, are raised at every place where foreign code or the network can
raise: opening a transport, sending, reading, closing, fetching a key, a task of the host's own, the log.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from unittest import mock

import pytest
import structlog
import trio
import trio._core._run
from trio.testing import MockClock

from nexus3 import (
    ConfigError,
    Message,
    ProviderConfig,
    ProviderError,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    SupervisorEscalated,
    open_supervisor,
)
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import Response, Transport
from nexus3.loopback import Answer
from nexus3.supervisor.child import ChildStopped
from nexus3.testing import ScriptedNetwork, crash
from tests.actors.house import ask

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))
ROUNDS = 150
REQUESTS = 6

FAULTS: tuple[Callable[[], Exception], ...] = (
    OSError,
    ValueError,
    lambda: KeyError("key"),
    lambda: trio.ClosedResourceError("closed"),
    lambda: trio.BrokenResourceError("broken"),
    trio.EndOfChannel,
    trio.TooSlowError,
    StopAsyncIteration,
    lambda: RuntimeError("generator didn't stop"),
    lambda: ExceptionGroup("two", [OSError(), ValueError()]),
    lambda: ExceptionGroup("nested", [ExceptionGroup("one", [KeyError()])]),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
)


class Faults:
    """Raises at some of the places, as the dice say."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._likely = {
            place: rng.choice((0, 0, 0, 0.2, 1)) for place in ("open", "close", "send", "read", "key", "log")
        }
        self.raised: Counter[str] = Counter()

    def at(self, place: str) -> None:
        if self._rng.random() < self._likely[place]:
            self.raised[place] += 1
            raise self._rng.choice(FAULTS)()

    async def key(self) -> tuple[str, None]:
        self.at("key")
        return "k", None

    def log(self, _: object, __: str, line: dict[str, object]) -> dict[str, object]:
        self.at("log")
        raise structlog.DropEvent


class FaultyNetwork:
    """A scripted network, with the faults before and after each thing that it does."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._inner = ScriptedNetwork([Answer(["a"] * 5, delay=0.2)])

    @asynccontextmanager
    async def open(self, provider: ResolvedProvider) -> AsyncIterator[Transport]:
        self._faults.at("open")
        async with self._inner.open(provider) as transport:
            yield FaultyTransport(transport, self._faults)
        self._faults.at("close")


class FaultyTransport:
    def __init__(self, inner: Transport, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @asynccontextmanager
    async def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> AsyncIterator[Response]:
        self._faults.at("send")
        async with self._inner.exchange(url, headers, body, on_sent=on_sent) as response:
            yield FaultyResponse(response, self._faults)
        self._faults.at("close")


class FaultyResponse:
    def __init__(self, inner: Response, faults: Faults) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self._inner = inner
        self._faults = faults

    @property
    def is_at_end(self) -> bool:
        return self._inner.is_at_end

    async def receive_some(self) -> bytes:
        self._faults.at("read")
        return await self._inner.receive_some()


class Mine(Exception):  # noqa: N818 - no error of anybody's
    """The body's own."""


class Caught:
    """What reached the host's code, by where; and what should not have."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.wrong: list[str] = []

    def take(self, where: str, error: BaseException, *allowed: type[BaseException]) -> None:
        self.kinds[f"{where}: {type(error).__name__}"] += 1
        if isinstance(error, BaseExceptionGroup) or not isinstance(error, allowed):
            self.wrong.append(f"{where}: {error!r}")

    def take_from_the_block(self, error: Exception, mine: Exception, group: Exception) -> None:
        """The body's own leaves as the same object; beside it, only the one word that the supervisor gave up."""
        self.kinds[f"block: {type(error).__name__}"] += 1
        if error is not mine and error is not group and not isinstance(error, SupervisorEscalated):
            self.wrong.append(f"block: {error!r}")


async def one_request(sup: Supervisor, way: str, caught: Caught) -> None:
    try:
        match way:
            case "complete":
                await sup.complete(ask(timeout=5))
            case "stream":
                async with sup.stream(ask(timeout=5)) as stream:
                    async for _ in stream:
                        pass
            case "bound":
                await sup.provider().complete([Message(role=Role.USER, content="hi")])
            case "channel":
                submission = Submission(ask(timeout=5))
                async with sup.submissions() as submit:
                    await submit.send(submission)
                async with submission.events as events:
                    end = [event async for event in events][-1]
                assert isinstance(end, StreamComplete | StreamFailed)
            case _:
                send, receive = trio.open_memory_channel[StreamEvent](64)
                with receive:
                    async with sup.submissions() as submit:
                        await submit.send(Submission(ask(timeout=5), reply_to=send))
                    assert [event async for event in receive]
    except ProviderError as error:
        caught.take(way, error, ProviderError)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        if way not in ("channel", "reply_to"):  # the block was left while it was sent
            caught.wrong.append(f"{way}: {error!r}")
    except BaseException as error:
        if isinstance(error, trio.Cancelled):
            raise
        caught.take(way, error)


async def control(sup: Supervisor, deed: str, settings: ProviderConfig, caught: Caught) -> None:
    """What the operator's side may raise is told in the docstrings."""
    try:
        match deed:
            case "restart":
                await sup.restart("p")
            case "reconfigure":
                await sup.reconfigure("p", settings)
            case "add":
                await sup.add_provider("q", settings)
                await sup.remove_provider("q")
            case "crash":
                crash(sup, "p")
            case _:
                with trio.move_on_after(1):
                    await sup.drain("p")
                sup.resume("p")
    except (ProviderError, ConfigError, ChildStopped, LookupError, TimeoutError) as error:
        caught.take(deed, error, ProviderError, ConfigError, ChildStopped, LookupError, TimeoutError)
    except trio.Cancelled:
        raise
    except BaseException as error:
        # The start's own exception, which the network raised, as it was.
        if deed != "restart":
            caught.take(deed, error)


async def one_round(seed: str) -> tuple[Caught, Faults]:
    rng = Random(seed)
    faults, caught, mine = Faults(rng), Caught(), Mine()
    provider = {
        "type": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": faults.key,
        "allow_loopback": True,
        "max_connections": rng.choice((1, 4)),
        "request_timeout": 5.0,
    }
    supervisor = {
        "on_exhausted": rng.choice(("park", "escalate")),
        "max_restarts": rng.choice((0, 2)),
        "strategy": rng.choice(("one_for_one", "one_for_all")),
        "backoff_max": 0.5,
    }
    config = {"default_model": "p:m", "providers": {"p": provider}, "supervisor": supervisor}
    ending = rng.choice(("cleanly", "raises", "group", "cancel"))
    group = ExceptionGroup("mine", [mine])
    structlog.configure(processors=[faults.log])  # type: ignore[list-item]  # a plain dict is what it gets
    try:
        with trio.CancelScope() as outer:
            async with trio.open_nursery() as callers:
                try:
                    async with open_supervisor(config, open_transport=FaultyNetwork(faults).open) as sup:

                        async def of_the_host_s_own() -> None:
                            await trio.sleep(rng.random())
                            raise rng.choice(FAULTS)()

                        if rng.random() < 0.3:
                            sup.start_soon(of_the_host_s_own)
                        for _ in range(REQUESTS):
                            way = rng.choice(("complete", "stream", "bound", "channel", "reply_to"))
                            callers.start_soon(one_request, sup, way, caught)
                        for _ in range(rng.choice((0, 1, 3))):
                            deed = rng.choice(("restart", "reconfigure", "add", "crash", "drain"))
                            callers.start_soon(control, sup, deed, ProviderConfig.model_validate(provider), caught)
                            await trio.sleep(rng.random())
                        if ending == "raises":
                            raise mine
                        if ending == "group":
                            raise group
                        if ending == "cancel":
                            outer.cancel()
                            await trio.sleep_forever()
                except Exception as error:
                    caught.take_from_the_block(error, mine, group)
    finally:
        structlog.reset_defaults()
    return caught, faults


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_exception_that_reaches_the_host_is_a_documented_one() -> None:
    seen: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    for number in range(ROUNDS):
        seed = f"{SEED}/{number}"
        trio._core._run._r.seed(seed)  # trio runs the tasks of a batch in an order of its own dice
        try:
            with mock.patch.object(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True):
                caught, faults = trio.run(one_round, seed, clock=MockClock(autojump_threshold=0))
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        assert caught.wrong == [], f"seed {seed}"
        seen += caught.kinds
        raised += faults.raised
    print(f"raised {dict(raised)}; seen {dict(seen)}")
    assert set(raised) == {"open", "close", "send", "read", "key", "log"}
    assert seen["block: SupervisorEscalated"] > 0
    assert seen["block: Mine"] > 0
