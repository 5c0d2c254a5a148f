"""What tokens cost: the configured prices, else the price list of ``genai-prices`` where that is installed (the extra
``cost``). What is not known is ``None``, never zero.

Money is counted in whole nanodollars, so that sums are exact: a dollar per million tokens is a thousand of them each.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import import_module

import msgspec

from nexus3.actors.settings import Prices
from nexus3.wire.messages import Usage

NANODOLLARS = 1_000_000_000
"""To the dollar."""
_PER_TOKEN = 1_000
"""Nanodollars per token, at a dollar per million."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What is charged for. Cache reads and writes are parts of the input."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


PriceList = Callable[[str, str, Tokens, float], int | None]
"""Provider type, model id, tokens, seconds since the epoch -> nanodollars; ``None`` where it does not know."""


def nothing_listed(_type: str, _model: str, _tokens: Tokens, _now: float, /) -> int | None:
    """The price list of those who have none."""
    return None


def tokens_of(usage: Usage) -> Tokens | None:
    """``None`` where the provider did not state both input and output."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return Tokens(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_read=usage.cache_read_tokens or 0,
        cache_write=usage.cache_write_tokens or 0,
    )


def cost_of(
    tokens: Tokens, configured: Prices | None, *, provider_type: str, model: str, wall_now: float, listed: PriceList
) -> int | None:
    """Nanodollars, as far as the price of every token is known; else ``None``.

    Configured prices replace the list's altogether: a half of one and a half of the other would be nobody's price.
    """
    if configured is not None and configured != Prices():
        return _by_configuration(tokens, configured)
    return listed(provider_type, model, tokens, wall_now)


def _by_configuration(tokens: Tokens, prices: Prices) -> int | None:
    fresh = max(0, tokens.input - tokens.cache_read - tokens.cache_write)
    cost = 0.0
    for count, price in (
        (fresh, prices.input),
        (tokens.output, prices.output),
        (tokens.cache_read, prices.cache_read),
        (tokens.cache_write, prices.cache_write),
    ):
        if count and price is None:
            return None
        cost += count * (price or 0.0) * _PER_TOKEN
    return round(cost)


def stated_cost(usage: Usage) -> int | None:
    """Where the provider itself says what it charged: that counts before any price list."""
    return None if usage.cost is None else round(usage.cost * NANODOLLARS)


@cache
def price_list() -> PriceList:
    """``genai-prices``, imported at the first call (a tenth of a second); without it, a list that knows nothing.

    The list is the one that came with the installed version: nothing is fetched.
    """
    try:
        genai_prices = import_module("genai_prices")
    except ImportError:
        return nothing_listed

    def listed(provider_type: str, model: str, tokens: Tokens, wall_now: float) -> int | None:
        usage = genai_prices.Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
        )
        at = datetime.fromtimestamp(wall_now, UTC)
        try:
            found = genai_prices.calc_price(
                usage, model_ref=model, provider_id=provider_type, genai_request_timestamp=at
            )
        except (LookupError, ValueError):
            return None  # not in the list, or the usage contradicts itself
        prices = found.model_price
        if (tokens.input and prices.input_mtok is None) or (tokens.output and prices.output_mtok is None):
            return None
        cost: int = round(found.total_price * NANODOLLARS)
        return cost

    return listed
