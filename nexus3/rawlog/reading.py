"""One attempt, as its hooks are told of it: in the thread, after the fact."""

from contextvars import Context

from nexus3.actors.tap import AttemptId, Ending
from nexus3.rawlog.hooks import Hooks
from nexus3.rawlog.payload import BYTES, TEXT, TRUNCATED, shown_body, shown_url
from nexus3.rawlog.redaction import Redaction
from nexus3.wire.messages import JsonObject
from nexus3.wire.sse import FrameTooLarge, ServerSentEvent, SseDecoder

MAX_BODY_BYTES = 1 << 20
"""No more is kept of a body, and of one event of a stream."""


class Reading:
    """Parses what came, and calls the hooks. Times are Unix seconds, of when it came."""

    def __init__(self, hooks: Hooks, about: AttemptId, context: Context, redact: Redaction, *, bodies: bool) -> None:
        """``context`` is this attempt's own copy."""
        self._hooks = hooks
        self._about = about
        self._context = context
        self._redact = redact
        self._bodies = bodies
        self._status: int | None = None
        self._content_type = ""
        self._body = bytearray()
        self._body_bytes = 0
        self._stream: SseDecoder | None = None
        self._event_count = 0
        self._received_done = False
        self._is_cut = False

    def sent(self, time: float, url: str, body: bytes, body_bytes: int) -> None:
        """``body`` may be cut; ``body_bytes`` is its whole length."""
        payload = shown_body(body, self._redact, is_cut=len(body) < body_bytes) if self._bodies else {BYTES: body_bytes}
        self._call(time, "on_request", shown_url(url, self._redact), payload)

    def head_came(self, status: int, content_type: str) -> None:
        self._status = status
        self._content_type = content_type.partition(";")[0].strip().lower()

    def bytes_came(self, time: float, data: bytes) -> None:
        if not self._body_bytes and self._is_stream(data):
            self._stream = SseDecoder(max_line_bytes=MAX_BODY_BYTES, max_event_bytes=MAX_BODY_BYTES)
        self._body_bytes += len(data)
        if self._stream is None:
            self._body += data[: MAX_BODY_BYTES - len(self._body)]
        elif not self._is_cut:
            try:
                events = self._stream.feed(data)
            except FrameTooLarge as error:
                events, self._is_cut = error.events, True
            self._tell(time, events)

    def ended(self, time: float, ending: Ending, *, is_cut: bool) -> None:
        """``is_cut``: not all that came was handed on to here."""
        self._is_cut |= is_cut
        if self._status is not None and self._stream is None and not self._is_stream(b""):
            self._call(time, "on_response", self._status, self._response(ending))
            return
        if self._stream is not None and not self._is_cut and (last := self._end_of_stream()) is not None:
            self._tell(time, [last])
        self._call(time, "on_stream_complete", self._summary(ending))

    def _is_stream(self, first: bytes) -> bool:
        """The answer is told event by event. Where the server did not say what it sends, its first byte does."""
        if self._status is None or not 200 <= self._status < 300:
            return False
        return not first.lstrip().startswith(b"{") if not self._content_type else self._content_type == _STREAM

    def _end_of_stream(self) -> ServerSentEvent | None:
        assert self._stream is not None
        try:
            return self._stream.end()
        except FrameTooLarge:
            self._is_cut = True
            return None

    def _tell(self, time: float, events: list[ServerSentEvent]) -> None:
        for name, data in events:
            if data.strip() == b"[DONE]":
                self._received_done = True
                continue
            self._event_count += 1
            self._received_done |= name == "message_stop"
            if self._bodies and self._hooks.wants("on_chunk"):
                self._call(time, "on_chunk", shown_body(data, self._redact, is_cut=False))

    def _response(self, ending: Ending) -> JsonObject:
        if not self._bodies:
            return {BYTES: self._body_bytes}
        is_cut = self._is_cut or not ending.is_whole or len(self._body) < self._body_bytes
        is_error = self._status is not None and self._status >= 400
        return shown_body(bytes(self._body), self._redact, is_cut=is_cut, text_key="error" if is_error else TEXT)

    def _summary(self, ending: Ending) -> JsonObject:
        summary: JsonObject = {
            "request": self._about.request,
            "attempt": self._about.attempt,
            "outcome": ending.outcome,
            "http_status": self._status,
            "event_count": self._event_count,
            "content_length": ending.content_length,
            "tool_call_count": ending.tool_call_count,
            "received_done": self._received_done,
            "finish_reason": ending.finish_reason,
            "duration_ms": round(ending.seconds * 1000, 3),
        }
        if self._is_cut:
            summary[TRUNCATED] = True
        return summary

    def _call(self, time: float, name: str, *args: object) -> None:
        self._hooks.call(self._context, self._about, time, name, *args)


_STREAM = "text/event-stream"
