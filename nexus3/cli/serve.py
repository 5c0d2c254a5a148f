"""``nexus3 loopback``: the bundled provider in the foreground, with one line for each request it has answered."""

import signal
import sys

import trio

from nexus3.cli.counted import counted
from nexus3.loopback import Exchange, Loopback, open_loopback
from nexus3.observe.redact import printable

POLL = 0.2
"""Seconds between two looks at what the server has seen."""
KEPT = 1000
"""Exchanges that ``GET /_loopback/exchanges`` can still tell of."""


async def serve(port: int) -> None:
    """Serve until interrupted or terminated. The URL goes to standard output, everything else to standard error.

    Raises:
        OSError: the port is taken.
    """
    async with open_loopback(port=port) as server:
        # Not left to KeyboardInterrupt: a script's shell has its background commands ignore SIGINT.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as ended:
            print(server.url, flush=True)
            print(f"{base_urls(server)}\nAny key will do. Ctrl-C stops.", file=sys.stderr)
            report = Report(server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(report.run)
                await anext(ended)
                nursery.cancel_scope.cancel()
        report.tell_new()
    print(f"\n{counted(report.told, 'request')} answered", file=sys.stderr)


def base_urls(server: Loopback) -> str:
    """What to tell the two kinds of clients, each on a line of its own: whole even where a terminal is narrow."""
    return f"OpenAI clients:    base URL {server.url}/v1\nAnthropic clients: base URL {server.url}"


class Report:
    """Tells of each exchange once it is over, and of each miss of a cassette; forgets the oldest exchanges."""

    def __init__(self, server: Loopback) -> None:
        self._server = server
        self._open: list[Exchange] = []
        self._seen = 0
        self.told = 0
        """Exchanges that were told of."""
        self._missed = 0

    async def run(self) -> None:
        """For ever."""
        while True:
            self.tell_new()
            await trio.sleep(POLL)

    def tell_new(self) -> None:
        """What has happened since the last look."""
        server = self._server
        looked_at = self._open + server.exchanges[self._seen :]
        self._open = [exchange for exchange in looked_at if exchange.ended is None]
        for exchange in looked_at:
            if exchange.ended is not None:
                print(line_for(exchange), file=sys.stderr)
                self.told += 1
        del server.exchanges[:-KEPT]
        self._seen = len(server.exchanges)
        if server.player is not None:
            for miss in server.player.misses[self._missed :]:
                print(f"missed: {printable(miss)}", file=sys.stderr)
            self._missed = len(server.player.misses)


def line_for(exchange: Exchange) -> str:
    """One exchange in one line: what was asked, what was answered, how long it took."""
    took = 0.0 if exchange.ended is None else exchange.ended - exchange.started
    end = ", the client left" if exchange.client_left else ""
    status = "no answer" if exchange.status is None else exchange.status
    return f"{exchange.method} {exchange.path}  {status}  {counted(exchange.pieces_sent, 'piece')}  {took:.2f} s{end}"
