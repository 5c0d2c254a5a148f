"""One connection: one exchange at a time, by one task. A request goes out, an answer's head and then its body come in.

It never connects, retries or waits for its turn; deadlines are the caller's scopes, but for the one on writing, which
the stalls of our own loop do not use up. What breaks is raised as a
:class:`~nexus3.actors.transport.TransportFault` that holds a value, never a foreign exception.
"""

from collections.abc import Callable, Iterator

import trio

from nexus3.actors.http.body import BadHttp
from nexus3.actors.http.head import Head, HeadLimits, HeadReader
from nexus3.actors.http.stream import ByteStream
from nexus3.actors.lag import Timer
from nexus3.actors.transport import TransportFault
from nexus3.wire.failures import Failure, Phase, fail

PIECE_BYTES = 64 << 10
"""Of a request; ``write_timeout`` is for one of these. A request that is no longer leaves in one send."""

EARLY_ANSWER_TIMEOUT = 0.1
"""Seconds for an answer to a request that was not taken whole: it has come already, or there is none."""

_CLOSED = fail("transport", "closed", "The server closed the connection without an answer.", phase="headers")
_RESET = fail("transport", "reset", "The connection was reset before an answer.", phase="headers")
_UNSENT = fail("transport", "reset", "The connection broke while the request was written.", phase="request")
_UNTAKEN = fail("timeout", "write", "The request could not be written in time.", phase="request")
_CUT = fail("transport", "cut", "The connection was cut in the middle of the answer.", phase="stream")


class NoAnswer(TransportFault):
    """The connection ended before any byte of an answer; a kept one had most likely died while it was idle."""


class Connection:
    """Owns its stream, from when it is connected until :meth:`close`."""

    __slots__ = ("_stream", "exchanges", "idle_since", "opened_at")

    def __init__(self, stream: ByteStream, now: float) -> None:
        self._stream = stream
        self.opened_at = now
        self.idle_since = now
        """For the pool's use. Both are times of trio's clock."""
        self.exchanges = 0
        """Begun so far."""

    def close(self) -> None:
        """At once, without waiting; may be repeated."""
        self._stream.close()

    def is_quiet(self) -> bool:
        """Between exchanges: still open, and nothing has come that nobody asked for."""
        return self._stream.is_quiet()

    async def exchange(
        self, head: bytes, body: bytes, head_limits: HeadLimits, write_timeout: float, on_sent: Callable[[], None]
    ) -> "Incoming":
        """Send a request and wait for the head of its answer.

        After any exception, cancellation included, the connection is good for nothing but :meth:`close`.

        Raises:
            NoAnswer: the connection ended before any byte of an answer.
            TransportFault: it ended later, what came is not HTTP, or ``write_timeout`` passed while the server took
                nothing of the request.
        """
        self.exchanges += 1
        on_sent()
        unsent = await self._send(head, body, write_timeout)
        reader = HeadReader(head_limits)
        if unsent is None:
            answer = await self._receive_head(reader)
        else:
            # Who refuses a request may do so before it is whole, with a 413 for one: that says more than the write.
            answer = unsent
            with trio.move_on_after(EARLY_ANSWER_TIMEOUT):
                early = await self._receive_head(reader)
                answer = early if isinstance(early, Head) else unsent
        if isinstance(answer, Head):
            return Incoming(self._stream, answer, is_whole_request=unsent is None)
        if answer.kind == "transport" and not reader.received:
            raise NoAnswer(answer)
        raise TransportFault(answer)

    async def _send(self, head: bytes, body: bytes, write_timeout: float) -> Failure | None:
        stream = self._stream
        try:
            for piece in _pieces(head, body):
                await trio.lowlevel.checkpoint_if_cancelled()  # nothing is sent for a caller who has left
                if stream.send_now(piece):
                    continue  # as a rule: what does not wait needs no time limit
                with (timer := Timer()) as scope:
                    timer.set_in(write_timeout)
                    await stream.send_all(b"")
                if scope.cancelled_caught:
                    return _UNTAKEN
        except OSError:
            return _UNSENT
        return None

    async def _receive_head(self, reader: HeadReader) -> Head | Failure:
        try:
            while data := await self._stream.receive_some():
                if (head := reader.feed(data)) is not None:
                    return head
        except OSError:
            return _RESET
        except BadHttp as error:
            return _no_http(error, "headers")
        return _CLOSED


class Incoming:
    """The answer of one exchange: a :class:`nexus3.actors.transport.Response`, read by the task that asked."""

    __slots__ = ("_body", "_broken", "_is_kept", "_rest", "_stream", "headers", "status")

    def __init__(self, stream: ByteStream, head: Head, *, is_whole_request: bool) -> None:
        self.status = head.status
        self.headers = head.headers
        self._body = head.body
        self._rest = head.rest
        self._is_kept = head.keep_alive and is_whole_request
        self._broken: Failure | None = None
        self._stream = stream

    @property
    def is_reusable(self) -> bool:
        """The exchange came to its proper end, and the connection is where the next one can begin."""
        # Bytes behind the body's end would be read as the beginning of the next answer, which they may imitate.
        return self._is_kept and self._body.done and not self._body.surplus and not self._rest

    @property
    def is_at_end(self) -> bool:
        """See :class:`nexus3.actors.transport.Response`."""
        return self._body.done

    async def receive_some(self) -> bytes:
        """See :class:`nexus3.actors.transport.Response`. No checkpoint where the head's read brought the bytes."""
        if self._broken is None:
            body = self._body
            try:
                while not body.done:
                    if self._rest:
                        data, self._rest = self._rest, b""
                    else:
                        data = await self._stream.receive_some()
                    if not data:
                        self._is_kept = False
                        body.end()
                    elif payload := body.feed(data):
                        return payload
            except OSError:
                self._broken = _CUT
            except BadHttp as error:
                self._broken = _CUT if error.reason == "truncated" else _no_http(error, "stream")
                if error.payload:
                    return error.payload
            else:
                return b""
        raise TransportFault(self._broken)


def _pieces(head: bytes, body: bytes) -> Iterator[bytes]:
    first = max(0, PIECE_BYTES - len(head))
    yield head + body[:first]
    for at in range(first, len(body), PIECE_BYTES):
        yield body[at : at + PIECE_BYTES]


def _no_http(error: BadHttp, phase: Phase) -> Failure:
    if error.limit is not None:
        return fail("limit", error.limit, f"The answer's head is larger than {error.limit} allows.", phase=phase)
    return fail(
        "protocol", error.reason, f"The server's answer is not HTTP/1.1: {error}.", retryable=False, phase=phase
    )
