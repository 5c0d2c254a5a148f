"""What nexus3 costs, measured beside others. Nothing here is imported by the library.

* :mod:`kernel <benchmarks.kernel>`: actors, channels and supervision, in trio checkpoints, on a transport in memory;
* :mod:`wire <benchmarks.wire>`: nexus3, bare references and other clients side by side, over real sockets;
* :mod:`rawlog <benchmarks.rawlog>`: what a raw log costs a request, whatever its hooks do;
* :mod:`ours <benchmarks.ours>`: nexus3 as a contestant, on its public API.

``make bench`` runs the first two; the second writes ``RESULTS.md``.
"""
