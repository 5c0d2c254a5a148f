"""From a name to a connection: what is resolved, checked and connected to, and what is left behind.

Names come from a resolver of the test's own. No packet leaves this machine: an address that is not loopback is
"unreachable" before the system sees it.
"""

import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import MockClock

from nexus3.actors.http import dial as dial_module
from nexus3.actors.http.dial import ATTEMPT_DELAY, dial
from nexus3.actors.http.ssrf import Address, AddressPolicy, Origin
from nexus3.actors.http.stream import ByteStream, SocketStream
from nexus3.actors.transport import TransportFault
from nexus3.wire.failures import Failure, fail
from tests.actors.http.names import resolving
from tests.actors.http.test_ssrf import CORPUS, policy
from tests.actors.http.test_tls import CERTIFICATE, authority_file, client_context
from tests.actors.http.world import a_tls_front, sockets, without_garbage_collection

__all__ = ["authority_file"]  # a fixture

NAME = "api.example.test"
LOOPBACK = policy("l")
NOBODY_TRUSTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(autouse=True)
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were connected to, or would have been."""
    attempted = list[str]()
    connect_ex = socket.socket.connect_ex

    def connect_here_only(self: socket.socket, address: tuple[str, int]) -> int:
        attempted.append(address[0])
        return connect_ex(self, address) if ip_address(address[0]).is_loopback else errno.ENETUNREACH

    monkeypatch.setattr(socket.socket, "connect_ex", connect_here_only)
    return attempted


@contextmanager
def listening(*addresses: str, backlog: int = 16) -> Iterator[int]:
    """Accept connections at one port of these addresses, as far as the backlog goes."""
    port = 0
    listeners = list[socket.socket]()
    try:
        for address in addresses:
            listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            listeners.append(listener)
            listener.bind((address, port))
            listener.listen(backlog)
            port = listener.getsockname()[1]
        yield port
    finally:
        for listener in listeners:
            listener.close()


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """Nobody there answers a connect: the queue of those that wait is full."""
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex((address, port))
            yield
        finally:
            for one in waiting:
                one.close()


async def failure_of(
    origin: Origin, allowed: AddressPolicy = LOOPBACK, tls: ssl.SSLContext | None = NOBODY_TRUSTED
) -> Failure:
    """How a dial fails. Nothing foreign hangs on its exception."""
    with pytest.raises(TransportFault) as caught:
        await dial(origin, allowed, tls)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.failure


# What is resolved and checked


async def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(attempts: list[str]) -> None:
    resolver = resolving("127.0.0.1")
    with listening("127.0.0.1") as port:
        stream = await dial(Origin("http", NAME, port), LOOPBACK, None)
        assert stream.is_quiet()
        stream.close()
    assert resolver.asked == [NAME]
    assert attempts == ["127.0.0.1"]


async def test_a_literal_is_not_looked_up(attempts: list[str]) -> None:
    resolver = resolving("10.0.0.1")
    with listening("::1") as port:
        (await dial(Origin("http", "::1", port), LOOPBACK, None)).close()
    assert resolver.asked == []
    assert attempts == ["::1"]


@pytest.mark.parametrize(("url", "answers", "flags", "verdict"), [row for row in CORPUS if row[3] != "text"])
async def test_what_the_policy_refuses_is_never_connected_to(
    url: str, answers: str, flags: str, verdict: str, attempts: list[str]
) -> None:
    resolving(answers)
    origin = Origin.of(url)
    sentinel = Origin(origin.scheme, origin.host, 1)  # nobody listens there, whatever gets through
    failure = await failure_of(sentinel, policy(flags))
    allowed = [] if verdict else (answers or origin.host).split()
    assert sorted(attempts) == sorted(str(ip_address(address)) for address in allowed)
    assert (failure.kind, failure.reason) == (("blocked", verdict) if verdict else ("transport", "connect"))


@pytest.mark.parametrize("bad", ["169.254.169.254", "10.0.0.1", "0.0.0.0", "fe80::1%1", "93.184.216.34"])
async def test_one_bad_answer_keeps_even_the_good_ones_from_being_connected_to(bad: str, attempts: list[str]) -> None:
    with listening("127.0.0.1") as port:
        for answers in (f"127.0.0.1 {bad}", f"{bad} 127.0.0.1"):
            resolving(answers)
            assert (await failure_of(Origin("http", NAME, port))).kind == "blocked"
    assert attempts == []


async def test_a_name_that_moves_is_checked_again_with_each_connection(attempts: list[str]) -> None:
    resolving("127.0.0.1", "169.254.169.254")
    with listening("127.0.0.1") as port:
        (await dial(Origin("http", NAME, port), LOOPBACK, None)).close()
        assert (await failure_of(Origin("http", NAME, port))).reason == "metadata_address"
    assert attempts == ["127.0.0.1"]


@pytest.mark.parametrize("elsewhere", ["127.0.0.2", "10.0.0.1", "169.254.169.254", "::1", "127.0.0.1 127.0.0.2"])
async def test_a_name_that_moves_out_of_its_network_is_refused(elsewhere: str, attempts: list[str]) -> None:
    resolving("127.0.0.1", elsewhere)
    only_one = policy(" 127.0.0.1/32")
    with listening("127.0.0.1") as port:
        (await dial(Origin("http", NAME, port), only_one, None)).close()
        assert (await failure_of(Origin("http", NAME, port), only_one)).kind == "blocked"
    assert attempts == ["127.0.0.1"]


async def test_the_name_of_a_metadata_service_is_not_even_looked_up() -> None:
    resolver = resolving("127.0.0.1")
    failure = await failure_of(Origin("https", "metadata.google.internal", 443), policy("lpi"))
    assert failure.reason == "metadata_address"
    assert resolver.asked == []


async def test_a_connection_that_ended_up_elsewhere_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("127.0.0.2", 80))
    with listening("127.0.0.1") as port, without_garbage_collection():
        before = sockets()
        assert await failure_of(Origin("http", "127.0.0.1", port)) == fail(
            "blocked", "peer_address", "127.0.0.1 was answered by another address.", phase="connect"
        )
        assert sockets() == before


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, attempts: list[str]) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.3:9")
        monkeypatch.setenv(variable.lower(), "socks5://127.0.0.3:9")
    with listening("127.0.0.1") as port:
        (await dial(Origin("http", "127.0.0.1", port), LOOPBACK, None)).close()
    assert attempts == ["127.0.0.1"]


# Failures


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "Temporary failure in name"),
        (OSError("no words"), "api.example.test could not be resolved: OSError."),
        ("", "api.example.test has no address."),
        ("not-an-address", "api.example.test could not be resolved."),
        (UnicodeError("label too long"), "api.example.test could not be resolved."),
    ],
)
async def test_a_name_without_an_address(answer: str | Exception, problem: str) -> None:
    resolving(answer)
    failure = await failure_of(Origin("https", NAME, 443))
    assert (failure.kind, failure.reason, failure.retryable, failure.phase) == ("transport", "dns", True, "connect")
    assert problem in failure.message


@pytest.mark.parametrize(("host", "place"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), (NAME, NAME)])
async def test_nobody_takes_the_connection(host: str, place: str) -> None:
    resolving("127.0.0.1 ::1")
    with listening(*(["::1"] if host == "::1" else ["127.0.0.1", "::1"])) as port:
        pass  # a port that was just free
    assert await failure_of(Origin("http", host, port)) == fail(
        "transport", "connect", f"No connection to {place}:{port}: Connection refused.", phase="connect"
    )


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that says this to whoever comes, reads what they say, and closes."""

    async def serve(client: trio.SocketStream) -> None:
        await client.receive_some()
        await client.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def test_a_server_that_hangs_up_in_the_handshake_may_be_asked_again(authority_file: Path) -> None:
    async with answering(b"") as port:
        failure = await failure_of(Origin("https", "127.0.0.1", port), tls=client_context(authority_file))
    assert failure == fail(
        "transport", "connect", f"No connection to 127.0.0.1:{port}: Connection reset by peer.", phase="connect"
    )


async def test_a_server_that_speaks_no_tls_may_not(authority_file: Path) -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        failure = await failure_of(Origin("https", "127.0.0.1", port), tls=client_context(authority_file))
    assert (failure.kind, failure.reason, failure.retryable) == ("transport", "tls", False)
    assert failure.message.startswith(f"No TLS with 127.0.0.1:{port}: ")


async def test_a_refused_certificate_leaves_no_socket(authority_file: Path, tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    tls = client_context(authority_file)
    with a_tls_front(1, pem) as port, without_garbage_collection():
        before = sockets()
        assert (await failure_of(Origin("https", "127.0.0.1", port), tls=tls)).reason == "certificate"
        assert sockets() == before


async def test_https_without_a_context_is_a_mistake_of_ours_and_never_plain() -> None:
    with listening("127.0.0.1") as port, without_garbage_collection():
        before = sockets()
        with pytest.raises(ValueError, match="https needs"):
            await dial(Origin("https", "127.0.0.1", port), LOOPBACK, None)
        assert sockets() == before


# The race of the addresses


async def test_families_take_turns_beginning_with_the_resolver_s_favourite(attempts: list[str]) -> None:
    resolving("2606:4700::1 2606:4700::2 2606:4700::3 93.184.216.1 93.184.216.2 93.184.216.1")
    await failure_of(Origin("https", NAME, 443))
    assert attempts == ["2606:4700::1", "93.184.216.1", "2606:4700::2", "93.184.216.2", "2606:4700::3"]
    attempts.clear()
    resolving("93.184.216.1 93.184.216.2 93.184.216.3 2606:4700::1")
    await failure_of(Origin("https", NAME, 443))
    assert attempts == ["93.184.216.1", "2606:4700::1", "93.184.216.2", "93.184.216.3"]


async def raced(port: int) -> tuple[float, str]:
    """How long a dial took, and the address that won."""
    began = trio.current_time()
    stream = await dial(Origin("http", NAME, port), LOOPBACK, None)
    took = trio.current_time() - began
    assert isinstance(stream, SocketStream)
    winner = stream._socket.getpeername()[0]
    stream.close()
    return took, winner


@pytest.fixture
def patient_clock() -> MockClock:
    """Time stands still while the network works, and jumps where nothing happens for 50 ms."""
    return MockClock(autojump_threshold=0.05)


async def test_a_refused_address_costs_no_time(patient_clock: MockClock) -> None:
    resolving("127.0.0.2 127.0.0.1")
    with listening("127.0.0.1") as port:
        assert await raced(port) == (0, "127.0.0.1")


async def test_a_silent_address_costs_one_delay(patient_clock: MockClock) -> None:
    resolving("127.0.0.2 127.0.0.1")
    with listening("127.0.0.1") as port, silent("127.0.0.2", port), without_garbage_collection():
        before = sockets()
        assert await raced(port) == (ATTEMPT_DELAY, "127.0.0.1")
        assert sockets() == before


async def test_connections_that_come_about_together_leave_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial_module, "ATTEMPT_DELAY", 0.0)
    all_there = trio.Event()
    made = list[socket.socket]()

    async def connect_together(address: Address, port: int) -> socket.socket:
        one = socket.create_connection((str(address), port))
        made.append(one)
        if len(made) < 3:
            await all_there.wait()  # to be woken in one batch, too late to be cancelled by the first of them
        all_there.set()
        return one

    monkeypatch.setattr(dial_module, "_connect", connect_together)
    resolving("127.0.0.1 127.0.0.2 127.0.0.3")
    with listening("127.0.0.1", "127.0.0.2", "127.0.0.3") as port, without_garbage_collection():
        before = sockets()
        stream = await dial(Origin("http", NAME, port), LOOPBACK, None)
        assert len(made) == 3
        assert sockets() == before + 1
        stream.close()
        assert sockets() == before


async def test_all_silent_addresses_wait_for_the_caller_s_limit(patient_clock: MockClock, attempts: list[str]) -> None:
    resolving("127.0.0.2 127.0.0.3")
    with listening("127.0.0.1") as port, silent("127.0.0.2", port), silent("127.0.0.3", port):
        attempts.clear()
        with without_garbage_collection():
            before = sockets()
            with trio.move_on_after(5) as limit:
                await dial(Origin("http", NAME, port), LOOPBACK, None)
            assert limit.cancelled_caught
            assert trio.current_time() == 5
            assert sockets() == before
    assert attempts == ["127.0.0.2", "127.0.0.3"]


async def test_small_requests_leave_at_once() -> None:
    with listening("127.0.0.1") as port:
        stream = await dial(Origin("http", "127.0.0.1", port), LOOPBACK, None)
        assert isinstance(stream, SocketStream)
        assert stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        stream.close()


# Cancellation


class CancelAfterSteps(trio.abc.Instrument):
    """Cancels a scope when tasks have taken so many steps: each place where a task can be left is hit once."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


async def cancelled_everywhere(connect: Callable[[], Awaitable[ByteStream]]) -> int:
    """Cancel a dial after 1, 2, ... steps until one comes about; how many were cancelled. No socket is left by any."""
    with without_garbage_collection():
        before = sockets()
        for steps in range(1, 1000):
            left: BaseException | None = None
            stream: ByteStream | None = None
            with trio.CancelScope() as scope:
                instrument = CancelAfterSteps(scope, steps)
                trio.lowlevel.add_instrument(instrument)
                try:
                    stream = await connect()
                except BaseException as error:
                    left = error
                    raise
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            if stream is not None:
                stream.close()
            else:
                assert type(left) is trio.Cancelled, f"after {steps} steps"
            assert sockets() == before, f"after {steps} steps"
            if not scope.cancel_called:
                return steps - 1
    raise AssertionError("no dial came about")


async def test_a_race_cancelled_anywhere_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial_module, "ATTEMPT_DELAY", 0.002)
    resolving("127.0.0.2 127.0.0.3 127.0.0.1")
    with listening("127.0.0.1") as port, silent("127.0.0.2", port):
        assert await cancelled_everywhere(lambda: dial(Origin("http", NAME, port), LOOPBACK, None)) > 8


async def test_a_slow_handshake_cancelled_anywhere_leaves_no_socket(authority_file: Path, tmp_path: Path) -> None:
    resolving("127.0.0.1")
    tls = client_context(authority_file)
    pem = tmp_path / "server.pem"
    CERTIFICATE.private_key_and_cert_chain_pem.write_to_path(str(pem))
    with a_tls_front(1, pem, handshake_delay=0.01) as port:
        assert await cancelled_everywhere(lambda: dial(Origin("https", NAME, port), LOOPBACK, tls)) > 4


async def test_a_lookup_that_hangs_is_left_at_once() -> None:
    resolving(None)
    with trio.move_on_after(0.01) as limit:
        await dial(Origin("https", NAME, 443), LOOPBACK, NOBODY_TRUSTED)
    assert limit.cancelled_caught
