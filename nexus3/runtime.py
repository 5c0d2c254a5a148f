"""The supervisor and its block: composition only. The one file that knows everyone.

A request's way: :meth:`Supervisor.stream`, :meth:`~Supervisor.complete` or a submission -> the front desk
(``actors/admission.py``: names resolved, deadline set) -> the slot's mailbox -> the actor's loop
(``actors/provider.py``) -> attempts (``actors/exchange.py``) -> bytes, events -> the caller's reply stream.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import trio

from nexus3.actors.admission import CLOSED, Admission, Spawn
from nexus3.actors.client import AsyncProvider, BoundProvider, Submission
from nexus3.actors.pool import open_pool
from nexus3.actors.provider import run_provider
from nexus3.actors.reply import ReplyStream, open_reply, read_to_end
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.route import Route
from nexus3.actors.slot import Slot
from nexus3.actors.snapshot import Snapshot, take_snapshot
from nexus3.actors.transport import OpenTransport
from nexus3.config.load import load_config
from nexus3.config.models import resolve_model, unknown_model
from nexus3.config.resolve import require_keys, resolve
from nexus3.config.schema import Config
from nexus3.observe import catalog
from nexus3.observe.log import Log, host_log
from nexus3.supervisor.settings import SupervisorSettings
from nexus3.supervisor.spec import Backoff, ChildSpec, Intensity
from nexus3.supervisor.tree import Tree
from nexus3.wire.events import StreamComplete
from nexus3.wire.failures import Failure, error_of, fail
from nexus3.wire.requests import CompletionRequest

ConfigSource = Config | Mapping[str, object] | str | os.PathLike[str] | None
"""A configuration, a dict of its shape, a path to JSON or TOML, ``"loopback"`` for the bundled provider, or ``None``
for the user's own file."""


class Supervisor:
    """What the block hands out. All methods belong to the trio run (and thread) of the block."""

    def __init__(self, config: Config, slots: Mapping[str, Slot], admission: Admission, spawn: Spawn) -> None:
        self.config = config
        self._slots = slots
        self._admission = admission
        self._spawn = spawn

    def stream(self, request: CompletionRequest) -> ReplyStream:
        """The request's events, as a receive channel to be used with ``async with``; it starts on entering.

        Leaving the block, at any time, closes the HTTP exchange at once. Failures are raised as ``ProviderError``.
        """
        return open_reply(request, raises=True, begin=self._admission.admit_here)[1]

    async def complete(self, request: CompletionRequest) -> StreamComplete:
        """The terminal event of success. Cancelling closes the HTTP exchange at once.

        Raises:
            ProviderError: the request failed.
        """
        return await read_to_end(self.stream(request))

    @asynccontextmanager
    async def submissions(self, *, caller: str | None = None) -> AsyncIterator[trio.MemorySendChannel[Submission]]:
        """A channel of capacity 0 to send submissions on; each is accepted when ``send()`` returns.

        ``caller`` is the key of fairness for requests that name none. Leaving the block closes the channel and leaves
        accepted requests alone.

        Raises:
            ProviderError: ``unavailable``, where the supervisor is closed.
        """
        if not self._admission.is_open:
            raise error_of(CLOSED)
        send, receive = trio.open_memory_channel[Submission](0)
        self._spawn(partial(self._admission.take_in, receive, caller))
        with send:
            yield send

    def provider(self, model: str | None = None) -> AsyncProvider:
        """The original's interface for one model: an alias, ``provider:model``, or ``None`` for the default model."""
        return BoundProvider(self._admission.admit_here, model)

    def slot(self, name: str) -> Slot:
        """The slot of a configured provider, for tools that look inside.

        Raises:
            KeyError: no provider of that name is configured.
        """
        return self._slots[name]

    def snapshot(self) -> Snapshot:
        """How everything stands now. Synchronous; a copy."""
        return take_snapshot(self._slots)


@asynccontextmanager
async def open_supervisor(
    config: ConfigSource = None, *, strict: bool = False, open_transport: OpenTransport = open_pool
) -> AsyncIterator[Supervisor]:
    """Start one supervised actor per configured provider, and end all of them with the block.

    Leaving cleanly refuses new requests and waits for accepted ones, each of which has a deadline. Leaving by
    exception, cancellation or KeyboardInterrupt settles them and closes every socket at once. The body's exception
    leaves as the same object. ``open_transport`` takes the place of the connection pool, for tests.

    Raises:
        ConfigError: the configuration cannot be used; with ``strict``, also where a key is missing.
        SupervisorEscalated: a child crashed too often, and ``on_exhausted`` is ``escalate``.
    """
    if config == "loopback":
        from nexus3.loopback import open_loopback  # here, so that only who asks for it pays for it

        async with open_loopback() as server, open_supervisor(server.config, strict=strict) as supervisor:
            yield supervisor
        return
    async with _open(load_config(config), open_transport, strict=strict) as supervisor:
        yield supervisor


async def run_supervisor(
    config: ConfigSource = None,
    *,
    strict: bool = False,
    task_status: trio.TaskStatus[Supervisor] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The block as a task: ``supervisor = await nursery.start(run_supervisor, config)``. Runs until it is cancelled."""
    async with open_supervisor(config, strict=strict) as supervisor:
        task_status.started(supervisor)
        await trio.sleep_forever()


@asynccontextmanager
async def _open(config: Config, open_transport: OpenTransport, *, strict: bool) -> AsyncIterator[Supervisor]:
    log = host_log()
    slots = {name: Slot(_resolved(name, config, log, strict=strict), log) for name in config.providers}
    rng = Random()  # noqa: S311 - jitter, no secret
    tree = Tree([child_spec(slot, open_transport, config.supervisor, rng, log) for slot in slots.values()], rng)
    admission = Admission(slots, partial(_find, config), tree.spawn, log)
    began = trio.current_time()
    try:
        async with tree.block(drain=admission.drain, abandon=admission.abandon):
            for slot in slots.values():
                tree.spawn(slot.mailbox.expire)
            log(catalog.SUPERVISOR_STARTED, {"children": list(slots)})
            yield Supervisor(config, slots, admission, tree.spawn)
    finally:
        log(catalog.SUPERVISOR_STOPPED, {"seconds": trio.current_time() - began})


def _resolved(name: str, config: Config, log: Log, *, strict: bool) -> ResolvedProvider:
    provider = resolve(name, config.providers[name], os.environ)
    if strict:
        require_keys(provider)
    elif provider.unconfigured is not None:
        log(catalog.ACTOR_UNCONFIGURED, {"actor": name, "problem": provider.unconfigured})
    return provider


def child_spec(
    slot: Slot, open_transport: OpenTransport, settings: SupervisorSettings, rng: Random, log: Log
) -> ChildSpec:
    """How a provider's actor is supervised."""
    return ChildSpec(
        name=slot.name,
        run=partial(run_provider, slot, open_transport, rng, log),
        on_state=slot.on_state,
        backoff=Backoff(
            min=settings.backoff_min,
            max=settings.backoff_max,
            factor=settings.backoff_factor,
            reset_after=settings.reset_after,
        ),
        intensity=Intensity(settings.max_restarts, settings.restart_window),
        on_exhausted=settings.on_exhausted,
        park_for=settings.park_for,
    )


def _find(config: Config, request: CompletionRequest) -> Route | Failure:
    """What the request's model string means under this configuration."""
    text = request.model or config.default_model
    if text is None:
        return fail("not_found", "no_model", "The request names no model, and no default_model is configured.")
    resolved = resolve_model(text, config)
    if resolved is None:
        return fail("not_found", "unknown_model", f"{text!r} is {unknown_model(text, config)}.")
    return Route(resolved.provider, resolved.model_id, resolved.settings)
