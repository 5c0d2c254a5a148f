"""The path that users of the original import ``AnthropicProvider`` from; see :mod:`nexus3.provider.named`."""

from nexus3.provider.named import AnthropicProvider

__all__ = ["AnthropicProvider"]
