"""One request that fails, on real sockets, and all that its host can see of it."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import trio
import trustme

from nexus3 import (
    CompletionRequest,
    Config,
    ContentDelta,
    Message,
    Role,
    StreamEvent,
    StreamFailed,
    Submission,
    Supervisor,
    load_config,
    open_supervisor,
)
from nexus3.actors.pool import open_pool
from nexus3.actors.provider import ActorFault
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import OpenTransport
from nexus3.cli.relay import open_relay
from nexus3.config.resolve import resolve
from nexus3.loopback import Exchange, open_loopback, redirect
from nexus3.loopback.local_config import local_config
from nexus3.testing import crash
from tests.cli.taping import send
from tests.secrets import sinks
from tests.secrets.canary import GATEWAY_TOKEN, PROXY_PASSWORD, PROXY_USER, hits
from tests.secrets.sinks import Caught, Logging
from tests.secrets.troubles import Event, Trouble

AUTHORITY = trustme.CA()

LONG = 0.15
"""Seconds. Most answers on this machine take a fiftieth of it."""


async def play(trouble: Trouble, type_name: str, key: str, way: Logging) -> tuple[Caught, dict[str, list[str | bytes]]]:
    """Run one scene; what every sink got, but for the process's own streams, which the caller watches."""
    caught = Caught()
    with sinks.logged(way) as lines:
        async with trio.open_nursery() as nursery, open_loopback() as foreign:
            script = trouble.script
            if trouble.name == "redirect":
                script = lambda _: redirect(f"{foreign.url}/v1/chat/completions")  # noqa: E731 - a script is a function
            async with open_loopback(script=script) as server:
                tls_port = await nursery.start(_untrusted) if trouble.place == "tls" else 0
                config = _config(trouble, type_name, key, server.url, tls_port)
                with _no_name_has_an_address():
                    await _ask_twice(config, trouble, type_name, caught)
                    if trouble.event in ("none", "fetched"):
                        await _record(config, type_name, caught)
                if trouble.place in ("server", "proxy") and trouble.event in ("none", "fetched", "crash", "leave"):
                    # What is looked for was there to be repeated.
                    assert hits([_spelled(exchange) for exchange in server.exchanges[:1]], (key,)), trouble.name
                    assert caught.raw_log, trouble.name
            caught.foreign = [_spelled(exchange) for exchange in foreign.exchanges]
            nursery.cancel_scope.cancel()
        sinks.log_as_a_host_does(way, caught.errors)
    return caught, {
        way: [lines.getvalue()],
        "texts": list(sinks.texts(caught)),
        "tracebacks": list(sinks.tracebacks(caught)),
        "pickles": list(sinks.pickles(caught)),
        "state": list(sinks.states(caught)),
        "reachable": sinks.reachable(caught),
        "raw log": list(caught.raw_log),
        "cassette": list(caught.cassette),
        "foreign": list(caught.foreign),
    }


def _config(trouble: Trouble, type_name: str, key: str, url: str, tls_port: int) -> Config:
    """What the operator wrote: the only place where secrets stand in plain text."""
    nowhere = "127.0.0.1:9"
    origin = {
        "nowhere": f"http://{nowhere}",
        "unresolvable": "https://api.example.test",
        "tls": f"https://127.0.0.1:{tls_port}",
        "proxy_tunnel": "https://api.example.test",
        "proxy_nowhere": "https://api.example.test",
    }.get(trouble.place, url)
    settings: dict[str, Any] = dict(cast("Any", local_config(origin))["providers"][type_name])
    settings |= {"api_key": _key(trouble.event, key), "extra_headers": {"X-Gateway-Token": GATEWAY_TOKEN}}
    if trouble.place.startswith("proxy"):
        at = nowhere if trouble.place == "proxy_nowhere" else url.removeprefix("http://")
        settings["proxy"] = f"http://{PROXY_USER}:{PROXY_PASSWORD}@{at}"
    settings |= trouble.settings
    supervisor: dict[str, object] = {"backoff_min": 0.01, "backoff_max": 0.01}
    if trouble.event == "fault":
        supervisor |= {"max_restarts": 0, "on_exhausted": "escalate"}
    return load_config({"default_model": "p:m", "providers": {"p": settings}, "supervisor": supervisor})


def _key(event: Event, key: str) -> object:
    async def raises() -> tuple[str, None]:
        raise RuntimeError(f"the vault has no {key}")

    async def unsendable() -> tuple[str, None]:
        return f"{key}\n{key}", None

    async def fetched() -> tuple[str, None]:
        return key, None

    match event:
        case "key_raises":
            return raises
        case "key_unsendable":
            return unsendable
        case "fetched" | "bug_fetched":
            return fetched
        case _:
            return key


async def _ask_twice(config: Config, trouble: Trouble, type_name: str, caught: Caught) -> None:
    try:
        raw_log = sinks.Overheard(caught)
        async with open_supervisor(config, raw_log=raw_log, open_transport=_transport(trouble.event)) as sup:
            with sup.watch("p") as obituaries:
                for once in (_as_exceptions, _as_data):
                    try:
                        await once(sup, trouble, caught)
                    except Exception as error:
                        caught.errors.append(error)
                with suppress(trio.WouldBlock, trio.EndOfChannel):
                    while True:
                        down = obituaries.receive_nowait()
                        caught.state.append(down)
                        if isinstance(down.reason, BaseException):
                            caught.errors.append(down.reason)
            caught.state += [sup.snapshot(), sup.config, sup.slot("p").provider, sup, sup.slot("p")]
    except Exception as error:
        caught.errors.append(error)


async def _record(config: Config, type_name: str, caught: Caught) -> None:
    """The same once more for an application behind the relay of ``nexus3 record``, which does not wait for long."""
    body = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    path = "/v1/messages" if type_name == "anthropic" else "/v1/chat/completions"
    with TemporaryDirectory() as folder:
        tape = Path(folder) / "tape.jsonl"
        async with open_relay(tape, resolve("p", config.providers["p"], {}), tell=caught.cassette.append) as relay:
            with trio.move_on_after(LONG):
                seen = await send(relay.port, path, body, {"anthropic-version": "2023-06-01"})
                if relay.unanswered:  # the relay's own words; the provider's are the application's to see
                    caught.cassette.append(f"{seen.head} {seen.body.decode()}")
        caught.cassette.append(tape.read_text("utf-8"))


async def _as_exceptions(sup: Supervisor, trouble: Trouble, caught: Caught) -> None:
    async with sup.stream(_request(trouble)) as events:
        async for event in events:
            caught.events.append(event)
            if _meanwhile(sup, trouble, event):
                break


async def _as_data(sup: Supervisor, trouble: Trouble, caught: Caught) -> None:
    submission = Submission(_request(trouble))
    async with sup.submissions() as submit:
        await submit.send(submission)
    async with submission.events as events:
        async for event in events:
            caught.events.append(event)
            if isinstance(event, StreamFailed):
                caught.errors.append(event.error)
            if _meanwhile(sup, trouble, event):
                break


def _request(trouble: Trouble) -> CompletionRequest:
    return CompletionRequest(messages=(Message(role=Role.USER, content="hi"),), timeout=trouble.timeout)


def _meanwhile(sup: Supervisor, trouble: Trouble, event: StreamEvent) -> bool:
    """What happens once content came; true where the caller leaves."""
    if isinstance(event, ContentDelta) and trouble.event == "crash":
        crash(sup, "p")
    return isinstance(event, ContentDelta) and trouble.event == "leave"


def _transport(event: Event) -> OpenTransport:
    return _open_breaking(event) if event in ("bug", "bug_fetched", "fault") else open_pool


def _open_breaking(event: Event) -> OpenTransport:
    """A pool that breaks at each request: a bug with all it knows in its message, or a broken invariant."""

    class Breaking:
        def exchange(self, url: str, headers: list[tuple[str, str]], body: bytes, *, on_sent: object) -> Any:
            if event != "fault":
                raise RuntimeError(f"illegal header in {headers}")
            del headers
            raise ActorFault("an invariant is broken")

    @asynccontextmanager
    async def opens(provider: ResolvedProvider) -> AsyncIterator[Breaking]:
        yield Breaking()

    return opens


async def _untrusted(*, task_status: trio.TaskStatus[int]) -> None:
    """A TLS server whose authority nobody knows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)

    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
    inner = listeners[0].transport_listener
    assert isinstance(inner, trio.SocketListener)
    task_status.started(inner.socket.getsockname()[1])
    await trio.serve_listeners(serve, listeners)


class _no_name_has_an_address(trio.abc.HostnameResolver):  # noqa: N801 - read as a phrase
    """No packet leaves this machine, not even a question for a name. Literal addresses never come here."""

    def __enter__(self) -> None:
        self._before = trio.socket.set_custom_hostname_resolver(self)

    def __exit__(self, *_: object) -> None:
        trio.socket.set_custom_hostname_resolver(self._before)

    async def getaddrinfo(self, host: object, *_: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: object, flags: int) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _spelled(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.path} {exchange.headers} {exchange.body}"
