"""The loopback server: a listener on 127.0.0.1, its connections, and what it saw."""

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Literal, assert_never

import msgspec
import trio

from nexus3.loopback.answers import Answer, Reply
from nexus3.loopback.cassette import read_cassette
from nexus3.loopback.connection import BadRequestError, Client, Request
from nexus3.loopback.delivery import phrase, steps
from nexus3.loopback.echo import echo
from nexus3.loopback.exchanges import Exchange
from nexus3.loopback.local_config import local_config
from nexus3.loopback.player import Player
from nexus3.loopback.received import Received, asked_in
from nexus3.loopback.replay import Record, Replayer, load
from nexus3.loopback.routes import models_answer, refusal, route_of
from nexus3.loopback.steps import Close, Pause, Send, Step

HOST = "127.0.0.1"

EXCHANGES_PATH = "/_loopback/exchanges"
"""GET answers with the exchanges as JSON; asking is not itself an exchange."""

Script = Callable[[Received], Reply | Awaitable[Reply | None] | None] | Sequence[Reply | None]
"""What decides the answers: a function of the request, plain or async; or answers in order, the last of which repeats.

``None`` in place of an answer leaves it to the default script, :func:`nexus3.loopback.echo.echo`.
"""

Transcripts = str | Path | Iterable[Mapping[str, object]]
"""A folder of records, or the records."""


class Loopback:
    """A running server. Made by :func:`open_loopback`."""

    def __init__(
        self, *, port: int, script: Script | None, records: Mapping[str, Record], player: Player | None, seed: int
    ) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.config = local_config(self.url)
        """For ``open_supervisor``: every provider type at this server; see :func:`local_config`."""
        self.exchanges: list[Exchange] = []
        """All requests so far, oldest first. It only grows; whoever runs for long may clear it."""
        self.open_connections = 0
        """Accepted, and not closed by this side yet."""
        self.player = player
        """What plays the cassette: its ``misses`` and what is ``unplayed``. ``None`` where there is none."""
        self._script = script
        self._scripted = 0
        self._replayer = Replayer(records, seed)
        self._seed = seed
        self._connections = count()
        self._numbers = count()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Take one connection to its end. Whatever goes wrong on it stays there."""
        client, connection = Client(stream), next(self._connections)
        self.open_connections += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.pump)
                while await self._take_request(client, connection):
                    pass
                nursery.cancel_scope.cancel()
        finally:
            client.close()
            self.open_connections -= 1

    async def _take_request(self, client: Client, connection: int) -> bool:
        """Read one request and answer it; returns whether the connection can take another."""
        try:
            request = await client.read_request()
            if request is None:
                return False
            if request.target == EXCHANGES_PATH:
                await client.send(_plain(200, msgspec.json.encode(self.exchanges)))
                return request.keep
            return await self._exchange(client, connection, request)
        except BadRequestError as error:
            with suppress(trio.BrokenResourceError):
                await client.send(_plain(400, str(error).encode()))
            return False
        except trio.BrokenResourceError:
            return False

    async def _exchange(self, client: Client, connection: int, request: Request) -> bool:
        received = understood(request, next(self._numbers))
        exchange = Exchange(
            number=received.number,
            connection=connection,
            method=received.method,
            path=received.path,
            headers=received.headers,
            body=received.body,
            started=trio.current_time(),
        )
        self.exchanges.append(exchange)
        outcome: Literal["kept", "closed", "left"] = "left"
        try:
            with client.presence():
                outcome = await self._answer(client, received, exchange, keep=request.keep)
        finally:
            exchange.ended = trio.current_time()
        if outcome == "left":
            exchange.client_left = True
            exchange.client_left_at = exchange.ended
        return outcome == "kept"

    async def _answer(
        self, client: Client, received: Received, exchange: Exchange, *, keep: bool
    ) -> Literal["kept", "closed", "left"]:
        try:
            reply = await self._reply(received)
            return await _perform(steps(reply, received, keep=keep), client, exchange)
        except trio.BrokenResourceError:
            return "left"
        except Exception as error:  # noqa: BLE001 - a script's fault is this request's, never the server's
            exchange.error = traceback.format_exc().encode(errors="backslashreplace").decode()
            apology = Answer(status=500, error=f"the script failed: {error!a}")
            if exchange.status is None:
                return await _perform(steps(apology, received, keep=False), client, exchange)
            client.close("reset")
            return "closed"

    async def _reply(self, received: Received) -> Reply:
        """The cassette alone, where there is one: what it has not is a miss. Else transcripts first, then what any
        provider refuses, then the script, then the echo."""
        if self.player is not None:
            return self.player.answer(received)
        reply: Reply | None = self._replayer.answer(received) or refusal(received)
        if reply is None and received.route.endpoint == "models":
            reply = models_answer(received)
        if reply is None:
            reply = await self._from_script(received)
        return echo(received, self._seed) if reply is None else reply

    async def _from_script(self, received: Received) -> Reply | None:
        script = self._script
        if script is None:
            return None
        if isinstance(script, Sequence):
            self._scripted += 1
            return script[min(self._scripted, len(script)) - 1] if script else None
        reply = script(received)
        return await reply if isinstance(reply, Awaitable) else reply


def understood(request: Request, number: int) -> Received:
    """The request as a script sees it; ``number`` counts them in order of arrival."""
    try:
        body: object = msgspec.json.decode(request.content) if request.content else None
    except (msgspec.DecodeError, RecursionError):
        body = None
    route = route_of(request.target, request.headers)
    return Received(
        number=number,
        method=request.method,
        path=request.target,
        headers=request.headers,
        body=body,
        route=route,
        asked=asked_in(body, route),
    )


@asynccontextmanager
async def open_loopback(
    *,
    port: int = 0,
    script: Script | None = None,
    transcripts: Transcripts | None = None,
    cassette: str | Path | None = None,
    speed: float = 1.0,
    strict_order: bool = False,
    seed: int | None = None,
) -> AsyncIterator[Loopback]:
    """A local provider for the length of the block; leaving closes everything at once, whatever was going on.

    ``port`` 0 takes a free one. ``script`` decides the answers, ``transcripts`` adds recorded ones
    (:mod:`nexus3.loopback.replay`), ``seed`` fixes what is chosen by chance (``None`` is 0: the choices are the same
    each time). The body's exception leaves as the same object, never in a group.

    A ``cassette`` answers alone, in place of all of these, at ``speed`` (1 as recorded, 2 twice as fast, 0 without
    waiting) and, if so wished, in ``strict_order`` only (:mod:`nexus3.loopback.player`).

    Raises:
        OSError: the port is taken, or the folder of transcripts or the cassette cannot be read.
        CassetteError: the file is no cassette.
        ValueError: there is no such speed, or a cassette has no room for a script or transcripts.
    """
    player = None
    if cassette is not None:
        if script is not None or transcripts is not None:
            raise ValueError("a cassette answers alone: give no script and no transcripts beside it")
        recordings = await trio.to_thread.run_sync(read_cassette, cassette)
        player = Player(recordings, speed=speed, strict_order=strict_order)
    records = {} if transcripts is None else await trio.to_thread.run_sync(load, transcripts)
    listeners = await trio.open_tcp_listeners(port, host=HOST)
    bound: int = listeners[0].socket.getsockname()[1]
    loopback = Loopback(port=bound, script=script, records=records, player=player, seed=seed or 0)
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, loopback.serve, listeners)
        try:
            yield loopback
        except BaseException as error:  # noqa: BLE001 - raised again below, outside the nursery that would wrap it
            failure = error
        # Cleaning up takes no time; a shield keeps an outer cancellation from replacing the body's own exception.
        nursery.cancel_scope.shield = True
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _perform(todo: Iterator[Step], client: Client, exchange: Exchange) -> Literal["kept", "closed"]:
    """Take the steps and note in ``exchange`` what was sent."""
    for step in todo:
        match step:
            case Send(data=data):
                await client.send(data)
                exchange.status = step.status or exchange.status
                exchange.events_sent += step.events
                exchange.pieces_sent += step.pieces
            case Pause(seconds):
                await trio.sleep(seconds)
            case Close(how):
                client.close(how)
                return "closed"
            case _:
                assert_never(step)
    return "kept"


def _plain(status: int, body: bytes) -> bytes:
    """A response outside the dialects."""
    head = (
        f"HTTP/1.1 {status} {phrase(status)}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
