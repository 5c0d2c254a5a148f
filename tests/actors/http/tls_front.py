"""``python -m tests.actors.http.tls_front BACKEND_PORT PEM_FILE HANDSHAKE_DELAY``: TLS in, plain out, as a process.

Prints its port. Each handshake waits up to the delay, by chance: that is where cancellations hit half-made connections.
"""

import random
import ssl
import sys
from functools import partial

import trio


async def _copy(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, scope: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some():
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass
    scope.cancel()


async def _serve(port: int, context: ssl.SSLContext, delay: float, rng: random.Random, raw: trio.SocketStream) -> None:
    client = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
    try:
        if delay:
            await trio.sleep(rng.uniform(0, delay))
        await client.do_handshake()
        async with await trio.open_tcp_stream("127.0.0.1", port) as server, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, client, server, nursery.cancel_scope)
            nursery.start_soon(_copy, server, client, nursery.cancel_scope)
    except (trio.BrokenResourceError, OSError):
        pass
    finally:
        raw.socket.close()


async def main() -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    serve = partial(_serve, int(sys.argv[1]), context, float(sys.argv[3]), random.Random(1))
    await trio.serve_listeners(serve, listeners)


if __name__ == "__main__":
    trio.run(main)
