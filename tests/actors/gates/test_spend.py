"""Caps on tokens and money hold, whatever becomes of the requests."""

from nexus3.actors.gates.prices import NANODOLLARS
from nexus3.actors.gates.spend import Account, Amount, Balance, Cap, Reservation, Spending, used_by
from nexus3.actors.gates.verdict import PASS, Refuse, Verdict, Wait
from tests.actors.gates.walks import STEPS, dice

ALL: Account = ("supervisor", "")
FAST: Account = ("provider", "fast")
ANN: Account = ("caller", "ann")
BOB: Account = ("caller", "bob")


def amount(tokens: int, nanodollars: int | None = 0) -> Amount:
    return Amount(tokens=tokens, nanodollars=nanodollars)


def reason(verdict: Verdict) -> tuple[str, str]:
    if isinstance(verdict, Refuse | Wait):
        return type(verdict).__name__, verdict.failure.reason
    return "Pass", ""


def test_without_caps_nothing_is_asked_or_kept() -> None:
    spending = Spending({})
    assert spending.ask((ALL, FAST, ANN), amount(10**9, None)) == PASS
    spending.settle(spending.reserve((ALL,), amount(5)), amount(5))
    assert spending.balances == {}


def test_a_request_that_fits_no_more_is_refused_and_says_what_there_is() -> None:
    spending = Spending({ANN: Cap(tokens=100)})
    spending.settle(spending.reserve((ALL, ANN), amount(90)), amount(90))
    assert spending.ask((ALL, ANN), amount(10)) == PASS
    verdict = spending.ask((ALL, ANN), amount(11))
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.kind, verdict.failure.reason, verdict.failure.retryable) == (
        "quota",
        "caller_tokens_cap",
        False,
    )
    assert verdict.failure.message == (
        "The caller 'ann' may spend 100 tokens; 90 are spent, 0 are reserved, and this request may take 11."
    )
    assert spending.ask((ALL, BOB), amount(11)) == PASS


def test_what_runs_is_waited_for_since_it_may_take_less() -> None:
    spending = Spending({FAST: Cap(tokens=100)})
    first = spending.reserve((FAST,), amount(60))
    assert reason(spending.ask((FAST,), amount(50))) == ("Wait", "provider_tokens_cap")
    spending.settle(first, amount(40))
    assert spending.ask((FAST,), amount(50)) == PASS
    assert reason(spending.ask((FAST,), amount(61))) == ("Refuse", "provider_tokens_cap")


def test_money_has_a_cap_of_its_own() -> None:
    spending = Spending({ALL: Cap(nanodollars=NANODOLLARS)})
    spending.settle(spending.reserve((ALL,), amount(1, NANODOLLARS)), amount(1, NANODOLLARS // 2))
    assert spending.ask((ALL,), amount(10**9, NANODOLLARS // 2)) == PASS
    verdict = spending.ask((ALL,), amount(1, NANODOLLARS // 2 + 1))
    assert isinstance(verdict, Refuse)
    assert verdict.failure.message.startswith("This supervisor may spend 1 dollars; 0.5 are spent")


def test_an_unknown_price_is_refused_where_money_is_capped() -> None:
    spending = Spending({ANN: Cap(nanodollars=NANODOLLARS), BOB: Cap(tokens=100)})
    assert reason(spending.ask((ANN,), amount(1, None))) == ("Refuse", "unknown_price")
    assert spending.ask((BOB,), amount(1, None)) == PASS
    assert [spending.counts_money(accounts) for accounts in ((ALL, ANN), (ALL, BOB), (ALL,))] == [True, False, False]


def test_or_goes_through_and_is_counted_as_unpriced_never_as_free() -> None:
    spending = Spending({ANN: Cap(tokens=100, nanodollars=NANODOLLARS)}, on_unknown_price="notice")
    assert spending.ask((ANN,), amount(50, None)) == PASS
    assert reason(spending.ask((ANN,), amount(101, None))) == ("Refuse", "caller_tokens_cap")
    spending.settle(spending.reserve((ANN,), amount(50, None)), amount(40, None))
    assert spending.balances[ANN] == Balance(tokens=40, unpriced=1)


def test_settling_twice_counts_once() -> None:
    spending = Spending({ANN: Cap(tokens=100)})
    reservation = spending.reserve((ANN,), amount(50))
    spending.settle(reservation, amount(40))
    spending.settle(reservation, amount(40))
    assert spending.balances[ANN] == Balance(tokens=40)


def test_what_was_sent_is_charged_as_stated_else_as_expected() -> None:
    expected = amount(100, 1_000)
    assert used_by(expected, sent=False, tokens=None, nanodollars=None) == amount(0, 0)
    assert used_by(expected, sent=True, tokens=None, nanodollars=None) == expected
    assert used_by(expected, sent=True, tokens=30, nanodollars=300) == amount(30, 300)
    assert used_by(expected, sent=True, tokens=30, nanodollars=None) == amount(30, None)


def test_a_cap_can_be_raised_and_what_was_spent_stays() -> None:
    spending = Spending({ANN: Cap(tokens=100)})
    spending.settle(spending.reserve((ANN,), amount(100)), amount(100))
    assert reason(spending.ask((ANN,), amount(1)))[0] == "Refuse"
    spending.set_cap(ANN, Cap(tokens=200))
    assert spending.ask((ANN,), amount(100)) == PASS
    spending.set_cap(BOB, Cap(tokens=5))
    assert reason(spending.ask((BOB,), amount(6)))[0] == "Refuse"


@STEPS
def test_no_walk_overspends_or_loses_a_reservation(steps: int) -> None:
    rng = dice("spend")
    seen = dict.fromkeys(("Pass", "Wait", "Refuse"), 0)
    for _ in range(steps // 200):
        caps: dict[Account, Cap] = {
            ALL: Cap(tokens=rng.randint(5_000, 20_000), nanodollars=rng.randint(5_000, 20_000)),
            ANN: Cap(tokens=rng.randint(1_000, 9_000)),
            BOB: Cap(nanodollars=rng.randint(1_000, 9_000)),
        }
        spending = Spending(caps)
        running: list[Reservation] = []
        spent = {account: [0, 0] for account in caps}
        for _ in range(200):
            if rng.random() < 0.55:
                accounts: tuple[Account, ...] = (ALL, FAST, rng.choice((ANN, BOB)))
                expected = amount(rng.randint(1, 500), rng.randint(1, 500))
                verdict = spending.ask(accounts, expected)
                seen[reason(verdict)[0]] += 1
                fits = True
                for account in accounts:
                    cap = caps.get(account, Cap())
                    held = [r.amount for r in running if account in r.accounts] + [expected]
                    money = sum(each.nanodollars or 0 for each in held)
                    if cap.tokens is not None:
                        fits &= spent[account][0] + sum(each.tokens for each in held) <= cap.tokens
                    if cap.nanodollars is not None:
                        fits &= spent[account][1] + money <= cap.nanodollars
                assert (verdict == PASS) == fits
                if isinstance(verdict, Wait):
                    assert running
                if verdict == PASS:
                    running.append(spending.reserve(accounts, expected))
            elif running:
                reservation = running.pop(rng.randrange(len(running)))
                expected = reservation.amount
                stated = rng.random() < 0.5
                used = used_by(
                    expected,
                    sent=rng.random() < 0.9,
                    tokens=rng.randint(0, expected.tokens) if stated else None,
                    nanodollars=rng.randint(0, expected.nanodollars or 0) if stated else None,
                )
                for _ in range(rng.randint(1, 2)):
                    spending.settle(reservation, used)
                for account in reservation.accounts:
                    spent[account][0] += used.tokens
                    spent[account][1] += used.nanodollars or 0
            for account, cap in caps.items():
                balance = spending.balances[account]
                assert [balance.tokens, balance.nanodollars] == spent[account]
                assert balance.reserved_tokens == sum(r.amount.tokens for r in running if account in r.accounts)
                # Where nothing takes more than was expected, a cap is a cap.
                assert cap.tokens is None or balance.tokens + balance.reserved_tokens <= cap.tokens
                assert cap.nanodollars is None or balance.nanodollars + balance.reserved_nanodollars <= cap.nanodollars
        for reservation in running:
            spending.settle(reservation, amount(0))
        assert all(b.reserved_tokens == b.reserved_nanodollars == 0 for b in spending.balances.values())
    assert min(seen.values()) > 0, seen
