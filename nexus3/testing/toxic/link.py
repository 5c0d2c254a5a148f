"""One direction of one connection, through its toxics.

Two tasks: one takes in what comes and notes when, one passes it on when its time has come, so that a delay does not
slow the stream down. What waits between them is bounded; beyond that the sender is left unread, as by a full network.
"""

from collections.abc import Callable
from contextlib import suppress
from math import inf
from random import Random
from typing import Literal

import trio

from nexus3.testing.toxic.toxics import Bandwidth, BlackHole, Latency, LimitData, ResetPeer, Slicer, SlowClose, Toxic

PIECE_BYTES = 16 << 10
MAX_WAITING = 256
"""Pieces between the two tasks: 4 MiB at most."""

Fate = Literal["ended", "broken", "closed", "reset"]
"""How a direction ends: the source's FIN was passed on; a side is gone; a toxic closes the connection by FIN or RST."""

_EVENLY = 0.01
"""Seconds of a limited bandwidth that are sent at a time."""


class Mixture:
    """The toxics of one direction of one connection, which may change at any time."""

    def __init__(self, toxics: list[Toxic]) -> None:
        self.toxics = toxics
        self._changed = trio.Event()

    def change(self, toxics: list[Toxic]) -> None:
        """From now on; wakes whoever waits because of the former ones."""
        self.toxics = toxics
        self._changed.set()
        self._changed = trio.Event()

    async def unchanged_until(self, time: float) -> bool:
        """Wait until ``time`` of trio's clock; false as soon as the toxics have changed, for then it may be another."""
        with trio.move_on_at(time):
            await self._changed.wait()
            return False
        return True


class Link:
    """Carries bytes from ``source`` to ``sink``; owns neither."""

    def __init__(
        self,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        mixture: Mixture,
        rng: Random,
        on_passed: Callable[[int], None],
    ) -> None:
        self._source = source
        self._sink = sink
        self._mixture = mixture
        self._rng = rng
        self._on_passed = on_passed
        self._passed = 0
        self._free_at = -inf
        """When the bandwidth has room again."""

    async def carry(self) -> Fate:
        """Work until there is no more to do; what then becomes of the connection is the caller's to carry out."""
        fate: Fate = "broken"
        into, waiting = trio.open_memory_channel[tuple[float, bytes]](MAX_WAITING)
        async with trio.open_nursery() as nursery:

            async def take_in() -> None:
                try:
                    while data := await self._source.receive_some(PIECE_BYTES):
                        await into.send((trio.current_time(), data))
                    await into.send((trio.current_time(), b""))
                except trio.BrokenResourceError:
                    nursery.cancel_scope.cancel()  # a RST does not wait for what was sent before it

            nursery.start_soon(take_in)
            with suppress(trio.BrokenResourceError):
                fate = await self._pass_on(waiting)
            nursery.cancel_scope.cancel()
        return fate

    async def _pass_on(self, waiting: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> Fate:
        while True:
            came_at, data = await waiting.receive()
            if not await self._hold(came_at, is_end=not data):
                return "closed"
            if not data:
                await self._sink.send_eof()
                return "ended"
            while data:
                sent, fate = await self._send(data)
                if fate is not None:
                    return fate
                data = data[sent:]

    async def _hold(self, came_at: float, *, is_end: bool) -> bool:
        """Wait until what came then may go on; false where the connection shall be closed instead."""
        luck = self._rng.uniform(-1, 1)
        held_since = inf
        while True:
            now = trio.current_time()
            toxics = self._mixture.toxics
            holes = [
                inf if toxic.seconds is None else toxic.seconds for toxic in toxics if isinstance(toxic, BlackHole)
            ]
            if holes:
                held_since = min(held_since, now)
                due = held_since + min(holes)
            else:
                due = came_at + sum(
                    toxic.seconds + luck * toxic.jitter for toxic in toxics if isinstance(toxic, Latency)
                )
                due += sum(toxic.seconds for toxic in toxics if isinstance(toxic, SlowClose) and is_end)
            if due <= now:
                return not holes
            await self._mixture.unchanged_until(due)

    async def _send(self, data: bytes) -> tuple[int, Fate | None]:
        """Send a beginning of ``data``: its length, and what ends the connection after it."""
        while self._is_out_of_bandwidth():
            await self._mixture.unchanged_until(self._free_at)
        toxics = self._mixture.toxics
        slicers = [toxic for toxic in toxics if isinstance(toxic, Slicer)]
        rate = min((toxic.bytes_per_second for toxic in toxics if isinstance(toxic, Bandwidth)), default=inf)
        size = min([len(data), max(1, int(min(rate * _EVENLY, PIECE_BYTES))), *map(self._slice, slicers)])
        end: LimitData | ResetPeer | None = None
        for toxic in toxics:
            if isinstance(toxic, LimitData | ResetPeer) and (left := _limit(toxic) - self._passed) <= size:
                size, end = max(left, 0), toxic
        if size:
            await self._sink.send_all(data[:size])
            self._passed += size
            self._on_passed(size)
        match end:
            case ResetPeer(delay=delay):
                await trio.sleep(delay)
                return size, "reset"
            case LimitData():
                return size, "closed"
            case None:
                self._free_at = max(self._free_at, trio.current_time()) + size / rate
                await trio.sleep(sum(toxic.delay for toxic in slicers))
                return size, None

    def _is_out_of_bandwidth(self) -> bool:
        limited = any(isinstance(toxic, Bandwidth) for toxic in self._mixture.toxics)
        return limited and self._free_at > trio.current_time()

    def _slice(self, slicer: Slicer) -> int:
        return max(1, slicer.size_bytes + self._rng.randint(-slicer.variation, slicer.variation))


def _limit(toxic: LimitData | ResetPeer) -> int:
    return toxic.size_bytes if isinstance(toxic, LimitData) else toxic.after_bytes
