"""Servers for the tests of lag: they run in a process of their own, which goes on while the client stands still."""

from nexus3.loopback import Answer, Received

PIECES = ["never ", "later ", "than ", "a ", "tenth ", "of ", "a ", "second"]


def prompt(_: Received) -> Answer:
    """Longer than the stall, so that there is something to wait for after it."""
    return Answer(PIECES, first_delay=0.1, delay=0.1)


def at_once(_: Received) -> Answer:
    return Answer("ok", stream=False)


def late(_: Received) -> Answer:
    return Answer("x", stream=False, first_delay=60)
