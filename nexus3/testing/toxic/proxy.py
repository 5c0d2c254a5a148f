"""The proxy: a listener on 127.0.0.1, and the connections that it passes on to one port of this machine."""

import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from random import Random

import trio

from nexus3.loopback.server import HOST
from nexus3.testing.toxic.link import Fate, Link, Mixture
from nexus3.testing.toxic.toxics import Counts, Toward, Toxic, drawn, without


class ToxicProxy:
    """A running proxy. Made by :func:`open_toxic_proxy`.

    Toxics work on open connections and on later ones alike, from when they are added until they are removed.
    """

    def __init__(self, port: int, server_port: int, toxics: Iterable[Toxic], seed: int) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}"
        """For a base URL; whether HTTP is spoken is not the proxy's concern."""
        self.toxics: tuple[Toxic, ...] = tuple(toxics)
        self._server_port = server_port
        self._seed = seed
        self._numbers = count()
        self._mixtures: dict[tuple[int, Toward], Mixture] = {}
        self._counted = Counter[str]()

    @property
    def counts(self) -> Counts:
        """What it has done so far; a copy."""
        return Counts(**self._counted)

    def add(self, *toxics: Toxic) -> None:
        """Let these work, too."""
        self.replace((*self.toxics, *toxics))

    def remove(self, *toxics: Toxic) -> None:
        """Take these away; of equal ones, one for each.

        Raises:
            ValueError: one of them is not there; nothing was removed then.
        """
        self.replace(without(self.toxics, toxics))

    def replace(self, toxics: Iterable[Toxic]) -> None:
        """Let these work, and no others."""
        self.toxics = tuple(toxics)
        for (connection, toward), mixture in self._mixtures.items():
            mixture.change(drawn(self.toxics, toward, self._seed, connection))

    async def serve(self, client: trio.SocketStream) -> None:
        """Take one connection to its end. Whatever goes wrong on it stays there."""
        connection = next(self._numbers)
        self._counted.update(connections=1, open_connections=1)
        try:
            try:
                server = await trio.open_tcp_stream(HOST, self._server_port)
            except OSError:
                _close(client, "broken")
                return
            try:
                fate = await self._carry(connection, client, server)
                self._counted["cut"] += fate in ("closed", "reset")
                _close(client, fate)
                _close(server, fate)
            finally:
                server.socket.close()
        finally:
            client.socket.close()
            self._counted["open_connections"] -= 1

    async def _carry(self, connection: int, client: trio.SocketStream, server: trio.SocketStream) -> Fate:
        """Both directions, until both have ended or the first one ended badly."""
        fate: Fate = "ended"
        async with trio.open_nursery() as nursery:

            async def one_way(source: trio.SocketStream, sink: trio.SocketStream, toward: Toward) -> None:
                nonlocal fate
                mixture = Mixture(drawn(self.toxics, toward, self._seed, connection))
                self._mixtures[connection, toward] = mixture
                try:
                    rng = Random(f"{self._seed} {connection} {toward}")  # noqa: S311 - dice
                    passed = partial(self._passed, toward)
                    came_to = await Link(source, sink, mixture, rng, passed).carry()
                finally:
                    del self._mixtures[connection, toward]
                if came_to != "ended":
                    fate = came_to
                    nursery.cancel_scope.cancel()

            nursery.start_soon(one_way, client, server, "server")
            nursery.start_soon(one_way, server, client, "client")
        return fate

    def _passed(self, toward: Toward, size: int) -> None:
        self._counted[f"bytes_to_{toward}"] += size


def _close(stream: trio.SocketStream, fate: Fate) -> None:
    """Close as what happened wants it; a connection that lost one side loses the other as roughly."""
    if fate in ("reset", "broken"):
        # Lingering for no time makes the kernel send RST instead of FIN.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


@asynccontextmanager
async def open_toxic_proxy(server_port: int, *toxics: Toxic, port: int = 0, seed: int = 0) -> AsyncIterator[ToxicProxy]:
    """A proxy to ``server_port`` of this machine for the length of the block; leaving closes all connections at once.

    ``port`` 0 takes a free one. ``seed`` decides all chances. Who connects while the server does not listen gets RST.
    The body's exception leaves as the same object, never in a group.

    Raises:
        OSError: the port is taken.
    """
    listeners = await trio.open_tcp_listeners(port, host=HOST)
    bound: int = listeners[0].socket.getsockname()[1]
    proxy = ToxicProxy(bound, server_port, toxics, seed)
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        try:
            yield proxy
        except BaseException as error:  # noqa: BLE001 - raised again below, outside the nursery that would wrap it
            failure = error
        # Cleaning up takes no time; a shield keeps an outer cancellation from replacing the body's own exception.
        nursery.cancel_scope.shield = True
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
