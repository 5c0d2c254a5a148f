"""``nexus3 loopback``: the bundled provider in the foreground, with one line for each request it has answered."""

import sys

import trio

from nexus3.loopback import Exchange, Loopback, open_loopback

POLL = 0.2
"""Seconds between two looks at what the server has seen."""
KEPT = 1000
"""Exchanges that ``GET /_loopback/exchanges`` can still tell of."""


async def serve(port: int) -> None:
    """Serve until interrupted. The URL goes to standard output, everything else to standard error.

    Raises:
        OSError: the port is taken.
    """
    async with open_loopback(port=port) as server:
        print(server.url, flush=True)
        print(
            f"OpenAI clients: base URL {server.url}/v1    Anthropic clients: base URL {server.url}\n"
            "Any key will do. Ctrl-C stops.",
            file=sys.stderr,
        )
        await _report(server)


async def _report(server: Loopback) -> None:
    """Tell of each exchange once it is over, for ever; forget the oldest."""
    open_ones: list[Exchange] = []
    seen = 0
    while True:
        looked_at = open_ones + server.exchanges[seen:]
        open_ones = [exchange for exchange in looked_at if exchange.ended is None]
        for exchange in looked_at:
            if exchange.ended is not None:
                print(line_for(exchange), file=sys.stderr)
        del server.exchanges[:-KEPT]
        seen = len(server.exchanges)
        await trio.sleep(POLL)


def line_for(exchange: Exchange) -> str:
    """One exchange in one line: what was asked, what was answered, how long it took."""
    took = 0.0 if exchange.ended is None else exchange.ended - exchange.started
    end = ", the client left" if exchange.client_left else ""
    status = "no answer" if exchange.status is None else exchange.status
    return f"{exchange.method} {exchange.path}  {status}  {exchange.pieces_sent} pieces  {took:.2f} s{end}"
