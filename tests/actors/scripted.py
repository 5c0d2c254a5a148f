"""Houses on a scripted network for the tests of one request's way: their settings, and what is asked of them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from nexus3 import CompletionRequest, Message, ProviderError, Role, StreamEvent, Submission, Supervisor
from nexus3.loopback import Answer
from nexus3.testing import HANG, House, Sent, Step, check_events

BUSY = Answer(status=500)
SILENT: list[Step] = [Sent(), HANG]
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


def said(text: str, finish: str | None = None) -> bytes:
    """One chunk of a stream in OpenAI's dialect."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def config(type_: str = "openai", model: Mapping[str, object] | None = None, **provider: object) -> dict[str, Any]:
    url = "http://127.0.0.1:9" + ("/v1" if type_ == "openai" else "")
    common: dict[str, object] = {"allow_loopback": True, "api_key": "sk-test-1234", "base_url": url}
    return {
        "default_model": "m",
        "supervisor": {"backoff_min": 0.01, "backoff_max": 0.01},
        "providers": {
            "main": {"type": type_, **common, **provider},
            "other": {"type": type_, **common},
        },
        "models": {
            "m": {"provider": "main", "model_id": "x", **(model or {})},
            "second": {"provider": "other", "model_id": "y"},
        },
    }


def ask(text: str = "hi", **more: Any) -> CompletionRequest:
    return CompletionRequest(messages=(Message(role=Role.USER, content=text),), **more)


async def submitted(supervisor: Supervisor, request: CompletionRequest) -> Submission:
    submission = Submission(request)
    async with supervisor.submissions() as submit:
        await submit.send(submission)
    return submission


async def events_of(supervisor: Supervisor, request: CompletionRequest) -> list[StreamEvent]:
    """All that is told of one request; it obeys the grammar, so the last one is the terminal."""
    submission = await submitted(supervisor, request)
    async with submission.events as events:
        seen = [event async for event in events]
    check_events(seen)
    return seen


async def failure_of(house: House, request: CompletionRequest) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await house.supervisor.complete(request)
    return caught.value
