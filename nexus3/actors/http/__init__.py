"""The connections of one incarnation: HTTP/1.1 on trio sockets, from a checked address to the bytes of a body.

The way of a request, and where each step lives:

* :mod:`pool` takes a kept connection or asks for a new one, replaces one that had died while it was idle, and gets each
  one back;
* :mod:`ssrf` decides which addresses a provider may have, :mod:`dial` resolves, checks and connects, :mod:`tls` wraps,
  :mod:`stream` is what both hand out: bytes and nothing else;
* :mod:`connection` writes one request, and gives the answer's head and then its body, read by read;
* :mod:`head` and :mod:`body` spell and read HTTP; they know no socket.

Beside the way: :mod:`httpx_transport` lends the pool to an httpx client, :mod:`proxied` is httpx's own transport, for
providers behind a configured proxy.

What cancels here closes: a connection whose request did not come to its proper end is closed at once, in the same step,
without waiting and without the garbage collector. Nothing runs while no request does.
"""
