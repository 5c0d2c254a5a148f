"""One exchange on one connection: cancelled at every checkpoint, refused halfway, broken off, and read to its end."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext

import pytest
import trio
import trustme

from nexus3.actors.http.pool import Pool
from nexus3.actors.limits import Limits
from nexus3.actors.transport import TransportFault
from tests.actors.http.world import (
    HEADERS,
    LOOPBACK,
    PATH,
    Server,
    a_pool,
    a_server,
    a_tls_front,
    ask,
    body,
    sockets,
    without_garbage_collection,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with a_server() as process:
        yield process


@pytest.fixture(scope="module")
def secured(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, SSLContext]]:
    """The same server's https address, and a context that trusts it."""
    authority = trustme.CA()
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    trusting = SSLContext(protocol=16)  # PROTOCOL_TLS_CLIENT: certificates and names are checked
    authority.configure_trust(trusting)
    with a_tls_front(server.port, Path(pem)) as port:
        yield f"https://127.0.0.1:{port}", trusting


class CancelAt(trio.abc.Instrument):
    """Cancels a scope when the tasks that belong to it have taken so many steps."""

    def __init__(self, steps: int) -> None:
        self.scope = trio.CancelScope()
        self._left = steps
        self._top = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        inner: trio.lowlevel.Task | None = task
        while inner is not None and inner is not self._top:
            inner = inner.parent_nursery.parent_task if inner.parent_nursery else None
        if inner is not None:
            self._left -= 1
            if self._left == 0:
                self.scope.cancel()


async def cancelled_at(step: int, pool: Pool, url: str) -> bool:
    """One exchange that is cancelled at its ``step``-th checkpoint; whether it lasted as long."""
    instrument = CancelAt(step)
    trio.lowlevel.add_instrument(instrument)
    try:
        with instrument.scope:
            await ask(pool, url, "short")
    finally:
        trio.lowlevel.remove_instrument(instrument)
    return instrument.scope.cancelled_caught


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_cancelled_at_every_checkpoint(
    server: Server, secured: tuple[str, SSLContext], tls: bool, kept: bool
) -> None:
    url, context = secured if tls else (server.url, None)
    cut_off = 0
    with without_garbage_collection():
        for step in range(1, 200):
            pool = Pool(LOOPBACK, context, Limits())
            if kept:
                await ask(pool, url)
            was_cut = await cancelled_at(step, pool, url)
            cut_off += was_cut
            assert pool.idle_connections == sockets() <= 1, f"cancelled at checkpoint {step}"
            assert (await ask(pool, url))[0] == 200
            assert pool.idle_connections == sockets() == 1
            pool.close()
            assert sockets() == 0
            if not was_cut:
                break
        else:
            pytest.fail("it never came to its end")
    print(f"{cut_off} checkpoints")
    assert cut_off >= (1 if kept else 3)


@asynccontextmanager
async def odd_server(*says: bytes, reads: int, then: str) -> AsyncIterator[str]:
    """The address of a server that reads so many bytes of a request, says something, and then closes or stays."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    # Small, so that a request of a few MiB does not fit in.
    listeners[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    async def serve(stream: trio.SocketStream) -> None:
        left = reads
        while left > 0 and (data := await stream.receive_some(min(left, 4096))):
            left -= len(data)
        for part in says:
            await stream.send_all(part)
        if then == "close":
            stream.socket.close()
        else:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


REFUSAL = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 9\r\n\r\ntoo large"
LARGE = body("short", padding=20 << 20)


async def post(pool: Pool, url: str, content: bytes) -> tuple[int, bytes]:
    async with pool.exchange(url + PATH, HEADERS, content, on_sent=lambda: None) as response:
        return response.status, await response.receive_some()


@pytest.mark.parametrize("then", ["close", "stay"])
async def test_a_refusal_that_comes_before_the_request_is_whole_is_read(then: str) -> None:
    async with odd_server(REFUSAL, reads=10_000, then=then) as url:
        with a_pool(write_timeout=0.2) as pool:
            assert await post(pool, url, LARGE) == (413, b"too large")
            assert pool.idle_connections == 0


async def test_a_server_that_takes_nothing_more_is_given_up_in_time() -> None:
    async with odd_server(reads=10_000, then="stay") as url:
        with a_pool(write_timeout=0.2) as pool:
            began = trio.current_time()
            with pytest.raises(TransportFault) as caught:
                await post(pool, url, LARGE)
            found = caught.value.failure
            assert (found.kind, found.reason, found.phase) == ("timeout", "write", "request")
            assert trio.current_time() - began < 0.2 + 0.1 + 0.2


async def test_a_connection_that_breaks_while_the_request_is_written() -> None:
    async with odd_server(reads=10_000, then="close") as url:
        with a_pool() as pool:
            with pytest.raises(TransportFault) as caught:
                await post(pool, url, LARGE)
            found = caught.value.failure
            assert (found.kind, found.reason, found.phase) == ("transport", "reset", "request")


async def test_a_large_request_arrives_whole(server: Server) -> None:
    await server.forget()
    content = body("short", padding=3 << 20)
    with a_pool() as pool:
        async with pool.exchange(server.url + PATH, HEADERS, content, on_sent=lambda: None) as response:
            assert response.status == 200
        (exchange,) = await server.exchanges()
    assert isinstance(exchange.body, dict)
    assert len(exchange.body["messages"][0]["content"]) == 2 + (3 << 20)
    sent = {"host": f"127.0.0.1:{server.port}", "user-agent": "nexus3", "accept-encoding": "identity"}
    assert exchange.headers == {**sent, "content-length": str(len(content)), **dict(HEADERS)}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", ("protocol", "not_http", "headers", False)),
        (b"HTTP/1.1 200 OK\nx: y\n\n", ("protocol", "bad_head", "headers", False)),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n", ("protocol", "content_encoding", "headers", False)),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n", ("limit", "max_header_count", "headers", False)),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
            ("transport", "cut", "stream", True),
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n",
            ("protocol", "bad_chunk", "stream", False),
        ),
    ],
)
async def test_what_is_no_answer(answer: bytes, expected: tuple[str, str, str, bool]) -> None:
    request = body("short")
    async with odd_server(answer, reads=len(request), then="close") as url:
        with a_pool() as pool:
            with pytest.raises(TransportFault) as caught:
                async with pool.exchange(url + PATH, HEADERS, request, on_sent=lambda: None) as response:
                    while await response.receive_some():
                        pass
            found = caught.value.failure
            assert (found.kind, found.reason, found.phase, found.retryable) == expected
            assert caught.value.__context__ is None
            assert pool.idle_connections == 0


async def test_what_came_before_the_trouble_is_read_first() -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
    request = body("short")
    async with odd_server(answer, reads=len(request), then="stay") as url:
        with a_pool() as pool:
            async with pool.exchange(url + PATH, HEADERS, request, on_sent=lambda: None) as response:
                assert await response.receive_some() == b"hello"
                for _ in range(2):
                    with pytest.raises(TransportFault):
                        await response.receive_some()
