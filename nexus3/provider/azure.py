"""The path that users of the original import ``AzureOpenAIProvider`` from; see :mod:`nexus3.provider.named`."""

from nexus3.provider.named import AzureOpenAIProvider

__all__ = ["AzureOpenAIProvider"]
