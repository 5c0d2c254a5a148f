"""What can happen to bytes on their way, as data. The kinds are those of Shopify's Toxiproxy, in seconds and bytes.

Every toxic works in one direction, ``toward`` the client (the answers) or the server (the requests), and on each
connection with ``probability``. The dice are thrown once per connection and toxic, from the proxy's seed: the same
connection number has the same luck in every run, whatever else happens and in which order.

Several toxics of a kind add up: delays are summed, of rates, sizes and limits the smallest counts.
"""

from collections.abc import Iterable
from random import Random
from typing import Literal

import msgspec

Toward = Literal["client", "server"]


class _OneWay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """What all toxics share."""

    toward: Toward = "client"
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability is between 0 and 1, not {self.probability}")


class Latency(_OneWay, frozen=True):
    """Everything arrives ``seconds`` later, the end of the stream too; each piece by up to ``jitter`` more or less.

    Order is kept, and what comes close together goes on close together: this is distance, not a lack of bandwidth.
    """

    seconds: float
    jitter: float = 0.0


class Bandwidth(_OneWay, frozen=True):
    """No more than so many bytes a second, evenly."""

    bytes_per_second: float


class SlowClose(_OneWay, frozen=True):
    """The end of the stream (FIN) is passed on ``seconds`` late."""

    seconds: float


class BlackHole(_OneWay, frozen=True):
    """Nothing comes through, not even the end of the stream; ``seconds`` after it first held something back, the
    connection is closed. ``None``: never.

    What was held back comes through once the toxic is removed, as after an outage that TCP has survived.
    """

    seconds: float | None = None


class ResetPeer(_OneWay, frozen=True):
    """Both sides get RST when ``after_bytes`` have passed (0: instead of the first byte), ``delay`` seconds later.

    A RST overtakes: what has arrived and was not read yet is lost to the receiver. ``delay`` leaves time to read it.
    """

    after_bytes: int = 0
    delay: float = 0.0


class Slicer(_OneWay, frozen=True):
    """Data is sent in pieces of ``size_bytes``, more or less by up to ``variation``, ``delay`` seconds apart.

    Without a delay the receiver may still read several of them at once.
    """

    size_bytes: int = 1
    variation: int = 0
    delay: float = 0.0


class LimitData(_OneWay, frozen=True):
    """Both sides get FIN when so many bytes have passed (0: instead of the first byte)."""

    size_bytes: int


Toxic = Latency | Bandwidth | SlowClose | BlackHole | ResetPeer | Slicer | LimitData


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a proxy has done so far."""

    connections: int = 0
    """Accepted."""
    open_connections: int = 0
    cut: int = 0
    """Ended by a toxic."""
    bytes_to_client: int = 0
    """Passed on, not merely received."""
    bytes_to_server: int = 0


def drawn(toxics: Iterable[Toxic], toward: Toward, seed: int, connection: int) -> list[Toxic]:
    """Those that work in this direction of the connection with this number. Pure: equal toxics share their luck."""
    return [
        toxic
        for toxic in toxics
        if toxic.toward == toward
        and (toxic.probability == 1 or Random(f"{seed} {connection} {toxic}").random() < toxic.probability)  # noqa: S311 - dice
    ]


def without(toxics: Iterable[Toxic], gone: Iterable[Toxic]) -> list[Toxic]:
    """``toxics`` but for one of each that is ``gone``.

    Raises:
        ValueError: one of these is not among them.
    """
    left = list(toxics)
    for toxic in gone:
        left.remove(toxic)
    return left
