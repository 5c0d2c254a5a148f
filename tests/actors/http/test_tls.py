"""TLS under one HTTP connection. The peer is Python's own TLS engine or ``openssl s_server``, on real sockets."""

import datetime
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import wait_all_tasks_blocked

from nexus3.actors.http.dial import dial
from nexus3.actors.http.ssrf import AddressPolicy, Origin
from nexus3.actors.http.stream import SocketStream
from nexus3.actors.http.tls import TlsStream, tls_context
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.transport import TransportFault
from nexus3.config.resolve import resolve
from nexus3.wire.failures import Failure, fail
from tests.actors.http.test_stream import reset, tcp_pair

NAME = "api.example.test"
LOOPBACK = AddressPolicy(allow_loopback=True, allow_private=False, allow_insecure_http=False)

AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert(NAME, "127.0.0.1", "localhost")


def server_context(certificate: trustme.LeafCert = CERTIFICATE) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="session")
def authority_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return path


def client_context(authority_file: Path) -> ssl.SSLContext:
    config = ProviderConfig(type="vllm", base_url=f"https://{NAME}", ca_file=authority_file)
    context = tls_context(resolve("p", config, {}))
    assert context is not None
    return context


class Peer:
    """The server's side of one connection, record by record. It holds back what it wrote until it is told to send."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self.raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self, *, send_tickets: bool = True) -> None:
        """To be run in a thread. In TLS 1.3, session tickets follow the handshake at once, if they are not kept."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.raw.sendall(self._outgoing.read())
                self._incoming.write(self.raw.recv(1 << 16))
            else:
                break
        if send_tickets:
            self.raw.sendall(self._outgoing.read())

    def seal(self, *contents: bytes) -> bytes:
        """One record for each, behind whatever was held back."""
        for content in contents:
            self._tls.write(content)
        return self._outgoing.read()

    def farewell(self) -> bytes:
        """close_notify."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    def read_exactly(self, length: int) -> bytes:
        """To be run in a thread."""
        data = bytearray()
        while len(data) < length:
            try:
                data += self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self._incoming.write(self.raw.recv(1 << 16))
        return bytes(data)


@asynccontextmanager
async def connected(
    authority_file: Path, *, send_tickets: bool = True, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[tuple[TlsStream, Peer]]:
    """Both ends, hands shaken."""
    ours, peers = tcp_pair()
    stream = TlsStream(SocketStream(ours), client_context(authority_file), NAME)
    context = server_context()
    context.maximum_version = version
    peer = Peer(peers, context)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.shake_hands)
            await trio.to_thread.run_sync(lambda: peer.shake_hands(send_tickets=send_tickets))
        yield stream, peer
    finally:
        stream.close()
        peers.close()


async def news(stream: TlsStream) -> None:
    """Wait until the system holds something for us, if only an end."""
    await trio.lowlevel.wait_readable(stream._stream._socket)


async def arrived(stream: TlsStream, length: int) -> None:
    """Wait until the system holds that many bytes for us, and takes them for one read."""
    while held(stream) < length:
        await trio.lowlevel.checkpoint()


def held(stream: TlsStream) -> int:
    try:
        return len(stream._stream._socket.recv(1 << 20, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
async def test_one_network_read_gives_all_that_its_records_hold(authority_file: Path, version: ssl.TLSVersion) -> None:
    events = [b"data: %d\n\n" % number for number in range(100)]
    async with connected(authority_file, version=version) as (stream, peer):
        sealed = peer.seal(*events)
        peer.raw.sendall(sealed)
        await arrived(stream, len(sealed))
        assert await stream.receive_some() == b"".join(events)


@VERSIONS
async def test_content_does_not_depend_on_where_the_records_were_cut(
    authority_file: Path, version: ssl.TLSVersion
) -> None:
    contents = [b"first", b"", b"x" * 300, b"last"]
    async with connected(authority_file, version=version) as (stream, peer):
        length = len(peer.seal(*contents))
    for cut in range(1, length, 23):
        async with connected(authority_file, version=version) as (stream, peer):
            sealed = peer.seal(*contents) + peer.farewell()
            got = bytearray()

            async def read(stream: TlsStream, got: bytearray) -> None:
                while part := await stream.receive_some():
                    got += part

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, stream, got)
                peer.raw.sendall(sealed[:cut])
                await wait_all_tasks_blocked()
                peer.raw.sendall(sealed[cut:])
            assert bytes(got) == b"".join(contents), f"cut at byte {cut}"


async def test_a_body_of_full_records_arrives_whole(authority_file: Path) -> None:
    content = bytes(range(256)) * (2 << 12)  # 2 MiB
    async with connected(authority_file) as (stream, peer):
        sealed = peer.seal(content) + peer.farewell()
        sender = threading.Thread(target=peer.raw.sendall, args=(sealed,))
        sender.start()
        got = bytearray()
        while part := await stream.receive_some():
            got += part
        sender.join()
    assert bytes(got) == content


async def test_a_long_request_arrives_whole(authority_file: Path) -> None:
    request = bytes(range(256)) * (32 << 10)  # 8 MiB: more than the system buffers
    took = list[bytes]()
    async with connected(authority_file) as (stream, peer), trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, request)
        await wait_all_tasks_blocked()
        took.append(await trio.to_thread.run_sync(peer.read_exactly, len(request)))
    assert took == [request]


@VERSIONS
async def test_what_was_not_sent_at_once_leaves_first(authority_file: Path, version: ssl.TLSVersion) -> None:
    request = bytes(range(256)) * (32 << 10)  # 8 MiB: more than the system buffers
    took = list[bytes]()
    async with connected(authority_file, version=version) as (stream, peer):
        peer.raw.settimeout(5)
        assert stream.send_now(b"first")
        assert await trio.to_thread.run_sync(peer.read_exactly, 5) == b"first"
        assert not stream.send_now(request)
        assert not stream.send_now(b"second")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, b"")
            took.append(await trio.to_thread.run_sync(peer.read_exactly, len(request) + 6))
        assert stream.send_now(b"third")
        assert await trio.to_thread.run_sync(peer.read_exactly, 5) == b"third"
    assert took == [request + b"second"]


async def test_nothing_is_sent_for_a_caller_that_is_cancelled(authority_file: Path) -> None:
    async with connected(authority_file) as (stream, peer):
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.send_all(b"a request that would be billed")
        assert scope.cancelled_caught
        stream.close()
        with pytest.raises(ConnectionResetError):  # it left unread tickets behind
            peer.raw.recv(1)


# How a connection ends


@VERSIONS
async def test_an_end_that_the_peer_announced_is_an_end_for_good(authority_file: Path, version: ssl.TLSVersion) -> None:
    async with connected(authority_file, version=version) as (stream, peer):
        peer.raw.sendall(peer.seal(b"last") + peer.farewell())  # and no FIN: the word is enough
        assert [await stream.receive_some() for _ in range(3)] == [b"last", b"", b""]


@VERSIONS
async def test_an_end_that_anyone_could_have_made_is_an_error_for_good(
    authority_file: Path, version: ssl.TLSVersion
) -> None:
    async with connected(authority_file, version=version) as (stream, peer):
        peer.raw.sendall(peer.seal(b"last"))
        peer.raw.close()
        assert await stream.receive_some() == b"last"
        for _ in range(3):
            with pytest.raises(ssl.SSLEOFError):
                await stream.receive_some()


async def test_a_reset_is_an_error(authority_file: Path) -> None:
    async with connected(authority_file) as (stream, peer):
        reset(peer.raw)
        with pytest.raises(ConnectionResetError):
            await stream.receive_some()


@VERSIONS
async def test_content_before_a_broken_record_is_given_out_first(authority_file: Path, version: ssl.TLSVersion) -> None:
    async with connected(authority_file, version=version) as (stream, peer):
        peer.raw.sendall(peer.seal(b"the end marker") + b"\x17\x03\x03\x00\x20" + bytes(32) + peer.seal(b"more"))
        assert await stream.receive_some() == b"the end marker"
        for _ in range(3):
            with pytest.raises(ssl.SSLError):
                await stream.receive_some()


# Between two requests


@pytest.mark.parametrize("cut", [3, 50, 300])
async def test_session_tickets_are_no_answer(authority_file: Path, cut: int) -> None:
    async with connected(authority_file, send_tickets=False) as (stream, peer):
        tickets = peer.seal()
        assert len(tickets) > cut
        assert stream.is_quiet()
        peer.raw.sendall(tickets[:cut])
        await arrived(stream, cut)
        assert not stream.is_quiet()  # what has begun may still become an answer
        assert not stream.is_quiet()
        peer.raw.sendall(tickets[cut:])
        await arrived(stream, len(tickets) - cut)
        assert stream.is_quiet()
        assert stream.is_quiet()
        peer.raw.sendall(peer.seal(b"HTTP/1.1 200 OK"))
        assert await stream.receive_some() == b"HTTP/1.1 200 OK"


async def test_tickets_before_an_answer_are_not_seen(authority_file: Path) -> None:
    async with connected(authority_file, send_tickets=False) as (stream, peer):
        sealed = peer.seal(b"HTTP/1.1 200 OK")  # behind the tickets
        peer.raw.sendall(sealed)
        await arrived(stream, len(sealed))
        assert await stream.receive_some() == b"HTTP/1.1 200 OK"
        assert stream.is_quiet()


@VERSIONS
async def test_an_answer_that_nobody_asked_for_is_not_quiet(authority_file: Path, version: ssl.TLSVersion) -> None:
    async with connected(authority_file, version=version) as (stream, peer):
        assert stream.is_quiet()
        peer.raw.sendall(peer.seal(b"surplus"))
        await news(stream)
        assert not stream.is_quiet()
        assert not stream.is_quiet()
        assert await stream.receive_some() == b"surplus"
        assert stream.is_quiet()


@VERSIONS
async def test_the_beginning_of_a_record_behind_an_answer_is_not_quiet(
    authority_file: Path, version: ssl.TLSVersion
) -> None:
    async with connected(authority_file, version=version) as (stream, peer):
        answer, surplus = peer.seal(b"answer"), peer.seal(b"surplus")
        peer.raw.sendall(answer + surplus[:9])
        await arrived(stream, len(answer) + 9)
        assert await stream.receive_some() == b"answer"
        assert not stream.is_quiet()
        peer.raw.sendall(surplus[9:])
        assert await stream.receive_some() == b"surplus"
        assert stream.is_quiet()


def bid_farewell(peer: Peer) -> None:
    peer.raw.sendall(peer.farewell())


def hang_up(peer: Peer) -> None:
    peer.raw.close()


def break_off(peer: Peer) -> None:
    reset(peer.raw)


def send_garbage(peer: Peer) -> None:
    peer.raw.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")


@VERSIONS
@pytest.mark.parametrize("end", [bid_farewell, hang_up, break_off, send_garbage])
async def test_an_ended_connection_is_not_quiet(
    authority_file: Path, version: ssl.TLSVersion, end: Callable[[Peer], None]
) -> None:
    async with connected(authority_file, version=version) as (stream, peer):
        assert stream.is_quiet()
        end(peer)
        await news(stream)
        assert not stream.is_quiet()
        assert not stream.is_quiet()


async def test_a_server_that_speaks_with_its_handshake_is_heard_and_not_quiet(authority_file: Path) -> None:
    ours, peers = tcp_pair()
    with peers:
        stream = TlsStream(SocketStream(ours), client_context(authority_file), NAME)
        context = server_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the server has the last word of the handshake
        peer = Peer(peers, context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.shake_hands)
            await trio.to_thread.run_sync(lambda: peer.shake_hands(send_tickets=False))
            peers.sendall(peer.seal(b"early"))
        assert not stream.is_quiet()
        assert await stream.receive_some() == b"early"
        stream.close()


# Another implementation as the peer: keys change in the middle

NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not there")


@contextmanager
def s_server(tmp_path: Path, *options: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """``openssl s_server`` as a process, and its port. It sends its standard input; a line ``K`` changes keys."""
    pem = tmp_path / "server.pem"
    CERTIFICATE.private_key_and_cert_chain_pem.write_to_path(str(pem))
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(pem), "-key", str(pem), *options]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdout is not None
        said = b""
        while b"ACCEPT " not in said or not said.endswith(b"\n"):
            part = process.stdout.read(1 << 12)
            assert part, "s_server did not start"
            said += part
        try:
            yield process, int(said.split(b"ACCEPT ")[1].split()[0].rpartition(b":")[2])
        finally:
            process.kill()


@NEEDS_OPENSSL
async def test_keys_change_in_the_middle(authority_file: Path, tmp_path: Path) -> None:
    with trio.fail_after(20), s_server(tmp_path) as (process, port):
        stream = await dial(Origin("https", "127.0.0.1", port), LOOPBACK, client_context(authority_file))
        assert isinstance(stream, TlsStream)
        assert process.stdin is not None
        got = bytearray()
        for number in range(5):
            process.stdin.write(b"before %d\n" % number)
            while b"before %d\n" % number not in got:
                got += await stream.receive_some()
            process.stdin.write(b"K\n")  # new keys, and a request that we change ours
            await news(stream)
            assert stream.is_quiet()  # the engine's own business
            await stream.send_all(b"under our new keys\n")
        process.stdin.write(b"after\n")
        while b"after\n" not in got:
            got += await stream.receive_some()
        stream.close()
        process.stdin.close()
        assert process.stdout is not None
        heard = process.stdout.read(1 << 16) or b""
    assert bytes(got) == b"".join(b"before %d\n" % number for number in range(5)) + b"after\n"
    assert heard.count(b"under our new keys\n") == 5


@NEEDS_OPENSSL
async def test_new_negotiations_are_declined_in_words(authority_file: Path, tmp_path: Path) -> None:
    with trio.fail_after(20), s_server(tmp_path, "-tls1_2") as (process, port):
        stream = await dial(Origin("https", "127.0.0.1", port), LOOPBACK, client_context(authority_file))
        assert isinstance(stream, TlsStream)
        assert process.stdin is not None
        process.stdin.write(b"before\n")
        assert await stream.receive_some() == b"before\n"
        process.stdin.write(b"r\n")
        await news(stream)
        assert stream.is_quiet()
        with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):  # this server insists, and so it heard us decline
            await stream.receive_some()
        stream.close()


# Whom we trust


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a server that shakes hands and reads until the client leaves."""

    async def serve(raw: trio.SocketStream) -> None:
        client = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
        try:
            async with raw:
                while await client.receive_some(1 << 16):
                    pass
        except trio.BrokenResourceError:
            pass  # the client did not like us

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def dialled(context: ssl.SSLContext, tls: ssl.SSLContext, host: str = "127.0.0.1") -> Failure | None:
    """What came of a dial to a server with that context; ``None`` is a connection."""
    async with tls_server(context) as port:
        try:
            stream = await dial(Origin("https", host, port), LOOPBACK, tls)
        except TransportFault as fault:
            return fault.failure
        stream.close()
        return None


async def test_a_server_with_the_right_certificate_is_reached(authority_file: Path) -> None:
    assert await dialled(server_context(), client_context(authority_file)) is None


BAD_CERTIFICATES = {
    "Hostname mismatch": lambda: AUTHORITY.issue_cert("other.example.test"),
    "IP address mismatch": lambda: AUTHORITY.issue_cert("127.0.0.2"),
    "unable to get local issuer certificate": lambda: trustme.CA().issue_cert("127.0.0.1"),
    "certificate has expired": lambda: AUTHORITY.issue_cert(
        "127.0.0.1", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    ),
}


@pytest.mark.parametrize("problem", list(BAD_CERTIFICATES))
async def test_a_bad_certificate_is_refused_and_not_worth_another_try(problem: str, authority_file: Path) -> None:
    context = server_context(BAD_CERTIFICATES[problem]())
    failure = await dialled(context, client_context(authority_file), "localhost" if "Host" in problem else "127.0.0.1")
    assert failure is not None
    assert (failure.kind, failure.reason, failure.retryable, failure.phase) == (
        "transport",
        "certificate",
        False,
        "connect",
    )
    assert problem in failure.message
    assert failure.message.endswith("A private authority is named by ca_file.")


@NEEDS_OPENSSL
async def test_old_versions_are_refused(authority_file: Path, tmp_path: Path) -> None:
    lenient = ssl.create_default_context(cafile=authority_file)
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what the test is about
        lenient.minimum_version = ssl.TLSVersion.TLSv1_1
    with trio.fail_after(20), s_server(tmp_path, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as (_, port):
        origin = Origin("https", "127.0.0.1", port)
        stream = await dial(origin, LOOPBACK, lenient)  # the server must be one that others reach
        stream.close()
        with pytest.raises(TransportFault) as caught:
            await dial(origin, LOOPBACK, client_context(authority_file))
    assert caught.value.failure == fail(
        "transport",
        "tls",
        f"No TLS with 127.0.0.1:{port}: TLSV1_ALERT_PROTOCOL_VERSION.",
        retryable=False,
        phase="connect",
    )
    assert caught.value.__context__ is None


async def test_the_name_is_asked_for_and_checked_whatever_the_address(authority_file: Path) -> None:
    asked = list[str | None]()
    context = server_context()
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    ours, peers = tcp_pair()
    with peers:
        async with trio.open_nursery() as nursery:
            stream = TlsStream(SocketStream(ours), client_context(authority_file), NAME)
            nursery.start_soon(stream.shake_hands)
            await trio.to_thread.run_sync(Peer(peers, context).shake_hands)
        stream.close()
    assert asked == [NAME]


def names(context: ssl.SSLContext | None) -> set[object]:
    """The authorities that are trusted."""
    assert context is not None
    return {certificate["serialNumber"] for certificate in context.get_ca_certs()}


PUBLIC = resolve("p", ProviderConfig(type="openai"), {})


def test_the_environment_has_no_say(authority_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = names(tls_context(PUBLIC))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(authority_file.parent))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority_file))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    trusting = ssl.create_default_context()
    assert names(trusting) == names(ssl.create_default_context(cafile=authority_file)), "the trap must be one"
    assert trusting.keylog_filename == str(tmp_path / "keys"), "the trap must be one"
    (tmp_path / "keys").unlink()

    context = tls_context(PUBLIC)
    assert context is not None
    assert names(context) == usual
    assert len(usual) > 100
    assert not context.keylog_filename
    assert not (tmp_path / "keys").exists()


def test_a_file_of_authorities_replaces_the_usual_ones(authority_file: Path) -> None:
    own = names(client_context(authority_file))
    assert len(own) == 1
    assert not own & names(tls_context(PUBLIC))


def test_a_context_is_made_only_where_tls_is_used() -> None:
    def context(base_url: str, **more: str) -> ssl.SSLContext | None:
        return tls_context(
            resolve("p", ProviderConfig.model_validate({"type": "vllm", "base_url": base_url, **more}), {})
        )

    assert context("http://127.0.0.1:8000") is None
    assert context("HTTPS://api.example.test") is not None
    assert context("http://127.0.0.1:8000", proxy="https://proxy.example.test") is not None


def test_certificates_and_names_are_always_checked(authority_file: Path) -> None:
    for context in (tls_context(PUBLIC), client_context(authority_file)):
        assert context is not None
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
