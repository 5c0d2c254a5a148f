"""Caps on what is spent, in tokens and in money: for a whole supervisor, one provider, one caller. Pure.

Before an attempt, its expected cost is *reserved* on every account it is charged to; after it, whatever became of it,
the reservation is *settled* for what was really used. So a cap holds however many requests run side by side, up to the
error of the last estimates. What a cancelled or broken request used is not known in full: what the provider had stated
by then counts, and for the rest the reservation does, for the provider bills it.

Where an account has a cap on money and a price is not known, that is said, as the settings choose: the request is
refused, or goes through with a notice. It is never taken for free: it counts in tokens, and as one that has no price.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from nexus3.actors.gates.prices import NANODOLLARS
from nexus3.actors.gates.verdict import PASS, Refuse, Verdict, Wait, combined
from nexus3.wire.events import UNKNOWN_PRICE
from nexus3.wire.failures import fail

Holder = Literal["supervisor", "provider", "caller"]
Account = tuple[Holder, str]
"""Whose cap it is: what holds it, and the name; a supervisor's has none."""
OnUnknownPrice = Literal["refuse", "notice"]

SUPERVISOR: Account = ("supervisor", "")
EVERY_CALLER: Account = ("caller", "*")
"""Its cap is that of each caller who has none of his own; nothing is ever charged to it."""


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """The most that may be spent; ``None`` is no cap."""

    tokens: int | None = None
    nanodollars: int | None = None


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, and what they cost; ``None`` where the price is not known."""

    tokens: int
    nanodollars: int | None


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt may use. Hand it back to :meth:`Spending.settle`, also after a cancel or a crash."""

    number: int
    accounts: tuple[Account, ...]
    amount: Amount


class Balance(msgspec.Struct, kw_only=True):
    """How one account stands. What is reserved is not spent yet."""

    tokens: int = 0
    """Spent."""
    nanodollars: int = 0
    reserved_tokens: int = 0
    reserved_nanodollars: int = 0
    unpriced: int = 0
    """Attempts whose price is not known: the money spent is at least what is said, and more by these."""


class Spending:
    """The accounts of one supervisor. Outlives incarnations. Only accounts that have a cap are kept; where every caller
    has one, that is an account for each name that was ever charged."""

    def __init__(self, caps: Mapping[Account, Cap], *, on_unknown_price: OnUnknownPrice = "refuse") -> None:
        self.on_unknown_price: OnUnknownPrice = on_unknown_price
        self.balances: dict[Account, Balance] = {}
        self._caps = dict[Account, Cap]()
        for account, cap in caps.items():
            self.set_cap(account, cap)
        self._numbers = 0
        self._open: dict[int, Reservation] = {}

    def counts_money(self, accounts: tuple[Account, ...]) -> bool:
        """Whether any of them has a cap on money, so that a price must be looked up."""
        return any(cap.nanodollars is not None for _, cap in self._capped(accounts))

    def cap_of(self, account: Account) -> Cap | None:
        """Its own, or for a caller that of every caller; ``None`` is none."""
        cap = self._caps.get(account)
        return self._caps.get(EVERY_CALLER) if cap is None and account[0] == "caller" else cap

    def ask(self, accounts: tuple[Account, ...], expected: Amount) -> Verdict:
        """Whether an attempt may begin that is charged to all of ``accounts``; changes nothing.

        It waits where only the reservations of running attempts stand in its way: they may turn out to need less.
        """
        return combined([self._ask(account, cap, expected) for account, cap in self._capped(accounts)])

    def refuser(self, accounts: tuple[Account, ...], expected: Amount) -> Account | None:
        """The account by whose cap :meth:`ask` refuses."""
        refusing = (
            account for account, cap in self._capped(accounts) if isinstance(self._ask(account, cap, expected), Refuse)
        )
        return next(refusing, None)

    def reserve(self, accounts: tuple[Account, ...], expected: Amount) -> Reservation:
        """An attempt begins that :meth:`ask` let pass."""
        self._numbers += 1
        kept = tuple(account for account, _ in self._capped(accounts))
        reservation = Reservation(number=self._numbers, accounts=kept, amount=expected)
        self._open[reservation.number] = reservation
        for account in kept:
            balance = self.balances.setdefault(account, Balance())
            balance.reserved_tokens += expected.tokens
            balance.reserved_nanodollars += expected.nanodollars or 0
        return reservation

    def settle(self, reservation: Reservation, used: Amount) -> None:
        """The attempt is over and took ``used``: nothing where it was never sent; see :func:`used_by`. Settling twice
        does nothing."""
        if self._open.pop(reservation.number, None) is None:
            return
        expected = reservation.amount
        for account in reservation.accounts:
            balance = self.balances[account]
            balance.reserved_tokens -= expected.tokens
            balance.reserved_nanodollars -= expected.nanodollars or 0
            balance.tokens += used.tokens
            if used.nanodollars is None:
                balance.unpriced += 1
            else:
                balance.nanodollars += used.nanodollars

    def set_cap(self, account: Account, cap: Cap | None) -> None:
        """Give an account another cap, its first one, or none any more; what was spent stays."""
        if cap is None:
            self._caps.pop(account, None)
            return
        self._caps[account] = cap
        if account != EVERY_CALLER:
            self.balances.setdefault(account, Balance())

    def _capped(self, accounts: tuple[Account, ...]) -> Iterator[tuple[Account, Cap]]:
        for account in accounts:
            cap = self.cap_of(account)
            if cap is not None:
                yield account, cap

    def _ask(self, account: Account, cap: Cap, expected: Amount) -> Verdict:
        balance = self.balances.get(account, _UNTOUCHED)
        verdict = _fits(account, "tokens", cap.tokens, balance.tokens, balance.reserved_tokens, expected.tokens)
        if cap.nanodollars is None or isinstance(verdict, Refuse):
            return verdict
        if expected.nanodollars is None:
            if self.on_unknown_price == "notice":
                return verdict
            problem = f"{_whose(account)} has a cap on money, and the price of this model is not known; configure it."
            return Refuse(fail("quota", UNKNOWN_PRICE, problem))
        money = _fits(
            account,
            "dollars",
            cap.nanodollars,
            balance.nanodollars,
            balance.reserved_nanodollars,
            expected.nanodollars,
        )
        return combined((verdict, money))


_UNTOUCHED = Balance()


def used_by(expected: Amount, *, sent: bool, tokens: int | None, nanodollars: int | None) -> Amount:
    """What an attempt is charged. ``tokens`` and ``nanodollars`` are as the provider stated them, or as its statement
    was priced; ``None`` where it said nothing: then what was expected stands, if the attempt was ``sent`` at all."""
    if not sent:
        return Amount(tokens=0, nanodollars=0)
    if tokens is None:
        return Amount(tokens=expected.tokens, nanodollars=expected.nanodollars if nanodollars is None else nanodollars)
    return Amount(tokens=tokens, nanodollars=nanodollars)


def _fits(
    account: Account, unit: Literal["tokens", "dollars"], cap: int | None, spent: int, reserved: int, expected: int
) -> Verdict:
    if cap is None or spent + reserved + expected <= cap:
        return PASS
    scale = NANODOLLARS if unit == "dollars" else 1
    problem = (
        f"{_whose(account)} may spend {cap / scale:g} {unit}; {spent / scale:g} are spent, {reserved / scale:g} are "
        f"reserved, and this request may take {expected / scale:g}."
    )
    failure = fail("quota", f"{account[0]}_{unit}_cap", problem)
    if spent + expected > cap:
        return Refuse(failure)
    return Wait(None, failure, is_callers=account[0] == "caller")


def _whose(account: Account) -> str:
    holder, name = account
    if holder == "supervisor":
        return "This supervisor"
    return f"The {holder} {name!r}" if name else "A caller without a name"
