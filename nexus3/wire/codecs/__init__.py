"""One folder per dialect, and the interface that a dialect fills.

A *dialect* is a wire format; a provider type is a row of :mod:`nexus3.wire.catalog` that names one. A codec is two
pure things: a function that spells a request, and a decoder that reads an answer in pieces of any size.
"""

from typing import Protocol

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.events import Notice, StopReason, StreamEvent
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DecodeLimits
from nexus3.wire.messages import Message, Usage
from nexus3.wire.requests import CompletionRequest


class Encoded(msgspec.Struct, frozen=True):
    """A request as it goes on the wire, but for its secret, which the attempt adds last."""

    url: str
    headers: tuple[tuple[str, str], ...]
    """Content type, accept, and what the dialect demands; no credentials."""
    body: bytes
    notices: tuple[Notice, ...]
    """What was left out, changed or repaired, in the order of the request."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: what the decoder knows of a ``StreamComplete``."""

    message: Message
    stop_reason: StopReason
    raw_stop_reason: str | None
    usage: Usage | None
    response_id: str | None
    model: str | None
    """In the provider's words; ``None`` where it said nothing."""


class Decoder(Protocol):
    """Reads one streamed answer. Never raises on what a provider sends: trouble is an ``outcome``."""

    @property
    def outcome(self) -> Reply | Failure | None:
        """Set once, when the answer is over (end marker or error read, or :meth:`end` called); later bytes are ignored.
        A failure has what the wire says (kind to request_id); provider, attempts and partial are added above."""
        ...

    @property
    def proven(self) -> bool:
        """The provider has said that the answer is complete (``finish_reason``, ``[DONE]``, ``message_stop``).

        From here on it is a success, whatever the tail does. Usage may still follow.
        """
        ...

    @property
    def emitted(self) -> bool:
        """A content event has been returned by :meth:`feed` or :meth:`end`."""
        ...

    @property
    def usage(self) -> Usage | None:
        """As far as reported."""
        ...

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes of the body, in pieces of any size; returns the events they completed, oldest first.

        ``ResponseStarted``, early ``UsageUpdated`` and notices are held back until the first content event.
        """
        ...

    def end(self, cut: Failure | None = None) -> list[StreamEvent]:
        """The body is over: properly, or cut off by ``cut`` (a transport failure or a deadline).

        Sets ``outcome``: a ``Reply`` where the answer was proven complete, else ``cut`` or ``stream_truncated``.
        """
        ...

    def partial(self) -> Message | None:
        """What has arrived, as a message to show: unfinished tool calls included; ``None`` where nothing has."""
        ...


class Codec(Protocol):
    """What a dialect's folder offers, as a module."""

    def encode(self, request: CompletionRequest, target: Target, *, stream: bool) -> Encoded:
        """Spell the request for ``target``.

        Raises:
            ProviderError: ``unsupported`` for what this provider type or model cannot do and that would change the
                meaning if left out; ``bad_request`` for what can be sent to nobody.
        """
        ...

    def open_decoder(self, target: Target, *, request_id: str | None, limits: DecodeLimits) -> Decoder:
        """A decoder for one streamed answer."""
        ...

    def decode_body(
        self, body: bytes, target: Target, *, request_id: str | None, limits: DecodeLimits
    ) -> tuple[list[StreamEvent], Reply | Failure]:
        """Read an unstreamed answer with a 2xx status into the same events that a stream would have given."""
        ...
