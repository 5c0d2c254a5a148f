"""The supervisor and its block: composition only. The one file that knows everyone.

A request's way: :meth:`Supervisor.stream`, :meth:`~Supervisor.complete` or a submission -> the front desk
(``actors/admission.py``: names resolved, deadline set) -> the slot's mailbox -> the actor's loop
(``actors/provider.py``) -> attempts (``actors/attempt/exchange.py``) -> bytes, events -> the caller's reply stream.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from types import TracebackType

import trio

from nexus3.actors.admission import CLOSED, Admission
from nexus3.actors.pool import open_pool
from nexus3.actors.reply.stream import ReplyStream, open_reply
from nexus3.actors.reply.submission import AsyncProvider, BoundProvider, Submission
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.slot.slot import Slot
from nexus3.actors.slot.snapshot import Snapshot, take_snapshot
from nexus3.actors.transport import OpenTransport
from nexus3.actors.watchdog import Watchdog
from nexus3.config.load import load_config
from nexus3.config.schema import Config
from nexus3.directory import Directory
from nexus3.errors import ConfigError, SupervisorEscalated
from nexus3.observe import catalog
from nexus3.observe.log import Log, host_log
from nexus3.observe.redact import Redactor
from nexus3.rawlog import RawLogCallback, RawLogSwitch
from nexus3.supervisor.child import Down, StuckChild
from nexus3.supervisor.spec import Restart
from nexus3.supervisor.tree import Tree
from nexus3.wire.events import StreamComplete
from nexus3.wire.failures import error_of, fail
from nexus3.wire.requests import CompletionRequest

ConfigSource = Config | Mapping[str, object] | str | os.PathLike[str] | None
"""A configuration, a dict of its shape, a path to JSON or TOML, ``"loopback"`` for the bundled provider, or ``None``
for the user's own file."""


class Supervisor:
    """What the block hands out. All methods belong to the trio run (and thread) of the block."""

    def __init__(self, directory: Directory, admission: Admission, tree: Tree, log: Log, raw_log: RawLogSwitch) -> None:
        self._directory = directory
        self._admission = admission
        self._tree = tree
        self._log = log
        self._raw_log = raw_log
        self._paused: set[Slot] = set()
        """By :meth:`pause`; what :meth:`restart` does for its own time leaves these as they are."""

    @property
    def config(self) -> Config:
        """The configuration as it stands, providers added and reconfigured since included."""
        return self._directory.config

    # -- three ways in

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
        return await self.stream(request).complete()

    def submissions(
        self, *, caller: str | None = None
    ) -> AbstractAsyncContextManager[trio.MemorySendChannel[Submission]]:
        """A channel of capacity 0 to send submissions on; each is accepted when ``send()`` returns.

        ``caller`` is the key of fairness for requests that name none. Leaving the block closes the channel and leaves
        accepted requests alone.

        Raises:
            ProviderError: (on entering) ``unavailable``, where the supervisor is closed.
        """
        return _Submissions(self._admission, caller)

    def provider(self, model: str | None = None) -> AsyncProvider:
        """The original's interface for one model: an alias, ``provider:model``, or ``None`` for the default model."""
        return BoundProvider(self._admission.admit_here, model)

    def slot(self, name: str) -> Slot:
        """The slot of a configured provider, for tools that look inside.

        Raises:
            KeyError: no provider of that name is configured.
        """
        return self._directory.slots[name]

    # -- control

    def start_soon(
        self,
        fn: Callable[..., Awaitable[object]],
        *args: object,
        name: str | None = None,
        restart: Restart = "permanent",
        significant: bool = False,
    ) -> str:
        """Supervise a task of your own beside the providers: a tool server, a cache warmer. Returns its name.

        It is restarted as ``restart`` says, with backoff, and ends with the block. One that takes ``task_status`` is
        ready when it calls ``task_status.started()``, any other at once. When one that is ``significant`` has ended for
        good, the block may end too: see the setting ``auto_shutdown``.

        Raises:
            ValueError: the name is taken, or it is significant and permanent, or ``auto_shutdown`` is ``never``.
            ProviderError: ``unavailable``, where the supervisor is closed.
        """
        self._require_open()
        return self._tree.start_soon(fn, *args, name=name, restart=restart, significant=significant)

    async def start(
        self,
        fn: Callable[..., Awaitable[object]],
        *args: object,
        name: str | None = None,
        restart: Restart = "permanent",
        significant: bool = False,
    ) -> object:
        """The same, and wait until it is ready; returns what its first incarnation gave to ``task_status.started()``.

        A first start that fails raises the task's own exception and leaves nothing behind.

        Raises:
            ValueError, ProviderError: as :meth:`start_soon`.
            ChildStopped: it was stopped before it was ready.
            TimeoutError: it was not ready within the setting ``start_timeout``.
        """
        self._require_open()
        return await self._tree.start(fn, *args, name=name, restart=restart, significant=significant)

    async def restart(self, name: str) -> None:
        """End a child's incarnation and start the next; return when that is ready. Nothing is counted as a crash.

        A provider's running requests get the setting ``restart_grace`` to end; queued ones wait for the next
        incarnation, and what still runs after the grace is treated as in a crash. Cancelling is safe: a restart that
        has begun goes on.

        Raises:
            LookupError: no child has that name.
            ValueError: it is temporary.
            ChildStopped: it was stopped or removed meanwhile.
            Exception: the start failed with this; the child is restarted as after any crash.
        """
        slot = self._directory.slots.get(name)
        if slot is None:
            await self._tree.restart(name)
            return
        slot.pause()
        try:
            with trio.move_on_after(self.config.supervisor.restart_grace):
                await slot.places.at_rest()
            await self._tree.restart(name)
        finally:
            if slot.places.is_paused and slot not in self._paused:
                slot.unpause()

    def watch(self, name: str) -> trio.MemoryReceiveChannel[Down]:
        """Exactly one ``Down(name, generation, reason)`` for each death of a child; at once if it is dead already.

        Close the channel to stop watching; it ends with the child.
        """
        return self._tree.watch(name)

    def pause(self, name: str) -> None:
        """Let requests for a provider queue, unsent, until :meth:`resume`; their deadlines run. What runs goes on."""
        slot = self.slot(name)
        self._paused.add(slot)
        slot.pause()

    def resume(self, name: str) -> None:
        """Undo :meth:`pause` and :meth:`drain`."""
        slot = self.slot(name)
        self._paused.discard(slot)
        slot.resume()

    async def drain(self, name: str) -> None:
        """Refuse new requests for a provider from now on, and wait until those it has are settled.

        It stays drained until :meth:`resume`. Cancelling leaves it draining.
        """
        slot = self.slot(name)
        slot.close(_DRAINING)
        self._log(catalog.ACTOR_DRAINING, {"actor": name, "waiting": len(slot.ledger.tickets)})
        await slot.ledger.drained()

    async def add_provider(self, name: str, config: ProviderConfig) -> None:
        """Start the actor of one more provider; returns when it is ready, or has failed to start once.

        Raises:
            ConfigError: the name is taken, or the settings cannot be used.
            ProviderError: ``unavailable``, where the supervisor is closed.
        """
        self._require_open()
        if name in self._tree.children and name not in self._directory.slots:
            raise ConfigError(f"providers.{name}: a task of that name is supervised already")
        slot = self._directory.add(name, config)
        self._tree.spawn(slot.keep_time)
        self._tree.add(self._directory.spec(slot))
        await self._tree.children[name].has_started.wait()

    async def remove_provider(self, name: str) -> None:
        """Drain a provider, then end its actor: new requests are refused at once, and then ``not_found``.

        It keeps its name until its last request is settled. Cancelling settles what is left, and removes it all the
        same. Aliases that name it mean nothing any more.

        Raises:
            KeyError: no provider of that name is configured.
        """
        slot = self.slot(name)
        slot.close(_REMOVED)
        try:
            await slot.ledger.drained()
        finally:
            slot.ledger.settle_all(_REMOVED)
            slot.stop_time()
            self._paused.discard(slot)
            # Nobody else has removed it meanwhile; and a block that is being left takes all of them with it.
            if self._directory.slots.get(name) is slot and self._admission.is_open and self._tree.is_open:
                self._directory.remove(name)
                self._admission.counters.update(slot.counters)  # what it did stays done
                self._tree.remove(name)

    async def reconfigure(self, name: str, config: ProviderConfig) -> None:
        """New settings for a provider: a new generation with connections of its own serves every request that has not
        started; what runs ends on the old one.

        Raises:
            ConfigError: the settings cannot be used; the old ones stay.
        """
        self._directory.reconfigure(name, config)
        await trio.lowlevel.checkpoint()

    def set_raw_log_callback(self, callback: RawLogCallback | None, *, bodies: bool = True) -> None:
        """Let ``callback`` hear what goes over the wire, redacted, from the next attempt on; ``None`` ends it.

        One callback listens to all providers, those included that are added later. It is called in a thread, and can
        neither delay nor fail a request. ``bodies`` false shows it lengths in place of payloads, and no chunks.

        Raises:
            TypeError: it has no hook, or one that is not a plain function.
            ProviderError: ``unavailable``, where the supervisor is closed.
        """
        self._require_open()
        self._raw_log.set(callback, bodies=bodies)

    def _require_open(self) -> None:
        if not (self._admission.is_open and self._tree.is_open):
            raise error_of(CLOSED)

    # -- inspection

    def snapshot(self) -> Snapshot:
        """How everything stands now. Synchronous; a copy. May also be asked for when the trio run has ended."""
        spending = self._directory.billing.snapshot()
        counters = self._admission.counters
        return take_snapshot(self._directory.slots, self._tree.children, counters, trio.current_time, spending)


class _Submissions:
    """A generator of contextlib would cost a fifth of what a submission costs in all."""

    def __init__(self, admission: Admission, caller: str | None) -> None:
        self._admission = admission
        self._caller = caller

    async def __aenter__(self) -> trio.MemorySendChannel[Submission]:
        if not self._admission.is_open:
            raise error_of(CLOSED)
        self._send = self._admission.open_channel(self._caller)
        return self._send  # noqa: ASYNC910 - there is nothing to wait for

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._send.close()


_DRAINING = fail("unavailable", "draining", "The provider takes no new requests until it is resumed.")
_REMOVED = fail("unavailable", "removed", "The provider was removed.")


@asynccontextmanager
async def open_supervisor(
    config: ConfigSource = None,
    *,
    strict: bool = False,
    raw_log: RawLogCallback | None = None,
    raw_log_bodies: bool = True,
    open_transport: OpenTransport = open_pool,
) -> AsyncIterator[Supervisor]:
    """Start one supervised actor per configured provider, and end all of them with the block.

    Leaving cleanly refuses new requests and waits for accepted ones, each of which has a deadline. Leaving by
    exception, cancellation or KeyboardInterrupt settles them and closes every socket at once. The body's exception
    leaves as the same object. ``open_transport`` takes the place of the connection pool, for tests.

    ``raw_log`` and ``raw_log_bodies`` are as for :meth:`Supervisor.set_raw_log_callback`. Leaving cleanly waits up to a
    second for its hooks to hear what is queued; leaving otherwise leaves that to their thread.

    Raises:
        RuntimeError: nobody runs trio here.
        TypeError: ``raw_log`` has no hook, or one that is not a plain function.
        ConfigError: the configuration cannot be used; with ``strict``, also where a key is missing.
        SupervisorEscalated: a child crashed too often, and ``on_exhausted`` is ``escalate``.
    """
    if not trio.lowlevel.in_trio_task():
        raise RuntimeError("nexus3 runs on trio: start it with trio.run(...)")
    if config == "loopback":
        from nexus3.loopback import open_loopback  # here, so that only who asks for it pays for it

        async with (
            open_loopback() as server,
            open_supervisor(server.config, strict=strict, raw_log=raw_log, raw_log_bodies=raw_log_bodies) as supervisor,
        ):
            yield supervisor
        return
    # Under the same name: what was given may hold keys in plain text, and a traceback may show this frame's locals.
    config = load_config(config)
    async with _open(config, open_transport, strict=strict) as supervisor:
        if raw_log is not None:
            supervisor.set_raw_log_callback(raw_log, bodies=raw_log_bodies)
        yield supervisor


async def run_supervisor(
    config: ConfigSource = None,
    *,
    strict: bool = False,
    raw_log: RawLogCallback | None = None,
    raw_log_bodies: bool = True,
    task_status: trio.TaskStatus[Supervisor] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The block as a task: ``supervisor = await nursery.start(run_supervisor, config)``. Runs until it is cancelled."""
    async with open_supervisor(config, strict=strict, raw_log=raw_log, raw_log_bodies=raw_log_bodies) as supervisor:
        task_status.started(supervisor)
        await trio.sleep_forever()


@asynccontextmanager
async def _open(config: Config, open_transport: OpenTransport, *, strict: bool) -> AsyncIterator[Supervisor]:
    counters = Counter[str]()
    redact = Redactor()
    log = host_log(redact, counters=counters)
    rng = Random()  # noqa: S311 - jitter, no secret
    directory = Directory(config, open_transport, rng, log, redact, strict=strict)

    def tell_stuck(stuck: StuckChild) -> None:
        which = {"actor": stuck.name, "generation": stuck.generation, "stack": stuck.stack}
        log(catalog.ACTOR_STUCK, which)

    settings = config.supervisor
    tree = Tree(
        [directory.spec(slot) for slot in directory.slots.values()],
        rng,
        strategy=settings.strategy,
        intensity=settings.total_intensity,
        auto_shutdown=settings.auto_shutdown,
        shutdown_timeout=settings.shutdown_timeout,
        on_stuck=tell_stuck,
        dynamic=settings.policy(),
    )
    admission = Admission(directory.slots, directory.find, tree.spawn, log, counters)
    raw_log = RawLogSwitch(lambda: log, known=redact, counters=counters, on_change=directory.listen)
    began = trio.current_time()
    watchdog = Watchdog(log)
    try:
        async with tree.block(drain=admission.drain, abandon=admission.abandon):
            for slot in directory.slots.values():
                tree.spawn(slot.keep_time)
            log(catalog.SUPERVISOR_STARTED, {"children": list(directory.slots)})
            yield Supervisor(directory, admission, tree, log, raw_log)
        await raw_log.flush()
    except SupervisorEscalated as escalated:
        log(catalog.SUPERVISOR_ESCALATED, {"error": f"{escalated} ({escalated.__cause__!r})"})
        raise
    finally:
        raw_log.close()
        watchdog.stop()
        log(catalog.SUPERVISOR_STOPPED, {"seconds": trio.current_time() - began})
