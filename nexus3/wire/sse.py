"""Server-sent events: bytes in pieces of any size become events. Incremental, capped, one pass.

The format is the WHATWG's ("Server-sent events", parsing), with four choices of ours for what providers really send:

* an event without any data, or with empty data, is a keep-alive and not returned;
* a line that is a JSON object without ``data:`` before it is an event of its own (servers leak such lines);
* a last event without its blank line is read where it is evidently whole (:meth:`SseDecoder.end`);
* ``id`` and ``retry`` are ignored: nobody resumes a completion.

Data stays bytes. It is valid JSON or the reader's trouble; nothing here decodes it.
"""

from typing import NamedTuple

import msgspec

_BOM = b"\xef\xbb\xbf"
# Once per event: a NamedTuple's own constructor is a Python function, and half as dear again.
_new = tuple.__new__


class ServerSentEvent(NamedTuple):
    """One event. ``event`` is ``message`` where the stream gave no name; ``data`` is never empty."""

    event: str
    data: bytes


class FrameTooLarge(Exception):  # noqa: N818 - a value of the protocol that the codec turns into a failure
    """A line or an event outgrew its limit. The decoder that raised it is of no further use."""

    def __init__(self, limit: str, bytes_limit: int, events: list[ServerSentEvent]) -> None:
        super().__init__(f"{limit}: more than {bytes_limit} bytes")
        self.limit = limit
        """``max_line_bytes`` or ``max_event_bytes``."""
        self.bytes_limit = bytes_limit
        self.events = events
        """What the same bytes had completed before, oldest first: it arrived, so it counts."""


class SseDecoder:
    """Reads one stream. Costs O(n) in total however the bytes are cut; holds at most one line and one event.

    A line's size is counted without its end, an event's as its joined data lines.
    """

    comments: int
    """Comment lines so far: the provider lives, though it says nothing."""

    def __init__(self, *, max_line_bytes: int, max_event_bytes: int) -> None:
        self.comments = 0
        self._max_line_bytes = max_line_bytes
        self._max_event_bytes = max_event_bytes
        self._surely_allowed = min(max_line_bytes, max_event_bytes)
        self._at_boundary = True  # nothing at all is held: what follows begins a new event
        self._first_line = True
        self._skip_lf = False  # the last byte was a CR, so an LF now belongs to it
        self._line = bytearray()  # the unfinished line
        self._name = b""
        self._data = bytearray()  # data lines so far, an LF behind each

    @property
    def pending(self) -> bool:
        """Bytes of an unfinished event or line are held. Still so after an :meth:`end` that could not read them."""
        return bool(self._line or self._data or self._name)

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the body, in pieces of any size; returns the events they completed, oldest first.

        Raises:
            FrameTooLarge: a line or an event is over its limit, finished or not.
        """
        # Whole events that are all alike are read at once, in C; it is what nearly every read of a stream looks like.
        # Everything else goes line by line. An LF LF leaves nothing held, whatever was before it: so a read that is cut
        # anywhere falls into the rest of what is unfinished, whole events, and the beginning of the next.
        if self._at_boundary and data.endswith(b"\n\n") and (ordinary := self._ordinary(data)) is not None:
            self._first_line = False
            return ordinary
        events: list[ServerSentEvent] = []
        first = 0 if self._at_boundary else data.find(b"\n\n") + 2
        last = data.rfind(b"\n\n") + 2
        if first == 1 or last == 1:
            self._take(data, events)
            return events
        if first:
            self._take(data[:first], events)
        if first < last:
            block = data[first:last]
            if (ordinary := self._ordinary(block)) is None:
                self._take(block, events)
            else:
                self._first_line = False
                events += ordinary
        if last < len(data):
            self._take(data[last:], events)
        return events

    def feed_plain(self, data: bytes) -> list[bytes] | None:
        """As :meth:`feed`, for bytes that are whole events of one ``data:`` line each, without a name: their data.
        ``None``, and nothing is taken, where they are anything else, or the decoder is within an event.

        It is what nearly every read of a stream looks like, and half as dear as with an object per event.
        """
        if not (self._at_boundary and data.startswith(b"data: ") and data.endswith(b"\n\n")):
            return None
        if len(data) > self._surely_allowed or b"\r" in data:
            return None
        if data.find(b"\n") == len(data) - 2 > 6:  # one event, as most reads bring from a model at work
            parts = [data[6:-2]]
        else:
            parts = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") != 2 * len(parts) or b"" in parts:
                return None
        self._first_line = False
        return parts

    def end(self) -> ServerSentEvent | None:
        """The body is over. Returns the event that lacks only its blank line: ``[DONE]``, or data that is whole JSON.

        The standard discards it; some proxies cut the last blank line. Anything else stays ``pending``. Call it once.

        Raises:
            FrameTooLarge: the unfinished last line makes the event too large.
        """
        events: list[ServerSentEvent] = []
        if self._line:
            self._take_line(bytes(self._line), events)
        data = bytes(self._data[:-1])
        if data.strip() == b"[DONE]" or _is_json(data):
            self._dispatch(events)
        if not events:
            return None
        self._line.clear()
        return events[0]

    def _ordinary(self, block: bytes) -> list[ServerSentEvent] | None:
        """The events of a block that begins at a boundary and ends in LF LF, where each is one ``data:`` line, or each
        an ``event:`` and a ``data:`` line; else ``None``.

        Splitting at what begins an event leaves its inside; the count of LFs proves that no inside has further lines.
        """
        if len(block) > self._surely_allowed or b"\r" in block:
            return None
        if block.startswith(b"data: "):
            if block.find(b"\n") == len(block) - 2:  # one event, as most reads bring from a model at work
                return [ServerSentEvent("message", block[6:-2])] if len(block) > 8 else []
            parts = block[6:-2].split(b"\n\ndata: ")
            if block.count(b"\n") != 2 * len(parts):
                return None
            return [_new(ServerSentEvent, ("message", data)) for data in parts if data]
        if block.startswith(b"event: "):
            end_of_name = block.find(b"\ndata: ")
            if end_of_name < 0:
                return None
            beginning = block[: end_of_name + 7]
            alike = block[len(beginning) : -2].split(b"\n\n" + beginning)
            if block.count(b"\n") == 3 * len(alike):  # all of one name, as the deltas of an answer are
                event = str(beginning[7:-7], "utf-8", "replace") or "message"
                return [_new(ServerSentEvent, (event, data)) for data in alike if data]
            parts = block[7:-2].split(b"\n\nevent: ")
            if block.count(b"\n") != 3 * len(parts):
                return None
            events = []
            for part in parts:
                name, between, data = part.partition(b"\ndata: ")
                if not between:
                    return None
                if data:
                    events.append(_new(ServerSentEvent, (str(name, "utf-8", "replace") or "message", data)))
            return events
        return None

    def _take(self, data: bytes, events: list[ServerSentEvent]) -> None:
        """Any bytes at all, line by line. Only CR, LF and CRLF end a line: bytes.splitlines knows no others."""
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if not data:
            return
        self._skip_lf = data.endswith(b"\r")
        lines = data.splitlines()
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._line:
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line.clear()
        for line in lines:
            self._take_line(line, events)
        self._line += rest
        if len(self._line) > self._max_line_bytes:
            raise FrameTooLarge("max_line_bytes", self._max_line_bytes, events)
        self._at_boundary = not (self._line or self._data or self._name or self._skip_lf)

    def _take_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if len(line) > self._max_line_bytes:
            raise FrameTooLarge("max_line_bytes", self._max_line_bytes, events)
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        if line.startswith(b":"):
            self.comments += 1
            return
        if line.startswith(b"{") and not self._data and _is_json(line):
            self._add(line, events)
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        if field == b"data":
            self._add(value.removeprefix(b" "), events)
        elif field == b"event":
            self._name = value.removeprefix(b" ")

    def _add(self, value: bytes, events: list[ServerSentEvent]) -> None:
        if len(self._data) + len(value) > self._max_event_bytes:
            raise FrameTooLarge("max_event_bytes", self._max_event_bytes, events)
        self._data += value
        self._data += b"\n"

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if len(self._data) > 1:
            name = self._name.decode("utf-8", "replace") or "message"
            events.append(ServerSentEvent(name, bytes(self._data[:-1])))
        self._name = b""
        self._data.clear()


def _is_json(data: bytes) -> bool:
    """Whether ``data`` is one whole JSON value. Builds nothing of it."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
