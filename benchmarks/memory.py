"""The leanest transport there can be: prebuilt answers in memory, so that what is measured is everything above it.

It holds no state between exchanges and makes no copies. A read of it is one list access; only ``wakes`` adds one
checkpoint per read, as a socket's wake-up would be, so that the reader has its turn between two reads.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType

import trio

from nexus3.actors.resolved import ResolvedProvider

_ID = '"id":"chatcmpl-BxQ7vZk3mN8pLr2sTuWyAbCdEfGhI","object":"chat.completion.chunk","created":1751234567,"model":"m"'
_EVENT = 'data: {%s,"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]}\n\n'

DELTA = (_EVENT % (_ID, '{"content":"sixteen letters."}', "null")).encode()
"""One content delta as OpenAI spells it: about 200 bytes, 16 characters of text."""
HEAD = (_EVENT % (_ID, '{"role":"assistant","content":""}', "null")).encode()
TAIL = (_EVENT % (_ID, "{}", '"stop"')).encode() + b"data: [DONE]\n\n"


def one_event() -> list[bytes]:
    """An answer of one content event, in one read."""
    return [HEAD + DELTA + TAIL]


def event_per_read(events: int) -> list[bytes]:
    """``events`` content events, each in a read of its own."""
    return [HEAD, *[DELTA] * events, TAIL]


def full_reads(events: int, *, per_read: int = 200) -> list[bytes]:
    """``events`` content events in reads of ``per_read`` of them: as a fast network gives to a slow reader."""
    whole, left = divmod(events, per_read)
    return [HEAD, *[DELTA * per_read] * whole, DELTA * left + TAIL]


class MemoryTransport:
    """A :class:`nexus3.actors.transport.Transport`; every exchange is answered with :attr:`reads`."""

    def __init__(self) -> None:
        self.reads: Sequence[bytes] = one_event()
        self.wakes = False
        """Whether each read takes a turn of the scheduler."""
        self.incarnations = 0
        self.opened = trio.Event()
        """Set, and replaced, whenever an incarnation has opened this."""

    @asynccontextmanager
    async def open(self, provider: ResolvedProvider) -> AsyncIterator["MemoryTransport"]:
        """An :data:`nexus3.actors.transport.OpenTransport` of this one object."""
        self.incarnations += 1
        self.opened.set()
        self.opened = trio.Event()
        yield self

    def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> "_Exchange":
        """See :class:`nexus3.actors.transport.Transport`."""
        return _Exchange(self.reads, self.wakes, on_sent)


class _Exchange:
    """The exchange and its response in one."""

    __slots__ = ("_next", "_on_sent", "_reads", "_wakes", "headers", "status")

    def __init__(self, reads: Sequence[bytes], wakes: bool, on_sent: Callable[[], None]) -> None:
        self.status = 200
        self.headers = {"content-type": "text/event-stream"}
        self._reads = reads
        self._wakes = wakes
        self._next = 0
        self._on_sent = on_sent

    async def __aenter__(self) -> "_Exchange":
        self._on_sent()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @property
    def is_at_end(self) -> bool:
        """Known with the last read, as of a body whose end came with it."""
        return self._next == len(self._reads)

    async def receive_some(self) -> bytes:
        if self._wakes:
            await trio.lowlevel.checkpoint()
        if self._next == len(self._reads):
            return b""
        self._next += 1
        return self._reads[self._next - 1]
