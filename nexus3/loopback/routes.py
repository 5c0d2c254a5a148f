"""Which path leads where, and what is refused at the door, as a real provider would.

The end of a path chooses the endpoint: ``/chat/completions``, ``/messages``, ``/models``. What stands before it chooses
the manners: ``/openai/...`` Azure, ``/api/v1/...`` OpenRouter, ``/ollama/...``, ``/vllm/...``, anything else OpenAI.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from nexus3.loopback.answers import Answer
from nexus3.loopback.dialects import SPEAKERS
from nexus3.loopback.faults import Error
from nexus3.loopback.received import Endpoint, Flavour, Received, Route

BAD_KEY = "bad-key"
"""The one key that is refused, with 401. Any other is fine, and so is none."""

MODELS = ["local-echo", "local-echo-paced"]
"""What the list of models names; any other model id is answered as well."""

_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/")
_FLAVOURS: tuple[tuple[str, Flavour], ...] = (
    ("/openai/", "azure"),
    ("/api/v1/", "openrouter"),
    ("/ollama/", "ollama"),
    ("/vllm/", "vllm"),
)


def route_of(target: str, headers: Mapping[str, str]) -> Route:
    """Where a request target leads; what both dialects have is told apart by Anthropic's version header."""
    path = target.partition("?")[0]
    endpoint: Endpoint = "models" if path.endswith("/models") else "unknown"
    if path.endswith("/messages"):
        return Route("completion", "anthropic_messages", "anthropic")
    if path.endswith("/chat/completions"):
        endpoint = "completion"
    elif "anthropic-version" in headers:
        return Route(endpoint, "anthropic_messages", "anthropic")
    found = _DEPLOYMENT.search(path)
    return Route(endpoint, "openai_chat", _flavour(path), unquote(found[1]) if found else None)


def refusal(received: Received) -> Answer | None:
    """The error that any provider of this dialect would give, whatever the script; ``None`` for a fair request."""
    route, method = received.route, "GET" if received.route.endpoint == "models" else "POST"
    if route.endpoint == "unknown":
        return Answer(status=404, error=f"Invalid URL ({received.method} {received.path})")
    if received.method != method:
        return Answer(status=405, error=f"{received.path} takes {method}", headers={"allow": method})
    if _key(received.headers) == BAD_KEY:
        return Answer(status=401, error=Error("Incorrect API key provided: bad-key."))
    if route.endpoint == "models":
        return None
    if route.deployment and "api-version" not in parse_qs(received.path.partition("?")[2]):
        return Answer(status=404, error="Resource not found")
    return _malformed(received)


def _flavour(path: str) -> Flavour:
    for part, name in _FLAVOURS:
        if part in path:
            return name
    return "openai"


def _malformed(received: Received) -> Answer | None:
    body = received.body
    if not isinstance(body, dict):
        return Answer(status=400, error="We could not parse the JSON body of your request.")
    if not received.asked.model:
        return Answer(status=400, error="you must provide a model parameter")
    if not isinstance(body.get("messages"), list):
        return Answer(status=400, error="Missing required parameter: 'messages'.")
    if received.route.dialect == "anthropic_messages":
        if "anthropic-version" not in received.headers:
            return Answer(status=400, error="anthropic-version: header is required")
        if not isinstance(body.get("max_tokens"), int):
            return Answer(status=400, error="max_tokens: Field required")
    return None


def models_answer(received: Received) -> Answer:
    """The list of models."""
    return Answer(body=SPEAKERS[received.route.dialect].models(MODELS), stream=False)


def _key(headers: Mapping[str, str]) -> str:
    _, _, bearer = headers.get("authorization", "").partition(" ")
    return headers.get("api-key") or headers.get("x-api-key") or bearer
