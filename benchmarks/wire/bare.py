"""The references: a trio socket that does the least (``limit-1``), and bare httpx on trio.

Measuring devices, not clients: one happy path, no errors, no limits. Both take server-sent events apart in the same
way and decode each with the same msgspec type that has just the fields a text delta needs.
"""

import json
import ssl
from collections.abc import Callable
from typing import Literal

import httpx
import msgspec
import trio

from benchmarks.wire.contestant import KEY, MODELS, Contestant, Sink

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
HEADERS = {
    "openai": {"content-type": "application/json", "authorization": f"Bearer {KEY}"},
    "anthropic": {"content-type": "application/json", "x-api-key": KEY, "anthropic-version": "2023-06-01"},
}


class ChatDelta(msgspec.Struct):
    """The part of a chunk's choice that is new."""

    content: str | None = None


class ChatChoice(msgspec.Struct):
    """One of a chunk's choices."""

    delta: ChatDelta


class ChatChunk(msgspec.Struct):
    """What is read of one event of the OpenAI dialect."""

    choices: list[ChatChoice]


class BlockDelta(msgspec.Struct):
    """The part of a content block that is new."""

    text: str | None = None


class BlockEvent(msgspec.Struct):
    """What is read of one event of the Anthropic dialect."""

    delta: BlockDelta | None = None


def text_reader(api: str) -> Callable[[bytes], str | None]:
    """Decodes one event's data to its text, if it has any."""
    if api == "openai":
        chunk = msgspec.json.Decoder(ChatChunk).decode

        def chat_text(data: bytes) -> str | None:
            if data == b"[DONE]":
                return None
            choices = chunk(data).choices
            return choices[0].delta.content if choices else None

        return chat_text
    block = msgspec.json.Decoder(BlockEvent).decode

    def block_text(data: bytes) -> str | None:
        delta = block(data).delta
        return delta.text if delta is not None else None

    return block_text


class Events:
    """Cuts a body into events at empty lines, and gives the text of each to the sink."""

    def __init__(self, api: str, sink: Sink) -> None:
        self._text_of = text_reader(api)
        self._sink = sink
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        text_of, sink = self._text_of, self._sink
        for event in whole:
            start = event.find(b"data: ")
            if start >= 0 and (text := text_of(event[start + 6 :])):
                sink(text)


class Chunks:
    """Takes the chunked coding off a body, in pieces of any size."""

    def __init__(self) -> None:
        self.done = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        at, out = 0, []
        while (eol := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:eol], 16)
            start, end = eol + 2, eol + 2 + size
            if size == 0:
                self.done = True
                break
            if len(data) < end + 2:
                break
            out.append(data[start:end])
            at = end + 2
        self._held = data[at:]
        return b"".join(out)


def body_of(api: str, prompt: str, *, stream: bool) -> bytes:
    """A request of one user message."""
    body: dict[str, object] = {"model": MODELS[api], "messages": [{"role": "user", "content": prompt}]}
    if api == "anthropic":
        body["max_tokens"] = 1024
    if stream:
        body["stream"] = True
    return json.dumps(body, separators=(",", ":")).encode()


def reply_of(api: str, body: bytes) -> str:
    """The text of a whole answer."""
    reply = msgspec.json.decode(body)
    text: str = reply["choices"][0]["message"]["content"] if api == "openai" else reply["content"][0]["text"]
    return text


class Socket:
    """``limit-1``: trio's socket, heads cut by hand, the latest idle connection used again."""

    runtime: Literal["trio", "asyncio"] = "trio"
    counts: Literal["text", "bytes"] = "text"

    def __init__(self, api: str = "openai") -> None:
        self._api = api
        self._idle: list[trio.SocketStream] = []
        self._port = 0

    async def open(self, root: str, conns: int) -> None:
        self._port = int(root.rpartition(":")[2])

    async def _send(self, prompt: str, *, stream: bool) -> tuple[trio.SocketStream, bytes, bytes]:
        """The connection, the answer's head, and what came behind it."""
        body = body_of(self._api, prompt, stream=stream)
        headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS[self._api].items())
        head = f"POST {PATHS[self._api]} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        connection = self._idle.pop() if self._idle else await trio.open_tcp_stream("127.0.0.1", self._port)
        await connection.socket.send(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await connection.socket.recv(65536)
        answer, _, rest = data.partition(b"\r\n\r\n")
        return connection, answer, rest

    async def stream(self, prompt: str, sink: Sink) -> None:
        connection, _, data = await self._send(prompt, stream=True)
        chunks, events = Chunks(), Events(self._api, sink)
        receive = connection.socket.recv
        while True:
            events.feed(chunks.feed(data))
            if chunks.done:
                break
            data = await receive(65536)
        self._idle.append(connection)

    async def request(self, prompt: str) -> str:
        connection, head, data = await self._send(prompt, stream=False)
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        while len(data) < length:
            data += await connection.socket.recv(65536)
        self._idle.append(connection)
        return reply_of(self._api, data)

    async def close(self) -> None:
        for connection in self._idle:
            await connection.aclose()


class Httpx:
    """httpx 0.28 on trio, ``aiter_raw``; with ``discard``, the bytes are dropped instead of decoded."""

    runtime: Literal["trio", "asyncio"] = "trio"

    def __init__(self, api: str = "openai", *, discard: bool = False) -> None:
        self._api = api
        self._discard = discard
        self.counts: Literal["text", "bytes"] = "bytes" if discard else "text"
        self._client = httpx.AsyncClient()

    async def open(self, root: str, conns: int) -> None:
        verify = ssl.create_default_context() if root.startswith("https:") else False
        limits = httpx.Limits(max_connections=conns, max_keepalive_connections=conns)
        self._client = httpx.AsyncClient(base_url=root, verify=verify, limits=limits, timeout=60, trust_env=False)

    async def stream(self, prompt: str, sink: Sink) -> None:
        events = Events(self._api, sink)
        body = body_of(self._api, prompt, stream=True)
        headers = HEADERS[self._api]
        async with self._client.stream("POST", PATHS[self._api], content=body, headers=headers) as response:
            async for data in response.aiter_raw():
                if not self._discard:
                    events.feed(data)

    async def request(self, prompt: str) -> str:
        body = body_of(self._api, prompt, stream=False)
        response = await self._client.post(PATHS[self._api], content=body, headers=HEADERS[self._api])
        return reply_of(self._api, response.content)

    async def close(self) -> None:
        await self._client.aclose()


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "socket": Socket,
    "socket_anthropic": lambda: Socket("anthropic"),
    "httpx": Httpx,
    "httpx_anthropic": lambda: Httpx("anthropic"),
    "httpx_discard": lambda: Httpx(discard=True),
}
