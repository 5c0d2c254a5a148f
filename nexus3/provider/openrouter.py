"""The path that users of the original import ``OpenRouterProvider`` from; see :mod:`nexus3.provider.named`."""

from nexus3.provider.named import OpenRouterProvider

__all__ = ["OpenRouterProvider"]
