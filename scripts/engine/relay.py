"""A relay before llama.cpp's server that leaves ``"content": null`` out of the messages of a request.

OpenAI's API allows null beside tool calls, and nexus3 sends it; this server takes text or no such key, and answers 500
to null. Everything else passes as it is, answers byte for byte; when either side leaves, the other is left too.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from engine.servers import Server


@asynccontextmanager
async def without_nulls(server: Server) -> AsyncIterator[str]:
    """The base URL of the relay, for as long as the block is open."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, partial(_exchange, server.port), 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
        nursery.cancel_scope.cancel()


async def _exchange(port: int, client: trio.SocketStream) -> None:
    """One request on a connection of its own."""
    received = b""
    try:
        while (whole := _without_nulls(received)) is None:
            more = await client.receive_some()
            if not more:
                return
            received += more
        async with await trio.open_tcp_stream("127.0.0.1", port) as engine, trio.open_nursery() as nursery:
            nursery.start_soon(_until_left, client, nursery.cancel_scope)
            await engine.send_all(whole)
            async for data in engine:
                await client.send_all(data)
            nursery.cancel_scope.cancel()
    except* (trio.BrokenResourceError, OSError):
        pass  # nexus3 tells the same of its own side


async def _until_left(client: trio.SocketStream, scope: trio.CancelScope) -> None:
    while await client.receive_some():
        pass
    scope.cancel()


def _without_nulls(received: bytes) -> bytes | None:
    """The request to pass on; ``None`` while it is not whole."""
    head, end, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
    if not end or len(body) < sum(lengths):
        return None
    asked = json.loads(body)
    for message in asked["messages"]:
        if message.get("content", "") is None:
            del message["content"]
    sent = json.dumps(asked).encode()
    kept = [line for line in lines if not line.lower().startswith((b"content-length:", b"connection:"))]
    return b"\r\n".join([*kept, b"Content-Length: %d" % len(sent), b"Connection: close", b"", sent])
