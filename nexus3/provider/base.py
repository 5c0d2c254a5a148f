"""The path that users of the original import ``BaseProvider`` from; see :mod:`nexus3.provider.named`."""

from nexus3.provider.named import BaseProvider

__all__ = ["BaseProvider"]
