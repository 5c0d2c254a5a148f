"""What the pool keeps, what it replaces, and what it closes; on real sockets, against a server process."""

import time
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from nexus3 import CompletionRequest, Message, Role, open_supervisor
from nexus3.actors.http.connection import Connection
from nexus3.actors.http.pool import Pool
from nexus3.actors.http.ssrf import Origin
from nexus3.actors.limits import Limits
from nexus3.actors.transport import TransportFault
from nexus3.wire.failures import Failure
from tests.actors.http.world import HEADERS, LOOPBACK, PATH, Server, a_pool, a_server, ask, body, sockets

ORIGIN = Origin("http", "127.0.0.1", 9)


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    with a_server() as server:
        yield server


@pytest.fixture
async def server(process: Server) -> Server:
    await process.forget()
    return process


async def failure(pool: Pool, url: str, model: str = "short") -> Failure:
    with pytest.raises(TransportFault) as caught:
        await ask(pool, url, model)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value.failure


async def test_one_request_after_the_other_shares_a_connection(server: Server) -> None:
    with a_pool() as pool:
        assert [(await ask(pool, server.url))[0] for _ in range(4)] == [200] * 4
        assert (await server.connections(), pool.idle_connections) == ([0] * 4, 1)
    assert sockets() == 0


async def test_requests_at_the_same_time_have_connections_of_their_own_and_the_freshest_is_taken_next(
    server: Server,
) -> None:
    with a_pool() as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(ask, pool, server.url, "paced")
        assert pool.idle_connections == 4
        for _ in range(3):
            await ask(pool, server.url)
        first = await server.connections()
        assert sorted(first[:4]) == [0, 1, 2, 3]
        assert len(set(first[4:])) == 1


async def test_no_more_are_kept_than_allowed(server: Server) -> None:
    with a_pool(max_keepalive_connections=2) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask, pool, server.url, "paced")
        assert (pool.idle_connections, sockets()) == (2, 2)


async def test_a_connection_is_replaced_after_so_many_requests(server: Server) -> None:
    with a_pool(max_connection_requests=2) as pool:
        for _ in range(5):
            await ask(pool, server.url)
        assert await server.connections() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("limit", ["keepalive_expiry", "max_connection_age"])
async def test_a_connection_is_replaced_when_it_is_old(server: Server, limit: str) -> None:
    with a_pool(**{limit: 0.1}) as pool:
        await ask(pool, server.url)
        await trio.sleep(0.15)
        await ask(pool, server.url)
        assert await server.connections() == [0, 1]
        assert sockets() == 1


async def test_leaving_early_closes_the_connection(server: Server) -> None:
    with a_pool() as pool:
        async with pool.exchange(server.url + PATH, HEADERS, body("paced"), on_sent=lambda: None) as response:
            assert await response.receive_some()
        assert (pool.idle_connections, sockets()) == (0, 0)


async def test_what_is_given_back_after_the_pool_was_closed_is_closed(server: Server) -> None:
    with a_pool() as pool:
        async with pool.exchange(server.url + PATH, HEADERS, body("short"), on_sent=lambda: None) as response:
            pool.close()
            while await response.receive_some():
                pass
        assert (pool.idle_connections, sockets()) == (0, 0)


# Kept connections that die: reliability has three kinds. FIN that came before the next request is seen by looking; one
# that crosses it, and one that answers it, are seen by what comes back.
async def test_a_connection_that_ended_while_it_was_idle_is_not_used(server: Server) -> None:
    with a_pool() as pool:
        for _ in range(100):
            assert (await ask(pool, server.url, "leaves"))[0] == 200
            await trio.sleep(0.002)
        assert await server.connections() == list(range(100))


async def test_a_connection_that_ends_just_then_is_replaced(server: Server) -> None:
    with a_pool() as pool:
        for number in range(100):
            assert (await ask(pool, server.url, "leaves-soon"))[0] == 200
            await trio.sleep(0.0015 + number % 10 * 0.0002)
        assert len(await server.exchanges()) <= 200


async def test_a_request_that_a_kept_connection_swallowed_is_sent_again_once() -> None:
    sent = 0

    def on_sent() -> None:
        nonlocal sent
        sent += 1

    with a_server("every_second_connection_dies") as server:
        with a_pool() as pool:
            for _ in range(100):
                async with pool.exchange(server.url + PATH, HEADERS, body("short"), on_sent=on_sent) as response:
                    assert response.status == 200
                    while await response.receive_some():
                        pass
        assert (len(await server.exchanges()), sent) == (199, 199)


@pytest.mark.parametrize(("model", "reason"), [("hangs-up", "closed"), ("resets", "reset"), ("half-head", "closed")])
async def test_on_a_new_connection_the_same_is_a_failure(server: Server, model: str, reason: str) -> None:
    with a_pool() as pool:
        found = await failure(pool, server.url, model)
        assert (found.kind, found.reason, found.phase, found.retryable) == ("transport", reason, "headers", True)
        assert (len(await server.exchanges()), sockets()) == (1, 0)


async def test_what_ends_within_its_answer_is_not_sent_again(server: Server) -> None:
    with a_pool() as pool:
        await ask(pool, server.url)
        assert (await failure(pool, server.url, "half-head")).reason == "closed"
        assert len(await server.exchanges()) == 2


async def test_a_second_death_in_a_row_is_a_failure(server: Server) -> None:
    with a_pool() as pool:
        await ask(pool, server.url)
        assert (await failure(pool, server.url, "hangs-up")).reason == "closed"
        assert len(await server.exchanges()) == 3


async def test_nobody_listens() -> None:
    with a_pool() as pool:
        with trio.socket.socket() as reserved:
            await reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
            found = await failure(pool, f"http://127.0.0.1:{port}")
        assert (found.kind, found.reason, found.phase) == ("transport", "connect", "connect")
        assert f"127.0.0.1:{port}" in found.message


async def test_a_connection_that_is_not_accepted_is_given_up_in_time() -> None:
    # A full backlog is how a loopback address can leave a connect without an answer.
    with a_pool(connect_timeout=0.1) as pool, trio.socket.socket() as deaf:
        await deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        fillers = [trio.socket.socket() for _ in range(2)]
        for filler in fillers:
            with trio.move_on_after(0.05):
                await filler.connect(deaf.getsockname())
        began = trio.current_time()
        found = await failure(pool, url)
        assert (found.kind, found.reason, found.phase) == ("timeout", "connect", "connect")
        assert trio.current_time() - began < 0.3
        for filler in fillers:
            filler.close()


SECRET = "sk-ant-secret\r\nx: y"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:9/v1", [("x-api-key", SECRET)]),
        ("http://127.0.0.1:9/v1", [("x bad", "y")]),
        ("http://user:pass@127.0.0.1:9/v1", []),
        ("http://127.0.0.1:9/v1#fragment", []),
        ("ftp://127.0.0.1:9/v1", []),
    ],
)
async def test_what_cannot_be_sent_is_not_sent_and_not_shown(url: str, headers: list[tuple[str, str]]) -> None:
    with a_pool() as pool:
        with pytest.raises(TransportFault) as caught:
            async with pool.exchange(url, headers, b"", on_sent=lambda: None):
                pass
        assert (caught.value.failure.kind, caught.value.failure.reason) == ("bad_request", "unsendable")
        assert caught.value.__context__ is None
        assert SECRET not in repr(caught.value)


async def test_behind_a_configured_proxy_everything_goes_through_it(server: Server) -> None:
    nowhere = "http://127.0.0.1:9"
    provider = {"type": "openai", "base_url": f"{nowhere}/v1", "api_key": "k" * 10, "allow_loopback": True}
    config = {"providers": {"p": {**provider, "proxy": server.url}}}
    request = CompletionRequest(model="p:short", messages=(Message(role=Role.USER, content="hi"),))
    async with open_supervisor(config) as supervisor:
        assert (await supervisor.complete(request)).message.content == "Hello"
    assert [exchange.path for exchange in await server.exchanges()] == [nowhere + PATH]


class FakeStream:
    """Of a connection that only the pool's own work is about."""

    def __init__(self) -> None:
        self.is_open = True

    def send_now(self, data: bytes) -> bool:
        return True

    async def send_all(self, data: bytes) -> None: ...

    async def receive_some(self) -> bytes:
        return b""

    def is_quiet(self) -> bool:
        return True

    def close(self) -> None:
        self.is_open = False


def fill(pool: Pool, count: int) -> list[FakeStream]:
    streams = [FakeStream() for _ in range(count)]
    for stream in streams:
        pool.give(ORIGIN, Connection(stream, trio.current_time()))
    return streams


async def test_old_ones_go_although_only_fresh_ones_are_used(mock_clock: MockClock) -> None:
    pool = Pool(LOOPBACK, None, Limits(keepalive_expiry=20))
    streams = fill(pool, 10)
    for _ in range(10):  # each request takes the freshest, and looks at the oldest
        mock_clock.jump(5)
        connection = pool.take(ORIGIN)
        assert connection is not None
        pool.give(ORIGIN, connection)
    assert ([stream.is_open for stream in streams], pool.idle_connections) == ([False] * 9 + [True], 1)


async def test_taking_and_giving_cost_the_same_however_many_are_kept() -> None:
    def turns(pool: Pool) -> float:
        began = time.process_time()
        for _ in range(2000):
            connection = pool.take(ORIGIN)
            assert connection is not None
            pool.give(ORIGIN, connection)
        return time.process_time() - began

    few = Pool(LOOPBACK, None, Limits(max_keepalive_connections=10_000, max_connection_requests=10**9))
    many = Pool(LOOPBACK, None, Limits(max_keepalive_connections=10_000, max_connection_requests=10**9))
    fill(few, 1)
    fill(many, 10_000)
    ratio = min(turns(many) for _ in range(5)) / min(turns(few) for _ in range(5))
    assert ratio < 3, f"with 10,000 kept, {ratio:.1f} times as much as with one"
