"""What retries may cost, and where the tokens come from."""

import pytest

from nexus3.actors.gates.budget import CAPACITY, Expense, RetryBudget, price
from tests.actors.gates.walks import STEPS, dice

EXPENSES: list[Expense] = ["retry", "timeout_retry", "stale_replay", "hedge"]


def emptied(now: float = 0.0) -> RetryBudget:
    budget = RetryBudget(now)
    for _ in range(int(CAPACITY)):
        assert budget.spend("retry", now) == "granted"
    return budget


def test_fifty_retries_are_there_at_the_start() -> None:
    assert CAPACITY == 50.0
    budget = emptied()
    assert [budget.spend("retry", 0.0), budget.spend("retry", 0.0)] == ["exhausted", "denied"]


def test_five_first_attempts_pay_one_retry() -> None:
    budget = emptied()
    for _ in range(5):
        budget.deposit(0.0)
    assert [budget.spend("retry", 0.0), budget.spend("retry", 0.0)] == ["granted", "exhausted"]


def test_a_retry_after_a_timeout_costs_two() -> None:
    assert [price(expense) for expense in EXPENSES] == [1.0, 2.0, 1.0, 1.0]
    budget = RetryBudget(0.0)
    assert [budget.spend("timeout_retry", 0.0) for _ in range(26)] == ["granted"] * 25 + ["exhausted"]


def test_time_alone_gives_back_one_token_and_no_more() -> None:
    budget = emptied()
    assert budget.tokens(0.25) == 0.25
    assert budget.tokens(1.0) == 1.0
    assert budget.tokens(3600.0) == 1.0
    assert RetryBudget(0.0).tokens(3600.0) == CAPACITY
    assert budget.spend("timeout_retry", 3600.0) == "exhausted"
    assert budget.spend("retry", 3600.0) == "granted"


def test_more_than_that_is_never_saved() -> None:
    budget = RetryBudget(0.0)
    for _ in range(1000):
        budget.deposit(0.0)
    assert budget.tokens(0.0) == CAPACITY


@STEPS
def test_no_walk_spends_what_was_not_earned(steps: int) -> None:
    rng = dice("budget")
    now = rng.uniform(0, 1e6)
    start = now
    budget = RetryBudget(now)
    deposits, spent, was_denied = 0, 0.0, False
    for _ in range(steps):
        before = budget.tokens(now)
        passed = rng.choice((0.0, 0.0, rng.expovariate(5), rng.expovariate(0.1)))
        now += passed
        here = budget.tokens(now)
        # Time adds below one only, and up to one.
        assert here == pytest.approx(before if before >= 1 else min(1.0, before + passed))
        if rng.random() < 0.6:
            budget.deposit(now)
            deposits += 1
            assert budget.tokens(now) == pytest.approx(min(CAPACITY, here + 0.2))
        else:
            expense = rng.choice(EXPENSES)
            answer = budget.spend(expense, now)
            assert (answer == "granted") == (here >= price(expense))
            if answer == "granted":
                spent += price(expense)
                was_denied = False
                assert budget.tokens(now) == pytest.approx(here - price(expense))
            else:
                assert answer == ("denied" if was_denied else "exhausted")
                was_denied = True
                assert budget.tokens(now) == here
            assert budget.is_exhausted == was_denied
        assert 0 <= budget.tokens(now) <= CAPACITY
        assert spent <= CAPACITY + 0.2 * deposits + (now - start) + 1e-6
    assert spent > steps / 50
