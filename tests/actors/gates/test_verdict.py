"""How the answers of several gates become one."""

import math

import pytest

from nexus3.actors.gates.verdict import PASS, Pass, Refuse, Verdict, Wait, combined, within
from nexus3.wire.failures import fail


def wait(until: float | None, reason: str = "a") -> Wait:
    return Wait(until, fail("rate_limit", reason, "Wait."))


def refuse(reason: str = "a") -> Refuse:
    return Refuse(fail("unavailable", reason, "No."))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], PASS),
        ([Pass(), Pass()], PASS),
        ([Pass(), wait(3.0), Pass()], wait(3.0)),
        ([wait(3.0), wait(5.0), wait(4.0)], wait(5.0)),
        ([wait(3.0, "first"), wait(3.0, "second")], wait(3.0, "first")),
        ([wait(9.0), refuse("first"), refuse("second")], refuse("first")),
        ([wait(None, "somebody"), wait(3.0, "clock")], wait(3.0, "clock")),
        ([wait(3.0, "clock"), wait(None, "somebody")], wait(3.0, "clock")),
        ([wait(None, "first"), wait(None, "second"), Pass()], wait(None, "first")),
    ],
)
def test_the_first_refusal_else_the_latest_wait_else_pass(verdicts: list[Verdict], expected: Verdict) -> None:
    assert combined(verdicts) == expected


def test_a_wait_that_comes_too_late_is_refused_now() -> None:
    assert within(wait(3.0), 3.0) == wait(3.0)
    assert within(wait(3.1), 3.0) == refuse_of(wait(3.1))
    assert within(wait(None), 0.0) == wait(None)
    assert within(PASS, -math.inf) == PASS
    assert within(refuse(), math.inf) == refuse()


def refuse_of(wait: Wait) -> Refuse:
    return Refuse(wait.failure)
