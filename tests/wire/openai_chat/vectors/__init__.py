"""Streams as servers send them, written by hand, each with all that a decoder shall make of it."""

from tests.wire.openai_chat.vectors.calls import TOOL_CALLS
from tests.wire.openai_chat.vectors.endings import FAILURES, FILTERS
from tests.wire.openai_chat.vectors.providers import PROVIDERS
from tests.wire.openai_chat.vectors.text import TEXT
from tests.wire.openai_chat.vectors.usage_and_reasoning import REASONING, USAGE
from tests.wire.openai_chat.vectors.vector import START, STOP, Ends, Fails, Vector

VECTORS = [*PROVIDERS, *TEXT, *USAGE, *REASONING, *TOOL_CALLS, *FILTERS, *FAILURES]

__all__ = ["START", "STOP", "VECTORS", "Ends", "Fails", "Vector"]
