"""The pool as a transport for an httpx client: the guards and the speed of an actor's connections, without an actor.

For those who call something beside the completions of a configured provider, and for tests that put httpx's own pool
through what ours has to stand. No actor uses it.
"""

from collections.abc import AsyncIterator

import httpx
import trio

from nexus3.actors.http.connection import Incoming
from nexus3.actors.http.pool import Exchange, Pool
from nexus3.actors.transport import TransportFault
from nexus3.wire.failures import Failure

_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent"})


class HttpxTransport(httpx.AsyncBaseTransport):
    """``httpx.AsyncClient(transport=HttpxTransport(pool))``. The pool stays its owner's: closing the client leaves it.

    It sends POST only. Framing, ``user-agent`` and ``accept-encoding`` are the pool's. Of httpx's timeouts it knows
    ``read``, for each read and for the wait for the head; connecting and writing have the pool's. A client may not
    follow redirects: it would send the key along. Waiting for a free connection does not happen: limit your tasks.

    Its exceptions are httpx's; they hold the request, headers included, as httpx's do.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's stream gives its connection back when it is closed.

        Raises:
            httpx.TransportError: no connection, no answer, or none that is HTTP.
        """
        if request.method != "POST":
            raise httpx.UnsupportedProtocol(f"{request.method}: this transport sends POST only", request=request)
        body = await request.aread()
        headers = [(name, value) for name, value in request.headers.multi_items() if name not in _OURS]
        exchange = self._pool.exchange(str(request.url), headers, body, on_sent=_nothing)
        timeout = request.extensions.get("timeout", {}).get("read")
        with trio.CancelScope(deadline=_deadline(timeout)):
            try:
                incoming = await exchange.__aenter__()
            except TransportFault as fault:
                raise _exception_of(fault.failure, request) from None
            stream = _Stream(exchange, incoming, timeout, request)
            return httpx.Response(incoming.status, headers=incoming.headers, stream=stream, request=request)
        raise httpx.ReadTimeout("no response head in time", request=request)


class _Stream(httpx.AsyncByteStream):
    """A response's body, and its exchange's end."""

    def __init__(self, exchange: Exchange, incoming: Incoming, timeout: float | None, request: httpx.Request) -> None:
        self._exchange = exchange
        self._incoming = incoming
        self._timeout = timeout
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self._receive():
            return data
        raise StopAsyncIteration

    async def _receive(self) -> bytes:
        with trio.CancelScope(deadline=_deadline(self._timeout)):
            try:
                return await self._incoming.receive_some()
            except TransportFault as fault:
                raise _exception_of(fault.failure, self._request) from None
        raise httpx.ReadTimeout("nothing came in time", request=self._request)

    async def aclose(self) -> None:
        await self._exchange.__aexit__(None, None, None)


def _nothing() -> None:
    pass


def _deadline(timeout: float | None) -> float:
    return float("inf") if timeout is None else trio.current_time() + timeout


def _exception_of(failure: Failure, request: httpx.Request) -> httpx.TransportError:
    match failure.kind, failure.phase:
        case "timeout", "connect":
            kind: type[httpx.TransportError] = httpx.ConnectTimeout
        case "timeout", _:
            kind = httpx.WriteTimeout
        case ("transport" | "blocked", "connect" | "queued"):
            kind = httpx.ConnectError
        case "transport", "request":
            kind = httpx.WriteError
        case "transport", _:
            kind = httpx.ReadError
        case "bad_request", _:
            kind = httpx.LocalProtocolError
        case _:
            kind = httpx.RemoteProtocolError
    return kind(f"{failure.reason}: {failure.message}", request=request)
