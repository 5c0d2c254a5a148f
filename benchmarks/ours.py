"""nexus3 as a contestant: the README's own lines, with a base URL, a pool size and a log that goes nowhere.

It needs nothing but nexus3, so that other harnesses with the same interface can take it as it is:

* ``await open(root, conns)``: make the client for a server at ``root``, with at most ``conns`` connections;
* ``await stream(prompt, sink)``: one streamed request, ``sink(text)`` for every text delta, until the terminal;
* ``await request(prompt)``: one unstreamed request, the whole text;
* ``await close()``.

``nursery`` is set before ``open`` and outlives ``close``.
"""

import os
from collections.abc import Callable

import trio

from nexus3 import (
    CompletionRequest,
    ContentDelta,
    Message,
    Role,
    StreamComplete,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    open_supervisor,
)
from nexus3.actors.reply.stream import ReplyStream
from nexus3.observe import configure

Sink = Callable[[str], None]

PATHS = {"openai": "/v1", "anthropic": ""}
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-20250514"}


class Ours:
    """A submission with its own reply stream: the fast way in. Info lines are written, to a sink that drops them."""

    runtime = "trio"
    counts = "text"
    nursery: trio.Nursery
    supervisor: Supervisor

    def __init__(self, api: str = "openai", *, unstreamed: bool = False) -> None:
        self.api = api
        self._unstreamed = unstreamed
        """Ask for whole answers in :meth:`stream`, too; the events are the same."""
        self._leave = trio.Event()
        self._left = trio.Event()

    async def open(self, root: str, conns: int) -> None:
        provider: dict[str, object] = {
            "type": self.api,
            "base_url": root + PATHS[self.api],
            "api_key": "sk-test",
            "allow_loopback": True,
            "max_connections": conns,
        }
        if root.startswith("https:"):
            provider["ca_file"] = os.environ["SSL_CERT_FILE"]
        alias = {"provider": "bench", "model_id": MODELS[self.api]}
        config = {
            "default_model": "whole" if self._unstreamed else "streamed",
            "providers": {"bench": provider},
            "models": {"streamed": alias, "whole": {**alias, "stream": "never"}},
        }
        self.supervisor = await self.nursery.start(self._serve, config)

    async def _serve(self, config: dict[str, object], *, task_status: trio.TaskStatus[Supervisor]) -> None:
        with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230 - no disk is behind it
            configure("json", stream=nowhere)
            async with open_supervisor(config) as supervisor:
                task_status.started(supervisor)
                await self._leave.wait()
        self._left.set()

    async def _submitted(self, request: CompletionRequest) -> ReplyStream:
        submission = Submission(request)
        async with self.supervisor.submissions() as submit:
            await submit.send(submission)
        return submission.events

    async def stream(self, prompt: str, sink: Sink) -> None:
        async with await self._submitted(request_for(prompt)) as events:
            async for event in events:
                if type(event) is ContentDelta:
                    sink(event.text)
                elif type(event) is StreamFailed:
                    raise event.error

    async def request(self, prompt: str) -> str:
        async with await self._submitted(request_for(prompt, model="whole")) as events:
            async for event in events:
                if type(event) is StreamComplete:
                    return text_of(event)
                if type(event) is StreamFailed:
                    raise event.error
        raise AssertionError("a stream without a terminal")

    async def close(self) -> None:
        self._leave.set()
        await self._left.wait()


class ReplyTo(Ours):
    """The literal form: events on a memory channel of the caller's own, one item each."""

    async def stream(self, prompt: str, sink: Sink) -> None:
        send, receive = trio.open_memory_channel[StreamEvent](64)
        async with self.supervisor.submissions() as submit:
            await submit.send(Submission(request_for(prompt), reply_to=send))
        async for event in receive:
            if type(event) is ContentDelta:
                sink(event.text)
            elif type(event) is StreamFailed:
                raise event.error


class Direct(Ours):
    """``sup.stream`` and ``sup.complete``: no channel to submit on."""

    async def stream(self, prompt: str, sink: Sink) -> None:
        async with self.supervisor.stream(request_for(prompt)) as events:
            async for event in events:
                if type(event) is ContentDelta:
                    sink(event.text)

    async def request(self, prompt: str) -> str:
        return text_of(await self.supervisor.complete(request_for(prompt, model="whole")))


def request_for(prompt: str, *, model: str | None = None) -> CompletionRequest:
    """One user message, for the default model where none is named."""
    return CompletionRequest(model=model, messages=(Message(role=Role.USER, content=prompt),))


def text_of(done: StreamComplete) -> str:
    """The reply's text, which is a ``str`` in every reply."""
    assert isinstance(done.message.content, str)
    return done.message.content


CONTESTANTS: dict[str, Callable[[], Ours]] = {
    "openai": Ours,
    "anthropic": lambda: Ours("anthropic"),
    "reply_to": ReplyTo,
    "direct": Direct,
    "openai_unstreamed": lambda: Ours(unstreamed=True),
}
