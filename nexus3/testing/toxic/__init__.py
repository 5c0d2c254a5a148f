"""A TCP proxy on 127.0.0.1 that makes a network go wrong: seeded, changed while it runs, on real sockets.

What goes wrong *in* an answer is the loopback server's business (:mod:`nexus3.loopback.faults`). What happens to its
bytes on the way is this proxy's, which knows no HTTP: put it before any server on this machine::

    async with open_loopback() as server, open_toxic_proxy(server.port, Latency(0.2), seed=1) as proxy:
        async with open_supervisor(local_config(proxy.url)) as sup:
            ...
            proxy.add(ResetPeer(after_bytes=400, probability=0.1))

Toxics are plain data (:mod:`toxics <nexus3.testing.toxic.toxics>`); a :mod:`link <nexus3.testing.toxic.link>` carries
one direction of one connection through them. ``python -m nexus3.testing.toxic`` is the proxy as a process;
:func:`open_toxic_proxy_process` starts it from a test.
"""

from nexus3.testing.toxic.process import ToxicProxyProcess, open_toxic_proxy_process
from nexus3.testing.toxic.proxy import ToxicProxy, open_toxic_proxy
from nexus3.testing.toxic.toxics import (
    Bandwidth,
    BlackHole,
    Counts,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Toward,
    Toxic,
)

__all__ = [
    "Bandwidth",
    "BlackHole",
    "Counts",
    "Latency",
    "LimitData",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Toward",
    "Toxic",
    "ToxicProxy",
    "ToxicProxyProcess",
    "open_toxic_proxy",
    "open_toxic_proxy_process",
]
