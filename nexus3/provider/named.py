"""The original's classes by their names, each a provider of some types.

What differs between types is data (:mod:`nexus3.wire.catalog`) and codecs (:mod:`nexus3.wire.codecs`), so these say
for which types they are, and there is nothing else to override in them. ``create_provider`` chooses among them.
"""

from typing import ClassVar

from nexus3.provider.provider import Provider
from nexus3.wire.catalog import ProviderTypeName

BaseProvider = Provider
"""What every provider is, whatever made it."""


class OpenAICompatProvider(Provider):
    """The types with OpenAI's paths and keys."""

    types: ClassVar[tuple[ProviderTypeName, ...]] = ("openrouter", "openai", "ollama", "vllm")


class AzureOpenAIProvider(OpenAICompatProvider):
    """OpenAI's dialect with Azure's paths and keys."""

    types = ("azure",)


class AnthropicProvider(Provider):
    """Anthropic's own dialect."""

    types = ("anthropic",)


OpenRouterProvider = OpenAICompatProvider
