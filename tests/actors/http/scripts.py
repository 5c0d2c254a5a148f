"""What the server's process answers: the request's model id names it."""

from collections.abc import Callable

from nexus3.loopback import (
    Answer,
    Call,
    CloseAfter,
    DripHeaders,
    Endless,
    HangUp,
    InformationalFlood,
    OnlyPings,
    Raw,
    Received,
    Reply,
    Stall,
    Surplus,
    WrongLength,
)

MIB = 1 << 20


def _event(content: bytes) -> bytes:
    return b'data: {"id":"x","choices":[{"index":0,"delta":{"content":%b},"finish_reason":null}]}\n\n' % content


def _encoded(name: str) -> Answer:
    # What it would expand to does not matter: it is refused by its name.
    return Answer(headers={"content-encoding": name}, body=b"\x1f\x8b" + b"\x00" * 512 * 1024)


def _with_headers(lines: int, value: str) -> Raw:
    flood = "".join(f"x-{number}: {value}\r\n" for number in range(lines))
    return Raw([f"HTTP/1.1 200 OK\r\n{flood}".encode()], then="stall")


ANSWERS: dict[str, Callable[[], Reply]] = {
    "short": lambda: Answer("Hello"),
    "paced": lambda: Answer(["a "] * 60, delay=0.002),
    "stall": lambda: Answer(["a ", "b "], fault=Stall(after=1)),
    "stall-headers": lambda: Raw([], then="stall"),
    # Two responses in one, and what else is left over on a connection.
    "surplus": lambda: Answer("mine", stream=False, fault=Surplus()),
    "surplus-stream": lambda: Answer("mine", stream=True, fault=Surplus()),
    "too-short-length": lambda: Answer("mine", stream=False, fault=WrongLength(-5)),
    "late-surplus": lambda: Raw(
        [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", 0.005, Surplus().data], then="keep"
    ),
    # Kept connections that are not.
    "leaves": lambda: Answer("Hello", fault=CloseAfter()),
    "leaves-soon": lambda: Answer("Hello", fault=CloseAfter(delay=0.002)),
    "hangs-up": lambda: Answer(fault=HangUp()),
    "resets": lambda: Answer(fault=HangUp("reset")),
    "half-head": lambda: Answer(fault=HangUp(after_bytes=20)),
    # Bombs.
    "gzip": lambda: _encoded("gzip"),
    "br": lambda: _encoded("br"),
    "zstd": lambda: _encoded("zstd"),
    "long-line": lambda: Answer(fault=Endless(after=0, filler=b"x" * 65_536, size_bytes=16 * MIB)),
    "huge-error": lambda: Answer(status=500, fault=Endless(size_bytes=256 * MIB)),
    "header-flood": lambda: _with_headers(20_000, "y"),
    "header-bytes": lambda: _with_headers(100, "y" * 4096),
    "deep-json": lambda: Answer(body=_event(b"[" * 100_000 + b"]" * 100_000) + b"data: [DONE]\n\n"),
    "huge-arguments": lambda: Answer(tool_calls=[Call("f", ["1" * 65_536] * 1600)]),
    "huge-body": lambda: Answer(stream=False, fault=Endless(size_bytes=256 * MIB)),
    # The slow ones.
    "drip": lambda: Answer("Hello", fault=DripHeaders(0.02)),
    "endless-1xx": lambda: Answer("Hello", fault=InformationalFlood()),
    "slow-1xx": lambda: Answer("Hello", fault=InformationalFlood(every=0.1)),
    "pings": lambda: Answer(["a "], fault=OnlyPings(after="head", every=0.02)),
    "pings-later": lambda: Answer(["a ", "b "], fault=OnlyPings(after=1, every=0.02)),
    "one-byte": lambda: Answer("0123456789" * 1000, chunk_size=1),
}


def named(received: Received) -> Reply:
    """The answer that the model id names."""
    return ANSWERS[received.model]()


def every_second_connection_dies(received: Received) -> Reply:
    """Odd requests are read, and dropped: by FIN, then by RST, in turns."""
    if received.number % 2:
        return Answer(fault=HangUp("eof" if received.number % 4 == 1 else "reset"))
    return Answer("Hello")
