"""What an actor needs of a transport, whoever provides it: the pool, or a scripted stand-in in a test."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from nexus3.actors.resolved import ResolvedProvider
from nexus3.wire.failures import Failure


class TransportFault(Exception):  # noqa: N818 - carries a failure value to the attempt, never public
    """The exchange broke below the protocol. Holds a value only, no foreign exception."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Response(Protocol):
    """The head of an answer and its body, read once, by one task."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        ...

    @property
    def is_at_end(self) -> bool:
        """The proper end of the body has been seen: the next read would wait for nothing, and give nothing."""
        ...

    async def receive_some(self) -> bytes:
        """The next bytes as they came off the network; ``b""`` at the proper end of the body.

        Raises:
            TransportFault: the body was cut off or broken.
        """
        ...


class Transport(Protocol):
    """Connections to one provider, owned by one incarnation."""

    def exchange(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: Callable[[], None]
    ) -> AbstractAsyncContextManager[Response]:
        """Send one request and give its response; the connection is kept if the body was read to its end, else closed.

        ``on_sent`` is called when the first byte of the request may have left. Cancelling at any checkpoint closes the
        connection.

        Raises:
            TransportFault: no connection, or no response head.
        """
        ...


OpenTransport = Callable[[ResolvedProvider], AbstractAsyncContextManager[Transport]]
"""Opens what one incarnation uses; leaving the block closes every connection."""
