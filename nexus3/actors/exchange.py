"""One ticket on one actor: attempts until it is settled. The only retry loop in the system."""

import time
from random import Random

import trio

from nexus3.actors.attempt import attempt, out_of_time
from nexus3.actors.credentials import Credentials
from nexus3.actors.gates.retry import Policy, delay_before_retry
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.ticket import SlowConsumer, Ticket, failed
from nexus3.actors.transport import Transport
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.catalog import Target
from nexus3.wire.codecs import Reply
from nexus3.wire.events import RetryScheduled, StreamComplete
from nexus3.wire.failures import Failure, fail


async def exchange(
    ticket: Ticket,
    target: Target,
    provider: ResolvedProvider,
    transport: Transport,
    credentials: Credentials,
    *,
    stream: bool,
    rng: Random,
    log: Log,
) -> None:
    """Run the ticket's attempts; the ticket is settled when this returns. Cancelling leaves it as it is.

    Wherever it waits, the innermost scope is the ticket's own and has its deadline: settling the ticket ends the wait.
    """

    def complete(reply: Reply, request_id: str | None) -> None:
        ticket.scope = None  # settling must not cancel what is left to do: the drain of the connection
        ticket.settle(
            StreamComplete(
                message=reply.message,
                stop_reason=reply.stop_reason,
                usage=reply.usage,
                provider=target.provider,
                model=reply.model or target.model,
                response_id=reply.response_id,
                request_id=request_id,
                attempts=ticket.attempts,
                raw_stop_reason=reply.raw_stop_reason,
            )
        )

    timeouts = 0
    while True:
        ticket.attempts += 1
        ticket.sent = False
        try:
            failure = await attempt(
                ticket, target, provider, transport, credentials, stream=stream, wall_clock=time.time, on_reply=complete
            )
            if failure is None or ticket.terminal is not None:
                return  # complete, or somebody else ended it while the last bytes came
            timeouts += _is_our_timeout(failure)
            delay = delay_before_retry(
                failure,
                _policy_of(provider),
                attempts=ticket.attempts,
                timeouts=timeouts,
                emitted=ticket.emitted,
                remaining=min(ticket.deadline, ticket.patience) - trio.current_time(),
                rng=rng,
            )
            if delay is None:
                ticket.fail(failure)
                return
            log(
                catalog.REQUEST_RETRYING,
                {
                    "request": ticket.id,
                    "actor": target.provider,
                    "attempt": ticket.attempts,
                    "delay": delay,
                    "kind": failure.kind,
                    "reason": failure.reason,
                    "status": failure.status,
                },
            )
            scheduled = RetryScheduled(ticket.attempts, delay, failed(ticket, failure).error)
            if not await _backed_off(ticket, scheduled, provider.limits.stall_timeout):
                return
        except SlowConsumer:
            seconds = provider.limits.stall_timeout
            ticket.fail(
                fail("slow_consumer", "stall_timeout", f"The stream was not read for {seconds:g} s.", phase="stream")
            )
            return


async def _backed_off(ticket: Ticket, scheduled: RetryScheduled, stall_timeout: float) -> bool:
    """Tell of the wait, and wait; true where the ticket still runs then."""
    with trio.CancelScope(deadline=ticket.deadline) as ticket.scope:
        await ticket.deliver([scheduled], stall_timeout)
        await trio.sleep(scheduled.delay)
    if ticket.terminal is None and ticket.scope.cancelled_caught:
        ticket.fail(out_of_time(ticket))
    return ticket.terminal is None


def _is_our_timeout(failure: Failure) -> bool:
    """A limit of ours was reached, as against a provider's 408 or 504."""
    return failure.kind == "timeout" and (failure.status is None or failure.status < 300)


def _policy_of(provider: ResolvedProvider) -> Policy:
    limits = provider.limits
    return Policy(
        max_retries=provider.max_retries,
        backoff=provider.retry_backoff,
        max_delay=limits.max_retry_delay,
        max_throttle_delay=limits.max_throttle_delay,
        max_retry_after=limits.max_retry_after,
    )
