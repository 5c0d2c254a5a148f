"""What is read of a chunk or a whole body: the few keys that matter, everything else skipped by the parser.

msgspec builds these straight from the bytes, several times faster than plain objects would be built and looked through.
The types say what a well-behaved server sends; :mod:`.reading` copes with the others. Keys of open shape stay
``Raw``, so that nothing is built of unknown depth.
"""

import msgspec
from msgspec import Raw

ABSENT = Raw(b"null")
"""Stands for a key that was not there; one that was there as ``null`` is equal, but not identical."""


class FunctionDelta(msgspec.Struct, gc=False):
    """A piece of a call. ``arguments`` is a piece of JSON text."""

    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None
    extra_content: Raw = ABSENT
    """Google's: wants to be sent back with the call."""


class Delta(msgspec.Struct, gc=False):
    """``delta`` of a stream, ``message`` of a whole body: the same keys."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_text: str | None = None
    content_thinking: str | None = None
    """No key of the wire: the thinking parts of a ``content`` that came as a list."""
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None
    """The form before ``tool_calls``; some servers still answer so."""
    reasoning_details: list[Raw] | None = None
    annotations: list[Raw] | None = None
    images: list[Raw] | None = None
    audio: Raw = ABSENT


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class CostObject(msgspec.Struct, gc=False):
    total_cost: float | None = None


class WireUsage(msgspec.Struct, gc=False):
    """The union of what servers report; :mod:`.usage` reads it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cost: float | CostObject | None = None


class Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Delta | None = None
    finish_reason: str | None = None
    message: Delta | None = None
    usage: WireUsage | None = None
    """Moonshot's place for it."""
    error: Raw = ABSENT


class Chunk(msgspec.Struct, gc=False):
    """One event of a stream, or a whole body."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: Raw = ABSENT
    """Also a whole body that is an error without saying ``error``."""
