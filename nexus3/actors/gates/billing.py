"""Who is charged for an attempt, and how much: the spending caps of one supervisor at work.

The accounts and their arithmetic are pure (:mod:`nexus3.actors.gates.spend`), and so are prices
(:mod:`nexus3.actors.gates.prices`). Here they meet the slots: one :class:`Billing` for all of them, which outlives
every incarnation, and a :class:`Meter` for each. All of it is synchronous and needs no lock.
"""

import time
from collections.abc import Callable

import msgspec

from nexus3.actors.gates.ask import Ask
from nexus3.actors.gates.estimate import Estimate
from nexus3.actors.gates.prices import (
    NANODOLLARS,
    PriceList,
    Tokens,
    cost_of,
    nothing_listed,
    price_list,
    stated_cost,
)
from nexus3.actors.gates.spend import SUPERVISOR, Account, Amount, Cap, Reservation, Spending, used_by
from nexus3.actors.gates.verdict import Refuse, Verdict, Wait
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.settings import SpendCap, SpendSettings
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.messages import Usage

Wake = Callable[[], None]


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How one account with a cap stands. Dollars are ``None`` where it has no cap on money: then nobody counts them."""

    holder: str
    """``supervisor``, ``provider`` or ``caller``."""
    name: str
    """Of the provider or caller; empty for the supervisor, and for callers without a name."""
    tokens: int
    """Spent."""
    reserved_tokens: int
    """By attempts that run."""
    max_tokens: int | None
    dollars: float | None
    reserved_dollars: float | None
    max_dollars: float | None
    unpriced: int
    """Attempts whose price is not known: their cost is not in ``dollars``."""


class Billing:
    """The accounts of one supervisor, shared by its slots."""

    def __init__(
        self,
        settings: SpendSettings,
        log: Log,
        *,
        wall_clock: Callable[[], float] = time.time,
        listed: PriceList | None = None,
    ) -> None:
        """``listed`` takes the place of the installed price list, for tests."""
        self.wall_clock = wall_clock
        self._log = log
        self._listed = listed
        self._waiting = dict[Wake, None]()
        self._told = set[tuple[Account, str]]()
        caps: dict[Account, SpendCap] = {("caller", caller): cap for caller, cap in settings.caller_spend_caps.items()}
        if settings.spend_cap is not None:
            caps[SUPERVISOR] = settings.spend_cap
        self._concerns_all = bool(caps)
        self._spending = Spending({}, on_unknown_price=settings.on_unknown_price)
        for account, cap in caps.items():
            self._set_cap(account, cap)

    def meter(self, provider: ResolvedProvider) -> "Meter | None":
        """The meter of a provider with its present settings; ``None`` where no cap concerns its requests."""
        self._set_cap(("provider", provider.name), provider.spend_cap)
        return Meter(self, provider) if self._concerns_all or provider.spend_cap is not None else None

    def _set_cap(self, account: Account, cap: SpendCap | None) -> None:
        if cap is None:
            self._spending.set_cap(account, None)
            return
        nanodollars = None if cap.dollars is None else round(cap.dollars * NANODOLLARS)
        if nanodollars is not None and self._listed is None:
            self._listed = price_list()  # here, not in the midst of requests: to import it takes a while
        self._spending.set_cap(account, Cap(tokens=cap.tokens, nanodollars=nanodollars))
        self._told = {told for told in self._told if told[0] != account}

    def ask(self, actor: str, accounts: tuple[Account, ...], expected: Amount, wake: Wake) -> Verdict:
        """Whether an attempt may begin; ``wake`` is called once, as soon as the answer may be another one."""
        verdict = self._spending.ask(accounts, expected)
        if isinstance(verdict, Wait):
            self._waiting[wake] = None
        elif isinstance(verdict, Refuse) and (account := self._spending.refuser(accounts, expected)) is not None:
            self._tell(actor, account, verdict.failure.reason)
        return verdict

    def counts_money(self, accounts: tuple[Account, ...]) -> bool:
        """Whether any of them has a cap on money."""
        return self._spending.counts_money(accounts)

    def reserve(self, accounts: tuple[Account, ...], expected: Amount) -> Reservation:
        """An attempt begins that :meth:`ask` let pass."""
        return self._spending.reserve(accounts, expected)

    def settle(self, reservation: Reservation, used: Amount) -> None:
        """An attempt is over, whatever became of it. Wakes the slots that wait for what it had reserved."""
        self._spending.settle(reservation, used)
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()

    def price(self, ask: Ask, tokens: Tokens, provider: ResolvedProvider) -> int | None:
        """Nanodollars at the configured prices, else by the list; ``None`` where neither knows."""
        return cost_of(
            tokens,
            ask.prices,
            provider_type=provider.type.name,
            model=ask.model,
            wall_now=self.wall_clock(),
            listed=self._listed or nothing_listed,
        )

    def snapshot(self) -> tuple[AccountSnapshot, ...]:
        """All accounts that have a cap, in a fixed order."""
        return tuple(self._account(account) for account in sorted(self._spending.balances))

    def _account(self, account: Account) -> AccountSnapshot:
        balance = self._spending.balances[account]
        cap = self._spending.cap_of(account) or Cap()
        return AccountSnapshot(
            holder=account[0],
            name=account[1],
            tokens=balance.tokens,
            reserved_tokens=balance.reserved_tokens,
            max_tokens=cap.tokens,
            dollars=None if cap.nanodollars is None else balance.nanodollars / NANODOLLARS,
            reserved_dollars=None if cap.nanodollars is None else balance.reserved_nanodollars / NANODOLLARS,
            max_dollars=None if cap.nanodollars is None else cap.nanodollars / NANODOLLARS,
            unpriced=balance.unpriced,
        )

    def _tell(self, actor: str, account: Account, reason: str) -> None:
        if (account, reason) not in self._told:
            self._told.add((account, reason))
            self._log(
                catalog.SPEND_CAPPED, {"actor": actor, "holder": account[0], "account": account[1], "reason": reason}
            )


class Meter:
    """What the attempts at one provider are charged. Made anew with its settings."""

    def __init__(self, billing: Billing, provider: ResolvedProvider) -> None:
        self._billing = billing
        self._provider = provider

    def ask(self, ask: Ask, estimate: Estimate, wake: Wake) -> Verdict:
        """Whether all who are charged can afford it."""
        return self._billing.ask(self._provider.name, self._accounts(ask), self._expected(ask, estimate), wake)

    def reserve(self, ask: Ask, estimate: Estimate) -> "Bill":
        """An attempt begins that :meth:`ask` let pass. Settle the bill when it has ended, whatever became of it."""
        return Bill(self, ask, estimate, self._billing.reserve(self._accounts(ask), self._expected(ask, estimate)))

    def settle(self, reservation: Reservation, used: Amount) -> None:
        """For :meth:`Bill.settle`."""
        self._billing.settle(reservation, used)

    def counts_money(self, ask: Ask) -> bool:
        """Whether the request is under any cap on money."""
        return self._billing.counts_money(self._accounts(ask))

    def cost(self, ask: Ask, tokens: Tokens) -> int | None:
        """In nanodollars; ``None`` where the price is not known."""
        return self._billing.price(ask, tokens, self._provider)

    def _accounts(self, ask: Ask) -> tuple[Account, ...]:
        return (SUPERVISOR, ("provider", self._provider.name), ("caller", ask.caller or ""))

    def _expected(self, ask: Ask, estimate: Estimate) -> Amount:
        tokens = Tokens(input=estimate.input_tokens, output=estimate.most_output_tokens)
        cost = self.cost(ask, tokens) if self.counts_money(ask) else 0
        return Amount(tokens=tokens.input + tokens.output, nanodollars=cost)


class Bill:
    """Of one attempt. It is open, and what was expected reserved, until it is settled."""

    __slots__ = ("_ask", "_estimate", "_meter", "_reservation")

    def __init__(self, meter: Meter, ask: Ask, estimate: Estimate, reservation: Reservation) -> None:
        self._meter = meter
        self._ask = ask
        self._estimate = estimate
        self._reservation = reservation

    @property
    def lacks_price(self) -> bool:
        """The request is under a cap on money, and goes through though its price is not known."""
        return self._reservation.amount.nanodollars is None

    def settle(self, usage: Usage | None, *, served: bool, whole: bool) -> None:
        """The attempt is over; the first call counts. What was not ``served`` (never sent, or answered by an error)
        and has no usage costs nothing. Of an answer that is not ``whole`` the output counts as expected, or as stated
        where that is more: what the provider had made when it was cut off is not known, and billed."""
        expected = self._reservation.amount
        used = used_by(expected, sent=served, tokens=None, nanodollars=None)
        if usage is not None:
            tokens = self._tokens(usage, whole=whole)
            used = Amount(tokens=tokens.input + tokens.output, nanodollars=self._cost(usage, tokens, whole=whole))
        self._meter.settle(self._reservation, used)

    def _tokens(self, usage: Usage, *, whole: bool) -> Tokens:
        expected = self._estimate.most_output_tokens
        output = expected if usage.output_tokens is None else usage.output_tokens
        return Tokens(
            input=self._estimate.input_tokens if usage.input_tokens is None else usage.input_tokens,
            output=output if whole else max(output, expected),
            cache_read=usage.cache_read_tokens or 0,
            cache_write=usage.cache_write_tokens or 0,
        )

    def _cost(self, usage: Usage, tokens: Tokens, *, whole: bool) -> int | None:
        if not self._meter.counts_money(self._ask):
            return 0
        stated = stated_cost(usage) if whole else None
        return self._meter.cost(self._ask, tokens) if stated is None else stated
