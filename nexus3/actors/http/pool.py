"""The connection pool that one incarnation owns.

Taking a kept connection and giving one back are synchronous and cost the same whether two are open or two thousand: the
freshest is taken, what is too old is noticed when its turn comes, nobody is scanned, and nothing runs while no request
does. There is no queue: admission is the actor's, who never has more exchanges than ``max_connections``.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple

import trio

from nexus3.actors.http.connection import Connection, Incoming, NoAnswer
from nexus3.actors.http.dial import dial
from nexus3.actors.http.head import HeadLimits, request_head
from nexus3.actors.http.ssrf import AddressPolicy, Origin, policy_of
from nexus3.actors.http.tls import tls_context
from nexus3.actors.lag import Timer
from nexus3.actors.limits import Limits
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import TransportFault
from nexus3.errors import ConfigError
from nexus3.wire.failures import fail

_LATE = fail("timeout", "connect", "No connection within the connect timeout.", phase="connect")
_UNSENDABLE = fail("bad_request", "unsendable", "The request's URL or a header cannot be sent.", phase="request")


class Pool:
    """Connections to one provider: a :class:`nexus3.actors.transport.Transport`."""

    def __init__(self, policy: AddressPolicy, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self._limits = limits
        self.head_limits = HeadLimits(
            max_header_bytes=limits.max_header_bytes,
            max_header_count=limits.max_header_count,
            max_informational_responses=limits.max_informational_responses,
        )
        self.write_timeout = limits.write_timeout
        self._policy = policy
        self._tls = tls
        self._idle: dict[Origin, deque[Connection]] = {}
        """By origin, of which a provider has one as a rule; each from the longest idle to the freshest."""
        self._idle_count = 0
        self._closed = False

    @property
    def idle_connections(self) -> int:
        """Kept for the next requests."""
        return self._idle_count

    def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> "Exchange":
        """See :class:`nexus3.actors.transport.Transport`."""
        return Exchange(self, url, headers, body, on_sent)

    def take(self, origin: Origin) -> Connection | None:
        """A kept connection that can take a request, now the caller's; closes those that it finds unfit."""
        idle = self._idle.get(origin)
        now = trio.current_time()
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if not self._is_worn(connection, now) and connection.is_quiet():
                self._drop_oldest(idle, idle_before=now - self._limits.keepalive_expiry)
                return connection
            connection.close()
        return None

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose exchange came to its proper end, or close it where it has served its time."""
        now = connection.idle_since = trio.current_time()
        if self._closed or self._is_worn(connection, now):
            connection.close()
            return
        idle = self._idle.setdefault(origin, deque())
        self._drop_oldest(idle, idle_before=now - self._limits.keepalive_expiry)
        idle.append(connection)
        self._idle_count += 1
        if self._idle_count > self._limits.max_keepalive_connections:
            self._drop_oldest(idle, idle_before=now)

    async def connect(self, origin: Origin) -> Connection:
        """A new connection, the caller's. Cancelling leaves nothing open.

        Raises:
            TransportFault: none within ``connect_timeout``, in which our own loop's stalls do not count, or none that
                the policy allows.
        """
        with (timer := Timer()):
            timer.set_in(self._limits.connect_timeout)
            return Connection(await dial(origin, self._policy, self._tls), trio.current_time())
        raise TransportFault(_LATE)

    def close(self) -> None:
        """Close what is idle, now; and what is in use when it is given back."""
        self._closed = True
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
        self._idle_count = 0

    def _is_worn(self, connection: Connection, now: float) -> bool:
        limits = self._limits
        return (
            now - connection.idle_since > limits.keepalive_expiry
            or now - connection.opened_at > limits.max_connection_age
            or connection.exchanges >= limits.max_connection_requests
        )

    def _drop_oldest(self, idle: deque[Connection], *, idle_before: float) -> None:
        """Close the longest idle one if it is too old. One a request is enough: a request puts back one at most."""
        if idle and idle[0].idle_since <= idle_before:
            idle.popleft().close()
            self._idle_count -= 1


class Exchange:
    """One request and its answer: ``async with`` gives the :class:`Incoming`. Made by :meth:`Pool.exchange`.

    A class and not a generator: this is on the way of each request. Leaving has no checkpoint.
    """

    __slots__ = ("_body", "_connection", "_headers", "_incoming", "_on_sent", "_origin", "_pool", "_url")

    def __init__(
        self, pool: Pool, url: str, headers: list[tuple[str, str]], body: bytes, on_sent: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._url = url
        self._headers = headers
        self._body = body
        self._on_sent = on_sent

    async def __aenter__(self) -> Incoming:
        self._origin, head = _head(self._url, self._headers, len(self._body))
        connection = self._pool.take(self._origin)
        if connection is not None:
            try:
                return await self._ask(connection, head)
            except NoAnswer:
                # It had most likely died while it was idle, so the request goes out again at once, and that costs no
                # attempt. Once: the next connection is a new one. Go and curl do the same. Whether the server had read
                # the request all the same, no client can know; as with any retry, it may then be billed twice.
                pass
        return await self._ask(await self._pool.connect(self._origin), head)

    async def _ask(self, connection: Connection, head: bytes) -> Incoming:
        self._connection = connection
        try:
            self._incoming = await connection.exchange(
                head, self._body, self._pool.head_limits, self._pool.write_timeout, self._on_sent
            )
        except BaseException:
            connection.close()
            raise
        del self._headers, self._body, self._on_sent  # an answer may take minutes, a request be megabytes
        return self._incoming

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._incoming.is_reusable:
            self._pool.give(self._origin, self._connection)
        else:
            self._connection.close()


class _Place(NamedTuple):
    """Where a URL leads."""

    origin: Origin
    target: str
    host: str
    """As the ``host`` header has it."""


@lru_cache(maxsize=256)
def _place(url: str) -> _Place:
    """Read a URL of :func:`nexus3.wire.urls.endpoint_url`. An incarnation has a handful of them.

    Raises:
        ConfigError: no URL that a base URL may be.
    """
    origin = Origin.of(url)
    is_usual = origin.port == (443 if origin.scheme == "https" else 80)
    host = origin.authority.rpartition(":")[0] if is_usual else origin.authority
    rest = url[len(origin.scheme) + len("://") :]
    begin = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    target = rest[begin:]
    return _Place(origin, target if target.startswith("/") else f"/{target}", host)


def _head(url: str, headers: list[tuple[str, str]], body_bytes: int) -> tuple[Origin, bytes]:
    try:
        origin, target, host = _place(url)
        framing = [
            ("host", host),
            ("user-agent", "nexus3"),
            ("accept-encoding", "identity"),
            ("content-length", str(body_bytes)),
        ]
        return origin, request_head(target, [*framing, *headers])
    except (ConfigError, ValueError):
        pass  # whatever these say, the URL or the header they are about may hold the key
    raise TransportFault(_UNSENDABLE)


@asynccontextmanager
async def open_pool(provider: ResolvedProvider) -> AsyncIterator[Pool]:
    """A pool for one incarnation; leaving the block closes every connection that is not in use.

    Never follows redirects (keys would follow), never reads the environment (certificates would come from it), never
    decompresses, always verifies certificates.
    """
    pool = Pool(policy_of(provider), tls_context(provider), provider.limits)
    try:
        yield pool
    finally:
        pool.close()
