"""The provider actor: one incarnation. Each request is a task of its own, begun at once where a place is free and
nobody waits, else by the loop that takes tickets from the mailbox.

A provider's trouble is a failure value of one request. An :class:`ActorFault`, a broken invariant, ends the
incarnation with everything it opened; what becomes of its tickets is the slot's to decide.

All of its tasks are protected from KeyboardInterrupt, which can strike between any two bytecodes: it goes to the host's
own tasks, and ends these through the block.
"""

import time
import traceback
from collections.abc import Callable
from functools import lru_cache, partial
from random import Random

import trio

from nexus3.actors.attempt.credentials import Credentials
from nexus3.actors.attempt.exchange import exchange
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.route import target_of, wants_stream
from nexus3.actors.slot.slot import Slot
from nexus3.actors.ticket import Ticket
from nexus3.actors.transport import OpenTransport, Transport
from nexus3.errors import ConfigError
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.catalog import Target
from nexus3.wire.failures import fail


class ActorFault(Exception):  # noqa: N818 - the supervisor's word for what ends an incarnation
    """An invariant of the actor is broken: this incarnation must end."""


@trio.lowlevel.enable_ki_protection
async def run_provider(
    slot: Slot,
    open_transport: OpenTransport,
    rng: Random,
    log: Log,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """One incarnation: serve the slot's tickets, for ever, one generation of settings and connections after the other.

    Raises:
        ActorFault: (in a group) the slot's fault was set.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_crash_on_fault, slot)
        while True:
            retired = slot.new_generation()
            await nursery.start(_run_generation, slot, retired, open_transport, rng, log)
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await retired.wait()


@trio.lowlevel.enable_ki_protection
async def _run_generation(
    slot: Slot,
    retired: trio.Event,
    open_transport: OpenTransport,
    rng: Random,
    log: Log,
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Open a transport for the settings as they are now; serve until retired; then let what runs come to its end."""
    provider = slot.provider

    def tell_refresh_failed(problem: str) -> None:
        log(catalog.KEY_REFRESH_FAILED, {"actor": slot.name, "problem": problem})

    credentials = Credentials(provider, time.time, tell_refresh_failed)
    # A handful of models are asked all the time; users may name any number of them.
    aim = lru_cache(maxsize=256)(partial(target_of, provider))
    async with open_transport(provider) as transport, trio.open_nursery() as nursery:

        def start(ticket: Ticket) -> None:
            ticket.begin_attempt()
            # In the caller's context, so that what it bound for its logs is on our lines too.
            ticket.context.run(
                nursery.start_soon, _serve, slot, ticket, provider, aim, transport, credentials, rng, log
            )

        slot.dispatch.start = start
        try:
            task_status.started()
            while (ticket := await slot.dispatch.next_ticket(retired)) is not None:
                start(ticket)
        finally:
            if slot.dispatch.start is start:
                slot.dispatch.start = None


@trio.lowlevel.enable_ki_protection
async def _crash_on_fault(slot: Slot) -> None:
    await slot.fault.wait()
    raise ActorFault(f"{slot.name}: the incarnation was told to crash")


@trio.lowlevel.enable_ki_protection
async def _serve(
    slot: Slot,
    ticket: Ticket,
    provider: ResolvedProvider,
    aim: Callable[[str, int | None], Target],
    transport: Transport,
    credentials: Credentials,
    rng: Random,
    log: Log,
) -> None:
    """One attempt of one request; its place and its stake in the gates are given back whatever happens."""
    ticket.task = trio.lowlevel.current_task()
    try:
        if ticket.terminal is not None:
            return
        route = ticket.route
        assert route is not None, "admission set it"
        # No name for the target: it has the extra headers in it, and a traceback may show this frame's locals.
        await exchange(
            slot,
            ticket,
            aim(route.model_id, route.settings.max_tokens if route.settings else None),
            provider,
            transport,
            credentials,
            stream=wants_stream(provider, route.settings),
            rng=rng,
            log=log,
        )
    except ActorFault as fault:
        # Without the frames below, and what they were about: a traceback that shows locals would show the key.
        fault.__cause__ = fault.__context__ = None
        raise fault.with_traceback(None)  # noqa: B904 - it is the same exception
    except ConfigError as error:
        slot.give_up(ticket, fail("bad_request", "no_url", str(error)))
    except Exception as error:  # noqa: BLE001 - a bug in one request must not end the others
        # Without the values of locals, which may hold the key; so may a foreign exception's message.
        trace = credentials.redact("".join(traceback.format_exception(error)))
        log(catalog.REQUEST_BUG, {"request": ticket.id, "actor": slot.name, "traceback": trace})
        ticket.fail(fail("internal", "bug", f"nexus3 failed with {type(error).__name__}; please report it."))
    finally:
        ticket.task = None
        slot.release(ticket)
