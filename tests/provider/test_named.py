"""The original's classes, from where its users import them."""

import importlib

import pytest

from nexus3 import Config, ConfigError, ContentDelta, Message, ModelConfig, ProviderConfig, ProviderError, Role
from nexus3.loopback import open_loopback
from nexus3.provider import (
    AnthropicProvider,
    AzureOpenAIProvider,
    BaseProvider,
    OpenAICompatProvider,
    OpenRouterProvider,
    ProviderRegistry,
    create_provider,
)
from nexus3.wire.catalog import ProviderTypeName

HELLO = [Message(role=Role.USER, content="hello")]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("base", "BaseProvider"),
        ("openai_compat", "OpenAICompatProvider"),
        ("openrouter", "OpenRouterProvider"),
        ("azure", "AzureOpenAIProvider"),
        ("anthropic", "AnthropicProvider"),
        ("registry", "ProviderRegistry"),
    ],
)
def test_each_name_is_where_the_original_has_it(path: str, name: str) -> None:
    at_its_path: object = getattr(importlib.import_module(f"nexus3.provider.{path}"), name)
    assert at_its_path is getattr(importlib.import_module("nexus3.provider"), name)


@pytest.mark.parametrize("made_by", [AnthropicProvider, OpenAICompatProvider, AzureOpenAIProvider, OpenRouterProvider])
def test_whatever_made_it_is_a_base_provider(made_by: type[OpenAICompatProvider]) -> None:
    assert isinstance(made_by(ProviderConfig(), "m"), BaseProvider)


@pytest.mark.parametrize(
    ("type_name", "made"),
    [
        ("openrouter", OpenAICompatProvider),
        ("openai", OpenAICompatProvider),
        ("ollama", OpenAICompatProvider),
        ("vllm", OpenAICompatProvider),
        ("azure", AzureOpenAIProvider),
        ("anthropic", AnthropicProvider),
    ],
)
def test_the_factory_and_the_registry_make_the_class_of_the_type(
    type_name: ProviderTypeName, made: type[BaseProvider]
) -> None:
    config = ProviderConfig(type=type_name)
    assert type(create_provider(config, "m")) is made
    models = {"alias": ModelConfig(provider="p", model_id="m")}
    registry = ProviderRegistry(Config(providers={"p": config}, models=models, default_model="alias"))
    assert {type(registry.get("p", "m")), type(registry.get_for_model())} == {made}
    assert type(create_provider(ProviderConfig(), "m")) is OpenRouterProvider, "a configuration that names no type"


def test_azure_s_is_openai_s_and_openrouter_s_is_the_compatible_one() -> None:
    assert issubclass(AzureOpenAIProvider, OpenAICompatProvider)
    assert OpenRouterProvider is OpenAICompatProvider


@pytest.mark.parametrize(
    ("made_by", "type_name", "path"),
    [
        (AnthropicProvider, "anthropic", "/v1/messages"),
        (OpenAICompatProvider, "vllm", "/vllm/v1/chat/completions"),
        (AzureOpenAIProvider, "azure", "/openai/deployments/local/chat/completions?api-version=2024-10-21"),
    ],
)
async def test_each_speaks_for_its_types(made_by: type[OpenAICompatProvider], type_name: str, path: str) -> None:
    async with open_loopback() as server:
        config = Config.model_validate(server.config).providers[type_name]
        async with made_by(config, "local-echo") as provider:
            assert "hello" in (await provider.complete(HELLO)).text
            assert any([isinstance(event, ContentDelta) async for event in provider.stream(HELLO)])
        assert [seen.path for seen in server.exchanges] == [path, path]


@pytest.mark.parametrize(
    ("made_by", "type_name"),
    [(AnthropicProvider, "anthropic"), (OpenRouterProvider, "openrouter"), (AzureOpenAIProvider, "azure")],
)
def test_a_configuration_that_names_no_type_is_of_the_class_s(
    made_by: type[OpenAICompatProvider], type_name: str
) -> None:
    given = ProviderConfig.model_validate({"base_url": "https://gateway.example", "api_key": "k" * 20})
    made = made_by(given, "m")
    assert (made.config.type, made.config.base_url, made.config.api_key) == (type_name, given.base_url, given.api_key)
    assert given.type == "openrouter"


def test_a_configuration_of_another_type_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        AnthropicProvider(ProviderConfig(type="vllm"), "m")
    assert str(caught.value) == "AnthropicProvider is for anthropic, and not for vllm; use create_provider"
    with pytest.raises(ConfigError, match="is for openrouter, openai, ollama, vllm, and not for azure"):
        OpenAICompatProvider(ProviderConfig(type="azure"), "m")


async def test_reasoning_is_asked_for_by_the_provider() -> None:
    async with open_loopback() as server:
        config = Config.model_validate(server.config).providers["openrouter"]
        async with OpenRouterProvider(config, "local-echo", reasoning=True) as provider:
            await provider.complete(HELLO)
        sent = server.exchanges[0].body
    assert isinstance(sent, dict)
    assert sent["reasoning"] == {"effort": "high"}


def test_an_empty_model_id_is_refused() -> None:
    with pytest.raises(ProviderError, match="model id"):
        AnthropicProvider(ProviderConfig(), "")
