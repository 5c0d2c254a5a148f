"""The LLM runtime for trio."""

from nexus3._version import __version__

__all__ = ["__version__"]
