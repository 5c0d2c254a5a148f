"""How many tokens a request will take, before it is sent. Pure.

The first guess is a token for every four characters and the request's own ``max_tokens``; each answer that states its
usage makes the next one better, model by model. Rates and spend caps reserve by it, and are corrected by usage after.
"""

import msgspec

from nexus3.wire.messages import TextPart, Usage
from nexus3.wire.requests import CompletionRequest

CHARACTERS_PER_TOKEN = 4.0
UNKNOWN_OUTPUT = 512
"""Tokens of an answer where neither the request nor experience says anything."""
BINARY_CHARACTERS = 4000
"""An image or a document counts as so many characters: about what the vendors charge for a picture."""
MEMORY = 0.95
"""The weight of an answer's usage falls by this with each later one: about twenty count."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request, as expected."""

    input_tokens: int
    """All of it."""
    uncached_tokens: int
    """Of these, those that are not read from the provider's cache."""
    output_tokens: int
    most_output_tokens: int
    """What caps must reckon with: ``max_tokens`` where the request has it, else the expectation."""

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


def characters(request: CompletionRequest) -> int:
    """The size of what a request says. Costs time proportional to the tools' schemas, so ask once a request."""
    count = 0
    for message in request.messages:
        if isinstance(message.content, str):
            count += len(message.content)
        else:
            for part in message.content:
                count += len(part.text) if isinstance(part, TextPart) else BINARY_CHARACTERS
        count += sum(len(call.name) + len(call.raw_arguments) for call in message.tool_calls)
        count += sum(len(block.text) for block in message.reasoning)
    for tool in request.tools:
        count += len(tool.name) + len(tool.description or "") + len(msgspec.json.encode(tool.parameters))
    return count


class Estimator:
    """What is known of one model's sizes. Outlives incarnations; wrong estimates only cost time."""

    def __init__(self) -> None:
        self._characters = 0.0
        self._input = 0.0
        self._uncached = 0.0
        self._outputs = 0.0
        self._answers = 0.0

    def estimate(self, characters: int, max_tokens: int | None) -> Estimate:
        """``characters`` as :func:`characters` counts them."""
        per_character = self._input / self._characters if self._characters else 1 / CHARACTERS_PER_TOKEN
        tokens = max(1, round(characters * per_character))
        uncached = round(tokens * self._uncached / self._input) if self._input else tokens
        expected = UNKNOWN_OUTPUT if max_tokens is None else max_tokens
        if self._answers:
            mean = round(self._outputs / self._answers)
            expected = mean if max_tokens is None else min(mean, max_tokens)
        return Estimate(
            input_tokens=tokens,
            uncached_tokens=uncached,
            output_tokens=expected,
            most_output_tokens=expected if max_tokens is None else max_tokens,
        )

    def learn(self, characters: int, usage: Usage) -> None:
        """An answer came whole; what its usage leaves out teaches nothing."""
        if usage.input_tokens is not None and characters > 0:
            self._characters = self._characters * MEMORY + characters
            self._input = self._input * MEMORY + usage.input_tokens
            cached = min(usage.cache_read_tokens or 0, usage.input_tokens)
            self._uncached = self._uncached * MEMORY + usage.input_tokens - cached
        if usage.output_tokens is not None:
            self._outputs = self._outputs * MEMORY + usage.output_tokens
            self._answers = self._answers * MEMORY + 1
