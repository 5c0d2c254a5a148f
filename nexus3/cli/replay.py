"""``nexus3 replay``: a cassette in the foreground, in the place of the provider that it was recorded from."""

import signal
import sys
from functools import partial
from pathlib import Path

import trio

from nexus3.cli.serve import Report, base_urls
from nexus3.loopback import open_loopback

_tell = partial(print, file=sys.stderr)


async def replay(cassette: Path, port: int, speed: float, *, strict_order: bool) -> int:
    """Replay until interrupted; returns how many requests were not in the cassette. The URL goes to standard output,
    everything else to standard error.

    Raises:
        CassetteError: the file is no cassette.
        OSError: it cannot be read, or the port is taken.
    """
    async with open_loopback(port=port, cassette=cassette, speed=speed, strict_order=strict_order) as server:
        player = server.player
        assert player is not None
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as ended:
            print(server.url, flush=True)
            _tell(f"{base_urls(server)}\nRecorded exchanges: {len(player.unplayed)}. Any key will do. Ctrl-C stops.")
            report = Report(server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(report.run)
                await anext(ended)
                nursery.cancel_scope.cancel()
        report.tell_new()
    unplayed = f"; {len(player.unplayed)} recorded were never asked for" if player.unplayed else ""
    _tell(f"\n{len(player.misses)} missed{unplayed}")
    return len(player.misses)
