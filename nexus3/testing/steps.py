"""What a scripted provider does with one request, step by step, as data.

An attempt is a sequence of steps: ``[Head(200), Chunk(b"..."), Pause(0.5), Cut()]``. Whatever stands before
:class:`Head` happens before there is a response; whatever stands before :class:`Sent` happens while connecting.
All times are seconds of trio's clock, so that a virtual clock runs through them without waiting.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sent:
    """From here on the request may have reached the provider. Where no step says so, it is sent before the first."""


@dataclass(frozen=True)
class Head:
    """The response begins. ``headers`` are in lower case."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """Bytes of the body, as one read from the network gives them."""

    data: bytes


@dataclass(frozen=True)
class Pause:
    """Nothing happens for a while."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """The connection breaks. ``reason`` is the failure's."""

    reason: str = "reset"


@dataclass(frozen=True)
class Crash:
    """The actor's invariants are broken: its incarnation ends by an ``ActorFault``, here and now."""


@dataclass(frozen=True)
class End:
    """The body ends properly. Where a response ends without this step, the last one implies it."""


Step = Sent | Head | Chunk | Pause | Cut | Crash | End

HANG = Pause(math.inf)
"""Nothing happens any more, until the client leaves."""
