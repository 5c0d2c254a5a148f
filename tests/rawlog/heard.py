"""Callbacks that remember what they were told, and a supervisor on a scripted server that tells them."""

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nexus3 import CompletionRequest, Message, Role, Supervisor, open_supervisor
from nexus3.loopback import Loopback, open_loopback
from nexus3.rawlog import RawLogCallback, logged_attempt
from nexus3.wire.messages import JsonObject

KEY = "sk-proj-0123456789abcdefghij"

Call = tuple[Any, ...]


class Heard(RawLogCallback):
    """All four hooks. ``calls`` are read when the block that told them is left."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.attempts: list[tuple[str, int]] = []
        self.threads: set[int] = set()

    def on_request(self, endpoint: str, payload: JsonObject) -> None:
        self._note("request", endpoint, payload)

    def on_response(self, status: int, body: JsonObject) -> None:
        self._note("response", status, body)

    def on_chunk(self, chunk: JsonObject) -> None:
        self._note("chunk", chunk)

    def on_stream_complete(self, summary: JsonObject) -> None:
        self._note("complete", summary)

    def _note(self, *call: object) -> None:
        about = logged_attempt()
        self.calls.append(call)
        self.attempts.append((about.request, about.attempt))
        self.threads.add(threading.get_ident())

    def of(self, kind: str) -> list[Any]:
        """What one hook was given, by call: its last argument."""
        return [call[-1] for call in self.calls if call[0] == kind]

    @property
    def shape(self) -> str:
        """The order of calls: ``request chunk complete``, with repeated ones told once."""
        kinds = [call[0] for call in self.calls]
        return " ".join(kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before)


def ask(text: str = "hi", **more: Any) -> CompletionRequest:
    return CompletionRequest(messages=(Message(role=Role.USER, content=text),), **more)


@asynccontextmanager
async def listened(
    raw_log: RawLogCallback | None, script: Any = None, *, bodies: bool = True, **provider: object
) -> AsyncIterator[tuple[Supervisor, Loopback]]:
    """A supervisor whose providers have :data:`KEY`; of its attempts ``raw_log`` hears."""
    async with open_loopback(script=script, seed=1) as server:
        config: dict[str, Any] = dict(server.config)
        settings: Mapping[str, Any] = {"api_key": KEY, **provider}
        config["providers"] = {name: {**given, **settings} for name, given in config["providers"].items()}
        async with open_supervisor(config, raw_log=raw_log, raw_log_bodies=bodies) as supervisor:
            yield supervisor, server
