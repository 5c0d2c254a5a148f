"""Features of the original, as its users meet them: over a real socket, by the names that they know."""

import json
from typing import get_args

import pytest

from nexus3 import Config, Message, ProviderConfig, ProviderError, Role, StreamComplete
from nexus3.actors.secrets import Secret
from nexus3.config.resolve import resolve
from nexus3.core.types import ContentDelta
from nexus3.errors import ConfigError
from nexus3.loopback import Answer, Loopback, open_loopback
from nexus3.provider import create_provider
from nexus3.provider.registry import ProviderRegistry
from nexus3.wire.catalog import AuthMethod

HELLO = [Message(role=Role.USER, content="hello")]
CHAT = "/chat/completions"


def settings(server: Loopback, name: str, **changes: object) -> ProviderConfig:
    """The provider of this type at the server, with some settings of its own."""
    config = Config.model_validate(server.config).providers[name]
    return config.model_copy(update=changes)


# -- types, endpoints, keys


@pytest.mark.parametrize(
    ("name", "changes", "path", "header", "value"),
    [
        ("openrouter", {}, f"/api/v1{CHAT}", "authorization", "Bearer loopback-key"),
        ("openai", {}, f"/v1{CHAT}", "authorization", "Bearer loopback-key"),
        ("ollama", {}, f"/ollama/v1{CHAT}", "authorization", "Bearer loopback-key"),
        ("vllm", {}, f"/vllm/v1{CHAT}", "authorization", "Bearer loopback-key"),
        (
            "azure",
            {},
            f"/openai/deployments/local{CHAT}?api-version=2024-10-21",
            "api-key",
            "loopback-key",
        ),
        ("azure", {"api_version": None}, f"/openai/v1{CHAT}", "api-key", "loopback-key"),
        ("anthropic", {}, "/v1/messages", "x-api-key", "loopback-key"),
    ],
)
async def test_each_type_has_its_endpoint_and_sends_the_key_as_its_vendor_wants_it(
    name: str, changes: dict[str, object], path: str, header: str, value: str
) -> None:
    async with open_loopback() as server:
        async with create_provider(settings(server, name, **changes), "local-echo") as provider:
            await provider.complete(HELLO)
        [seen] = server.exchanges
    assert (seen.method, seen.path, seen.headers[header]) == ("POST", path, value)
    assert [key for key in ("authorization", "api-key", "x-api-key") if key in seen.headers] == [header]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("bearer", {"authorization": "Bearer loopback-key"}),
        ("api-key", {"api-key": "loopback-key"}),
        ("x-api-key", {"x-api-key": "loopback-key"}),
        ("none", {}),
    ],
)
async def test_the_way_of_sending_the_key_can_be_set(method: str, headers: dict[str, str]) -> None:
    async with open_loopback(script=[Answer("hi")]) as server:
        async with create_provider(settings(server, "vllm", auth_method=method), "m") as provider:
            await provider.complete(HELLO)
        sent = server.exchanges[0].headers
    assert {key: sent[key] for key in ("authorization", "api-key", "x-api-key") if key in sent} == headers
    assert method in get_args(AuthMethod)


async def test_headers_of_the_settings_go_along_with_those_of_the_dialect() -> None:
    async with open_loopback() as server:
        config = settings(server, "anthropic", extra_headers={"X-Team": "blue"})
        async with create_provider(config, "local-echo") as provider:
            await provider.complete(HELLO)
        sent = server.exchanges[0].headers
    assert (sent["content-type"], sent["anthropic-version"], sent["x-team"]) == (
        "application/json",
        "2023-06-01",
        "blue",
    )


async def test_a_missing_key_is_told_by_the_name_of_its_variable_when_the_provider_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    async with open_loopback() as server:
        config = settings(server, "openai", api_key=None, api_key_env="MY_KEY")
        async with create_provider(config, "m") as provider:
            with pytest.raises(ProviderError, match="MY_KEY") as caught:
                await provider.complete(HELLO)
        assert caught.value.kind == "auth"
        assert server.exchanges == []


@pytest.mark.parametrize(
    ("name", "environ", "key"),
    [
        ("openrouter", {"OPENROUTER_API_KEY": "one"}, "one"),
        ("openai", {"OPENAI_API_KEY": "one"}, "one"),
        ("anthropic", {"ANTHROPIC_API_KEY": "one"}, "one"),
        ("azure", {"AZURE_OPENAI_KEY": "one"}, "one"),
        ("azure", {"AZURE_OPENAI_KEY": "one", "AZURE_OPENAI_API_KEY": "two"}, "two"),
        ("ollama", {}, None),
        ("vllm", {}, None),
        ("vllm", {"VLLM_API_KEY": "one"}, "one"),
    ],
)
def test_a_type_s_key_comes_from_its_usual_variable(name: str, environ: dict[str, str], key: str | None) -> None:
    address = {"base_url": "https://x.example"} if name == "azure" else {}
    found = resolve("p", ProviderConfig.model_validate({"type": name, **address}), environ)
    value = found.api_key.get_secret_value() if isinstance(found.api_key, Secret) else None
    assert (value, found.unconfigured) == (key, None)


async def test_settings_that_cannot_be_used_are_told_at_the_first_request() -> None:
    async with create_provider(ProviderConfig(type="openai", base_url="http://api.example.com"), "m") as provider:
        with pytest.raises(ConfigError, match="unencrypted"):
            await provider.complete(HELLO)


@pytest.mark.parametrize(
    ("base_url", "flags", "problem"),
    [
        ("https://api.example.com/v1", {}, None),
        ("http://localhost:8000/v1", {"allow_loopback": True}, None),
        ("http://127.0.0.1:8000/v1", {"allow_loopback": True}, None),
        ("http://[::1]:8000/v1", {"allow_loopback": True}, None),
        ("http://api.example.com/v1", {"allow_insecure_http": True}, None),
        ("http://api.example.com/v1", {}, "http:// sends key and prompts unencrypted"),
        ("http://localhost:8000/v1", {}, "set allow_loopback"),
        ("https://10.0.0.1/v1", {}, "set allow_private"),
        ("https://169.254.169.254/v1", {"allow_private": True}, "metadata service"),
        ("https://[::ffff:169.254.169.254]/v1", {"allow_private": True}, "metadata service"),
        (
            "http://0.0.0.0/v1",
            {"allow_insecure_http": True, "allow_loopback": True},
            "link-local, multicast or reserved",
        ),
        ("https://u:pw@api.example.com", {}, "user name or password"),
        ("https://", {}, "no host"),
        ("", {}, "must begin with https:// or http://"),
        ("api.example.com/v1", {}, "must begin with https:// or http://"),
        ("file:///etc/passwd", {}, "must begin with https:// or http://"),
        ("ftp://api.example.com", {}, "must begin with https:// or http://"),
    ],
)
def test_where_a_provider_may_be(base_url: str, flags: dict[str, bool], problem: str | None) -> None:
    config = ProviderConfig.model_validate({"type": "openai", "base_url": base_url, **flags})
    if problem is None:
        assert resolve("p", config, {}).base_url == base_url
    else:
        with pytest.raises(ConfigError, match=problem):
            resolve("p", config, {})


# -- the life of a provider


async def test_closing_is_idempotent_and_a_closed_provider_can_be_used_again() -> None:
    async with open_loopback() as server:
        provider = create_provider(settings(server, "openai"), "local-echo")
        await provider.aclose()
        await provider.complete(HELLO)
        await provider.aclose()
        await provider.aclose()
        await provider.complete(HELLO)
        await provider.aclose()
        assert [seen.connection for seen in server.exchanges] == [0, 1]


async def test_a_registry_makes_what_is_asked_for_and_closes_all_of_it() -> None:
    async with open_loopback() as server:
        registry = ProviderRegistry(Config.model_validate(server.config))
        assert list(registry.cached_providers) == []
        await registry.get("openai", "a").complete(HELLO)
        await registry.get_for_model("local-anthropic").complete(HELLO)
        assert list(registry.cached_providers) == ["openai:a", "anthropic:local-echo"]
        await registry.aclose()
        await registry.aclose()
        assert list(registry.cached_providers) == []
        for name in ("nonsense", "mine/model"):
            with pytest.raises(ConfigError, match=name):
                registry.get_for_model(name)


# -- answers


@pytest.mark.parametrize(
    "answer",
    [
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]},
        {"content": [{"type": "text", "text": "hi"}]},
    ],
    ids=["responses", "anthropic"],
)
async def test_an_answer_in_another_dialect_is_no_answer(answer: object) -> None:
    script = [Answer(body=json.dumps(answer).encode(), stream=False)]
    async with (
        open_loopback(script=script) as server,
        create_provider(settings(server, "openai", max_retries=0), "m") as provider,
    ):
        with pytest.raises(ProviderError) as caught:
            await provider.complete(HELLO)
    assert (caught.value.kind, caught.value.reason) == ("protocol", "empty_response")


async def test_the_message_is_in_the_last_event() -> None:
    async with open_loopback() as server, create_provider(settings(server, "openai"), "local-echo") as provider:
        events = [event async for event in provider.stream(HELLO)]
    text = "".join(event.text for event in events if isinstance(event, ContentDelta))
    match events[-1]:
        case StreamComplete(message):
            assert message.content == text
        case _:
            pytest.fail("the last event must be StreamComplete")
