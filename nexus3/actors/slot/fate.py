"""What becomes of a request that ran on an incarnation when it died: the decision table's row "actor fault". Pure."""

from nexus3.actors.ticket import Ticket
from nexus3.wire.failures import Failure, Phase, fail


def fate_of(ticket: Ticket, *, retry_unsafe: bool) -> Failure | None:
    """How a ticket ends whose actor has crashed, ``ticket.crashes`` counting this crash; ``None`` puts it back.

    One that was present at two crashes may be their cause. One that had emitted fails with what was received: nothing
    a caller has seen is repeated. Of the others, those that may have reached the provider are sent again unless the
    settings say that this is not safe.
    """
    phase: Phase = "stream" if ticket.emitted else "first_event" if ticket.sent else "connect"
    if ticket.crashes >= 2:
        problem = "The actor crashed twice with it."
        return fail("actor_crashed", "poison_request", problem, retryable=False, phase=phase)
    if ticket.emitted:
        return fail("actor_crashed", "mid_stream", "The actor crashed in mid-stream.", retryable=True, phase=phase)
    if ticket.sent and not retry_unsafe:
        problem = "The actor crashed after the request was sent."
        return fail("actor_crashed", "sent", problem, retryable=True, phase=phase)
    return None
