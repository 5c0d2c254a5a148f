"""What is told to the caller about a request that was not sent as it was given."""

from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER, Notice


def dropped(what: str, why: str) -> Notice:
    """A setting was left out; the request means the same without it."""
    return Notice(DROPPED_PARAMETER, f"{what} was left out: {why}")


def changed(what: str, into: str, why: str) -> Notice:
    """A setting was sent in another form or value."""
    return Notice(CHANGED_PARAMETER, f"{what} was sent as {into}: {why}")
