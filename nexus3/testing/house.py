"""A supervisor on a scripted network, and the promise checked on leaving."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from nexus3.config.schema import Config
from nexus3.loopback.local_config import local_config
from nexus3.runtime import Supervisor, open_supervisor
from nexus3.testing.checks import check_at_rest
from nexus3.testing.network import Opening, Script, ScriptedNetwork, opens_at_once

NOWHERE = "http://127.0.0.1:9"
"""The base URL of scripted providers. Nothing connects to it."""


class House(NamedTuple):
    """What a test works with."""

    supervisor: Supervisor
    network: ScriptedNetwork


@asynccontextmanager
async def open_house(
    script: Script, config: Config | Mapping[str, object] | None = None, *, opening: Opening = opens_at_once
) -> AsyncIterator[House]:
    """A supervisor whose providers play ``script``; no sockets, so any clock of trio's will do.

    Without ``config`` there is one provider per type, with the aliases of
    :func:`nexus3.loopback.local_config.local_config`: ``local``, ``local-TYPE``. Leaving cleanly waits for accepted
    requests, and then checks that nothing was lost.

    Raises:
        BrokenPromise: the house is not at rest after it was left cleanly.
    """
    network = ScriptedNetwork(script, opening=opening)
    async with open_supervisor(config or local_config(NOWHERE), open_transport=network.open) as supervisor:
        yield House(supervisor, network)
    check_at_rest(supervisor.snapshot())
    assert not network.open_exchanges, f"these go on: {network.open_exchanges}"
