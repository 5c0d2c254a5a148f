"""What the body of an answer consists of, and where in it faults act. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from nexus3.loopback.answers import Answer
from nexus3.loopback.dialects import SPEAKERS
from nexus3.loopback.faults import After, BodyFault, Error, ErrorEvent, Fault, NoMarker
from nexus3.loopback.frames import Frame, Stage
from nexus3.loopback.received import Received

_MARKERS: dict[str, tuple[Stage, ...]] = {
    "all": ("finish", "tail", "done"),
    "finish": ("finish",),
    "done": ("done",),
}


def frames_of(answer: Answer, received: Received, *, streamed: bool) -> list[Frame]:
    """The body, in the frames it is sent in. The faults that act at a place in it are not in here."""
    speaker, faults = SPEAKERS[received.route.dialect], answer.faults
    if isinstance(answer.body, Sequence) and not isinstance(answer.body, bytes):
        return [Frame(part, "piece") for part in answer.body]
    if answer.body is not None:
        return _halves(answer.body, faults)
    if answer.status >= 300:
        return _halves(speaker.error_document(answer.status, error_of(answer.error), received), faults)
    if not streamed:
        return _halves(speaker.document(answer, received), faults)
    gone = {stage for fault in faults if isinstance(fault, NoMarker) for stage in _MARKERS[fault.what]}
    return [frame for frame in speaker.frames(answer, received) if frame.stage not in gone]


def placed(faults: Sequence[Fault], frames: Sequence[Frame]) -> dict[int, list[BodyFault]]:
    """The faults of the body by the index of the frame before which they act; ``len(frames)`` is the end."""
    found: dict[int, list[BodyFault]] = {}
    for fault in faults:
        if isinstance(fault, BodyFault):
            found.setdefault(_index(fault.after, frames), []).append(fault)
    return found


def error_of(error: Error | str | None) -> Error:
    """What a script gave as an error, in full."""
    return error if isinstance(error, Error) else Error(error)


def as_unstreamed(answer: Answer) -> Answer:
    """An error in a stream is an error status where there is no stream."""
    for fault in answer.faults:
        if isinstance(fault, ErrorEvent):
            return replace(answer, status=fault.status, error=fault.error, fault=())
    return answer


def _halves(body: bytes, faults: Sequence[Fault]) -> list[Frame]:
    """A whole body in one frame; in two where a fault waits in its middle."""
    if not any(isinstance(fault, BodyFault) and fault.after == 1 for fault in faults):
        return [Frame(body, "piece")]
    middle = len(body) // 2
    return [Frame(body[:middle], "piece"), Frame(body[middle:], "piece")]


def _index(after: After, frames: Sequence[Frame]) -> int:
    if after == "head":
        return 0
    if after == "end":
        return len(frames)
    if after == "finish":
        return next((at for at, frame in enumerate(frames, start=1) if frame.stage == "finish"), len(frames))
    pieces = [at for at, frame in enumerate(frames, start=1) if frame.stage == "piece"]
    if after > 0 and pieces:
        return pieces[min(after, len(pieces)) - 1]
    return next((at for at, frame in enumerate(frames) if frame.stage != "lead"), len(frames))
