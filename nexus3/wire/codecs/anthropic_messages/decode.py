"""Bytes of an answer into events, and how the answer ends.

What the events mean is :mod:`.stream`'s. Here is when they go out (nothing before the first content), and whether the
answer was complete: ``message_stop`` proves it, and so does a stop reason in ``message_delta``. From then on whatever
goes wrong is a lost tail; before, it is a failure.
"""

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.anthropic_messages.answer import Answer, over_limit
from nexus3.wire.codecs.anthropic_messages.stream import PHASE_OPEN, MessageStream
from nexus3.wire.events import (
    INFERRED_FINISH,
    TAIL_LOST,
    ContentDelta,
    Notice,
    ReasoningDelta,
    StreamEvent,
    ToolCallStarted,
)
from nexus3.wire.failures import Failure, fail
from nexus3.wire.limits import DecodeLimits
from nexus3.wire.messages import Message, Usage
from nexus3.wire.sse import FrameTooLarge, SseDecoder

_CONTENT = frozenset({ContentDelta, ReasoningDelta, ToolCallStarted})
"""What content begins with."""


class _BodyDecoder:
    """Reads an unstreamed answer; and knows of any how it ends."""

    outcome: Reply | Failure | None
    proven: bool
    emitted: bool
    usage: Usage | None

    def __init__(self, target: Target, *, request_id: str | None, limits: DecodeLimits) -> None:
        self.outcome = None
        self.proven = False
        self.emitted = False
        self.usage = None
        self._request_id = request_id
        self._stream = MessageStream(Answer(target, limits), request_id, limits)
        self._held: list[StreamEvent] = []

    def whole(self, body: bytes) -> list[StreamEvent]:
        """Take the body. Sets ``outcome``."""
        out: list[StreamEvent] = []
        return self._settle(out, self._stream.take_whole(body, out) if body.strip() else _empty())

    def partial(self) -> Message | None:
        """What has arrived, unfinished tool calls included; ``None`` where nothing has."""
        return self._stream.answer.partial()

    def _settle(self, out: list[StreamEvent], failure: Failure | None) -> list[StreamEvent]:
        """Hand ``out`` out, or hold it back, and set ``outcome`` where the answer is over."""
        self.proven, self.usage = self._stream.is_proven, self._stream.usage
        if self._stream.is_over or (failure is not None and self.proven):
            self.outcome = self._reply(out, lost=failure)
            failure = None
        if not self.emitted:
            self.emitted = not _CONTENT.isdisjoint(map(type, out))
            self._held += out
            if not (self.emitted or self.outcome is not None):
                out = []
            else:
                out, self._held = self._held, []
        if failure is not None:
            self._held = []
            self.outcome = msgspec.structs.replace(
                failure,
                emitted=self.emitted,
                phase=("stream" if self.emitted else "first_event") if failure.phase == PHASE_OPEN else failure.phase,
                request_id=failure.request_id or self._request_id,
                usage=failure.usage or self.usage,
            )
        return out

    def _reply(self, out: list[StreamEvent], lost: Failure | None) -> Reply:
        """The answer is complete; ``lost`` is what went wrong behind it."""
        stream = self._stream
        stop_reason, oddity = stream.canonical_stop()
        out += stream.answer.completions()
        if oddity:
            out.append(Notice(INFERRED_FINISH, oddity))
        if lost:
            out.append(Notice(TAIL_LOST, f"The answer was complete; then: {lost.message}"))
        return Reply(
            message=stream.answer.message(),
            stop_reason=stop_reason,
            raw_stop_reason=stream.stop_reason,
            usage=stream.usage,
            response_id=stream.answer.response_id,
            model=stream.answer.model,
        )


class MessagesDecoder(_BodyDecoder):
    """A :class:`nexus3.wire.codecs.Decoder`: an answer that arrives as server-sent events."""

    def __init__(self, target: Target, *, request_id: str | None, limits: DecodeLimits) -> None:
        super().__init__(target, request_id=request_id, limits=limits)
        self._sse = SseDecoder(max_line_bytes=limits.max_line_bytes, max_event_bytes=limits.max_event_bytes)

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take the next bytes of the body, in pieces of any size; returns the events they completed, oldest first."""
        if self.outcome is not None:
            return []
        out: list[StreamEvent] = []
        too_large: FrameTooLarge | None = None
        stream = self._stream
        try:
            frames = self._sse.feed(data)
        except FrameTooLarge as error:
            frames, too_large = error.events, error
        failure = stream.take(frames, out)
        if too_large is not None and failure is None and not stream.is_over:
            failure = over_limit(too_large.limit, too_large.bytes_limit)
        return self._settle(out, failure)

    def end(self, cut: Failure | None = None) -> list[StreamEvent]:
        """The body is over, properly or by ``cut``. Sets ``outcome``, unless it is set already."""
        if self.outcome is not None:
            return []
        out: list[StreamEvent] = []
        failure: Failure | None = None
        try:
            frame = self._sse.end()
        except FrameTooLarge as error:
            failure = over_limit(error.limit, error.bytes_limit)
        else:
            failure = self._stream.take([frame], out) if frame is not None else None
        return self._settle(out, None if self._stream.is_over else cut or failure or self._truncated())

    def _truncated(self) -> Failure:
        if not (self._stream.events or self._sse.pending):
            return _empty()
        message = "The stream ended without message_stop, so the answer may be incomplete."
        return fail("protocol", "stream_truncated", message, retryable=True)


def _empty() -> Failure:
    return fail("protocol", "empty_response", "The provider's answer was empty.", retryable=True)


def open_decoder(target: Target, *, request_id: str | None, limits: DecodeLimits) -> MessagesDecoder:
    """A decoder for one streamed answer."""
    return MessagesDecoder(target, request_id=request_id, limits=limits)


def decode_body(
    body: bytes, target: Target, *, request_id: str | None, limits: DecodeLimits
) -> tuple[list[StreamEvent], Reply | Failure]:
    """Read an unstreamed answer with a 2xx status into the same events that a stream would have given."""
    decoder = _BodyDecoder(target, request_id=request_id, limits=limits)
    events = decoder.whole(body)
    assert decoder.outcome is not None, "whole() always ends the answer"
    return events, decoder.outcome
