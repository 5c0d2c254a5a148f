"""A cassette as answers: what was recorded, to the byte and at the recorded pace, for requests that match. Pure.

Equal requests are answered in the order in which they were recorded, each recording once; when all of them have been
played, the last one is played again. In strict order each recording is played once and in its turn, and nothing else.

A request that nothing recorded matches is a miss: it is answered with an error that no client sends again, whose text
names the nearest recording and the first difference, and it is remembered.
"""

import math
from collections.abc import Sequence

from nexus3.loopback.answers import Answer
from nexus3.loopback.faults import Cut, Error, Fault, StallHeaders
from nexus3.loopback.matching import differences, distance
from nexus3.loopback.received import Received
from nexus3.loopback.recordings import RecordedAnswer, Recording
from nexus3.wire.provider_text import scrub

MISS = "cassette_miss"
"""The ``type`` and ``code`` of the error; for nexus3 the ``reason`` of the failure."""

MISS_STATUS = 404
"""Clients retry 408, 409, 425, 429 and 5xx; of the others this is the one whose texts mean least to them."""


def check_speed(speed: float) -> None:
    """Refuse what is no speed.

    Raises:
        ValueError: it is negative, or no number.
    """
    if not speed >= 0 or math.isinf(speed):
        raise ValueError(f"the speed is a factor: 1 as recorded, 2 twice as fast, 0 without waiting; not {speed}")


class Player:
    """Answers requests from recordings, and remembers what it could not answer."""

    def __init__(self, recordings: Sequence[Recording], *, speed: float = 1.0, strict_order: bool = False) -> None:
        """``speed`` 1 is as recorded, 2 twice as fast, 0 without waiting.

        Raises:
            ValueError: there is no such speed.
        """
        check_speed(speed)
        self.misses: list[str] = []
        """One text for each request that was not recorded, oldest first: the one that its client was told."""
        self._recordings = recordings
        self._is_unplayed = [True] * len(recordings)
        self._speed = speed
        self._strict_order = strict_order

    @property
    def unplayed(self) -> list[Recording]:
        """What nobody has asked for yet."""
        return [
            recording for recording, is_unplayed in zip(self._recordings, self._is_unplayed, strict=True) if is_unplayed
        ]

    def answer(self, received: Received) -> Answer:
        """The recorded answer, or the error of a miss."""
        at = self._next_in_order(received) if self._strict_order else self._first_or_last(received)
        if at is None:
            return self._miss(received)
        self._is_unplayed[at] = False
        return played(self._recordings[at].answer, self._speed)

    def _first_or_last(self, received: Received) -> int | None:
        last = None
        for at, recording in enumerate(self._recordings):
            if next(differences(recording.request, received), None) is None:
                if self._is_unplayed[at]:
                    return at
                last = at
        return last

    def _next_in_order(self, received: Received) -> int | None:
        if True not in self._is_unplayed:
            return None
        at = self._is_unplayed.index(True)
        return at if next(differences(self._recordings[at].request, received), None) is None else None

    def _miss(self, received: Received) -> Answer:
        # The texts of both sides are in it, and a key may be in those.
        told = scrub(f"{received.method} {received.path.partition('?')[0]} was not recorded: {self._nearest(received)}")
        self.misses.append(told)
        error = Error(told, type=MISS, code=MISS)
        return Answer(status=MISS_STATUS, error=error, headers={"x-should-retry": "false"})

    def _nearest(self, received: Received) -> str:
        recordings, count = self._recordings, len(self._recordings)
        if not recordings:
            return "the cassette is empty"
        if self._strict_order:
            if True not in self._is_unplayed:
                return f"all {count} recordings have been played, each in its turn"
            at, which = self._is_unplayed.index(True), "next in order"
        else:
            at, which = min(range(count), key=lambda at: distance(recordings[at].request, received)), "nearest"
        first = next(differences(recordings[at].request, received))
        return f"{which} is recording {at + 1} of {count}, which differs at {first}"


def played(answer: RecordedAnswer, speed: float) -> Answer:
    """The answer as it came, at a pace: cut where it was cut."""
    waits = [answer.after, *(piece.at for piece in answer.pieces)]
    pauses = [max(at - before, 0.0) / speed if speed else 0.0 for before, at in zip([0.0, *waits], waits, strict=False)]
    faults: list[Fault] = [StallHeaders(pauses[0])] if pauses[0] else []
    if answer.end == "cut":
        faults.append(Cut(len(answer.pieces) or "head"))
    return Answer(
        status=answer.status,
        headers=answer.headers,
        default_headers=False,
        body=[piece.content for piece in answer.pieces],
        pauses=pauses[1:],
        framing="chunked",
        fault=faults,
    )
