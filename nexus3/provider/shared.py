"""The supervisor behind providers that are made outside any block: one per trio run, started at first use.

It is a system task: it ends when the run's main task does, without a drain, and a later run starts afresh. Starting is
synchronous (a slot takes mail before its actor is up), so no caller's cancellation can fail another one's start.
"""

import os
from collections import Counter
from dataclasses import replace
from random import Random

import trio

from nexus3.actors.admission import Admission
from nexus3.actors.pool import open_pool
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.slot.slot import Slot
from nexus3.actors.watchdog import Watchdog
from nexus3.config.load import check_ca_file
from nexus3.config.reach import opt_outs
from nexus3.config.resolve import resolve
from nexus3.directory import child_spec
from nexus3.observe import catalog
from nexus3.observe.genai import genai_names
from nexus3.observe.log import Log, host_log
from nexus3.supervisor.settings import SupervisorSettings
from nexus3.supervisor.tree import Tree
from nexus3.wire.failures import Failure, fail
from nexus3.wire.requests import CompletionRequest

_RUN_HAS: trio.lowlevel.RunVar["SharedSupervisor | None"] = trio.lowlevel.RunVar("nexus3 shared supervisor", None)


class SharedSupervisor:
    """Slots by name, added as they are asked for."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rng = Random()  # noqa: S311 - jitter, no secret
        self._slots: dict[str, Slot] = {}
        self._users: dict[str, int] = {}
        self._tree = Tree([], self._rng)
        self.admission = Admission(self._slots, _no_names, self._tree.spawn, log, Counter())

    async def run(self) -> None:
        """Until the run ends. Lets no exception out: a system task that raises would end the run."""
        watchdog = Watchdog(self._log)
        try:
            async with self._tree.block(drain=_nothing, abandon=self.admission.abandon):
                await trio.sleep_forever()
        finally:
            watchdog.stop()

    def take(self, name: str, settings: ProviderConfig) -> str:
        """Make sure that ``settings`` has an actor; its name. Equal settings share one. Pair with :meth:`give_back`.

        Raises:
            ConfigError: the settings cannot be used.
        """
        provider = resolve(name, settings, os.environ)
        if provider.ca_file is not None:
            check_ca_file(f"{name}.ca_file", provider.ca_file)
        for known, slot in self._slots.items():
            if replace(slot.provider, name=name) == provider:
                self._users[known] += 1
                return known
        unique = name if name not in self._slots else f"{name}-{len(self._slots) + 1}"
        slot = Slot(replace(provider, name=unique), self._log, genai_names(os.environ))
        self._slots[unique] = slot
        self._users[unique] = 1
        for setting, allowed in opt_outs(settings, provider):
            self._log(catalog.ACTOR_OPTED_OUT, {"actor": unique, "setting": setting, "allows": allowed})
        self._tree.add(child_spec(slot, open_pool, SupervisorSettings(), self._rng, self._log))
        self._tree.spawn(slot.keep_time)
        return unique

    def give_back(self, name: str) -> None:
        """Its last user closes the actor: live requests fail as ``unavailable``, sockets close."""
        self._users[name] -= 1
        if self._users[name] == 0:
            slot = self._slots.pop(name)
            del self._users[name]
            slot.close(_CLOSED)
            slot.ledger.settle_all(_CLOSED)
            slot.stop_time()
            self._tree.remove(name)


_CLOSED = fail("unavailable", "closed", "The provider is closed.")


def _no_names(_: CompletionRequest) -> Failure:
    return fail("internal", "no_route", "A shared provider has its own route.")


async def _nothing() -> None:
    pass


def shared_supervisor() -> SharedSupervisor:
    """The one of this run. Call it inside ``trio.run``."""
    shared = _RUN_HAS.get()
    if shared is None:
        shared = SharedSupervisor(host_log())
        _RUN_HAS.set(shared)
        trio.lowlevel.spawn_system_task(shared.run, name="nexus3 shared supervisor")
    return shared
