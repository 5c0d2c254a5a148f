"""One contestant in one scenario, in this process: ``python -m benchmarks.wire.one MODULE:NAME SCENARIO ROOT [JSON]``.

Prints one line of JSON: the figures, or ``{"missing": MODULE}`` where the contestant is not installed.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module

from benchmarks.wire.contestant import Contestant
from benchmarks.wire.scenarios import Figures, named

CONNECTIONS = 2000
"""What each contestant's pool may hold, where that can be said."""


async def measured(contestant: Contestant, root: str, scenario: Callable[[Contestant], Awaitable[Figures]]) -> Figures:
    """Open, measure, close."""
    await contestant.open(root, CONNECTIONS)
    figures = await scenario(contestant)
    await contestant.close()
    return figures


def run(spec: str, scenario: str, root: str, parameters: dict[str, int]) -> Figures:
    """The figures of ``spec``, a module and a name in its ``CONTESTANTS``."""
    module, _, name = spec.partition(":")
    contestant: Contestant = import_module(f"benchmarks.{module}").CONTESTANTS[name]()
    chosen = named(scenario, parameters)
    if contestant.runtime == "asyncio":
        import asyncio

        return asyncio.run(measured(contestant, root, chosen))
    import trio

    async def main() -> Figures:
        async with trio.open_nursery() as nursery:
            contestant.nursery = nursery  # type: ignore[attr-defined] # for those with tasks of their own
            figures = await measured(contestant, root, chosen)
            nursery.cancel_scope.cancel()
        return figures

    return trio.run(main)


def main() -> None:
    """As the module's docstring says."""
    spec, scenario, root, *rest = sys.argv[1:]
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, {cores[0]})  # the server has the last one
    try:
        result: dict[str, object] = {"figures": run(spec, scenario, root, json.loads(rest[0]) if rest else {})}
    except ModuleNotFoundError as error:
        result = {"missing": error.name}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
