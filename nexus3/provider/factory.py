"""``create_provider``: the provider that a configuration asks for, by its type."""

from typing import assert_never

from nexus3.actors.settings import ProviderConfig
from nexus3.provider.named import AnthropicProvider, AzureOpenAIProvider, OpenAICompatProvider
from nexus3.provider.provider import Provider, ReasoningLevel
from nexus3.rawlog import RawLogCallback
from nexus3.wire.catalog import ProviderTypeName


def create_provider(
    config: ProviderConfig,
    model_id: str,
    raw_log: RawLogCallback | None = None,
    reasoning: ReasoningLevel = False,
) -> Provider:
    """A provider for ``model_id`` by ``config``, of the class for its type. Opens nothing until it is used.

    ``raw_log`` hears what goes over the wire for it, as with :meth:`Provider.set_raw_log_callback`. ``reasoning`` is
    what its requests ask for, since they cannot say so themselves: true for effort high, or an effort.

    Raises:
        ProviderError: ``bad_request``, for an empty model id.
        TypeError: ``raw_log`` has no hook, or one that is not a plain function.
    """
    return class_for(config.type)(config, model_id, raw_log, reasoning)


def class_for(type_name: ProviderTypeName) -> type[Provider]:
    """The class of :mod:`nexus3.provider.named` that providers of this type have."""
    match type_name:
        case "openrouter" | "openai" | "ollama" | "vllm":
            return OpenAICompatProvider
        case "azure":
            return AzureOpenAIProvider
        case "anthropic":
            return AnthropicProvider
        case _:
            assert_never(type_name)
