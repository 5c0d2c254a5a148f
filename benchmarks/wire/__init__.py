"""nexus3 side by side with bare sockets, bare httpx and other clients, over real sockets on 127.0.0.1.

* :mod:`server <benchmarks.wire.server>`: sends prebuilt answers, in a process of its own;
* :mod:`contestant <benchmarks.wire.contestant>`: what a contestant is; ``bare``, ``sdks``, ``frameworks`` are those of
  others, :mod:`benchmarks.ours` is nexus3;
* :mod:`scenarios <benchmarks.wire.scenarios>`: what is measured; :mod:`one <benchmarks.wire.one>` runs one contestant
  in one scenario, in a fresh process, and prints one line of JSON;
* :mod:`sets <benchmarks.wire.sets>`: who meets whom in what, and the bars;
* :mod:`run <benchmarks.wire.run>`: interleaves, and writes the tables to ``benchmarks/RESULTS.md``.
"""
