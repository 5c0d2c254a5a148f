"""From an answer to what happens on the connection: bytes, pauses and closings, in order. Pure.

Responses are framed by hand here, because half of what this server must be able to say no correct HTTP library will
say: truncated chunks, wrong lengths, second responses, heads that never end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from itertools import repeat
from typing import Literal, assert_never

from nexus3.loopback.answers import Answer, Raw, Reply
from nexus3.loopback.body import as_unstreamed, error_of, frames_of, placed
from nexus3.loopback.dialects import SPEAKERS
from nexus3.loopback.faults import (
    BodyFault,
    CloseAfter,
    Cut,
    DripHeaders,
    Endless,
    ErrorEvent,
    Garbage,
    HangUp,
    InformationalFlood,
    OnlyPings,
    Stall,
    StallHeaders,
    Surplus,
    WrongLength,
)
from nexus3.loopback.frames import Frame
from nexus3.loopback.received import Received
from nexus3.loopback.steps import Close, Pause, Send, Step

Framing = Literal["chunked", "length", "close"]


def steps(reply: Reply, received: Received, *, keep: bool = True) -> Iterator[Step]:
    """What to do, in order; possibly without end.

    Where the steps end without a :class:`Close`, the connection can take its next request. With ``keep`` false the
    answer says ``connection: close`` and ends with a close.
    """
    if isinstance(reply, Raw):
        return _raw_steps(reply)
    return _Delivery(reply, received, keep).steps()


class _Delivery:
    """One answer on its way: what its parts have in common."""

    def __init__(self, answer: Answer, received: Received, keep: bool) -> None:
        self.streamed = _is_streamed(answer, received)
        self.answer = answer if self.streamed else as_unstreamed(answer)
        self.received = received
        self.faults = self.answer.faults
        self.speaker = SPEAKERS[received.route.dialect]
        self.framing = _framing(self.answer, self.streamed)
        self.keep = keep and self.framing != "close"
        self.frames = frames_of(self.answer, received, streamed=self.streamed)

    def steps(self) -> Iterator[Step]:
        answer = self.answer
        if not self.streamed and answer.first_delay:
            yield Pause(answer.first_delay)
        yield from self._head_steps()
        surplus = b"".join(fault.data for fault in self.faults if isinstance(fault, Surplus))
        yield from _with_surplus(self._body_steps(), surplus) if surplus else self._body_steps()
        for fault in self.faults:
            if isinstance(fault, CloseAfter):
                yield Pause(fault.delay)
                yield Close(fault.how)
        if not self.keep:
            yield Close("eof")

    def _head_steps(self) -> Iterator[Step]:
        head, status = self._head(), self.answer.status
        drip: float | None = None
        for fault in self.faults:
            match fault:
                case StallHeaders(seconds):
                    yield Pause(seconds)
                case InformationalFlood(every, count):
                    for _ in repeat(None) if count is None else repeat(None, count):
                        yield Send(b"HTTP/1.1 103 Early Hints\r\nlink: </hint>\r\n\r\n")
                        if every:
                            yield Pause(every)
                case HangUp(how, after_bytes):
                    if after_bytes:
                        yield Send(head[:after_bytes])
                    yield Close(how)
                case DripHeaders(every):
                    drip = every
                case _:
                    pass
        if drip is None:
            yield Send(head, status=status)
            return
        for at in range(len(head)):
            yield Send(head[at : at + 1], status=status if at + 1 == len(head) else None)
            yield Pause(drip)

    def _body_steps(self) -> Iterator[Step]:
        yield from self._frame_steps()
        if self.framing == "chunked":
            yield Send(b"0\r\n\r\n")

    def _frame_steps(self) -> Iterator[Step]:
        """The frames and, at their places, the faults. Ends early where a fault ends the answer, but not the body."""
        answer, frames, begun = self.answer, self.frames, False
        waiting = placed(self.faults, frames)
        for index in range(len(frames) + 1):
            for fault in waiting.get(index, ()):
                following = frames[index].data if index < len(frames) else b""
                yield from self._fault_steps(fault, following)
                if isinstance(fault, ErrorEvent) or (isinstance(fault, Cut) and fault.how == "end"):
                    return
            if index == len(frames):
                return
            frame = frames[index]
            if answer.pauses:
                if answer.pauses[index]:
                    yield Pause(answer.pauses[index])
            elif frame.stage == "piece":
                pause = answer.delay if begun else answer.first_delay if self.streamed else 0.0
                begun = True
                if pause:
                    yield Pause(pause)
            yield from self._send(frame)

    def _fault_steps(self, fault: BodyFault, following: bytes) -> Iterator[Step]:
        match fault:
            case Cut(how=how):
                if how == "truncate" and self.framing == "chunked":
                    yield Send(b"%x\r\n%b" % (len(following) + 16, following[: len(following) // 2]))
                if how != "end":
                    yield Close("reset" if how == "reset" else "eof")
            case Stall(seconds=seconds):
                yield Pause(seconds)
            case ErrorEvent(status=status, error=error):
                for frame in self.speaker.error_frames(status, error_of(error), self.received):
                    yield from self._send(frame)
            case Garbage(data=data):
                yield from self._send(Frame(data, "frame"))
            case OnlyPings(every=every):
                ping = self.speaker.PING if self.streamed else b"\n"
                while True:
                    yield from self._send(Frame(ping, "frame"))
                    yield Pause(every)
            case Endless(filler=filler, size_bytes=size):
                while size is None or size > 0:
                    yield from self._send(Frame(filler[:size], "frame"))
                    size = None if size is None else size - len(filler)
            case _:
                assert_never(fault)

    def _head(self) -> bytes:
        answer = self.answer
        fields: list[tuple[str, str]] = []
        if answer.default_headers:
            kind = "text/event-stream; charset=utf-8" if self.streamed else "application/json"
            fields += [("content-type", kind), *self.speaker.headers(self.received)]
        match self.framing:
            case "chunked":
                fields.append(("transfer-encoding", "chunked"))
            case "length":
                off = sum(fault.by_bytes for fault in self.faults if isinstance(fault, WrongLength))
                fields.append(("content-length", str(sum(len(frame.data) for frame in self.frames) + off)))
            case "close":
                pass
        if not self.keep:
            fields.append(("connection", "close"))
        given = list(answer.headers.items()) if isinstance(answer.headers, Mapping) else list(answer.headers)
        overridden = {name.lower() for name, _ in given}
        lines = [f"{name}: {value}" for name, value in fields if name not in overridden]
        lines += [f"{name}: {value}" for name, value in given]
        lines.insert(0, f"HTTP/1.1 {answer.status} {phrase(answer.status)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _send(self, frame: Frame) -> Iterator[Send]:
        """The frame in the body's framing; its last bytes carry the count."""
        size = self.answer.chunk_size or len(frame.data)
        parts = [frame.data[at : at + size] for at in range(0, len(frame.data), size or 1)]
        for at, part in enumerate(parts, start=1):
            data = b"%x\r\n%b\r\n" % (len(part), part) if self.framing == "chunked" else part
            done = at == len(parts)
            told = done and frame.stage == "piece" and self.answer.status < 300
            yield Send(data, events=int(done and self.streamed), pieces=int(told))


def _raw_steps(raw: Raw) -> Iterator[Step]:
    for part in raw.parts:
        yield Send(part) if isinstance(part, bytes) else Pause(part)
    match raw.then:
        case "stall":
            yield Pause(float("inf"))
        case "eof" | "reset":
            yield Close(raw.then)
        case "keep":
            pass


def _with_surplus(steps: Iterator[Step], surplus: bytes) -> Iterator[Step]:
    """The steps, with the surplus in the same segment as the last bytes: a client sees both at once."""
    held: Step | None = None
    for step in steps:
        if held is not None:
            yield held
        held = step
    yield replace(held, data=held.data + surplus) if isinstance(held, Send) else Send(surplus)


def _is_streamed(answer: Answer, received: Received) -> bool:
    if answer.status >= 300:
        return False
    return received.asked.stream if answer.stream is None else answer.stream


def _framing(answer: Answer, streamed: bool) -> Framing:
    if answer.framing is not None:
        return answer.framing
    if any(isinstance(fault, WrongLength) for fault in answer.faults):
        return "length"
    grows = any(isinstance(fault, Garbage | Endless | ErrorEvent | OnlyPings) for fault in answer.faults)
    return "chunked" if streamed or grows else "length"


def phrase(status: int) -> str:
    """The reason phrase; providers use numbers that HTTP does not name."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"
