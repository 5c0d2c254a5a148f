"""``python -m nexus3.testing.toxic SERVER_PORT``: the proxy as a process, until its stdin closes.

Prints one line of JSON, ``{"url": ..., "port": ...}``, when it listens. Each line on stdin is an
:class:`~nexus3.testing.toxic.process.Order`, ``{"toxics": [{"type": "Latency", "seconds": 0.2}]}`` or ``{}``, and is
answered with a line of :class:`~nexus3.testing.toxic.toxics.Counts`.
"""

import argparse
import os
import sys

import msgspec
import trio

from nexus3.loopback.process import Announcement
from nexus3.testing.toxic.process import Order
from nexus3.testing.toxic.proxy import ToxicProxy, open_toxic_proxy


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m nexus3.testing.toxic", description="A TCP proxy for tests.")
    parser.add_argument("server_port", type=int, help="a port of this machine")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    trio.run(_serve, given.server_port, given.port, given.seed)


async def _serve(server_port: int, port: int, seed: int) -> None:
    async with open_toxic_proxy(server_port, port=port, seed=seed) as proxy:
        _say(Announcement(url=proxy.url, port=proxy.port))
        await _obey(proxy)


async def _obey(proxy: ToxicProxy) -> None:
    read = b""
    # os.read, not sys.stdin: a buffered reader left behind in a thread stops the interpreter from exiting.
    while came := await trio.to_thread.run_sync(os.read, 0, 65_536, abandon_on_cancel=True):
        *lines, read = (read + came).split(b"\n")
        for line in lines:
            order = msgspec.json.decode(line, type=Order)
            if order.toxics is not None:
                proxy.replace(order.toxics)
            _say(proxy.counts)


def _say(what: msgspec.Struct) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(what) + b"\n")


if __name__ == "__main__":
    main()
