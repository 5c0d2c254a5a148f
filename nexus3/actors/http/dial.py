"""From an origin to a connected stream: resolve, check every address, connect to what was checked, shake hands.

Names are resolved by ``trio.socket.getaddrinfo`` once per connection, and the addresses that passed the policy are
connected to as literals: nothing looks the name up a second time, when it may say something else. TLS and the request
still name the host.

Several addresses race as in RFC 8305 ("happy eyeballs"): families alternate, an attempt begins when the one before has
failed or is slow, the first connection wins. ``trio.open_tcp_stream`` does the same, but resolves by itself, and lets a
cancellation out as an exception group at times.
"""

import os
import socket
import ssl
from collections.abc import Sequence
from errno import EINPROGRESS, EWOULDBLOCK
from ipaddress import ip_address

import trio

from nexus3.actors.http.ssrf import Address, AddressPolicy, Origin
from nexus3.actors.http.stream import ByteStream, SocketStream
from nexus3.actors.http.tls import TlsStream
from nexus3.actors.transport import TransportFault
from nexus3.wire.failures import Failure, fail

ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried beside one that has not answered yet; RFC 8305's value (section 8)."""


async def dial(origin: Origin, policy: AddressPolicy, tls: ssl.SSLContext | None) -> ByteStream:
    """A new connection to ``origin``, ready for a request; the caller closes it.

    ``tls`` is needed for https only. Without a time limit of its own: a lookup, a connect or a handshake ends when it
    does, or when the caller's scope does. Cancelling leaves as a plain ``trio.Cancelled`` and leaves no socket open.

    Raises:
        TransportFault: ``blocked`` by the policy; or ``transport``, for the reason ``dns`` (the name has no address),
            ``connect`` (no address took the connection, or it broke in the handshake), ``certificate`` (the server is
            not who it should be) or ``tls`` (the two do not come to terms); the last two are not retryable.
        ValueError: https without ``tls``, before anything else.
    """
    if origin.scheme == "http":
        tls = None
    elif tls is None:
        raise ValueError("https needs a TLS context")  # no assert: without it, a key would leave in the clear
    dialled = await _dial(origin, policy, tls)
    if isinstance(dialled, Failure):
        raise TransportFault(dialled)  # here, where no foreign exception is being handled that it would be chained to
    return dialled


async def _dial(origin: Origin, policy: AddressPolicy, tls: ssl.SSLContext | None) -> ByteStream | Failure:
    if (refusal := policy.refusal(origin, ())) is not None:
        return refusal
    addresses = await _resolve(origin)
    if isinstance(addresses, Failure):
        return addresses
    if (refusal := policy.refusal(origin, addresses)) is not None:
        return refusal
    connected = await _connect_any(addresses, origin.port)
    if isinstance(connected, OSError):
        return _no_connection(origin, connected)
    try:
        if ip_address(connected.getpeername()[0]) not in addresses:
            connected.close()
            return fail("blocked", "peer_address", f"{origin.host} was answered by another address.", phase="connect")
    except OSError as error:  # gone again
        connected.close()
        return _no_connection(origin, error)
    stream = SocketStream(connected)
    return stream if tls is None else await _shake_hands(stream, origin, tls)


async def _resolve(origin: Origin) -> list[Address] | Failure:
    """All addresses of a host, each once, in the order in which they should be tried; a literal is its own address."""
    try:
        answers = await trio.socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(ip_address(answer[4][0]) for answer in answers))
    except OSError as error:
        return fail("transport", "dns", f"{origin.host} could not be resolved: {_text(error)}.", phase="connect")
    except ValueError:  # a name that cannot be asked for, or an answer that is no address
        return fail("transport", "dns", f"{origin.host} could not be resolved.", phase="connect")
    if not found:
        return fail("transport", "dns", f"{origin.host} has no address.", phase="connect")
    return _alternate(found)


def _alternate(addresses: Sequence[Address]) -> list[Address]:
    """The two families in turn, beginning with the resolver's favourite: a broken one costs a single delay."""
    first = addresses[0].version
    favourites = [address for address in addresses if address.version == first]
    others = [address for address in addresses if address.version != first]
    turns = [address for pair in zip(favourites, others, strict=False) for address in pair]
    return turns + favourites[len(others) :] + others[len(favourites) :]


async def _connect_any(addresses: Sequence[Address], port: int) -> socket.socket | OSError:
    """The first connection that comes about, every other one closed; the last error where none does."""
    winner: socket.socket | None = None
    last_error = OSError("no address")
    interrupted: BaseException | None = None

    async def attempt(address: Address, is_over: trio.Event) -> None:
        nonlocal winner, last_error
        try:
            connected = await _connect(address, port)
        except OSError as error:
            last_error = error
            is_over.set()
            return
        if winner is None:
            winner = connected
            nursery.cancel_scope.cancel()
        else:
            connected.close()

    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                is_over = trio.Event()
                nursery.start_soon(attempt, address, is_over)
                with trio.move_on_after(ATTEMPT_DELAY):
                    await is_over.wait()
    except BaseExceptionGroup as group:
        # Of the caller's cancellation, which each task of a nursery reports, or of worse: KeyboardInterrupt.
        _, worse = group.split(trio.Cancelled)
        interrupted = worse.exceptions[0] if worse is not None else None
    if interrupted is not None:
        if winner is not None:
            winner.close()
        raise interrupted
    if winner is not None:
        return winner
    await trio.lowlevel.checkpoint_if_cancelled()
    return last_error


async def _connect(address: Address, port: int) -> socket.socket:
    """One attempt. Its socket is closed by whatever ends it but success.

    Raises:
        OSError: refused, unreachable, or out of descriptors.
    """
    fresh = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        fresh.setblocking(False)
        # A request leaves as it is written: nothing more is coming that it could be sent together with.
        fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = fresh.connect_ex((str(address), port))
        if code in (EINPROGRESS, EWOULDBLOCK):
            await trio.lowlevel.wait_writable(fresh)
            code = fresh.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        fresh.close()
        raise
    return fresh


async def _shake_hands(stream: SocketStream, origin: Origin, tls: ssl.SSLContext) -> ByteStream | Failure:
    try:
        secured = TlsStream(stream, tls, origin.host)
        await secured.shake_hands()
    except ssl.SSLCertVerificationError as error:
        problem = f"The certificate of {origin.authority} was not accepted ({error.verify_message})."
        remedy = " A private authority is named by ca_file."
        failure = fail("transport", "certificate", problem + remedy, retryable=False, phase="connect")
    except ssl.SSLError as error:
        problem = f"No TLS with {origin.authority}: {error.reason or 'it does not speak TLS'}."
        failure = fail("transport", "tls", problem, retryable=False, phase="connect")
    except OSError as error:
        failure = _no_connection(origin, error)
    except BaseException:
        stream.close()
        raise
    else:
        return secured
    stream.close()
    return failure


def _no_connection(origin: Origin, error: OSError) -> Failure:
    return fail("transport", "connect", f"No connection to {origin.authority}: {_text(error)}.", phase="connect")


def _text(error: OSError) -> str:
    """What the system says about it, without the address that some platforms put there too."""
    return error.strerror or type(error).__name__
