"""The path that users of the original import ``OpenAICompatProvider`` from; see :mod:`nexus3.provider.named`."""

from nexus3.provider.named import OpenAICompatProvider

__all__ = ["OpenAICompatProvider"]
