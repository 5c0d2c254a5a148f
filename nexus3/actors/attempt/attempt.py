"""One HTTP round trip: encode, send, decode into events. No retry here."""

from collections.abc import Callable

import trio

from nexus3.actors.attempt.answer import Answer
from nexus3.actors.attempt.credentials import AttemptKey
from nexus3.actors.attempt.tapped import tapped
from nexus3.actors.attempt.watch import Watch
from nexus3.actors.pipe import Batch
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket, out_of_time
from nexus3.actors.transport import Transport, TransportFault
from nexus3.wire.catalog import Target
from nexus3.wire.codecs.dialects import CODECS
from nexus3.wire.failures import Failure, ProviderError, fail


async def attempt(
    slot: Slot,
    ticket: Ticket,
    target: Target,
    provider: ResolvedProvider,
    transport: Transport,
    key: AttemptKey,
    *,
    stream: bool,
    wall_clock: Callable[[], float],
    is_hedge: bool = False,
) -> Failure | None:
    """Make one attempt; its events go to the ticket as they arrive.

    The ticket is settled as soon as the answer is complete, before the connection is drained for reuse; then the result
    is ``None``. Else it is the failure, which the caller completes with provider, attempts and partial content. Where
    that may be a timeout of ours, ``ticket.lag`` says for how many seconds our own loop stood still meanwhile.
    Cancelling closes the connection at once. A hedge runs beside another attempt, which has told the reader all.

    Raises:
        SlowConsumer: the ticket's reader does not read.
    """
    limits = provider.limits
    codec = CODECS[target.type.dialect]
    try:
        encoded = codec.encode(ticket.request, target, stream=stream)
    except ProviderError as error:
        return error.failure
    if len(encoded.body) > limits.max_request_bytes:
        problem = f"The request has {len(encoded.body)} bytes; max_request_bytes allows {limits.max_request_bytes}."
        return fail("limit", "max_request_bytes", problem, phase="request")
    ticket.decoder = None
    news: Batch = ticket.untold
    ticket.untold = []
    if ticket.attempts_here == 1 and not is_hedge:
        news += encoded.notices
    if ticket.pending_notices:
        news += ticket.pending_notices
        ticket.pending_notices.clear()

    reasoning = ticket.request.reasoning
    watch = Watch(
        limits,
        until=ticket.deadline,
        stream=stream,
        reasoning=reasoning is not None and reasoning.effort != "none",
    )
    answer = Answer(slot, ticket, codec, target, limits, watch)
    tap = ticket.tap or slot.tap
    if tap is not None:
        transport = tapped(transport, tap, ticket, provider)
    cut = _NO_END
    with watch.timer as ticket.scope:
        try:
            if news:
                await ticket.deliver(news, limits.stall_timeout)
            ticket.announced = True
            secret_headers = await key.headers()
            async with transport.exchange(
                encoded.url, [*encoded.headers, *secret_headers], encoded.body, on_sent=answer.sent
            ) as response:
                del encoded, news, secret_headers  # an answer may take minutes, a request be megabytes
                failure = await answer.read(response, stream=stream, wall_clock=wall_clock)
                if failure is None:
                    await answer.drain(response)
                return failure
        except ProviderError as error:  # of the key
            return error.failure
        except TransportFault as fault:
            cut = fault.failure
    if answer.ticket.terminal is not None:
        return None  # the answer was complete and only the drain was cut off, or somebody ended the request
    ticket.lag = watch.lag()
    if watch.timer.scope.cancelled_caught:
        if ticket.deadline <= trio.current_time():
            return out_of_time(answer.ticket)
        cut = watch.failure()
    with trio.CancelScope(deadline=ticket.deadline) as ticket.scope:
        return await answer.cut_off(cut)
    return out_of_time(answer.ticket)


_NO_END = fail("internal", "no_end", "The exchange ended without an outcome.")
