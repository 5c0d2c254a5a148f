"""``python -m nexus3.loopback``: the server as a process, until its stdin closes or it is told to stop.

Prints one line of JSON, ``{"url": ..., "port": ...}``, when it listens. ``GET /_loopback/exchanges`` tells what it saw.
"""

import argparse
import importlib.util
import os
import signal
import sys
from typing import cast

import msgspec
import trio

from nexus3.loopback.process import Announcement
from nexus3.loopback.server import Script, open_loopback


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m nexus3.loopback", description="A local LLM provider for tests.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--script", metavar="FILE.py:NAME", help="what decides the answers")
    source.add_argument("--transcripts", metavar="FOLDER", help="recorded answers")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    script = None if given.script is None else load_script(given.script)
    trio.run(_serve, given.port, script, given.transcripts, given.seed)


def load_script(place: str) -> Script:
    """What ``FILE.py:NAME`` names. Runs the file.

    Raises:
        SystemExit: there is no such thing, in words for the terminal.
    """
    path, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location("loopback_script", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"--script wants FILE.py:NAME, not {place!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise SystemExit(f"{path} has no {name!r}")
    return cast("Script", getattr(module, name))


async def _serve(port: int, script: Script | None, transcripts: str | None, seed: int) -> None:
    async with open_loopback(port=port, script=script, transcripts=transcripts, seed=seed) as loopback:
        # Before the line: whoever has read it may send a signal at once.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            announced = Announcement(url=loopback.url, port=loopback.port)
            os.write(sys.stdout.fileno(), msgspec.json.encode(announced) + b"\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_stdin_closes, nursery.cancel_scope)
                await anext(signals)
                nursery.cancel_scope.cancel()


async def _until_stdin_closes(scope: trio.CancelScope) -> None:
    # os.read, not sys.stdin: a buffered reader left behind in a thread stops the interpreter from exiting.
    while await trio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass
    scope.cancel()


if __name__ == "__main__":
    main()
