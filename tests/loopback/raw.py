"""A client without manners: bytes in, bytes out, on a plain socket."""

import json
import socket
import struct
from collections.abc import Mapping

import trio

from nexus3.loopback import Received
from nexus3.loopback.received import asked_in
from nexus3.loopback.routes import route_of

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


def chat_body(model: str = "local-echo", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


def post(path: str, body: object, headers: Mapping[str, str] | None = None) -> bytes:
    """A POST of JSON, as bytes."""
    content = json.dumps(body).encode()
    fields = {"host": "loopback", "content-length": str(len(content)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


def chat(model: str = "local-echo", headers: Mapping[str, str] | None = None, **more: object) -> bytes:
    """A chat completion, as bytes."""
    return post(CHAT, chat_body(model, **more), headers)


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def read_to_end(stream: trio.SocketStream) -> bytes:
    """All until FIN.

    Raises:
        trio.BrokenResourceError: RST came instead.
    """
    data = bytearray()
    async for part in stream:
        data += part
    return bytes(data)


async def read_until(stream: trio.SocketStream, end: bytes) -> bytes:
    """All until ``end`` has come, and what came with it."""
    data = bytearray()
    while end not in data:
        part = await stream.receive_some()
        assert part, f"the server closed after {bytes(data)!r}"
        data += part
    return bytes(data)


async def ask(port: int, request: bytes) -> bytes:
    """What the server says to a request on a connection of its own, until it closes."""
    with trio.fail_after(30):
        async with await connect(port) as stream:
            await stream.send_all(request)
            return await read_to_end(stream)


def reset(stream: trio.SocketStream) -> None:
    """Close with RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def body_of(response: bytes) -> bytes:
    """The body of one response that came chunked and whole."""
    head, _, rest = response.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    body = bytearray()
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            assert rest == b"\r\n"
            return bytes(body)
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]


def received(
    body: Mapping[str, object] | None = None,
    path: str = CHAT,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    number: int = 0,
) -> Received:
    """A request as the server would have understood it."""
    given, fields = (chat_body() if body is None else dict(body)), dict(headers or {})
    route = route_of(path, fields)
    return Received(
        number=number, method=method, path=path, headers=fields, body=given, route=route, asked=asked_in(given, route)
    )
