"""What embedders need to test their own apps: scripted providers in memory, virtual time, and the promise as checks.

::

    async with open_house([Answer(status=529), Answer("Hello")]) as (supervisor, network):
        done = await supervisor.complete(request)

:func:`open_house` opens no socket, so that ``trio.testing.MockClock(autojump_threshold=0)`` (or the ``autojump_clock``
fixture of pytest-trio) runs hours of timeouts in no time. :mod:`steps <nexus3.testing.steps>` say what a provider does;
:mod:`fixtures <nexus3.testing.fixtures>` is an optional pytest plugin. Where real sockets are wanted, and trouble on
them, :mod:`toxic <nexus3.testing.toxic>` is a proxy that makes it; :func:`replayed` plays what was recorded of a real
provider.
"""

from nexus3.runtime import Supervisor
from nexus3.testing.checks import BrokenPromise, check_at_rest, check_events
from nexus3.testing.house import House, open_house
from nexus3.testing.network import Exchange, Opening, Reply, Script, ScriptedNetwork
from nexus3.testing.replayed import CassetteMissed, replayed
from nexus3.testing.steps import HANG, Chunk, Crash, Cut, End, Head, Pause, Sent, Step

__all__ = [
    "HANG",
    "BrokenPromise",
    "CassetteMissed",
    "Chunk",
    "Crash",
    "Cut",
    "End",
    "Exchange",
    "Head",
    "House",
    "Opening",
    "Pause",
    "Reply",
    "Script",
    "ScriptedNetwork",
    "Sent",
    "Step",
    "check_at_rest",
    "check_events",
    "crash",
    "open_house",
    "replayed",
]


def crash(supervisor: Supervisor, name: str) -> None:
    """Make the present incarnation of provider ``name`` end by an ``ActorFault`` at its next checkpoint.

    Its supervisor restarts it; what becomes of its requests follows the decision table.
    """
    supervisor.slot(name).fault.set()
