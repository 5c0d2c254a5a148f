"""One streamed answer by a plain socket: what the engine really sends, and what its text is without nexus3."""

import json

import trio

from engine.servers import Server


async def capture(server: Server, request: dict[str, object]) -> bytes:
    """The bytes of a streamed answer, head included, until the server closes."""
    body = json.dumps({"model": server.model, "stream": True, **request}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    received = bytearray()
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(head.encode() + body)
        async for data in stream:
            received += data
    return bytes(received)


def data_lines(raw: bytes) -> list[str]:
    """The payloads of the server-sent events; both engines put one event in a chunk or more, never in parts of one."""
    # Not splitlines(): it would also cut at characters that stand unescaped within JSON text.
    lines = raw.decode("utf-8", errors="replace").split("\n")
    return [line.removeprefix("data: ").removesuffix("\r") for line in lines if line.startswith("data: ")]


def text_of(raw: bytes) -> str:
    """The deltas' text, joined."""
    text = ""
    for line in data_lines(raw):
        if line != "[DONE]":
            for choice in json.loads(line)["choices"]:
                text += choice["delta"].get("content") or ""
    return text


def describe(raw: bytes) -> str:
    """Size, status and what stands at the end."""
    status = raw.split(b"\r\n", 1)[0].decode("ascii", errors="replace")
    lines = data_lines(raw)
    usage = next((number for number, line in enumerate(lines) if '"usage"' in line), None)
    where = "none" if usage is None else f"in event {usage + 1}"
    marker = "[DONE]" if lines[-1:] == ["[DONE]"] else "no [DONE]"
    return f"{status}, {len(raw)} bytes, {len(lines)} events, usage {where}, {marker}"


def excerpt(raw: bytes, head: int = 900, tail: int = 500) -> str:
    """The first and last bytes, one line of the answer a line."""
    shown = raw if len(raw) <= head + tail else raw[:head] + b"\r\n... \r\n" + raw[-tail:]
    return "\n".join(f"    {line!r}" for line in shown.split(b"\n"))
