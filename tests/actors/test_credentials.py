"""Keys that a function returns: one fetch for all, ahead of time, within a time, and anew where one is refused."""

import time
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nexus3 import (
    AttemptStarted,
    CompletionRequest,
    Message,
    ProviderConfig,
    ProviderError,
    RetryScheduled,
    Role,
    StreamComplete,
    StreamFailed,
    Submission,
    open_supervisor,
)
from nexus3.actors.attempt.credentials import Credentials
from nexus3.actors.attempt.fetched_key import FETCH_TIMEOUT, REFRESH_PAUSE
from nexus3.actors.gates import budget
from nexus3.config.resolve import resolve
from nexus3.loopback import Answer
from nexus3.testing import Exchange, open_house
from tests.actors.house import ask
from tests.actors.scripted import events_of

LIFE = 1000.0
"""Seconds that a key lives."""
SLOW = 5.0
"""Seconds that a fetch takes."""


class Vault:
    """Where keys come from: ``key-00000001`` and on, each good for ``life`` seconds."""

    def __init__(self, *, life: float | None = LIFE, takes: float = SLOW) -> None:
        self.life = life
        self.takes = takes
        self.asked: list[float] = []
        self.fetched = 0
        self.is_broken = False

    async def __call__(self) -> tuple[str, float | None]:
        self.asked.append(trio.current_time())
        await trio.sleep(self.takes)
        if self.is_broken:
            raise RuntimeError("the vault has lost key-00000001")
        self.fetched += 1
        return f"key-{self.fetched:08}", None if self.life is None else trio.current_time() + self.life


def credentials_of(
    api_key: object,
    wall_clock: Callable[[], float] = trio.current_time,
    on_refresh_failed: Callable[[str], None] = lambda _problem: None,
) -> Credentials:
    settings = {"type": "openai", "base_url": "https://api.example.test/v1", "api_key": api_key}
    return Credentials(resolve("p", ProviderConfig.model_validate(settings), {}), wall_clock, on_refresh_failed)


async def sent(credentials: Credentials) -> str:
    """The key that an attempt sends now."""
    [(name, value)] = await credentials.lend().headers()
    assert name == "authorization"
    return value.removeprefix("Bearer ")


async def trouble(credentials: Credentials) -> tuple[str, str, str]:
    with pytest.raises(ProviderError) as caught:
        await credentials.lend().headers()
    return caught.value.kind, caught.value.reason, caught.value.message


async def test_all_who_wait_share_one_fetch_and_later_ones_its_key(autojump_clock: MockClock) -> None:
    vault = Vault()
    credentials = credentials_of(vault)
    keys: list[str] = []

    async def one() -> None:
        keys.append(await sent(credentials))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert keys == ["key-00000001"] * 50
    assert await sent(credentials) == "key-00000001"
    assert len(vault.asked) == 1


async def test_who_leaves_while_the_key_is_fetched_takes_nothing_from_the_others(autojump_clock: MockClock) -> None:
    vault = Vault()
    credentials = credentials_of(vault)
    keys: list[str] = []

    async def one(patience: float) -> None:
        with trio.move_on_after(patience):
            keys.append(await sent(credentials))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, SLOW / 2)  # it is this one who begins the fetch
        await wait_all_tasks_blocked()
        nursery.start_soon(one, SLOW / 3)
        nursery.start_soon(one, SLOW * 2)
    assert keys == ["key-00000001"]
    assert (len(vault.asked), trio.current_time() - began) == (1, SLOW)


async def test_a_key_that_grows_old_is_replaced_while_it_is_still_sent(autojump_clock: MockClock) -> None:
    vault = Vault()
    credentials = credentials_of(vault)
    await sent(credentials)
    await trio.sleep(0.79 * LIFE)
    await sent(credentials)
    assert len(vault.asked) == 1

    await trio.sleep(0.02 * LIFE)
    began = trio.current_time()
    assert [await sent(credentials) for _ in range(3)] == ["key-00000001"] * 3
    assert trio.current_time() == began, "nobody waited"
    await trio.sleep(SLOW + 1)
    assert await sent(credentials) == "key-00000002"
    assert len(vault.asked) == 2


async def test_nobody_fetches_a_key_that_nobody_needs(autojump_clock: MockClock) -> None:
    vault = Vault()
    credentials = credentials_of(vault)
    await sent(credentials)
    await trio.sleep(100 * LIFE)
    assert len(vault.asked) == 1


async def test_a_key_at_the_end_of_its_life_is_not_sent_any_more(autojump_clock: MockClock) -> None:
    vault = Vault()
    credentials = credentials_of(vault)
    await sent(credentials)
    await trio.sleep(LIFE - 29)
    began = trio.current_time()
    assert await sent(credentials) == "key-00000002"
    assert trio.current_time() - began == SLOW


async def test_a_key_that_lives_for_a_moment_still_serves_those_who_waited_for_it(autojump_clock: MockClock) -> None:
    vault = Vault(life=0)
    credentials = credentials_of(vault)
    assert [await sent(credentials) for _ in range(2)] == ["key-00000001", "key-00000002"]


async def test_a_key_that_never_expires_is_fetched_once(autojump_clock: MockClock) -> None:
    vault = Vault(life=None)
    credentials = credentials_of(vault)
    await sent(credentials)
    await trio.sleep(80_000)
    assert await sent(credentials) == "key-00000001"


async def test_an_early_fetch_that_fails_disturbs_nobody_and_is_made_again_after_a_pause(
    autojump_clock: MockClock,
) -> None:
    vault = Vault(takes=0)
    told: list[str] = []
    credentials = credentials_of(vault, on_refresh_failed=told.append)
    await sent(credentials)
    vault.is_broken = True
    await trio.sleep(0.85 * LIFE)
    for _ in range(int(3 * REFRESH_PAUSE)):
        assert await sent(credentials) == "key-00000001"
        await trio.sleep(1)
    assert len(vault.asked) == 1 + 3
    assert told == ["The key function raised RuntimeError."] * 3
    await trio.sleep(0.14 * LIFE)
    assert await trouble(credentials) == ("auth", "key_function", "The key function raised RuntimeError.")
    assert len(told) == 3, "a request has failed by it, and says so itself"
    vault.is_broken = False
    assert await sent(credentials) == "key-00000002"


async def test_an_early_fetch_that_fails_is_logged_without_what_the_function_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(time, "time", trio.current_time)
    vault = Vault(takes=0)
    config = {"default_model": "p:m", "providers": {"p": {"type": "openai", "api_key": vault}}}
    async with open_house(lambda _: Answer("hello"), config) as house:
        await house.supervisor.complete(ask())
        vault.is_broken = True
        await trio.sleep(0.85 * LIFE)
        await house.supervisor.complete(ask())
        await wait_all_tasks_blocked()
    lines = [record for record in caplog.records if record.getMessage().startswith("key.refresh_failed")]
    assert [(line.levelname, vars(line)["nexus3"]) for line in lines] == [
        ("WARNING", {"actor": "p", "problem": "The key function raised RuntimeError."})
    ]
    assert "key-0000" not in caplog.text


async def test_a_function_that_hangs_is_given_up_for_all_who_wait(autojump_clock: MockClock) -> None:
    vault = Vault(takes=float("inf"))
    credentials = credentials_of(vault)
    seen: list[tuple[str, str, str]] = []

    async def one() -> None:
        seen.append(await trouble(credentials))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one)
    assert seen == [("auth", "key_function", f"The key function took longer than {FETCH_TIMEOUT:g} s.")] * 3
    assert (len(vault.asked), trio.current_time() - began) == (1, FETCH_TIMEOUT)
    vault.takes = SLOW
    assert await sent(credentials) == "key-00000001"


async def test_a_refused_key_is_nobody_s_any_more_and_its_successor_is_fetched_once(
    autojump_clock: MockClock,
) -> None:
    vault = Vault()
    credentials = credentials_of(vault)
    attempts = [credentials.lend() for _ in range(10)]
    for attempt in attempts:
        await attempt.headers()
    keys: list[str] = []

    async def again(number: int) -> None:
        await trio.sleep(number)  # some of these 401s come when the next key has been fetched already
        assert attempts[number].was_refused()
        keys.append(await sent(credentials))

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(again, number)
    assert keys == ["key-00000002"] * 10
    assert len(vault.asked) == 2


async def test_a_key_of_the_settings_that_is_refused_has_no_successor() -> None:
    attempt = credentials_of("sk-test-1234").lend()
    assert await attempt.headers() == [("authorization", "Bearer sk-test-1234")]
    assert not attempt.was_refused()


async def test_each_key_that_was_fetched_is_taken_out_of_what_is_told(autojump_clock: MockClock) -> None:
    vault = Vault(life=0)
    credentials = credentials_of(vault)
    for _ in range(2):
        await sent(credentials)
    assert "key-0000000" not in credentials.redact("not key-00000001, nor key-00000002")


async def test_requests_share_a_fetch_that_outlives_the_one_that_began_it(autojump_clock: MockClock) -> None:
    """The same through the whole supervisor: the first caller leaves, the others are served."""
    vault = Vault(life=None)
    settings = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": vault, "allow_loopback": True}
    request = CompletionRequest(model="p:m", messages=(Message(role=Role.USER, content="hi"),))
    async with open_house([Answer("hello")], {"providers": {"p": settings}}) as house:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as first:
                nursery.start_soon(_leave_after, SLOW / 2, first)
                await house.supervisor.complete(request)
            for _ in range(5):
                nursery.start_soon(house.supervisor.complete, request)
        keys = [value for each in house.network.exchanges for name, value in each.headers if name == "authorization"]
    assert first.cancelled_caught
    assert keys == ["Bearer key-00000001"] * 5
    assert len(vault.asked) == 1


# -- a 401, through the whole supervisor


def only(good: str) -> Callable[[Exchange], Answer]:
    """A provider that takes this key alone."""

    def script(exchange: Exchange) -> Answer:
        return Answer("hello") if ("authorization", f"Bearer {good}") in exchange.headers else Answer(status=401)

    return script


def config_of(api_key: object, **more: object) -> dict[str, object]:
    settings = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": api_key, "allow_loopback": True}
    return {"default_model": "p:m", "providers": {"p": {**settings, **more}}}


async def test_a_request_whose_key_is_refused_goes_out_once_more_with_the_next(autojump_clock: MockClock) -> None:
    vault = Vault(life=None)
    async with open_house(only("key-00000002"), config_of(vault)) as house:
        events = await events_of(house.supervisor, ask())
        done = events[-1]
        assert isinstance(done, StreamComplete)
        assert (done.attempts, done.message.content) == (2, "hello")
        assert [type(event) for event in events[:3]] == [AttemptStarted, RetryScheduled, AttemptStarted]
        scheduled = events[1]
        assert isinstance(scheduled, RetryScheduled)
        assert (scheduled.delay, scheduled.error.kind, scheduled.error.status) == (0, "auth", 401)
        now = trio.current_time()
        assert house.supervisor.slot("p").gates.budget(now) == budget.CAPACITY, "it costs no budget"
    assert len(vault.asked) == 2


async def test_a_hundred_refused_requests_fetch_one_key(autojump_clock: MockClock) -> None:
    vault = Vault(life=None)
    async with open_house(only("key-00000002"), config_of(vault)) as house, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(house.supervisor.complete, ask())
    assert len(vault.asked) == 2
    assert house.supervisor.snapshot().counters["outcome.completed"] == 100


async def test_the_next_key_is_the_last_that_is_tried(autojump_clock: MockClock) -> None:
    vault = Vault(life=None)
    async with open_house([Answer(status=401)], config_of(vault)) as house:
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask())
    assert (caught.value.kind, caught.value.attempts, len(vault.asked)) == ("auth", 2, 2)


async def test_no_retries_are_no_retries_but_the_next_request_has_another_key(autojump_clock: MockClock) -> None:
    vault = Vault(life=None)
    async with open_house(only("key-00000002"), config_of(vault, max_retries=0)) as house:
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask())
        assert (caught.value.kind, caught.value.attempts) == ("auth", 1)
        await house.supervisor.complete(ask())


async def test_a_refused_key_of_the_settings_is_not_sent_again(autojump_clock: MockClock) -> None:
    async with open_house([Answer(status=401)], config_of("sk-test-1234")) as house:
        with pytest.raises(ProviderError) as caught:
            await house.supervisor.complete(ask())
    assert (caught.value.kind, caught.value.attempts) == ("auth", 1)


async def test_a_block_that_is_left_takes_its_fetch_with_it(autojump_clock: MockClock) -> None:
    vault = Vault(takes=float("inf"))
    settings = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": vault, "allow_loopback": True}
    request = CompletionRequest(model="p:m", messages=(Message(role=Role.USER, content="hi"),))
    began = trio.current_time()
    with trio.move_on_after(1) as scope:
        async with open_house([Answer("hello")], {"providers": {"p": settings}}) as house:
            await house.supervisor.complete(request)
    assert scope.cancelled_caught
    assert (len(vault.asked), trio.current_time() - began) == (1, 1)


async def _leave_after(seconds: float, scope: trio.CancelScope) -> None:
    await trio.sleep(seconds)
    scope.cancel()


async def test_a_request_at_a_provider_without_a_key_is_refused_before_any_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with open_supervisor({"providers": {"p": {"type": "openai"}}}) as sup:
        submission = Submission(CompletionRequest(model="p:m", messages=(Message(role=Role.USER, content="hello"),)))
        async with sup.submissions() as submit:
            await submit.send(submission)
        async with submission.events as events:
            [failed] = [event async for event in events]
    assert isinstance(failed, StreamFailed)
    error = failed.error
    assert (error.kind, error.reason, error.phase, error.attempts) == ("auth", "missing_key", "queued", 0)
