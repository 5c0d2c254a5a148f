"""A fault schedule as data: what providers, requests, readers, actors and the supervisor's owner do, and when.

Made from a seed and an index alone. Times are virtual seconds; they are drawn from continuous ranges, so that two
things hardly ever happen at the same instant by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from nexus3.testing import HANG, Crash, Cut, End, Pause, Step

REQUESTS = 30

Way = Literal["stream", "complete", "channel", "reply_to", "bound"]
Habit = Literal["reads", "slow", "stalls", "leaves", "gives_up", "drops"]
Deed = Literal["pause", "drain", "reconfigure", "restart", "remove"]
OnFull = Literal["reject", "wait", "shed_oldest"]
Priority = Literal["interactive", "normal", "batch"]
Ending = Literal["at_rest", "cleanly", "exception", "cancel"]


@dataclass(frozen=True)
class Provider:
    """One provider and its limits."""

    name: str
    type: str
    max_connections: int
    mailbox_capacity: int
    max_retries: int
    retry_unsafe: bool
    stall_timeout: float
    idle_timeout: float
    on_full: OnFull
    openings: tuple[tuple[Step, ...], ...]
    """By incarnation; later ones open at once."""


@dataclass(frozen=True)
class Attempt:
    """What the provider does with one attempt."""

    status: int = 200
    retry_after: float | None = None
    error_after: int | None = None
    """An error inside the stream, after so many pieces."""
    delay: float = 0.0
    """Between pieces."""
    merge: int = 1
    """So many frames come in one network read."""
    action: Step | None = None
    """Put into the steps at :attr:`place`."""
    place: float = 0.0
    """0 is before anything is sent, 1 at the end."""
    streamed: bool = True


@dataclass(frozen=True)
class Reader:
    """How the caller takes its answer. ``after`` counts events, ``seconds`` are what the habit makes of them."""

    habit: Habit = "reads"
    after: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Request:
    """One request, its provider's behaviour and its reader's."""

    number: int
    at: float
    provider: int
    timeout: float
    way: Way
    reader: Reader
    attempts: tuple[Attempt, ...]
    pieces: int
    reply_buffer: int
    caller: str
    priority: Priority

    @property
    def parts(self) -> list[str]:
        """The answer, piece by piece; no two requests have a piece in common."""
        return [f"{self.number}.{index} " for index in range(self.pieces)]

    @property
    def answer(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True)
class Operation:
    """What an operator does. A pause, a drain and a removal are undone after ``seconds``; the operator waits no longer
    for a drain, and a removal that has not come to its end by then cuts off what is left."""

    at: float
    what: Deed
    provider: int
    seconds: float


@dataclass(frozen=True)
class Schedule:
    """All that happens in one run."""

    seed: int
    index: int
    providers: tuple[Provider, ...]
    requests: tuple[Request, ...]
    crashes: tuple[tuple[float, str], ...]
    operations: tuple[Operation, ...]
    supervisor: dict[str, object]
    ending: Ending
    ends_at: float
    reply_batches: int
    """Network reads that are buffered for a reader."""

    def __str__(self) -> str:
        return f"schedule {self.index} of seed {self.seed}"


def schedule(seed: int, index: int) -> Schedule:
    """The schedule; equal arguments, equal schedules."""
    rng = Random(f"{seed}/{index}")
    crash_prone = rng.random() < 0.5
    providers = tuple(_provider(rng, number, crash_prone=crash_prone) for number in range(rng.choice((2, 2, 3))))
    span = rng.choice((0.2, 2.0, 10.0))
    crashes = [
        (rng.uniform(0, span * 1.5), rng.choice(providers).name)
        for _ in range(rng.randrange(1, 8) if crash_prone else rng.choice((0, 0, 1)))
    ]
    return Schedule(
        seed=seed,
        index=index,
        providers=providers,
        requests=tuple(_request(rng, number, span, len(providers), crash_prone) for number in range(REQUESTS)),
        crashes=tuple(sorted(crashes)),
        operations=tuple(_operation(rng, span, len(providers)) for _ in range(rng.choice((0, 0, 0, 1, 4)))),
        supervisor={
            "max_restarts": rng.choice((0, 1, 3, 5, 100)),
            "restart_window": rng.uniform(1, 30),
            "park_for": rng.uniform(0.5, 5),
            "backoff_min": rng.uniform(0.01, 0.3),
            "backoff_max": rng.uniform(0.3, 2),
            "reset_after": rng.uniform(0.5, 20),
            "on_exhausted": "escalate" if rng.random() < 0.08 else "park",
        },
        ending=rng.choice(("at_rest", "at_rest", "at_rest", "cleanly", "exception", "cancel")),
        ends_at=rng.uniform(0, span * 1.5),
        reply_batches=rng.choice((1, 2, 4, 64)),
    )


def _provider(rng: Random, number: int, *, crash_prone: bool) -> Provider:
    openings: Sequence[tuple[Step, ...]] = ((), (), (), (Pause(rng.uniform(0, 2)),), (Crash(),))
    if crash_prone:
        openings = (*openings, (Pause(rng.uniform(0, 1)), Crash()), (HANG,) if rng.random() < 0.3 else ())
    return Provider(
        name=f"p{number}",
        type=rng.choice(("openai", "anthropic", "vllm")),
        max_connections=rng.choice((1, 2, 4, 32)),
        mailbox_capacity=rng.choice((1, 4, 256, 256)),
        max_retries=rng.choice((0, 1, 3)),
        retry_unsafe=rng.random() < 0.7,
        stall_timeout=rng.uniform(0.2, 3),
        idle_timeout=rng.uniform(0.5, 8),
        on_full=rng.choice(("reject", "reject", "wait", "shed_oldest")),
        openings=tuple(rng.choice(openings) for _ in range(6 if crash_prone else 1)),
    )


def _operation(rng: Random, span: float, providers: int) -> Operation:
    deeds: Sequence[Deed] = ("pause", "drain", "reconfigure", "restart", "restart", "remove", "remove")
    return Operation(rng.uniform(0, span), rng.choice(deeds), rng.randrange(providers), rng.uniform(0, 3))


def _request(rng: Random, number: int, span: float, providers: int, crash_prone: bool) -> Request:
    way: Way = rng.choice(("stream", "stream", "complete", "channel", "channel", "reply_to", "bound"))
    timeout = rng.choice((0.02, 0.3, 2.0, 10.0, 10.0, 60.0)) * rng.uniform(0.5, 1.5)
    return Request(
        number=number,
        at=0.0 if rng.random() < 0.2 else rng.uniform(0, span),
        provider=rng.randrange(providers),
        timeout=timeout,
        way=way,
        reader=_reader(rng, way, span),
        attempts=tuple(_attempt(rng, crash_prone) for _ in range(rng.choice((1, 2, 3)))),
        pieces=rng.choice((1, 2, 5, 12)),
        reply_buffer=rng.choice((0, 1, 64, 64)),
        caller=rng.choice(("a", "a", "b")),
        priority=rng.choice(("normal", "normal", "interactive", "batch")),
    )


def _reader(rng: Random, way: Way, span: float) -> Reader:
    if rng.random() < 0.55:
        return Reader()
    habits: Sequence[Habit] = ("slow", "stalls", "leaves", "gives_up")
    if way == "complete":
        habits = ("gives_up",)
    elif way in ("stream", "bound"):
        habits = (*habits, "drops")
    habit = rng.choice(habits)
    match habit:
        case "slow":
            seconds = rng.choice((0.01, 0.2)) * rng.uniform(0.5, 1.5)
        case "stalls":
            seconds = rng.uniform(0.1, 8)
        case "gives_up":
            seconds = rng.choice((0.0, 0.01, 0.2, 2.0)) * rng.uniform(0.5, 1.5)
        case _:
            seconds = 0.0
    return Reader(habit, after=rng.choice((0, 1, 2, 3, 5, 9)), seconds=seconds)


def _attempt(rng: Random, crash_prone: bool) -> Attempt:
    delay = rng.choice((0.0, 0.0, 0.01, 0.1, 0.6)) * rng.uniform(0.5, 1.5)
    merge = rng.choice((1, 1, 2, 5))
    place = rng.choice((0.0, 0.1, 0.25, rng.random(), rng.random(), 1.0))
    roll = rng.random()
    if roll < 0.45:
        return Attempt(delay=delay, merge=merge, streamed=rng.random() < 0.95)
    if roll < 0.57:
        status = rng.choice((429, 503, 529, 500, 401, 400, 404))
        after = rng.choice((None, 0.0, 0.3, 2.0)) if status in (429, 503) else None
        return Attempt(status=status, retry_after=after, action=_pause(rng), place=0.2)
    if roll < 0.64:
        return Attempt(error_after=rng.choice((0, 1, 3)), delay=delay, merge=merge)
    if roll < 0.72:
        return Attempt(action=Cut(), place=place, delay=delay, merge=merge)
    if roll < 0.80:
        return Attempt(action=HANG, place=place, delay=delay, merge=merge)
    if roll < 0.86:
        return Attempt(action=End(), place=max(place, 0.4), delay=delay, merge=merge)
    if roll < (0.95 if crash_prone else 0.87):
        return Attempt(action=Crash(), place=place, delay=delay, merge=merge)
    return Attempt(action=_pause(rng), place=place, delay=delay, merge=merge)


def _pause(rng: Random) -> Pause:
    return Pause(rng.choice((0.001, 0.1, 1.0, 4.0)) * rng.uniform(0.5, 1.5))
