"""The rates against servers that enforce limits of their own, in simulated time: no 429, and little is left unused."""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Protocol

import pytest

from nexus3.actors.gates.estimate import Estimate, Estimator
from nexus3.actors.gates.rates import Rates
from nexus3.actors.gates.verdict import Wait
from nexus3.actors.slot.fair_queue import FairQueue
from nexus3.wire.messages import Usage
from nexus3.wire.retry_hints import Dimension, RateLimit

REQUESTS, TOKENS = 60, 6_000
CALLERS = 20
MINUTES = 10


class Server(Protocol):
    """Admits a request of so many tokens, or answers 429; states its limits where it does that."""

    def admit(self, tokens: int, now: float) -> bool: ...
    def state(self, now: float) -> dict[Dimension, RateLimit]: ...


class BucketServer:
    """A bucket for requests and one for tokens, full at the start, each whole again within a minute."""

    def __init__(self, *, states: bool) -> None:
        self.states = states
        self.seen = 0.0
        self.levels: dict[Dimension, float] = {"requests": REQUESTS, "tokens": TOKENS}
        self.limits: dict[Dimension, int] = {"requests": REQUESTS, "tokens": TOKENS}

    def _fill(self, now: float) -> None:
        for dimension, limit in self.limits.items():
            self.levels[dimension] = min(limit, self.levels[dimension] + limit / 60 * (now - self.seen))
        self.seen = now

    def admit(self, tokens: int, now: float) -> bool:
        self._fill(now)
        if self.levels["requests"] < 1 or self.levels["tokens"] < tokens:
            return False
        self.levels["requests"] -= 1
        self.levels["tokens"] -= tokens
        return True

    def state(self, now: float) -> dict[Dimension, RateLimit]:
        if not self.states:
            return {}
        self._fill(now)
        return {
            dimension: RateLimit(
                limit=limit,
                remaining=int(self.levels[dimension]),
                reset_after=(limit - self.levels[dimension]) * 60 / limit,
            )
            for dimension, limit in self.limits.items()
        }


class ClockServer:
    """Counts by the minute of the clock, and forgets at its end."""

    def __init__(self, *, states: bool) -> None:
        self.states = states
        self.minute = 0
        self.requests = self.tokens = 0

    def _turn(self, now: float) -> None:
        if int(now // 60) != self.minute:
            self.minute = int(now // 60)
            self.requests = self.tokens = 0

    def admit(self, tokens: int, now: float) -> bool:
        self._turn(now)
        if self.requests + 1 > REQUESTS or self.tokens + tokens > TOKENS:
            return False
        self.requests += 1
        self.tokens += tokens
        return True

    def state(self, now: float) -> dict[Dimension, RateLimit]:
        if not self.states:
            return {}
        self._turn(now)
        left = 60 - now % 60
        return {
            "requests": RateLimit(limit=REQUESTS, remaining=REQUESTS - self.requests, reset_after=left),
            "tokens": RateLimit(limit=TOKENS, remaining=TOKENS - self.tokens, reset_after=left),
        }


class Traffic:
    """Twenty callers that always have one request waiting or running, at one provider. All of it virtual."""

    def __init__(self, server: Server, rates: Rates, size: Callable[[Random], tuple[int, int]], seed: int) -> None:
        self.server, self.rates, self.size = server, rates, size
        self.rng = Random(seed)
        self.estimator = Estimator()
        self.queue = FairQueue[tuple[str, int]](promote_after=1e9)
        self.numbers = itertools.count()
        self.refused: deque[float] = deque()
        self.served: list[tuple[float, str, int]] = []

    def run(self, until: float) -> None:
        steps: list[tuple[float, int, Callable[[float], None]]] = []

        def at(moment: float, step: Callable[[float], None]) -> None:
            heapq.heappush(steps, (moment, next(self.numbers), step))

        def wait_anew(caller: str, now: float) -> None:
            self.queue.put((caller, next(self.numbers)), caller, "normal", now)
            begin(now)

        def begin(now: float) -> None:
            while len(self.queue):
                # All requests say alike how big they are: only the server knows.
                estimate = self.estimator.estimate(400, 2_000)
                verdict = self.rates.ask(estimate, now)
                if isinstance(verdict, Wait):
                    assert verdict.until is not None
                    assert verdict.until > now
                    if not steps or verdict.until < steps[0][0]:
                        at(verdict.until, begin)
                    return
                item = self.queue.take(now)
                assert item is not None
                self.rates.begin(estimate, now)
                question, answer = self.size(self.rng)

                def arrive(
                    moment: float,
                    caller: str = item[0],
                    estimate: Estimate = estimate,
                    question: int = question,
                    answer: int = answer,
                ) -> None:
                    admitted = self.server.admit(question + answer, moment)
                    self.rates.learn(self.server.state(moment), moment)
                    usage = Usage(input_tokens=question, output_tokens=answer)
                    if admitted:
                        self.served.append((moment, caller, question + answer))
                    else:
                        self.refused.append(moment)
                        usage = Usage(input_tokens=0, output_tokens=0)

                    def end(moment: float) -> None:
                        if admitted:
                            self.estimator.learn(400, usage)
                        self.rates.ended(estimate, usage, sent=True, now=moment)
                        wait_anew(caller, moment)

                    at(moment + self.rng.uniform(0.5, 4.0), end)

                at(now + self.rng.uniform(0.01, 0.2), arrive)

        for number in range(CALLERS):
            wait_anew(f"c{number}", 0.0)
        while steps and steps[0][0] <= until:
            now, _, step = heapq.heappop(steps)
            step(now)
            begin(now)


def small(rng: Random) -> tuple[int, int]:
    """The requests' limit binds."""
    return rng.randint(20, 60), rng.randint(5, 40)


def large(rng: Random) -> tuple[int, int]:
    """The tokens' limit binds."""
    return rng.randint(50, 150), rng.randint(20, 600)


KNOWN: dict[str, float | None] = {"requests_per_minute": float(REQUESTS), "tokens_per_minute": float(TOKENS)}
UNKNOWN: dict[str, float | None] = {"requests_per_minute": None, "tokens_per_minute": None}


def run(server: Server, rates: Rates, size: Callable[[Random], tuple[int, int]], seed: int) -> tuple[float, int]:
    """After the first minute: the share of what the tighter limit allows that was used, and how many were refused."""
    traffic = Traffic(server, rates, size, seed)
    traffic.run(60.0 * (MINUTES + 1))
    later = [entry for entry in traffic.served if entry[0] > 60]
    share = max(len(later) / REQUESTS, sum(entry[2] for entry in later) / TOKENS) / MINUTES
    refused = sum(moment > 60 for moment in traffic.refused)
    counts = Counter(caller for _, caller, _ in later)
    print(
        f"\n{type(server).__name__}, {size.__name__}, seed {seed}: {share:.1%} used, {refused} refused, and "
        f"{len(traffic.refused) - refused} in the first minute; each {min(counts.values())} to {max(counts.values())}"
    )
    assert len(counts) == CALLERS
    assert max(counts.values()) - min(counts.values()) <= 3
    return share, refused


@pytest.mark.parametrize("size", [small, large])
@pytest.mark.parametrize("knowledge", ["configured", "learned", "both"])
@pytest.mark.parametrize("seed", range(5))
def test_a_server_with_buckets_never_refuses_after_the_first_minute_and_is_used_to_the_full(
    seed: int, knowledge: str, size: Callable[[Random], tuple[int, int]]
) -> None:
    rates = Rates(0.0, **(UNKNOWN if knowledge == "learned" else KNOWN))
    share, refused = run(BucketServer(states=knowledge != "configured"), rates, size, seed)
    assert refused == 0
    assert share >= 0.95


@pytest.mark.parametrize("knowledge", ["configured", "learned", "both"])
def test_so_does_a_server_that_counts_by_the_clock(knowledge: str) -> None:
    rates = Rates(0.0, **(UNKNOWN if knowledge == "learned" else KNOWN))
    share, refused = run(ClockServer(states=knowledge != "configured"), rates, small, 0)
    assert refused == 0
    assert share >= 0.95


def test_a_server_that_counts_tokens_by_the_clock_refuses_a_few_whose_size_it_alone_knew() -> None:
    share, refused = run(ClockServer(states=True), Rates(0.0, **UNKNOWN), large, 0)
    assert refused <= 10
    assert share >= 0.95


@pytest.mark.parametrize("server", [BucketServer, ClockServer])
def test_a_configured_limit_above_the_provider_s_own_does_no_harm_where_the_provider_states_it(
    server: type[BucketServer | ClockServer],
) -> None:
    rates = Rates(0.0, requests_per_minute=6_000.0, tokens_per_minute=None)
    share, refused = run(server(states=True), rates, small, 0)
    assert refused == 0
    assert share >= 0.95
