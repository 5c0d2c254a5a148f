"""A provider's pool after a life of cancelled requests: no connection lost, none left open, nobody turned away.

A thousand streams, 50 at a time, ten connections; each is cancelled at a random moment: in the queue, while it connects
or shakes hands, before its answer, within it, after it. The server is another process, the garbage collector is off.
httpx's own pool goes through the same storm to show that the storm can tell.
"""

import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any, NamedTuple

import httpx
import pytest
import trio
import trustme

from nexus3 import CompletionRequest, Message, Role, open_supervisor
from nexus3.actors.http.httpx_transport import HttpxTransport
from nexus3.actors.http.pool import Pool
from nexus3.actors.limits import Limits
from tests.actors.house import until
from tests.actors.http.world import (
    HEADERS,
    LOOPBACK,
    PATH,
    Server,
    a_server,
    a_tls_front,
    body,
    sockets,
    without_garbage_collection,
)

STREAMS = 1000
AT_ONCE = 50
CONNECTIONS = 10
LONGEST = 0.15
"""Seconds until a request is cancelled, at most; an answer that nobody cancels takes a little longer than most get."""
NAME = "provider.localhost"
SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))

Ask = Callable[[str], Awaitable[None]]
"""One request for a model's answer, read to its end. Any failure but a cancellation is an exception."""


class Place(NamedTuple):
    url: str
    authority: Path | None
    """Whose certificates to trust; ``None`` for plain http."""

    @property
    def context(self) -> SSLContext | None:
        if self.authority is None:
            return None
        context = SSLContext(protocol=16)  # PROTOCOL_TLS_CLIENT: certificates and names are checked
        context.load_verify_locations(self.authority)
        return context


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with a_server() as process:
        yield process


@pytest.fixture(scope="module", params=["plain", "tls"])
def place(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if request.param == "plain":
        yield Place(f"http://{NAME}:{server.port}", None)
        return
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("tls")
    authority.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    with a_tls_front(server.port, folder / "server.pem", handshake_delay=0.02) as port:
        yield Place(f"https://{NAME}:{port}", folder / "authority.pem")


class SlowResolver(trio.abc.HostnameResolver):
    """Every name is this machine, after up to 20 ms: that is what makes connecting take its time."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    async def getaddrinfo(self, host: Any, port: Any, *args: Any) -> Any:
        await trio.sleep(self._rng.uniform(0, 0.02))
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


async def storm(ask: Ask, seed: int) -> Counter[str]:
    """A thousand requests, most of them cancelled; what became of them."""
    rng = random.Random(seed)
    outcomes = Counter[str]()
    turns = trio.CapacityLimiter(AT_ONCE)

    async def one(patience: float) -> None:
        async with turns:
            with trio.move_on_after(patience) as scope:
                try:
                    await ask("paced")
                    outcomes["answered"] += 1
                except Exception as error:
                    outcomes[type(error).__name__] += 1
            outcomes["cancelled"] += scope.cancelled_caught

    with without_garbage_collection():
        async with trio.open_nursery() as nursery:
            for _ in range(STREAMS):
                nursery.start_soon(one, rng.uniform(0, LONGEST) if rng.random() < 0.9 else 5.0)
    return outcomes


async def answered_afterwards(ask: Ask) -> tuple[int, float]:
    """Of a hundred requests, ten at a time; and how long they took together."""
    answered = 0
    turns = trio.CapacityLimiter(CONNECTIONS)

    async def one() -> None:
        nonlocal answered
        async with turns:
            await ask("short")
            answered += 1

    began = time.monotonic()
    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
    return answered, time.monotonic() - began


@asynccontextmanager
async def asking_a_supervisor(place: Place) -> AsyncIterator[Ask]:
    provider: dict[str, object] = {
        "type": "openai",
        "base_url": f"{place.url}/v1",
        "api_key": "loopback-key",
        "allow_loopback": True,
        "max_connections": CONNECTIONS,
        "ca_file": place.authority,
    }
    models = {name: {"provider": "p", "model_id": name} for name in ("paced", "short")}
    async with open_supervisor({"providers": {"p": provider}, "models": models}) as supervisor:

        async def ask(model: str) -> None:
            request = CompletionRequest(model=model, messages=(Message(role=Role.USER, content="hi"),))
            async with supervisor.stream(request) as events:
                async for _ in events:
                    pass

        yield ask
        # What was cancelled last may still be on its way out.
        await until(
            lambda: not any(child.in_flight or child.queued for child in supervisor.snapshot().children.values())
        )


@asynccontextmanager
async def asking_by_httpx(place: Place, transport: httpx.AsyncBaseTransport) -> AsyncIterator[Ask]:
    timeout = httpx.Timeout(10, pool=1)
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout) as client:

        async def ask(model: str) -> None:
            content = body(model)
            async with client.stream("POST", place.url + PATH, headers=HEADERS, content=content) as response:
                async for _ in response.aiter_raw():
                    pass

        yield ask


@asynccontextmanager
async def asking_the_pool(place: Place) -> AsyncIterator[Ask]:
    """Our pool under httpx's client; it has no queue, so the place of admission is taken by a limiter."""
    pool = Pool(LOOPBACK, place.context, Limits(max_keepalive_connections=CONNECTIONS))
    admission = trio.CapacityLimiter(CONNECTIONS)
    async with asking_by_httpx(place, HttpxTransport(pool)) as ask_directly:

        async def ask(model: str) -> None:
            async with admission:
                await ask_directly(model)

        yield ask
        assert pool.idle_connections == sockets()
    pool.close()


SEEDS = [pytest.param(SEED + n, marks=pytest.mark.soak if n >= 2 else ()) for n in range(12)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("asking", [asking_a_supervisor, asking_the_pool])
async def test_the_pool_survives(asking: Any, place: Place, seed: int) -> None:
    trio.socket.set_custom_hostname_resolver(SlowResolver(random.Random(seed)))
    async with asking(place) as ask:
        outcomes = await storm(ask, seed)
        print(f"seed {seed}: {dict(outcomes)}, {sockets()} connections")
        assert {*outcomes} == {"answered", "cancelled"}
        assert outcomes.total() == STREAMS
        with without_garbage_collection():
            assert sockets() <= CONNECTIONS
            answered, seconds = await answered_afterwards(ask)
            print(f"{answered} answered afterwards in {seconds:.2f} s")
            assert answered == 100
            assert seconds < 2
            assert sockets() <= CONNECTIONS
    assert sockets() == 0


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")  # sockets and generators that are left to the garbage collector
async def test_the_storm_can_tell(place: Place) -> None:
    """The same through httpx's own transport: within as many storms it loses a place, for good."""
    trio.socket.set_custom_hostname_resolver(SlowResolver(random.Random(SEED)))
    transport = httpx.AsyncHTTPTransport(
        verify=place.context or False,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
    )
    async with asking_by_httpx(place, transport) as ask:
        lost: list[str] = []
        for seed in range(SEED, SEED + len(SEEDS)):
            outcomes = await storm(ask, seed)
            lost = [str(c) for c in transport._pool.connections if not (c.is_idle() or c.is_closed())]
            print(f"seed {seed}: {dict(outcomes)}; {len(lost)} of {CONNECTIONS} lost: {lost}")
            if lost:
                break
        assert lost
