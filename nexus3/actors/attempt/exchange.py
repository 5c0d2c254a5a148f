"""One ticket on one actor: an attempt, and what follows from it. The one place where a retry is decided."""

import time
from functools import partial
from random import Random

import trio

from nexus3.actors.attempt.attempt import attempt
from nexus3.actors.attempt.credentials import Credentials
from nexus3.actors.attempt.hedged import hedged
from nexus3.actors.gates.retry import MIN_ATTEMPT, Policy, delay_before_retry
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import SlowConsumer, Ticket, failed, out_of_time
from nexus3.actors.transport import Transport
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.catalog import Target
from nexus3.wire.events import RetryScheduled
from nexus3.wire.failures import Failure, fail


async def exchange(
    slot: Slot,
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
    """Make one attempt. When this returns the ticket is settled, waits in a mailbox for its next attempt, or has moved
    to another slot. Cancelling leaves it as it is.

    Wherever it waits, the innermost scope is the ticket's own and has its deadline: settling the ticket ends the wait.
    """

    key_was_renewed = ticket.attempt_failure is not None and ticket.attempt_failure.status == 401
    key = credentials.lend()
    ticket.lag = 0.0
    ticket.attempt_failure = None
    ticket.sent = ticket.announced = False
    try:
        hedge_after = slot.dispatch.hedge_delay(ticket) if provider.hedge else None
        if hedge_after is None:
            failure = await attempt(slot, ticket, target, provider, transport, key, stream=stream, wall_clock=time.time)
        else:
            send = partial(
                attempt,
                slot,
                target=target,
                provider=provider,
                transport=transport,
                key=key,
                stream=stream,
                wall_clock=time.time,
            )
            failure = await hedged(slot, ticket, send, delay=hedge_after, log=log)
        if failure is None or ticket.terminal is not None:
            return  # complete, or somebody else ended it while the last bytes came
        failure = credentials.cleaned(failure)
        ticket.attempt_failure = failure
        if failure.status == 401 and key.was_refused() and not key_was_renewed:
            delay = _delay_for_new_key(ticket, provider)
        else:
            delay = _delay(slot, ticket, failure, provider, rng)
        if delay is None:
            slot.give_up(ticket, failure)
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
        due = trio.current_time() + delay
        with trio.CancelScope(deadline=ticket.deadline) as ticket.scope:
            await ticket.deliver([scheduled], provider.limits.stall_timeout)
    except SlowConsumer:
        seconds = provider.limits.stall_timeout
        ticket.fail(
            fail("slow_consumer", "stall_timeout", f"The stream was not read for {seconds:g} s.", phase="stream")
        )
        return
    if ticket.scope.cancelled_caught:
        ticket.fail(out_of_time(ticket))
    slot.dispatch.postpone(ticket, due)


def _delay(slot: Slot, ticket: Ticket, failure: Failure, provider: ResolvedProvider, rng: Random) -> float | None:
    """Seconds before the next attempt at this provider; ``None`` where there is none."""
    is_timeout = _is_our_timeout(failure)
    ticket.timeouts_here += is_timeout
    now = trio.current_time()
    delay = delay_before_retry(
        failure,
        _policy_of(provider),
        attempts=ticket.attempts_here,
        timeouts=ticket.timeouts_here,
        emitted=ticket.emitted,
        remaining=min(ticket.deadline, ticket.patience) - now,
        rng=rng,
    )
    if delay is None or not slot.gates.pays_retry(is_timeout=is_timeout, now=now):
        return None
    return delay


def _delay_for_new_key(ticket: Ticket, provider: ResolvedProvider) -> float | None:
    """After a 401, where the key comes from a function: at once, with the next key, as one of the retries allowed. It
    costs no budget: the provider is in no trouble."""
    remaining = min(ticket.deadline, ticket.patience) - trio.current_time()
    return 0.0 if ticket.attempts_here <= provider.max_retries and remaining >= MIN_ATTEMPT else None


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
        retry_unsafe=provider.retry_unsafe,
    )
