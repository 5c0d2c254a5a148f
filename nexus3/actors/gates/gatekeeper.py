"""The gates of one slot: what may be sent now, and what outcomes teach them. It owns the provider's retry state.

A thin shell around the pure machines of :mod:`nexus3.actors.gates`: one set for the provider, one for each of its
models. Everything here is synchronous and belongs to the slot, so it outlives incarnations and needs no lock. The caps
on spending alone are shared with the other slots (:mod:`nexus3.actors.gates.billing`).
"""

from collections import Counter
from collections.abc import Mapping
from random import Random

import msgspec

from nexus3.actors.gates import breaker as breakers
from nexus3.actors.gates import cooldown as cooldowns
from nexus3.actors.gates.ask import Ask
from nexus3.actors.gates.billing import Bill, Billing, Wake
from nexus3.actors.gates.blame import judged
from nexus3.actors.gates.breaker import Breaker, Permit
from nexus3.actors.gates.budget import RetryBudget
from nexus3.actors.gates.cooldown import Cooldown
from nexus3.actors.gates.estimate import Estimate, Estimator
from nexus3.actors.gates.hedge import Hedging
from nexus3.actors.gates.prices import NANODOLLARS, tokens_of
from nexus3.actors.gates.rates import Learned, Rates
from nexus3.actors.gates.verdict import Pass, Verdict, combined
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.settings import ModelConfig, SpendSettings
from nexus3.observe import catalog
from nexus3.observe.log import Log
from nexus3.wire.failures import Failure
from nexus3.wire.messages import Usage
from nexus3.wire.retry_hints import rate_limits

MOST_MODELS = 256
"""Whose state is kept; beyond it, models go of which nothing would be missed. Callers may name any number of them."""

_NO_MATTER = Estimate(input_tokens=0, uncached_tokens=0, output_tokens=0, most_output_tokens=0)


class _Model:
    """What is known of one model at this provider."""

    __slots__ = ("cooldown", "estimator", "hedging", "rates", "running", "settings")

    def __init__(self, now: float, settings: ModelConfig | None) -> None:
        self.cooldown = Cooldown()
        self.hedging = Hedging()
        self.running = 0
        self.settings = settings
        self.forget(now)

    def forget(self, now: float) -> None:
        """What was learned; the settings' limits hold on."""
        settings = self.settings
        self.rates = Rates(
            now,
            requests_per_minute=settings.requests_per_minute if settings else None,
            tokens_per_minute=settings.tokens_per_minute if settings else None,
        )
        self.estimator = Estimator()


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt has taken from the gates: to be given back to :meth:`Gatekeeper.ended`, once."""

    model: str
    permit: Permit
    stretch: int
    ask: Ask
    began: float
    estimate: Estimate | None
    """What it took of the rates; ``None`` where neither they nor spending are limited."""
    bill: Bill | None
    """What it has reserved; ``None`` where no cap concerns it."""


class Gatekeeper:
    """Asked before every attempt, told after it."""

    def __init__(
        self,
        provider: ResolvedProvider,
        now: float,
        rng: Random,
        log: Log,
        counters: Counter[str],
        billing: Billing | None = None,
        wake: Wake = lambda: None,
    ) -> None:
        """Without ``billing`` only the provider's own cap holds. ``wake`` is called when what waits for others to be
        billed may ask again."""
        self._name = provider.name
        self._billing = billing or Billing(SpendSettings(), log)
        self._wake = wake
        self._rng = rng
        self._log = log
        self._counters = counters
        self._models: dict[str, _Model] = {}
        self._open_anew(provider, now)

    def _open_anew(self, provider: ResolvedProvider, now: float) -> None:
        self._provider = provider
        self._meter = self._billing.meter(provider)
        self.breaker = Breaker(provider.breaker)
        self._budget = RetryBudget(now)
        self._rates = Rates(
            now, requests_per_minute=provider.requests_per_minute, tokens_per_minute=provider.tokens_per_minute
        )

    def reconfigure(self, provider: ResolvedProvider, now: float) -> None:
        """New settings of the provider: its breaker, budget and own limits begin anew; what is known of its models
        stays."""
        self._open_anew(provider, now)

    def forget(self, provider: ResolvedProvider, now: float) -> None:
        """The actor crashes again and again: state that outlives a crash may be its cause. Cooldowns stay."""
        self._open_anew(provider, now)
        for model in self._models.values():
            model.forget(now)

    # -- before an attempt

    def ask(self, ask: Ask, now: float) -> Verdict:
        """Whether an attempt may begin; takes nothing."""
        state = self._model(ask, now)
        verdicts = [self.breaker.ask(now), state.cooldown.ask(now)]
        if self._is_metered(state):
            estimate = self._estimate(state, ask)
            if self._meter is not None:
                verdicts.insert(1, self._meter.ask(ask, estimate, self._wake))
            verdicts += [rates.ask(estimate, now) for rates in (self._rates, state.rates) if rates.is_limited]
        return combined(verdicts)

    def begin(self, ask: Ask, now: float, *, is_first: bool) -> Stake:
        """An attempt begins that :meth:`ask` let pass in this very step. ``is_first`` of its request."""
        state = self._model(ask, now)
        if is_first:
            self._budget.deposit(now)
            if self._provider.hedge:
                state.hedging.request_began()
        state.running += 1
        permit, change = self.breaker.begin(now)
        if change is not None:
            self._tell_breaker(change)
        estimate = None
        bill = None
        if self._is_metered(state):
            estimate = self._estimate(state, ask)
            self._rates.begin(estimate, now)
            state.rates.begin(estimate, now)
            bill = None if self._meter is None else self._meter.reserve(ask, estimate)
        return Stake(
            model=ask.model,
            permit=permit,
            stretch=state.cooldown.begin(),
            ask=ask,
            began=now,
            estimate=estimate,
            bill=bill,
        )

    def _is_metered(self, state: _Model) -> bool:
        return self._meter is not None or self._rates.is_limited or state.rates.is_limited

    def _estimate(self, state: _Model, ask: Ask) -> Estimate:
        if self._meter is not None or self._rates.counts_tokens or state.rates.counts_tokens:
            return state.estimator.estimate(ask.size, ask.max_tokens)
        return _NO_MATTER

    # -- beside it

    def hedge_delay(self, ask: Ask, *, queued: int, now: float) -> float | None:
        """Seconds after which an attempt that begins now is sent a second time, if nothing has come by then; ``None``
        where it is not. ``queued`` requests wait for a place."""
        if not self._provider.hedge:
            return None
        hedging = self._model(ask, now).hedging
        return hedging.delay(breaker=self.breaker.state, budget=self.budget(now), queued=queued)

    def begin_hedge(self, ask: Ask, *, queued: int, now: float) -> Stake | None:
        """The delay is over: a second attempt begins, if all gates still let it; takes its price."""
        if not isinstance(self.ask(ask, now), Pass):
            return None
        hedging = self._model(ask, now).hedging
        if not hedging.spend(breaker=self.breaker.state, budget=self.budget(now), queued=queued):
            return None
        self._budget.spend("hedge", now)  # there is more than its price left, or it would not be spent
        self._counters["hedges"] += 1
        return self.begin(ask, now, is_first=False)

    # -- during and after it

    def answered(self, stake: Stake, now: float) -> None:
        """The first content came."""
        if self._provider.hedge and (state := self._models.get(stake.model)) is not None:
            state.hedging.observe(now - stake.began)
        change = self.breaker.answered(stake.permit, now)
        if change is not None:
            self._tell_breaker(change)

    def learn(self, stake: Stake, headers: Mapping[str, str], *, wall_now: float, now: float) -> None:
        """A response's head, whatever its status: providers state their limits there."""
        stated = rate_limits(headers, wall_now=wall_now)
        state = self._models.get(stake.model)
        if not stated or state is None:
            return
        for news in state.rates.learn(stated, now):
            self._tell_learned(stake.model, news)

    def ended(
        self,
        stake: Stake,
        failure: Failure | None,
        usage: Usage | None,
        *,
        sent: bool,
        time_given: float,
        now: float,
        lag: float = 0.0,
    ) -> bool:
        """The attempt is over: ``None`` is an answer that came whole. True where the model begins to cool down.

        ``usage`` is what the provider stated, also of an answer that broke off. ``time_given`` is the request's whole
        time, ``lag`` how long this process itself stood still; both in seconds.
        """
        change = self.breaker.ended(stake.permit, judged(failure, time_given=time_given, lag=lag), now, self._rng)
        if change is not None:
            self._tell_breaker(change)
        was_served = sent and not (failure is not None and failure.status is not None and failure.status >= 400)
        if stake.bill is not None:
            stake.bill.settle(usage, served=was_served, whole=failure is None)
        if failure is not None:
            usage = None  # what it states of a part teaches the rates nothing
        state = self._models.get(stake.model)
        if state is None:
            return False
        state.running -= 1
        if stake.estimate is not None:
            for rates in (self._rates, state.rates):
                rates.ended(stake.estimate, usage, sent=was_served, now=now)
            if usage is not None and stake.estimate is not _NO_MATTER:
                state.estimator.learn(stake.ask.size, usage)
        cooling = state.cooldown.ended(stake.stretch, failure, now)
        if cooling is not None:
            self._tell_cooldown(stake.model, cooling)
        return cooling is not None and cooling.what == "cooling"

    def pays_retry(self, *, is_timeout: bool, now: float) -> bool:
        """Whether the provider's requests together can afford one more retry; takes its price."""
        outcome = self._budget.spend("timeout_retry" if is_timeout else "retry", now)
        if outcome == "exhausted":
            self._log(catalog.BUDGET_EXHAUSTED, {"actor": self._name})
        if outcome != "granted":
            self._counters["budget.denied"] += 1
        return outcome == "granted"

    def replayed(self, now: float) -> None:
        """A request left a second time within its attempt: the connection that it was first sent on was dead. It costs
        as much as a retry, but is never denied: it takes no wait and no attempt."""
        self._budget.spend("stale_replay", now)

    def priced(self, ask: Ask, usage: Usage | None) -> Usage | None:
        """The usage of an answer with its cost, where the provider stated none and the price is known: by the model's
        settings, or, under a cap on money, by the price list."""
        if usage is None or usage.cost is not None:
            return usage
        if ask.prices is None and (self._meter is None or not self._meter.counts_money(ask)):
            return usage
        tokens = tokens_of(usage)
        cost = None if tokens is None else self._billing.price(ask, tokens, self._provider)
        return usage if cost is None else msgspec.structs.replace(usage, cost=cost / NANODOLLARS)

    # -- inspection

    def cooling_until(self) -> float:
        """When the last model's cooldown is over; in the past where none cools down."""
        return max((model.cooldown.until for model in self._models.values()), default=0.0)

    def budget(self, now: float) -> float:
        """Retries that could be paid now."""
        return self._budget.tokens(now)

    # -- inside

    def _model(self, ask: Ask, now: float) -> _Model:
        state = self._models.get(ask.model)
        if state is None:
            if len(self._models) >= MOST_MODELS:
                idle = [key for key, each in self._models.items() if not each.running and each.cooldown.is_idle(now)]
                for key in idle:
                    del self._models[key]
            state = self._models[ask.model] = _Model(now, ask.settings)
        elif state.settings is None and ask.settings is not None:
            # It was asked by its id before; its alias has something to say.
            state.settings = ask.settings
            state.forget(now)
        return state

    def _tell_breaker(self, change: breakers.Change) -> None:
        match change.after:
            case "open":
                self._counters["breaker.opened"] += 1
                opened = {"actor": self._name, "failures": change.failures, "seconds": change.seconds}
                self._log(catalog.BREAKER_OPENED, opened)
            case "half_open":
                self._log(catalog.BREAKER_HALF_OPEN, {"actor": self._name})
            case "closed":
                self._log(catalog.BREAKER_CLOSED, {"actor": self._name})

    def _tell_cooldown(self, model: str, change: cooldowns.Change) -> None:
        match change.what:
            case "cooling":
                self._counters["cooldowns"] += 1
                cooling = {"actor": self._name, "model": model, "seconds": change.seconds, "asked": change.asked}
                self._log(catalog.COOLDOWN_SET, cooling)
            case "over":
                self._log(catalog.COOLDOWN_OVER, {"actor": self._name, "model": model})

    def _tell_learned(self, model: str, news: Learned) -> None:
        learned = {"actor": self._name, "model": model, "dimension": news.dimension, "limit": news.limit}
        self._log(catalog.LIMIT_LEARNED, learned)
