"""``nexus3 demo``: one supervisor, six actors, one bundled provider over real sockets, and what can go wrong.

This file is the programme: it opens the block, plays the acts in order, and shows at the end how everything stands.
"""

from collections.abc import Sequence

import trio

from nexus3._version import __version__
from nexus3.cli.demo import acts
from nexus3.cli.demo.checks import Checks
from nexus3.cli.demo.recordings import Chosen
from nexus3.cli.demo.screen import Screen
from nexus3.cli.demo.script import demo_script
from nexus3.cli.demo.stage import Stage
from nexus3.cli.demo.summary import check_list, request_table, supervision_tree
from nexus3.loopback import Script, open_loopback
from nexus3.runtime import Supervisor, open_supervisor
from nexus3.wire.catalog import CATALOG

SETTLE_TIMEOUT = 5.0
"""Seconds for what was cancelled to give its place back."""


async def run_demo(screen: Screen, recordings: Sequence[Chosen] = (), script: Script | None = None) -> Checks:
    """Play all acts and return what was checked.

    ``recordings`` are replayed in the last act; ``script`` replaces what the bundled provider says.

    Raises:
        OSError: no port could be opened on 127.0.0.1.
    """
    checks = Checks()
    script = demo_script() if script is None else script
    screen.say(f"nexus3 {__version__}: the runtime for LLM requests in trio programs", "bold")
    async with (
        open_loopback(script=script, transcripts=[item.record for item in recordings]) as server,
        open_supervisor(server.config) as supervisor,
    ):
        screen.say(
            "Six providers, each of them an actor: a task with a mailbox and connections of its own, kept alive by a "
            f"supervisor. All talk to a local server on {server.url}, which answers by a script."
        )
        checks.expect("six actors are ready", _all_ready(supervisor))
        stage = Stage(supervisor, server, screen, checks)
        for act in (acts.six_at_once, acts.tool_call, acts.overload, acts.crashed_actor, acts.cancelled_stream):
            await act(stage)
            await screen.pause()
        await acts.recordings(stage, recordings)
        await screen.pause()
        await _all_quiet(supervisor)
        _how_it_stands(stage)
    _verdict(screen, checks)
    return checks


def _all_ready(supervisor: Supervisor) -> bool:
    children = supervisor.snapshot().children
    return [*children] == [*CATALOG] and all(child.state == "ready" for child in children.values())


async def _all_quiet(supervisor: Supervisor) -> None:
    """Wait, not for long, until nothing is in flight."""
    with trio.move_on_after(SETTLE_TIMEOUT):
        while any(child.in_flight for child in supervisor.snapshot().children.values()):  # noqa: ASYNC110 - nothing to wait on
            await trio.sleep(0.005)


def _how_it_stands(stage: Stage) -> None:
    snapshot = stage.supervisor.snapshot()
    stage.screen.act("How it stands now", "The supervisor and its actors, then every request of this demo.")
    stage.screen.show(supervision_tree(snapshot, stage.supervisor.config.supervisor))
    stage.screen.show("")
    stage.screen.show(request_table(stage.ledger, stage.screen.width))
    counters = snapshot.counters
    stage.checks.expect(
        "every accepted request ended exactly once",
        counters.get("accepted") == counters.get("settled") == len(stage.ledger),
    )
    stage.checks.expect(
        "nothing is queued or in flight any more",
        not any(child.queued or child.in_flight for child in snapshot.children.values()),
    )


def _verdict(screen: Screen, checks: Checks) -> None:
    screen.act("What was checked", "Each act checked its own facts.")
    screen.show(check_list(checks))
    for check in checks.failed:
        screen.say(f"failed: {check.name}", "bold red")
    screen.say(checks.verdict, "bold green" if checks.all_passed else "bold red")
