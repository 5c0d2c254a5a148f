"""Reads a stream of the chat dialect: bytes in, events out, one outcome at the end."""

import msgspec

import nexus3.wire.codecs.openai_chat.reading as reading
from nexus3.wire.catalog import Target
from nexus3.wire.codecs.openai_chat.answer import Answer
from nexus3.wire.codecs.openai_chat.chunks import Chunk
from nexus3.wire.codecs.openai_chat.reading import Malformed, OverLimit, load, read_chunk
from nexus3.wire.events import StreamEvent
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DecodeLimits
from nexus3.wire.sse import FrameTooLarge, ServerSentEvent, SseDecoder

_OPENING_BRACE = ord("{")
_UNREADABLE = Chunk()


def open_decoder(target: Target, *, request_id: str | None, limits: DecodeLimits) -> "ChatDecoder":
    """A decoder for one streamed answer."""
    return ChatDecoder(target, request_id=request_id, limits=limits)


class ChatDecoder(Answer):
    """An answer that arrives as server-sent events."""

    def __init__(self, target: Target, *, request_id: str | None, limits: DecodeLimits) -> None:
        super().__init__(target, request_id=request_id, limits=limits, streamed=True)
        self._sse = SseDecoder(max_line_bytes=limits.max_line_bytes, max_event_bytes=limits.max_event_bytes)
        self._events_left = limits.max_events

    def feed(self, data: bytes) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        if self.outcome is not None:
            return out
        plain = self._sse.feed_plain(data)
        if plain is not None and len(plain) <= self._events_left:
            self._read_plain(plain, out)
            return out
        try:
            self._read([ServerSentEvent("message", each) for each in plain] if plain else self._sse.feed(data), out)
        except FrameTooLarge as too_large:
            self._read(too_large.events, out)
            self.over_limit(too_large.limit, out)
        return out

    def end(self, cut: Failure | None = None) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        if self.outcome is None:
            try:
                if (last := self._sse.end()) is not None:
                    self._read([last], out)
            except FrameTooLarge as too_large:
                self._read(too_large.events, out)
                self.over_limit(too_large.limit, out)
        if self.outcome is None:
            self._end_of_bytes(cut, out)
        return out

    def _read(self, events: list[ServerSentEvent], out: list[StreamEvent]) -> None:
        over = len(events) > self._events_left
        if over:
            events = events[: self._events_left]
        self._events_left -= len(events)
        for name, data in events:
            self._read_one(name, data, out)
            if self.outcome is not None:
                return
        if over:
            self.over_limit("max_events", out)

    def _read_plain(self, events: list[bytes], out: list[StreamEvent]) -> None:
        """Chunks that are as they should be, at full speed: once per event of a long answer."""
        self._events_left -= len(events)
        typed = reading.typed
        for data in events:
            if data == b"[DONE]":
                self._done(out)
                return
            try:
                chunk = typed(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                chunk = _UNREADABLE
            if chunk.choices is None:
                self._read_one("message", data, out)
            else:
                try:
                    self.take(chunk, out)
                except Malformed as error:
                    self.malformed("malformed_event", data, error, out)
                except OverLimit as error:
                    self.over_limit(error.limit, out)
            if self.outcome is not None:
                return

    def _read_one(self, name: str, data: bytes, out: list[StreamEvent]) -> None:
        try:
            if data[0] != _OPENING_BRACE and (data := data.strip()).startswith(b"[DONE]"):
                self._done(out)
            elif name == "error":
                self._named_error(data, out)
            elif data:
                self.take(read_chunk(data, self._limits.max_json_depth), out)
        except Malformed as error:
            self.malformed("malformed_event", data, error, out)
        except OverLimit as error:
            self.over_limit(error.limit, out)

    def _end_of_bytes(self, cut: Failure | None, out: list[StreamEvent]) -> None:
        if self.proven:
            if cut is not None or self._sse.pending:
                self.tail_lost(cut.message if cut is not None else "an event was cut off", out)
            self.complete(out)
        elif cut is not None:
            self.outcome = cut
        elif self._events_left == self._limits.max_events and not self._sse.pending:
            self.nothing_came(out)
        else:
            self.fail("protocol", "stream_truncated", self._truncated(), out, retryable=True)

    def _done(self, out: list[StreamEvent]) -> None:
        if not self._choice_seen:
            self.nothing_came(out)
        elif self._finish is None and self._other_choice_finished:
            message = "the provider numbers each piece as another choice: its answer cannot be put together"
            self.fail("protocol", "choice_index", message, out)
        else:
            self.proven = True
            self.complete(out)

    def _named_error(self, data: bytes, out: list[StreamEvent]) -> None:
        try:
            payload = load(data, self._limits.max_json_depth)
        except Malformed:
            payload = data.decode("utf-8", "replace")
        self.provider_failed(payload, out)

    def _truncated(self) -> str:
        message = "the provider's stream ended without a finish_reason or [DONE]"
        if self._target.type.name == "ollama":  # its compatibility layer swallows what went wrong behind it
            message += "; ollama hides errors of its runner so: see its log"
        return message
