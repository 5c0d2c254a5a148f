"""The bundled local provider: a real HTTP/1.1 server on 127.0.0.1 that speaks the dialects of OpenAI and Anthropic.

It is what ``open_supervisor("loopback")`` and the demo talk to, what tests break on purpose, and what you can test
your own application against, offline::

    async with open_loopback() as server:                       # answers with an echo; see nexus3.loopback.echo
        async with open_supervisor(server.config) as sup: ...

    async with open_loopback(script=[Answer(status=529), Answer("Hello")]) as server: ...
    async with open_loopback(script=lambda received: Answer("Hello", fault=Cut(after=2))) as server: ...
    async with open_loopback(transcripts="recordings/") as server: ...      # see nexus3.loopback.replay
    async with open_loopback(cassette="tape.jsonl", speed=0) as server: ...     # see nexus3.loopback.player

Any client will do: give an OpenAI SDK ``base_url=server.url + "/v1"``, an Anthropic SDK ``base_url=server.url``.
``server.exchanges`` tells what the server saw. ``python -m nexus3.loopback`` runs it as a process;
:func:`open_loopback_process` does so from a test.

The way of a request: :mod:`connection <nexus3.loopback.connection>` reads it, :mod:`received
<nexus3.loopback.received>` understands it, a script decides on an :class:`Answer`, ``speak_*`` spell it,
:mod:`delivery <nexus3.loopback.delivery>` frames it and puts the faults in, :mod:`server <nexus3.loopback.server>`
sends it.
"""

from nexus3.loopback.answers import Answer, Call, Raw, Reply, redirect
from nexus3.loopback.cassette import CassetteError
from nexus3.loopback.echo import echo
from nexus3.loopback.exchanges import Exchange
from nexus3.loopback.faults import (
    After,
    CloseAfter,
    Cut,
    DripHeaders,
    Endless,
    Error,
    ErrorEvent,
    Fault,
    Garbage,
    HangUp,
    InformationalFlood,
    NoMarker,
    OnlyPings,
    Stall,
    StallHeaders,
    Surplus,
    WrongLength,
)
from nexus3.loopback.process import LoopbackProcess, open_loopback_process
from nexus3.loopback.received import OfferedTool, Received
from nexus3.loopback.server import Loopback, Script, open_loopback

__all__ = [
    "After",
    "Answer",
    "Call",
    "CassetteError",
    "CloseAfter",
    "Cut",
    "DripHeaders",
    "Endless",
    "Error",
    "ErrorEvent",
    "Exchange",
    "Fault",
    "Garbage",
    "HangUp",
    "InformationalFlood",
    "Loopback",
    "LoopbackProcess",
    "NoMarker",
    "OfferedTool",
    "OnlyPings",
    "Raw",
    "Received",
    "Reply",
    "Script",
    "Stall",
    "StallHeaders",
    "Surplus",
    "WrongLength",
    "echo",
    "open_loopback",
    "open_loopback_process",
    "redirect",
]
