"""Bytes that a server leaves on a connection never become another request's answer."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
import trio

from nexus3 import CompletionRequest, Message, ProviderError, Role, open_supervisor
from nexus3.actors.http.connection import Connection
from nexus3.actors.http.ssrf import Origin
from tests.actors.house import until
from tests.actors.http.world import HEADERS, PATH, Server, a_pool, a_server, ask, body

POISON = b"POISONED"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with a_server() as process:
        yield process


@pytest.mark.parametrize("pause", [0.0, 0.01])
@pytest.mark.parametrize("model", ["surplus", "surplus-stream", "late-surplus", "too-short-length"])
async def test_no_follower_reads_what_was_left(server: Server, model: str, pause: float) -> None:
    poisoned = 0
    with a_pool() as pool:
        for _ in range(100 if pause == 0 else 20):
            await ask(pool, server.url, model, stream=model == "surplus-stream")
            if model != "late-surplus":
                assert pool.idle_connections == 0, "more of it may follow"
            else:
                # One that comes when the next request is out cannot be told from its answer: wait for it.
                for kept in pool._idle[Origin.of(server.url)]:
                    await until(partial(_has_news, kept))
            await trio.sleep(pause)
            status, answer = await ask(pool, server.url, "short")
            poisoned += POISON in answer or status != 200 or b"[DONE]" not in answer
    assert poisoned == 0


def _has_news(connection: Connection) -> bool:
    return not connection.is_quiet()


async def test_no_caller_of_a_supervisor_does(server: Server) -> None:
    config: dict[str, Any] = dict(server.config)
    config["default_model"] = "short"
    config["models"] = {
        name: {"provider": "openai", "model_id": name, "stream": "never"} for name in ("surplus", "short")
    }

    async def text(model: str) -> str:
        request = CompletionRequest(model=model, messages=(Message(role=Role.USER, content="hi"),))
        try:
            return str((await supervisor.complete(request)).message.content)
        except ProviderError as error:
            return repr(error)

    async with open_supervisor(config) as supervisor:
        answers = [await text(model) for _ in range(100) for model in ("surplus", "short")]
    assert {*answers[::2]} == {"mine"}
    assert {*answers[1::2]} == {"Hello"}


async def test_this_can_fail(server: Server) -> None:
    """httpx's own transport gives the left-over response to whoever comes next."""
    poisoned = 0
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(10):
            for model in ("surplus", "short"):
                content = body(model, stream=False)
                response = await client.post(server.url + PATH, headers=dict(HEADERS), content=content)
            poisoned += "POISONED" in json.dumps(response.json())
    assert poisoned > 0
