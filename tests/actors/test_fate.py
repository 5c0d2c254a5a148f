"""What becomes of a request whose actor crashed: the table, row by row."""

import pytest

from nexus3.actors.pipe import Pipe
from nexus3.actors.slot.fate import fate_of
from nexus3.actors.ticket import Ticket
from nexus3.wire.messages import Message, Role
from nexus3.wire.requests import CompletionRequest

AGAIN = None
POISON = ("poison_request", False)
SEEN = ("mid_stream", True)
SENT = ("sent", True)


@pytest.mark.parametrize(
    ("crashes", "sent", "emitted", "retry_unsafe", "fate", "phase"),
    [
        (1, False, False, True, AGAIN, ""),
        (1, False, False, False, AGAIN, ""),
        (1, True, False, True, AGAIN, ""),
        (1, True, False, False, SENT, "first_event"),
        (1, True, True, True, SEEN, "stream"),
        (1, True, True, False, SEEN, "stream"),
        (2, False, False, True, POISON, "connect"),
        (2, True, False, False, POISON, "first_event"),
        (2, True, True, True, POISON, "stream"),
        (3, False, False, True, POISON, "connect"),
    ],
)
def test_the_fate_of_a_request(
    crashes: int, sent: bool, emitted: bool, retry_unsafe: bool, fate: tuple[str, bool] | None, phase: str
) -> None:
    ticket = Ticket(CompletionRequest(messages=(Message(role=Role.USER, content="?"),)), Pipe(1))
    ticket.crashes, ticket.sent, ticket.emitted = crashes, sent, emitted
    failure = fate_of(ticket, retry_unsafe=retry_unsafe)
    if fate is None:
        assert failure is None
    else:
        assert failure is not None
        assert (failure.kind, failure.reason, failure.retryable, failure.phase) == ("actor_crashed", *fate, phase)
