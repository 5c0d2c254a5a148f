"""A network in memory that takes the connection pool's place: no sockets, no threads, so that virtual clocks can jump.

Use it as ``open_supervisor(config, open_transport=network.open)``; see :func:`nexus3.testing.open_house` for both.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, assert_never

import trio

from nexus3.actors.provider import ActorFault
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import TransportFault
from nexus3.loopback import Answer
from nexus3.testing.spoken import spoken
from nexus3.testing.steps import Chunk, Crash, Cut, End, Head, Pause, Sent, Step
from nexus3.wire.failures import fail

Ending = Literal["read", "left", "cut", "crashed"]
"""How an exchange ended: its body was read to the end; the client left before that; the two scripted disasters."""


@dataclass
class Exchange:
    """One request that came to the network, and what became of it. Times are of trio's clock."""

    number: int
    """Counts the network's exchanges from 0."""
    provider: str
    incarnation: int
    """Counts the provider's transports from 1."""
    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)
    began: float
    sent_at: float | None = None
    ended_at: float | None = None
    ending: Ending | None = None
    """``None`` while it goes on."""
    longest_unread: float = 0.0
    """The longest time in seconds for which the client took nothing more after it had got something."""


Reply = Answer | Iterable[Step]
"""A whole answer in the words of :mod:`nexus3.loopback`, spoken in the provider's dialect; or steps."""

Script = Callable[[Exchange], Reply] | Sequence[Reply]
"""Decides on each exchange; or replies in order, the last of which is repeated."""

Opening = Callable[[str, int], Iterable[Step]]
"""What happens before incarnation ``n`` (from 1) of a provider is ready: pauses and crashes."""


def opens_at_once(_provider: str, _incarnation: int, /) -> Iterable[Step]:
    """The usual :data:`Opening`: ready without a pause."""
    return ()


class ScriptedNetwork:
    """All providers of one house. :attr:`exchanges` is the truth about what was sent."""

    def __init__(self, script: Script, *, opening: Opening = opens_at_once) -> None:
        self.exchanges: list[Exchange] = []
        self.incarnations: dict[str, int] = {}
        """Transports opened so far, by provider."""
        self._script = script
        self._opening = opening

    @property
    def open_exchanges(self) -> list[Exchange]:
        """Those that go on."""
        return [exchange for exchange in self.exchanges if exchange.ending is None]

    @asynccontextmanager
    async def open(self, provider: ResolvedProvider) -> AsyncIterator["ScriptedTransport"]:
        """The transport of one incarnation: an :data:`nexus3.actors.transport.OpenTransport`.

        Raises:
            ActorFault: the opening has a :class:`~nexus3.testing.steps.Crash`.
        """
        number = self.incarnations[provider.name] = self.incarnations.get(provider.name, 0) + 1
        for step in self._opening(provider.name, number):
            match step:
                case Pause(seconds):
                    await trio.sleep(seconds)
                case Crash():
                    raise ActorFault(f"{provider.name}: scripted not to start")
                case _:
                    raise ValueError(f"an opening knows Pause and Crash only, not {step}")
        yield ScriptedTransport(self, provider.name, number)

    def begin(
        self, provider: str, incarnation: int, url: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[Exchange, Iterable[Step]]:
        """Record an exchange, and ask the script what will happen."""
        exchange = Exchange(len(self.exchanges), provider, incarnation, url, headers, body, trio.current_time())
        self.exchanges.append(exchange)
        if callable(self._script):
            reply = self._script(exchange)
        else:
            reply = self._script[min(exchange.number, len(self._script) - 1)]
        if isinstance(reply, Answer):
            reply = spoken(reply, number=exchange.number, url=url, headers=headers, body=body)
        return exchange, reply


class ScriptedTransport:
    """A :class:`nexus3.actors.transport.Transport` that plays steps."""

    def __init__(self, network: ScriptedNetwork, provider: str, incarnation: int) -> None:
        self._network = network
        self._provider = provider
        self._incarnation = incarnation

    @asynccontextmanager
    async def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> AsyncIterator["ScriptedResponse"]:
        """See :class:`nexus3.actors.transport.Transport`."""
        exchange, steps = self._network.begin(self._provider, self._incarnation, url, headers, body)
        play = _Player(exchange, steps, on_sent)
        try:
            yield ScriptedResponse(await play.head(), play)
        finally:
            play.client_acts()
            exchange.ending = play.ending or "left"
            exchange.ended_at = trio.current_time()


class ScriptedResponse:
    """A :class:`nexus3.actors.transport.Response`."""

    def __init__(self, head: Head, play: "_Player") -> None:
        self.status = head.status
        self.headers = dict(head.headers)
        self._play = play

    @property
    def is_at_end(self) -> bool:
        """See :class:`nexus3.actors.transport.Response`."""
        return self._play.ending == "read"

    async def receive_some(self) -> bytes:
        """See :class:`nexus3.actors.transport.Response`."""
        return await self._play.data()


class _Player:
    def __init__(self, exchange: Exchange, steps: Iterable[Step], on_sent: Callable[[], None]) -> None:
        self.ending: Ending | None = None
        self._exchange = exchange
        self._on_sent = on_sent
        self._given_at: float | None = None
        self._left = iter(steps)
        # Whole answers may be endless iterators, and never say it; steps that were written down are a sequence.
        if not (isinstance(steps, Sequence) and Sent() in steps):
            self._sent()

    def _sent(self) -> None:
        self._exchange.sent_at = trio.current_time()
        self._on_sent()

    def client_acts(self) -> None:
        """It asks for more, or leaves."""
        if self._given_at is not None:
            unread = trio.current_time() - self._given_at
            self._exchange.longest_unread = max(self._exchange.longest_unread, unread)
            self._given_at = None

    async def head(self) -> Head:
        step = await self._next()
        if not isinstance(step, Head):
            self.ending = "cut"
            raise TransportFault(fail("transport", "closed", "The script has no head here.", phase="headers"))
        return step

    async def data(self) -> bytes:
        self.client_acts()
        if self.ending == "read":
            await trio.lowlevel.checkpoint()
            return b""
        step = await self._next()
        if isinstance(step, Chunk):
            self._given_at = trio.current_time()
            return step.data
        self.ending = "read"
        return b""

    async def _next(self) -> Head | Chunk | End:
        # As a socket does: what has arrived is given, even to a task that was cancelled in the meantime.
        await trio.lowlevel.checkpoint_if_cancelled()
        await trio.lowlevel.cancel_shielded_checkpoint()
        for step in self._left:
            match step:
                case Head() | Chunk() | End():
                    return step
                case Sent():
                    self._sent()
                case Pause(seconds):
                    await trio.sleep(seconds)
                case Cut(reason):
                    self.ending = "cut"
                    raise TransportFault(fail("transport", reason, "The script cut the connection.", phase="stream"))
                case Crash():
                    self.ending = "crashed"
                    raise ActorFault(f"{self._exchange.provider}: scripted to crash")
                case _:
                    assert_never(step)
        return End()
