"""A provider that enforces 60 requests and 6,000 tokens per minute, and twenty callers who want more than that.

The whole supervisor on a scripted network, in virtual time. The provider keeps a token bucket for each of its limits,
full at the start, charges what a request really takes, and answers 429 where that is not there. Nothing is told to the
callers' side but the configured limits, or the headers that such a provider sends.
"""

import os
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

import pytest
import trio
from trio.testing import MockClock

from nexus3 import CompletionRequest, Message, Role, Supervisor, Usage
from nexus3.loopback import Answer
from nexus3.testing import Exchange, open_house
from nexus3.wire.failures import RateLimitError

SEED = int(os.environ.get("NEXUS3_SEED", "20261122"))
REQUESTS, TOKENS = 60, 6_000
"""Per minute."""
CALLERS = 20
GREED = 10
"""Requests that the first caller always has waiting or running; the others have one each."""
MINUTES = 11
"""The first is not counted: the provider's bucket is full then, and what it allows is yet to be learned."""


class Sizes(NamedTuple):
    """Of requests, in tokens."""

    question: int
    """At four characters each: the estimate is right about these, and knows nothing of answers."""
    answer_least: int
    answer_most: int


SIZES = {"the requests' limit binds": Sizes(40, 5, 40), "the tokens' limit binds": Sizes(120, 20, 400)}


class Provider:
    """The script of the network."""

    def __init__(self, rng: Random, sizes: Sizes, *, states: bool) -> None:
        self.rng = rng
        self.sizes = sizes
        self.states = states
        """Its limits, in the headers of its responses."""
        self.began = self.seen = trio.current_time()
        self.requests, self.tokens = float(REQUESTS), float(TOKENS)
        self.served: list[tuple[float, int]] = []
        """When, and of how many tokens."""
        self.refused: list[float] = []

    def __call__(self, exchange: Exchange) -> Answer:
        now = exchange.began
        self.requests = min(REQUESTS, self.requests + REQUESTS / 60 * (now - self.seen))
        self.tokens = min(TOKENS, self.tokens + TOKENS / 60 * (now - self.seen))
        self.seen = now
        question, least, most = self.sizes
        answer = self.rng.randint(least, most)
        if self.requests < 1 or self.tokens < question + answer:
            self.refused.append(now - self.began)
            return Answer(status=429, headers=self._stated())
        self.requests -= 1
        self.tokens -= question + answer
        self.served.append((now - self.began, question + answer))
        usage = Usage(input_tokens=question, output_tokens=answer)
        return Answer("yes", usage=usage, first_delay=self.rng.uniform(0.5, 4.0), headers=self._stated())

    def _stated(self) -> Mapping[str, str]:
        if not self.states:
            return {}
        return {
            "x-ratelimit-limit-requests": str(REQUESTS),
            "x-ratelimit-remaining-requests": str(int(self.requests)),
            "x-ratelimit-reset-requests": f"{REQUESTS - self.requests:.3f}s",
            "x-ratelimit-limit-tokens": str(TOKENS),
            "x-ratelimit-remaining-tokens": str(int(self.tokens)),
            "x-ratelimit-reset-tokens": f"{(TOKENS - self.tokens) * 60 / TOKENS:.3f}s",
        }


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("known_by", ["configuration", "headers", "both"])
async def test_the_limits_are_used_up_and_never_overstepped_and_each_caller_gets_its_share(
    known_by: str, sizes: Sizes, autojump_clock: MockClock
) -> None:
    print(f"\nNEXUS3_SEED={SEED}")
    provider = Provider(Random(f"rates {SEED}"), sizes, states=known_by != "configuration")
    done: Counter[str] = Counter()
    request = CompletionRequest(messages=(Message(role=Role.USER, content="x" * 4 * sizes.question),), timeout=3_000.0)

    async def caller(sup: Supervisor, name: str) -> None:
        mine = request.model_copy(update={"caller": name})
        while True:
            try:
                await sup.complete(mine)
            except RateLimitError:
                # All begin at once, and nothing is known yet: more may be refused than the retry budget pays for.
                if known_by != "headers" or trio.current_time() - provider.began > 60:
                    raise
            else:
                done[name] += trio.current_time() - provider.began > 60

    async with open_house(provider, config(limited=known_by != "headers")) as house, trio.open_nursery() as nursery:
        for number in range(CALLERS):
            for _ in range(1 if number else GREED):
                nursery.start_soon(caller, house.supervisor, f"c{number}")
        await trio.sleep(60 * MINUTES)
        # A scope with a deadline would be taken for the callers' own, and no wait begun beyond it.
        nursery.cancel_scope.cancel()

    later = [tokens for moment, tokens in provider.served if moment > 60]
    share = max(len(later) / REQUESTS, sum(later) / TOKENS) / (MINUTES - 1)
    refused = sum(moment > 60 for moment in provider.refused)
    greedy = done.pop("c0")
    print(
        f"{share:.1%} used, {refused} refused, and {len(provider.refused) - refused} in the first minute; "
        f"each caller {min(done.values())} to {max(done.values())}, the greedy one {greedy}"
    )
    assert refused == 0
    assert share >= 0.95
    assert len(done) == CALLERS - 1
    assert max(done.values()) - min(done.values()) <= 3
    # Its next request waits already while the others' answers come.
    assert greedy <= 1.25 * max(done.values())


def config(*, limited: bool) -> dict[str, Any]:
    settings = {
        "type": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "sk-test-1234",
        "allow_loopback": True,
    }
    limits = {"requests_per_minute": float(REQUESTS), "tokens_per_minute": float(TOKENS)} if limited else {}
    return {"default_model": "p:m", "providers": {"p": {**settings, **limits}}}
