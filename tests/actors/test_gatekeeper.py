"""One slot's gates together: all are asked before any begins, and each is told what became of what it let through."""

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest

from nexus3.actors.gates.ask import Ask
from nexus3.actors.gates.budget import CAPACITY
from nexus3.actors.gates.gatekeeper import MOST_MODELS, Gatekeeper, Stake
from nexus3.actors.gates.verdict import Pass, Refuse, Wait
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.config.resolve import resolve
from nexus3.observe.log import host_log
from nexus3.wire.failures import Failure, fail
from nexus3.wire.messages import Message, Role, Usage
from nexus3.wire.requests import CompletionRequest

DOWN = msgspec.structs.replace(fail("server", "down", "down"), status=500)
LATE = fail("timeout", "headers", "late", phase="headers")
BAD = msgspec.structs.replace(fail("bad_request", "bad", "bad"), status=400)
THROTTLED = msgspec.structs.replace(fail("rate_limit", "throttled", "slower"), status=429, retry_after=20.0)
OPEN, COOLING = "breaker_open", "cooldown"


def provider(**settings: Any) -> ResolvedProvider:
    return resolve("a", ProviderConfig(type="ollama", **settings), {})


def gates(**settings: Any) -> Gatekeeper:
    return Gatekeeper(provider(**settings), 0.0, Random(1), host_log(), Counter())


def ask(model: str = "m", settings: ModelConfig | None = None, text: str = "?", max_tokens: int | None = None) -> Ask:
    message = Message(role=Role.USER, content=text)
    return Ask(CompletionRequest(messages=(message,), max_tokens=max_tokens), model, settings)


def answer_to(keeper: Gatekeeper, who: Ask, now: float) -> str:
    """``pass``, or the reason why not."""
    match keeper.ask(who, now):
        case Pass():
            return "pass"
        case Wait(failure=failure) | Refuse(failure):
            return failure.reason


def end(
    keeper: Gatekeeper, stake: Stake, failure: Failure | None, now: float, *, sent: bool = True, **more: Any
) -> bool:
    return keeper.ended(stake, failure, more.pop("usage", None), sent=sent, time_given=600.0, now=now, **more)


def attempt(keeper: Gatekeeper, who: Ask, failure: Failure | None, now: float, **more: Any) -> bool:
    return end(keeper, keeper.begin(who, now, is_first=True), failure, now, **more)


@pytest.mark.parametrize("rate", [None, 60_000.0])
def test_the_breaker_and_the_cooldown_are_asked_whether_a_rate_is_limited_or_not(rate: float | None) -> None:
    keeper = gates(requests_per_minute=rate)
    assert answer_to(keeper, ask(), 0) == "pass"
    assert attempt(keeper, ask(), THROTTLED, 0)
    assert [answer_to(keeper, ask(), 1), answer_to(keeper, ask("other"), 1)] == [COOLING, "pass"]
    for _ in range(5):
        attempt(keeper, ask("other"), DOWN, 1)
    assert [answer_to(keeper, ask(), 1), answer_to(keeper, ask("other"), 1)] == [OPEN, OPEN]


def test_a_cooldown_s_beginning_is_told_once_and_its_end_is_no_beginning() -> None:
    keeper = gates()
    stakes = [keeper.begin(ask(), 0, is_first=True) for _ in range(2)]
    assert [end(keeper, stake, THROTTLED, 0) for stake in stakes] == [True, False]
    assert keeper.cooling_until() == 20
    assert [attempt(keeper, ask(), None, 30) for _ in range(8)] == [False] * 8


def test_failures_that_are_ours_do_not_open_the_breaker() -> None:
    for failure, lag, reason in ((LATE, 0.0, OPEN), (LATE, 1.0, "pass"), (BAD, 0.0, "pass")):
        keeper = gates()
        for _ in range(5):
            attempt(keeper, ask(), failure, 0, lag=lag)
        assert answer_to(keeper, ask(), 0) == reason


def test_a_probe_s_first_content_lets_the_next_probe_go() -> None:
    keeper = gates()
    for _ in range(5):
        attempt(keeper, ask(), DOWN, 0)
    probe = keeper.begin(ask(), 10, is_first=True)
    assert answer_to(keeper, ask(), 10) == OPEN
    keeper.answered(probe, 10)
    assert answer_to(keeper, ask(), 10) == "pass"


@pytest.mark.parametrize("scope", ["provider", "model"])
@pytest.mark.parametrize(
    ("failure", "sent", "is_paid_for"),
    [(None, True, True), (DOWN, True, False), (BAD, True, False), (LATE, True, True), (LATE, False, False)],
)
def test_what_was_not_served_takes_nothing_from_the_rates(
    scope: str, failure: Failure | None, sent: bool, is_paid_for: bool
) -> None:
    settings = ModelConfig(provider="a", model_id="m", requests_per_minute=6.0) if scope == "model" else None
    keeper = gates(requests_per_minute=6.0 if scope == "provider" else None)
    stake = keeper.begin(ask(settings=settings), 0, is_first=True)
    assert answer_to(keeper, ask(settings=settings), 0) == "requests_per_minute"
    end(keeper, stake, failure, 0, sent=sent)
    assert answer_to(keeper, ask(settings=settings), 0) == ("requests_per_minute" if is_paid_for else "pass")


def test_what_answers_take_is_learned_from_them() -> None:
    keeper = gates(tokens_per_minute=60_000.0)
    asked = ask(text="x" * 400)
    for minute in range(1, 20):
        attempt(keeper, asked, None, minute * 60.0, usage=Usage(input_tokens=100, output_tokens=7))
    estimate = keeper.begin(asked, 2000, is_first=True).estimate
    assert estimate is not None
    assert estimate.output_tokens == 7


def test_headers_teach_their_model_only() -> None:
    keeper = gates()
    stake = keeper.begin(ask(), 0, is_first=True)
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    keeper.learn(stake, headers, wall_now=0, now=0)
    assert [answer_to(keeper, ask(), 0), answer_to(keeper, ask("other"), 0)] == ["requests_per_minute", "pass"]


def test_new_requests_earn_retries_and_retries_do_not() -> None:
    keeper = gates()
    most = int(CAPACITY)
    assert [keeper.pays_retry(is_timeout=False, now=0) for _ in range(most + 1)] == [True] * most + [False]
    assert keeper.budget(0) == 0
    for is_first in (True, False):
        keeper.begin(ask(), 0, is_first=is_first)
    assert keeper.budget(0) == pytest.approx(0.2)
    assert [keeper.pays_retry(is_timeout=is_timeout, now=60) for is_timeout in (True, False)] == [False, True]


@pytest.mark.parametrize("how", ["reconfigured", "suspect"])
def test_made_anew_it_has_forgotten_all_but_the_cooldowns(how: str) -> None:
    keeper = gates(requests_per_minute=6.0)
    stake = keeper.begin(ask(), 0, is_first=True)
    headers = {"x-ratelimit-limit-tokens": "60", "x-ratelimit-remaining-tokens": "0"}
    keeper.learn(stake, headers, wall_now=0, now=0)
    for _ in range(5):
        attempt(keeper, ask("other"), DOWN, 0)
        keeper.pays_retry(is_timeout=False, now=0)
    attempt(keeper, ask("cooling"), THROTTLED, 0)
    if how == "reconfigured":
        keeper.reconfigure(provider(requests_per_minute=6.0), 1)
    else:
        keeper.forget(provider(requests_per_minute=6.0), 1)
    reasons = [answer_to(keeper, ask(model), 1) for model in ("m", "other", "cooling")]
    assert reasons == ["pass" if how == "suspect" else "tokens_per_minute", "pass", COOLING]
    assert keeper.budget(1) == CAPACITY


def test_models_of_which_nothing_would_be_missed_go_first() -> None:
    keeper = gates()
    attempt(keeper, ask("cooling"), THROTTLED, 0)
    running = keeper.begin(ask("running"), 0, is_first=True)
    keeper.learn(
        running, {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}, wall_now=0, now=0
    )
    # That a cooldown has come and gone since does not make it idle.
    attempt(keeper, ask("running"), msgspec.structs.replace(THROTTLED, retry_after=0.5), 0)
    for number in range(MOST_MODELS * 3):
        attempt(keeper, ask(f"{number}"), None, 1)
    assert len(keeper._models) <= MOST_MODELS
    assert [answer_to(keeper, ask(model), 1) for model in ("cooling", "running")] == [COOLING, "requests_per_minute"]
    end(keeper, running, None, 1)
    for number in range(MOST_MODELS):
        attempt(keeper, ask(f"more {number}"), None, 100)
    assert answer_to(keeper, ask("running"), 0) == "pass"
