"""What ``nexus3 record`` puts between an application and its provider: requests go on, answers come back as they come.

Requests leave through the same pool as those of an actor, under the same address policy, with the provider's key. Where
none is configured, the application's own goes along. Each answer is appended to the cassette when it ends, however it
ends; one that never began is not, and the application is told with a 502.

Only completions in the provider's dialect are taken, and only from programs: a page in a browser, which may reach any
port of this machine, must not spend anybody's key. The endpoint is the provider's setting, whatever path led here.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from nexus3.actors.attempt.credentials import Credentials, secrets_of
from nexus3.actors.pool import open_pool
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import Transport, TransportFault
from nexus3.cli.body_secrets import BodySecrets
from nexus3.cli.passage import Passage
from nexus3.errors import ConfigError
from nexus3.loopback.answers import Answer
from nexus3.loopback.cassette import CassetteError, CassetteWriter, open_cassette
from nexus3.loopback.connection import BadRequestError, Client, Request
from nexus3.loopback.delivery import steps
from nexus3.loopback.received import Received
from nexus3.loopback.server import HOST, understood
from nexus3.loopback.steps import Send
from nexus3.observe.redact import printable
from nexus3.wire.urls import endpoint_url

END_GRACE = 0.5
"""Seconds that an exchange goes on when the application has left: many leave at the last event, before the body's
end."""

MIN_KEY_CHARS = 16
"""With its label. An application's own key is taken out of bodies from this length on: placeholders are shorter, and
words (``anything``, ``not-needed``) that would be missing everywhere."""

_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key"})

_OURS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "cookie", "expect", "host", "keep-alive", "te", "trailer",
        "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
"""Headers of one connection, which the next one has of its own; and what is none of the provider's business."""


class Relay:
    """Serves connections; all share one pool and one cassette. Made by :func:`open_relay`."""

    def __init__(
        self,
        port: int,
        provider: ResolvedProvider,
        transport: Transport,
        cassette: CassetteWriter,
        secrets: BodySecrets,
        tell: Callable[[str], None],
        stop: Callable[[], None],
    ) -> None:
        """``secrets`` is what the cassette redacts with, and learns each key that passes. ``stop`` is called where the
        cassette takes no more."""
        self.port = port
        self.unanswered = 0
        """Requests that got no answer of the provider's."""
        self.unwritable: OSError | None = None
        """Why the cassette takes no more."""
        self._provider = provider
        self._transport = transport
        self._cassette = cassette
        self._secrets = secrets
        self._tell = tell
        self._stop = stop
        self._credentials = Credentials(provider, time.time)

    @property
    def recorded(self) -> int:
        """Exchanges that are in the cassette now, of this relay's."""
        return self._cassette.recorded

    async def serve(self, stream: trio.SocketStream) -> None:
        """Take one connection to its end. Cancelling stores what has come so far as cut."""
        client = Client(stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.pump)
                with suppress(BadRequestError, trio.BrokenResourceError):
                    while (request := await client.read_request()) is not None:
                        if not await self._exchange(client, request):
                            break
                nursery.cancel_scope.cancel()
        finally:
            client.close()

    async def _exchange(self, client: Client, request: Request) -> bool:
        """Forward one request; whether the connection can take another."""
        passage = Passage(understood(request, self._cassette.next_number()), trio.current_time())
        refusal = self._refusal(request, passage.received)
        if refusal is None:
            try:
                await self._pass(client, request, passage)
            except TransportFault as fault:
                refusal = Answer(status=502, error=self._secrets(fault.failure.message))
            except ConfigError as error:
                refusal = Answer(status=400, error=str(error))
            finally:
                self._keep(passage)
        if passage.status is not None:
            return passage.is_whole and request.keep
        self.unanswered += 1
        if refusal is None:
            self._say(f"{passage.title}  the application left before an answer")
            return False
        self._say(f"{passage.title}  {refusal.status}  {refusal.error}")
        for step in steps(refusal, passage.received, keep=False):
            if isinstance(step, Send):
                await client.send(step.data)
        return False

    def _refusal(self, request: Request, received: Received) -> Answer | None:
        route, dialect = received.route, self._provider.type.dialect
        host = request.headers.get("host", "").rpartition(":")[0]
        if "origin" in request.headers or host not in ("127.0.0.1", "localhost"):
            return Answer(status=403, error="nexus3 record serves programs on this machine, and no web pages")
        if (received.method, route.endpoint, route.dialect) != ("POST", "completion", dialect):
            wanted = "/messages" if dialect == "anthropic_messages" else "/chat/completions"
            return Answer(
                status=404, error=f"nexus3 record forwards POST ...{wanted} to {self._provider.name}, no more"
            )
        if received.body is None:
            return Answer(status=400, error="nexus3 record takes a body of JSON")
        return None

    async def _pass(self, client: Client, request: Request, passage: Passage) -> None:
        """Ask the provider and hand over its answer, piece by piece. Returns early where the application left.

        Raises:
            ConfigError: the request's model cannot be put into a URL.
            TransportFault: no answer; never once the answer has begun.
        """
        provider = self._provider
        url = endpoint_url(
            provider.type,
            provider.base_url,
            model=passage.received.model,
            deployment=provider.deployment,
            api_version=provider.api_version,
        )
        headers = await self._headers(request)
        exchange = self._transport.exchange(url, headers, request.content, on_sent=_ignore)
        with client.presence(grace=END_GRACE):
            async with exchange as response:
                with suppress(TransportFault, trio.BrokenResourceError):
                    await passage.hand_over(response, client, keep=request.keep)

    async def _headers(self, request: Request) -> list[tuple[str, str]]:
        """The application's, without its connection's; the provider's extra ones and its key win."""
        provider, given = self._provider, request.headers
        own = [(name, value) for name, value in given.items() if name in _KEY_HEADERS]
        self._secrets.learn(value for _, value in own if len(value) >= MIN_KEY_CHARS)
        keys = own if provider.api_key is None else await self._credentials.lend().headers()
        self._secrets.learn(value for _, value in keys if value not in given.values())
        dropped = _OURS | _KEY_HEADERS | {name.lower() for name, _ in provider.extra_headers}
        passed = [
            (name, value) for name, value in given.items() if name not in dropped and not name.startswith("proxy-")
        ]
        return [*passed, *provider.extra_headers, *keys]

    def _keep(self, passage: Passage) -> None:
        recording = passage.recording()
        if recording is None:
            return
        try:
            self._cassette.append(recording)
        except OSError as error:
            # The application has had its answer; but nothing that it says from now on would be recorded.
            self.unwritable = error
            self._stop()
        else:
            self._say(f"{passage.title}  {passage.told()}")

    def _say(self, line: str) -> None:
        self._tell(printable(self._secrets(line)))


@asynccontextmanager
async def open_relay(
    cassette: Path, provider: ResolvedProvider, *, port: int = 0, tell: Callable[[str], None]
) -> AsyncIterator[Relay]:
    """A relay on 127.0.0.1 for the length of the block; ``port`` 0 takes a free one. ``tell`` gets a line for each
    exchange. Leaving closes everything at once; what is under way is stored as cut.

    Where the cassette takes no more (the disk is full), the block is cancelled: a recording that went on with gaps
    would be found out on replay only.

    Raises:
        CassetteError: there is such a file, and it is no cassette; or it takes no more, and has whole exchanges only.
        OSError: it cannot be opened, or the port is taken.
    """
    secrets = BodySecrets(secrets_of(provider))
    with open_cassette(cassette, secrets) as writer:
        async with open_pool(provider) as transport:
            listeners = await trio.open_tcp_listeners(port, host=HOST)
            async with trio.open_nursery() as nursery:
                relay = Relay(
                    listeners[0].socket.getsockname()[1],
                    provider,
                    transport,
                    writer,
                    secrets,
                    tell,
                    stop=nursery.cancel_scope.cancel,
                )
                await nursery.start(trio.serve_listeners, relay.serve, listeners)
                yield relay
                nursery.cancel_scope.cancel()
    if relay.unwritable is not None:
        raise CassetteError(
            f"{cassette} takes no more: {relay.unwritable.strerror}; recorded before that and whole: {relay.recorded}"
        ) from relay.unwritable


def _ignore() -> None:
    """When a request leaves is of no interest here."""
