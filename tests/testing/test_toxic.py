"""The toxic proxy, on real sockets: what each toxic does to bytes, by the clock and to the byte."""

import math
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import msgspec
import pytest
import trio
import trio.testing

from nexus3.testing.toxic import (
    Bandwidth,
    BlackHole,
    Counts,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Toxic,
    ToxicProxy,
    open_toxic_proxy,
    open_toxic_proxy_process,
)
from nexus3.testing.toxic.toxics import drawn
from tests.docs.examples import ROOT, examples, printed_by
from tests.loopback.announced import announced

DOCUMENT = ROOT / "docs" / "testing.md"
SLACK = 0.2
"""Seconds by which a busy machine may be late."""


class Server:
    """Accepts one connection after the other and leaves what to say on it to the test."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.port: int = listener.socket.getsockname()[1]

    async def accept(self) -> trio.SocketStream:
        return await self._listener.accept()


@asynccontextmanager
async def a_server() -> AsyncIterator[Server]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield Server(listener)


@asynccontextmanager
async def a_line(
    *toxics: Toxic, seed: int = 0
) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream, ToxicProxy]]:
    """A client and a server with a proxy between them."""
    async with a_server() as server, open_toxic_proxy(server.port, *toxics, seed=seed) as proxy:
        with trio.fail_after(20):
            client = await trio.open_tcp_stream("127.0.0.1", proxy.port)
            async with client, await server.accept() as accepted:
                yield client, accepted, proxy


async def receive(stream: trio.SocketStream, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := await stream.receive_some()):
        data += part
    return bytes(data)


def reset(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def since(began: float) -> float:
    return trio.current_time() - began


# -- a proxy without toxics is a wire


async def test_bytes_and_ends_pass_both_ways_and_are_counted() -> None:
    data = os.urandom(300_000)
    async with a_line() as (client, server, proxy):
        await client.send_all(b"question")
        await client.send_eof()
        assert await receive(server, 100) == b"question"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, data)
            assert await receive(client, len(data)) == data
        assert proxy.counts == Counts(connections=1, open_connections=1, bytes_to_client=300_000, bytes_to_server=8)
        await server.aclose()
        assert await client.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.counts == Counts(connections=1, bytes_to_client=300_000, bytes_to_server=8)


@pytest.mark.parametrize("leaves", ["client", "server"])
async def test_a_reset_is_passed_on(leaves: str) -> None:
    async with a_line() as (client, server, proxy):
        await client.send_all(b"question")
        assert await receive(server, 8) == b"question"
        reset(client if leaves == "client" else server)
        with pytest.raises(trio.BrokenResourceError):
            await (server if leaves == "client" else client).receive_some()
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.counts == Counts(connections=1, bytes_to_server=8)


async def test_who_connects_while_the_server_is_away_is_reset() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(a_server())
        proxy = await stack.enter_async_context(open_toxic_proxy(server.port))
        await server._listener.aclose()
        async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as client:
            with pytest.raises(trio.BrokenResourceError):
                await client.receive_some()


async def test_leaving_closes_everything_and_lets_the_exception_through() -> None:
    problem = ValueError("the body's own")
    async with a_server() as server:
        with pytest.raises(ValueError, match="the body's own") as caught:
            async with open_toxic_proxy(server.port, BlackHole()) as proxy:
                client = await trio.open_tcp_stream("127.0.0.1", proxy.port)
                accepted = await server.accept()
                raise problem
        assert caught.value is problem
        assert await client.receive_some() == b""
        assert await accepted.receive_some() == b""
        await client.aclose()
        await accepted.aclose()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", proxy.port)


# -- each toxic


async def test_latency_is_distance_not_a_lack_of_bandwidth() -> None:
    async with a_line(Latency(0.2)) as (client, server, _):
        began = trio.current_time()
        await client.send_all(b"question")
        await receive(server, 8)
        assert since(began) < SLACK, "only the answer's way is long"

        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                for _ in range(20):
                    await server.send_all(b"piece")
                    await trio.sleep(0.01)
                await server.aclose()

            nursery.start_soon(answer)
            assert await receive(client, 5) == b"piece"
            assert 0.2 <= since(began) < 0.2 + SLACK
            assert await receive(client, 1000) == b"piece" * 19
        # The last piece left after 0.2 s and took 0.2 s, as the first one did.
        assert 0.4 <= since(began) < 0.4 + 2 * SLACK


async def test_jitter_changes_times_but_never_the_order() -> None:
    data = bytes(range(100))
    async with a_line(Latency(0.03, jitter=0.03)) as (client, server, _):
        times: list[float] = []
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                for at in range(100):
                    await server.send_all(data[at : at + 1])
                    await trio.sleep(0.005)
                await server.aclose()

            nursery.start_soon(answer)
            came = bytearray()
            while part := await client.receive_some():
                came += part
                times.append(trio.current_time())
        assert bytes(came) == data
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps) > 0.012, "some pieces were held back longer than others"


async def test_bandwidth_is_even() -> None:
    data = os.urandom(30_000)
    async with a_line(Bandwidth(100_000)) as (client, server, _), trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, data)
        began = trio.current_time()
        assert await receive(client, 15_000) == data[:15_000]
        assert 0.1 <= since(began) < 0.15 + SLACK
        assert await receive(client, 15_000) == data[15_000:]
        assert 0.27 <= since(began) < 0.3 + SLACK


async def test_a_slow_close_is_the_end_alone() -> None:
    async with a_line(SlowClose(0.2)) as (client, server, _):
        began = trio.current_time()
        await server.send_all(b"answer")
        await server.aclose()
        assert await receive(client, 6) == b"answer"
        assert since(began) < SLACK
        assert await client.receive_some() == b""
        assert 0.2 <= since(began) < 0.2 + SLACK


async def test_what_a_black_hole_holds_comes_through_when_it_is_gone() -> None:
    async with a_line(BlackHole()) as (client, server, proxy):
        await server.send_all(b"answer")
        await client.send_all(b"question")
        assert await receive(server, 8) == b"question", "the other way is open"
        with trio.move_on_after(0.1) as waited:
            await client.receive_some()
        assert waited.cancelled_caught
        assert proxy.counts.bytes_to_client == 0
        proxy.remove(BlackHole())
        assert await receive(client, 6) == b"answer"


async def test_a_black_hole_can_end_the_connection() -> None:
    async with a_line(BlackHole(0.2)) as (client, server, proxy):
        began = trio.current_time()
        await server.send_all(b"answer")
        assert await client.receive_some() == b""
        assert 0.2 <= since(began) < 0.2 + SLACK
        assert await server.receive_some() == b""
        assert proxy.counts.cut == 1


@pytest.mark.parametrize("after", [0, 3, 6])
async def test_a_reset_comes_after_so_many_bytes(after: int) -> None:
    async with a_line(ResetPeer(after, delay=0.05)) as (client, server, proxy):
        await server.send_all(b"answer")
        assert await receive(client, after) == b"answer"[:after]
        for side in (client, server):
            with pytest.raises(trio.BrokenResourceError):
                await side.receive_some()
        assert proxy.counts == Counts(connections=1, cut=1, bytes_to_client=after)


@pytest.mark.parametrize("limit", [0, 3, 6])
async def test_a_limit_closes_after_so_many_bytes(limit: int) -> None:
    async with a_line(LimitData(limit, toward="server")) as (client, server, proxy):
        await client.send_all(b"answer")
        assert await receive(server, 100) == b"answer"[:limit]
        assert await client.receive_some() == b""
        assert proxy.counts == Counts(connections=1, cut=1, bytes_to_server=limit)


async def test_a_slicer_cuts() -> None:
    async with a_line(Slicer(2, delay=0.01)) as (client, server, _):
        await server.send_all(b"abcdefg")
        parts = [await client.receive_some() for _ in range(4)]
    assert parts == [b"ab", b"cd", b"ef", b"g"]


async def test_a_slicer_varies_by_its_seed() -> None:
    async def sliced(seed: int) -> list[int]:
        async with a_line(Slicer(10, variation=5, delay=0.005), seed=seed) as (client, server, _):
            await server.send_all(bytes(100))
            await server.aclose()
            parts: list[int] = []
            while part := await client.receive_some():
                parts.append(len(part))
            return parts

    one, other = await sliced(1), await sliced(2)
    assert sum(one) == sum(other) == 100
    assert set(one[:-1]) <= set(range(5, 16))
    assert len(set(one)) > 1
    assert one != other
    assert await sliced(1) == one


async def test_toxics_of_a_kind_add_up() -> None:
    toxics = (Latency(0.1), Latency(0.1), LimitData(5), LimitData(3), Slicer(2), Slicer(1, delay=0.01))
    async with a_line(*toxics) as (client, server, _):
        began = trio.current_time()
        await server.send_all(b"answer")
        assert [await client.receive_some() for _ in range(4)] == [b"a", b"n", b"s", b""]
        assert 0.2 <= since(began) < 0.2 + SLACK


# -- chance, and changes while it runs


def test_the_dice_depend_on_seed_connection_and_toxic_alone() -> None:
    toxic = LimitData(3, probability=0.3)
    lucky = [bool(drawn([toxic], "client", 7, connection)) for connection in range(2000)]
    assert sum(lucky) == pytest.approx(600, abs=60)
    others: list[Toxic] = [Latency(1.0, probability=0.5), toxic]
    assert [toxic in drawn(others, "client", 7, connection) for connection in range(2000)] == lucky
    assert [bool(drawn([toxic], "client", 8, connection)) for connection in range(2000)] != lucky
    assert drawn([toxic], "server", 7, lucky.index(True)) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        LimitData(3, probability=1.5)


async def test_the_same_connections_are_hit_in_every_run() -> None:
    async def hit() -> list[bool]:
        found: list[bool] = []
        async with a_server() as server, open_toxic_proxy(server.port, LimitData(1, probability=0.5), seed=3) as proxy:
            for _ in range(20):
                async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as client, await server.accept() as peer:
                    await peer.send_all(b"answer")
                    await peer.send_eof()
                    found.append(await receive(client, 100) != b"answer")
        return found

    first = await hit()
    assert first == [bool(drawn([LimitData(1, probability=0.5)], "client", 3, number)) for number in range(20)]
    assert await hit() == first
    assert len(set(first)) == 2


async def test_toxics_come_and_go_on_an_open_connection() -> None:
    async with a_line() as (client, server, proxy):
        slow, slower = Latency(10.0), Latency(20.0)
        await server.send_all(b"one")
        assert await receive(client, 3) == b"one"
        proxy.add(slow, slower)
        assert list(proxy.toxics) == [slow, slower]
        began = trio.current_time()
        await server.send_all(b"two")
        with trio.move_on_after(0.05):
            await client.receive_some()
        proxy.remove(slow)
        with pytest.raises(ValueError, match="not in list"):
            proxy.remove(slower, slow)
        assert list(proxy.toxics) == [slower]
        proxy.replace([])
        assert await receive(client, 3) == b"two"
        assert since(began) < 0.05 + SLACK, "who waited for a toxic that is gone waits no more"


# -- a process of its own


async def test_the_process_does_as_it_is_told() -> None:
    async with a_server() as server, open_toxic_proxy_process(server.port, Latency(0.2), seed=3) as proxy:
        assert proxy.url == f"http://127.0.0.1:{proxy.port}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy.counts)
            while not proxy._unread:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()  # nobody waits for this answer
        async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as client, await server.accept() as peer:
            began = trio.current_time()
            await peer.send_all(b"one")
            assert await receive(client, 3) == b"one"
            assert 0.2 <= since(began) < 0.2 + SLACK
            await proxy.remove(Latency(0.2))
            await proxy.add(LimitData(5), BlackHole(toward="server"))
            began = trio.current_time()
            await peer.send_all(b"two")
            assert await receive(client, 100) == b"tw"
            assert since(began) < SLACK
        assert await proxy.counts() == Counts(connections=1, cut=1, bytes_to_client=5)
        with pytest.raises(ValueError, match="not in list"):
            await proxy.remove(Latency(0.2))
    with pytest.raises(OSError, match="gone"):
        await proxy.counts()


async def test_the_process_ends_with_its_stdin() -> None:
    async with announced("nexus3.testing.toxic", "9") as process:
        assert process.stdin is not None
        await process.stdin.aclose()


async def test_a_process_that_cannot_start_is_an_error() -> None:
    async with a_server() as server:
        with pytest.raises(OSError, match="its stderr"):
            async with open_toxic_proxy_process(9, port=server.port):
                pass


def test_toxics_are_plain_data() -> None:
    toxics: list[Toxic] = [
        Latency(0.2, jitter=0.1, toward="server"),
        Bandwidth(1000),
        SlowClose(1),
        BlackHole(),
        ResetPeer(3, delay=0.5, probability=0.25),
        Slicer(1, delay=0.01),
        LimitData(4),
    ]
    assert msgspec.json.decode(msgspec.json.encode(toxics), type=list[Toxic]) == toxics
    assert len(set(toxics)) == 7
    assert math.isclose(sum(toxic.probability for toxic in toxics), 6.25)


def test_the_document_s_example_runs_as_it_stands() -> None:
    [example] = examples(DOCUMENT, language="py")
    printed_by(example)
