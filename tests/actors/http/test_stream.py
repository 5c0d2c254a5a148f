"""A plain socket as the stream that HTTP is spoken on."""

import socket
import struct
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nexus3.actors.http.stream import READ_BYTES, SocketStream


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection on this machine; the second one, the peer's, is blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peers, _ = listener.accept()
    return ours, peers


def reset(peers: socket.socket) -> None:
    """Close with RST."""
    peers.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peers.close()


async def news(stream: SocketStream) -> None:
    """Wait until the system holds something for us, if only an end."""
    await trio.lowlevel.wait_readable(stream._socket)


def read_exactly(peers: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = peers.recv(1 << 20)
        assert part, f"the end after {len(data)} of {length} bytes"
        data += part
    return bytes(data)


@pytest.fixture
def pair() -> Iterator[tuple[SocketStream, socket.socket]]:
    ours, peers = tcp_pair()
    stream = SocketStream(ours)
    yield stream, peers
    stream.close()
    peers.close()


async def test_a_read_gives_what_is_there_and_waits_only_where_nothing_is(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, peers = pair
    peers.sendall(b"a")
    await news(stream)
    peers.sendall(b"b")
    while len(stream._socket.recv(2, socket.MSG_PEEK)) < 2:
        await trio.lowlevel.checkpoint()
    assert await stream.receive_some() == b"ab"
    with trio.move_on_after(0.01) as waited:
        await stream.receive_some()
    assert waited.cancelled_caught
    peers.sendall(b"c")
    assert await stream.receive_some() == b"c"


async def test_a_read_takes_at_most_one_buffer(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    peers.sendall(b"x" * (READ_BYTES + 1))
    sizes = [len(await stream.receive_some())]
    while sum(sizes) <= READ_BYTES:
        sizes.append(len(await stream.receive_some()))
    assert sum(sizes) == READ_BYTES + 1
    assert max(sizes) <= READ_BYTES


async def test_the_end_stays_the_end(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    peers.sendall(b"last")
    peers.close()
    assert [await stream.receive_some() for _ in range(3)] == [b"last", b"", b""]


async def test_a_reset_is_an_error(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    reset(peers)
    with pytest.raises(ConnectionResetError):
        await stream.receive_some()


async def test_what_the_network_does_not_take_at_once_is_waited_for(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, peers = pair
    data = bytes(range(256)) * (16 << 12)  # 16 MiB: more than the system buffers
    took = list[bytes]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        await wait_all_tasks_blocked()
        took.append(await trio.to_thread.run_sync(read_exactly, peers, len(data)))
    assert took == [data]


async def test_what_the_network_takes_at_once_is_sent_without_waiting(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, peers = pair
    assert stream.send_now(b"request")
    assert read_exactly(peers, 7) == b"request"


async def test_what_was_not_sent_at_once_leaves_first(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    peers.settimeout(5)
    data = bytes(range(256)) * (16 << 12)  # 16 MiB: more than the system buffers
    assert not stream.send_now(data)
    assert not stream.send_now(b"second")
    took = list[bytes]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"third")
        took.append(await trio.to_thread.run_sync(read_exactly, peers, len(data) + 11))
    assert took == [data + b"secondthird"]
    assert stream.send_now(b"fourth")
    assert read_exactly(peers, 6) == b"fourth"


async def test_sending_at_once_to_a_closed_peer_is_an_error(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    reset(peers)
    await news(stream)
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        stream.send_now(b"x")


async def test_nothing_is_sent_for_a_caller_that_is_cancelled(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.send_all(b"a request that would be billed")
    assert scope.cancelled_caught
    stream.close()
    assert peers.recv(1) == b""


async def test_sending_to_a_closed_peer_is_an_error(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    reset(peers)
    await news(stream)
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        await stream.send_all(b"x")


async def test_quiet_means_open_and_silent(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    assert stream.is_quiet()
    peers.sendall(b"surplus")
    await news(stream)
    assert not stream.is_quiet()
    assert not stream.is_quiet()
    assert await stream.receive_some() == b"surplus"  # asking took nothing
    assert stream.is_quiet()
    peers.close()
    await news(stream)
    assert not stream.is_quiet()


async def test_a_reset_is_not_quiet(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    reset(peers)
    await news(stream)
    assert not stream.is_quiet()


async def test_closing_needs_no_wait_and_may_be_repeated(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    stream.close()
    stream.close()
    assert peers.recv(1) == b""
    assert not stream.is_quiet()


async def test_reading_without_waiting(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peers = pair
    assert stream.receive_nowait() is None
    peers.sendall(b"x")
    await news(stream)
    assert stream.receive_nowait() == b"x"
    peers.close()
    await news(stream)
    assert stream.receive_nowait() == b""
