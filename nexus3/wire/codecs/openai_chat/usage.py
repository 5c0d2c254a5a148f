"""Token counts of the chat dialect in our words.

OpenAI's convention, which most servers keep: ``prompt_tokens`` has the cached ones in it, ``completion_tokens`` the
reasoning. Where a total proves that reasoning was left out of ``completion_tokens`` (xAI), it is added.
"""

from nexus3.wire.codecs.openai_chat.chunks import CompletionDetails, CostObject, PromptDetails, WireUsage
from nexus3.wire.messages import Usage

_NO_PROMPT_DETAILS = PromptDetails()
_NO_COMPLETION_DETAILS = CompletionDetails()
_NOTHING = Usage()


def read_usage(wire: WireUsage) -> Usage | None:
    """``None`` where the object says nothing at all."""
    prompt = wire.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = wire.completion_tokens_details or _NO_COMPLETION_DETAILS
    reasoning = _first(completion.reasoning_tokens, wire.reasoning_tokens)
    usage = Usage(
        input_tokens=wire.prompt_tokens,
        output_tokens=_output_tokens(wire, reasoning),
        # The flat names are DeepSeek's, Moonshot's, and Anthropic's as gateways pass them on.
        cache_read_tokens=_first(
            prompt.cached_tokens, wire.prompt_cache_hit_tokens, wire.cached_tokens, wire.cache_read_input_tokens
        ),
        cache_write_tokens=_first(prompt.cache_write_tokens, wire.cache_creation_input_tokens),
        reasoning_tokens=reasoning,
        cost=wire.cost.total_cost if isinstance(wire.cost, CostObject) else wire.cost,
    )
    return None if usage == _NOTHING else usage


def _output_tokens(wire: WireUsage, reasoning: int | None) -> int | None:
    if wire.completion_tokens is None or not reasoning:
        return wire.completion_tokens
    with_reasoning = wire.completion_tokens + reasoning
    return with_reasoning if wire.total_tokens == (wire.prompt_tokens or 0) + with_reasoning else wire.completion_tokens


def _first(*counts: int | None) -> int | None:
    for count in counts:
        if count is not None:
            return count
    return None
