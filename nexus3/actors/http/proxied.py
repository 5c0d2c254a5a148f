"""Connections through a configured proxy: httpx's own transport, behind the same seam as the pool.

Nothing of httpx leaves this file: not its exceptions (they hold the request, and with it the key), not its responses.
Behind a proxy nobody here sees which address a name leads to, so the address policy cannot hold: what holds is that the
proxy is asked for hosts of ``allowed_hosts`` only. And httpx's pool loses places when callers cancel while others wait
for one. The actor never lets more in than there are places.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx
import trio

from nexus3.actors.http.tls import tls_context
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import TransportFault
from nexus3.errors import ConfigError
from nexus3.wire.failures import Failure, fail
from nexus3.wire.urls import origin_parts


class ProxiedResponse:
    """A :class:`nexus3.actors.transport.Response` over httpx's."""

    def __init__(self, head: httpx.Response, body: AsyncIterator[bytes]) -> None:
        self.status = head.status_code
        self.headers = {name.lower(): value for name, value in head.headers.items()}
        self._body = body
        self.is_at_end = False

    async def receive_some(self) -> bytes:
        """See :class:`nexus3.actors.transport.Response`."""
        try:
            data = await anext(self._body, b"")
        except httpx.HTTPError as error:
            failure = _translate(error, in_body=True)
        else:
            self.is_at_end = not data
            return data
        raise TransportFault(failure)


class _Body(httpx.AsyncByteStream):
    """A request body that is no generator: one that is broken off would be left to the garbage collector."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._body)


class _Once:
    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


_STALE = ("closed", "reset")

_UNSENDABLE = fail("bad_request", "unsendable", "The request's URL or a header cannot be sent.", phase="request")
_UNLISTED = fail(
    "blocked", "unlisted_host", "The proxy may not be asked for a host that is not in allowed_hosts.", phase="connect"
)


def _request(
    url: str, headers: list[tuple[str, str]], body: bytes, trace: Callable[[str, object], Awaitable[None]]
) -> httpx.Request:
    parsed = httpx.URL(url)
    framing = [
        ("host", parsed.netloc.decode("ascii")),
        ("user-agent", "nexus3"),
        ("accept-encoding", "identity"),
        ("content-length", str(len(body))),
    ]
    return httpx.Request("POST", parsed, headers=[*framing, *headers], stream=_Body(body), extensions={"trace": trace})


class ProxiedPool:
    """A :class:`nexus3.actors.transport.Transport`. Admission is the actor's: never more exchanges than connections."""

    def __init__(self, client: httpx.AsyncClient, allowed_hosts: Collection[str], close_timeout: float) -> None:
        self._client = client
        self._allowed_hosts = allowed_hosts
        self._close_timeout = close_timeout

    @asynccontextmanager
    async def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> AsyncIterator[ProxiedResponse]:
        """See :class:`nexus3.actors.transport.Transport`."""
        if (refusal := self._refusal(url)) is not None:
            raise TransportFault(refusal)
        failure = _UNSENDABLE
        # A kept connection that breaks before any byte of an answer had died while it was idle: HTTP lets a client send
        # the request again at once. It costs no attempt.
        for is_replay in (False, True):
            is_fresh = False

            async def trace(event: str, _: object) -> None:
                nonlocal is_fresh
                if event == "connection.connect_tcp.started":
                    is_fresh = True
                elif event == "http11.send_request_headers.started":
                    on_sent()

            response: httpx.Response | None = None
            try:
                request = _request(url, headers, body, trace)
                response = await self._client.send(request, stream=True)
            except httpx.HTTPError as error:
                failure = _translate(error, in_body=False)
            except (httpx.InvalidURL, ValueError, UnicodeError):
                failure = _UNSENDABLE  # these messages quote the offending value, which may be the key
            if response is not None or is_replay or is_fresh or failure.reason not in _STALE:
                break
        if response is None:
            raise TransportFault(failure)
        chunks = response.aiter_raw()
        try:
            yield ProxiedResponse(response, chunks)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._close_timeout):
                await response.aclose()
                # The body is a nest of generators, and closing the outer one leaves the inner ones to the garbage
                # collector, with a warning. On a closed connection they all end by themselves when read once more.
                with suppress(httpx.HTTPError, httpx.StreamError):
                    async for _ in chunks:
                        pass

    def _refusal(self, url: str) -> Failure | None:
        try:
            host = origin_parts(url)[1]
        except ConfigError:
            return _UNSENDABLE
        return None if host in self._allowed_hosts else _UNLISTED


@asynccontextmanager
async def open_proxied(provider: ResolvedProvider) -> AsyncIterator[ProxiedPool]:
    """Connections through ``provider.proxy`` for one incarnation; leaving the block closes every connection.

    Never follows redirects (keys would follow), never reads the environment (proxies and certificates would come from
    it), never decompresses, always verifies certificates.
    """
    assert provider.proxy is not None, "without a proxy there is a pool of our own"
    limits, tls = provider.limits, tls_context(provider)
    assert tls is not None, "a proxy always has one: it may be asked over https"
    transport = httpx.AsyncHTTPTransport(
        verify=tls,
        trust_env=False,
        retries=0,
        proxy=provider.proxy.get_secret_value(),
        limits=httpx.Limits(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
        ),
    )
    client = httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=limits.connect_timeout, write=limits.write_timeout),
        # A jar that accepts nothing: a provider must not recognise one caller's request in another's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
    async with client:
        yield ProxiedPool(client, provider.allowed_hosts, limits.close_timeout)


def _translate(error: httpx.HTTPError, *, in_body: bool) -> Failure:
    """What an httpx exception means. Only its class is used: messages may quote headers."""
    match error:
        case httpx.ConnectTimeout():
            return fail("timeout", "connect", "No connection within the connect timeout.", phase="connect")
        case httpx.ConnectError() if _is_certificate_trouble(error):
            return fail(
                "transport",
                "certificate",
                "The server's certificate was not accepted; set ca_file for a private authority.",
                retryable=False,
                phase="connect",
            )
        case httpx.ConnectError():
            return fail("transport", "connect", f"No connection to {_host_of(error)}.", phase="connect")
        case httpx.PoolTimeout():
            return fail("transport", "pool", "No free connection; the actor admitted too much.", phase="connect")
        case httpx.WriteTimeout():
            return fail("timeout", "write", "The request could not be written in time.", phase="request")
        case httpx.WriteError():
            return fail("transport", "reset", "The connection broke while the request was written.", phase="request")
        case httpx.TimeoutException():
            return fail("timeout", "read", "The server sent nothing in time.", phase="stream" if in_body else "headers")
        case httpx.RemoteProtocolError() | httpx.ReadError() if in_body:
            return fail("transport", "cut", "The connection was cut in the middle of the answer.", phase="stream")
        case httpx.RemoteProtocolError() if "without sending" in str(error) or "disconnected" in str(error):
            return fail("transport", "closed", "The server closed the connection without an answer.", phase="headers")
        case httpx.RemoteProtocolError():
            return fail(
                "protocol", "bad_http", "The server did not answer in HTTP/1.1.", retryable=False, phase="headers"
            )
        case httpx.ReadError():
            return fail("transport", "reset", "The connection was reset before an answer.", phase="headers")
        case httpx.ProxyError():
            return fail("transport", "proxy", "The proxy refused or broke the connection.", phase="connect")
        case _:
            return fail("transport", "broken", f"The exchange broke ({type(error).__name__}).", phase="request")


def _is_certificate_trouble(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _host_of(error: httpx.HTTPError) -> str:
    try:
        url = error.request.url
    except RuntimeError:
        return "the server"
    return f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
