"""A whole answer in the words of the loopback provider, as steps in memory. Pure.

What only a real connection can show (framing, dripping heads, wrong lengths) is refused: use ``open_loopback`` there.
"""

import itertools
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from nexus3.loopback.answers import Answer
from nexus3.loopback.body import as_unstreamed, error_of, frames_of, placed
from nexus3.loopback.dialects import SPEAKERS
from nexus3.loopback.faults import (
    BodyFault,
    ErrorEvent,
    Garbage,
    HangUp,
    NoMarker,
    OnlyPings,
    Stall,
    StallHeaders,
)
from nexus3.loopback.faults import Cut as CutFault
from nexus3.loopback.received import Received, asked_in
from nexus3.loopback.routes import route_of
from nexus3.testing.steps import Chunk, Cut, End, Head, Pause, Step


def spoken(answer: Answer, *, number: int, url: str, headers: list[tuple[str, str]], body: bytes) -> Iterator[Step]:
    """``answer`` in the dialect that the request asks for; possibly without end.

    Raises:
        ValueError: a fault of the answer needs a real connection.
    """
    for fault in answer.faults:
        if not isinstance(fault, BodyFault | HangUp | NoMarker | StallHeaders):
            raise ValueError(  # noqa: TRY004 - a choice of words, not of types
                f"{fault} needs a real connection; use nexus3.loopback.open_loopback"
            )
    return _steps(answer, _received(number, url, headers, body))


def _received(number: int, url: str, headers: list[tuple[str, str]], body: bytes) -> Received:
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    named = {name.lower(): value for name, value in headers}
    parsed = msgspec.json.decode(body)
    route = route_of(path, named)
    return Received(
        number=number, method="POST", path=path, headers=named, body=parsed, route=route, asked=asked_in(parsed, route)
    )


def _steps(answer: Answer, received: Received) -> Iterator[Step]:
    streamed = answer.status < 300 and (received.asked.stream if answer.stream is None else answer.stream)
    if not streamed:
        answer = as_unstreamed(answer)
    speaker = SPEAKERS[received.route.dialect]
    if not streamed and answer.first_delay:
        yield Pause(answer.first_delay)
    for fault in answer.faults:
        match fault:
            case StallHeaders(seconds):
                yield Pause(seconds)
            case HangUp():
                yield Cut("closed")
            case _:
                pass
    kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
    head = {"content-type": kind, **dict(speaker.headers(received))} if answer.default_headers else {}
    yield Head(answer.status, head | {name.lower(): value for name, value in dict(answer.headers).items()})
    frames = frames_of(answer, received, streamed=streamed)
    waiting = placed(answer.faults, frames)
    begun = False
    for index in range(len(frames) + 1):
        for place in waiting.get(index, ()):
            yield from _fault(place, received, streamed=streamed)
        if index < len(frames):
            if answer.pauses:
                if answer.pauses[index]:
                    yield Pause(answer.pauses[index])
            elif frames[index].stage == "piece":
                pause = answer.delay if begun else answer.first_delay if streamed else 0.0
                begun = True
                if pause:
                    yield Pause(pause)
            yield Chunk(frames[index].data)
    yield End()


def _fault(fault: BodyFault, received: Received, *, streamed: bool) -> Iterator[Step]:
    speaker = SPEAKERS[received.route.dialect]
    match fault:
        case CutFault(how="end"):
            yield End()
        case CutFault(how=how):
            yield Cut("reset" if how == "reset" else "closed")
        case Stall(seconds=seconds):
            yield Pause(seconds)
        case ErrorEvent(status=status, error=error):
            for frame in speaker.error_frames(status, error_of(error), received):
                yield Chunk(frame.data)
            yield End()
        case Garbage(data=data):
            yield Chunk(data)
        case OnlyPings(every=every):
            for _ in itertools.repeat(None):
                yield Chunk(speaker.PING if streamed else b"\n")
                yield Pause(every)
        case _:  # Endless
            left = fault.size_bytes
            while left is None or left > 0:
                yield Chunk(fault.filler[:left])
                left = None if left is None else left - len(fault.filler)
