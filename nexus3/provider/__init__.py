"""The original's face: providers by configuration and model id, without a block of one's own.

Each stands on a supervised actor; all of one trio run share one supervisor (:mod:`nexus3.provider.shared`).
"""

from nexus3.provider.defaults import PROVIDER_DEFAULTS
from nexus3.provider.factory import create_provider
from nexus3.provider.named import (
    AnthropicProvider,
    AzureOpenAIProvider,
    BaseProvider,
    OpenAICompatProvider,
    OpenRouterProvider,
)
from nexus3.provider.provider import Provider
from nexus3.provider.registry import ProviderRegistry

__all__ = [
    "PROVIDER_DEFAULTS",
    "AnthropicProvider",
    "AzureOpenAIProvider",
    "BaseProvider",
    "OpenAICompatProvider",
    "OpenRouterProvider",
    "Provider",
    "ProviderRegistry",
    "create_provider",
]
