"""What a listener to the wire is told, attempt by attempt: the interface, and no code.

A tap hangs on a ticket or on a slot and is looked at once an attempt; without one, nothing of this is on the path.
What it hears has no header in it, so no credential but those that a body or a URL repeats.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class AttemptId(NamedTuple):
    """Which attempt of which request. ``request`` is unique within a supervisor; attempts count from 1, on over retries
    and fallbacks."""

    request: str
    attempt: int
    provider: str
    model: str


class Ending(NamedTuple):
    """How an attempt ended, and what the codec has made of its answer by then."""

    outcome: str
    """``completed``, or a failure's kind; the retry that may follow is an attempt of its own."""
    seconds: float
    is_whole: bool
    """The proper end of the body was seen."""
    content_length: int
    """Characters."""
    tool_call_count: int
    finish_reason: str | None
    """In the provider's words; ``None`` where it gave none, or the answer was not streamed."""


class Listener(Protocol):
    """Told of one attempt, in this order, by its task. Nothing here waits or raises: the request does not notice."""

    def sent(self, url: str, body: bytes) -> None:
        """The exchange begins; a connection may not be had."""
        ...

    def head_came(self, status: int, content_type: str) -> None: ...

    def bytes_came(self, data: bytes) -> None:
        """Of the body, as they came off the network."""
        ...

    def ended(self, ending: Ending) -> None:
        """Once, last, whatever happened."""
        ...


Tap = Callable[[AttemptId, Sequence[str]], Listener]
"""Called as an attempt begins, in the caller's context. With it come the secrets that the attempt is made with, for
whoever hands on what it hears to take them out."""
