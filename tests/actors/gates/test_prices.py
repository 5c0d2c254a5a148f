"""What tokens cost, and that what is not known is not free."""

import pytest

from nexus3.actors.gates.prices import NANODOLLARS, Tokens, cost_of, price_list, stated_cost, tokens_of
from nexus3.actors.settings import Prices
from nexus3.wire.messages import Usage

ALL = Prices(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75)
WALL = 1_790_000_000.0


def configured(tokens: Tokens, prices: Prices | None) -> int | None:
    return cost_of(tokens, prices, provider_type="any", model="m", wall_now=WALL, listed=lambda *_: 7 * NANODOLLARS)


def test_configured_prices_are_by_the_million_tokens() -> None:
    million = Tokens(input=1_000_000, output=1_000_000)
    assert configured(million, ALL) == 18 * NANODOLLARS
    assert configured(Tokens(input=1, output=0), Prices(input=0.15)) == 150


def test_cached_tokens_are_part_of_the_input_and_have_prices_of_their_own() -> None:
    tokens = Tokens(input=1_000_000, output=0, cache_read=600_000, cache_write=200_000)
    assert configured(tokens, ALL) == round((0.2 * 3.0 + 0.6 * 0.3 + 0.2 * 3.75) * NANODOLLARS)


@pytest.mark.parametrize("missing", ["input", "output", "cache_read", "cache_write"])
def test_one_unknown_price_makes_the_cost_unknown(missing: str) -> None:
    tokens = Tokens(input=30, output=10, cache_read=10, cache_write=10)
    assert configured(tokens, ALL) is not None
    assert configured(tokens, ALL.model_copy(update={missing: None})) is None


def test_a_price_that_is_not_needed_may_be_unknown_and_free_is_a_price() -> None:
    assert configured(Tokens(input=10, output=0), Prices(input=0.0)) == 0


@pytest.mark.parametrize("prices", [None, Prices()])
def test_without_configured_prices_the_list_is_asked(prices: Prices | None) -> None:
    assert configured(Tokens(input=1, output=1), prices) == 7 * NANODOLLARS


def test_usage_that_is_not_whole_has_no_cost() -> None:
    assert tokens_of(Usage(input_tokens=1)) is None
    assert tokens_of(Usage(output_tokens=1)) is None
    assert tokens_of(Usage(input_tokens=3, output_tokens=2, cache_read_tokens=1)) == Tokens(
        input=3, output=2, cache_read=1
    )


def test_a_provider_s_own_word_on_the_cost() -> None:
    assert stated_cost(Usage(cost=0.0123)) == 12_300_000
    assert stated_cost(Usage()) is None


def test_the_list_knows_common_models_and_says_what_it_does_not_know() -> None:
    pytest.importorskip("genai_prices", reason="the extra `cost` is not installed")
    listed = price_list()
    tokens = Tokens(input=1_000_000, output=1_000_000)
    cost = listed("openai", "gpt-4o", tokens, WALL)
    assert cost is not None
    assert 1 * NANODOLLARS < cost < 100 * NANODOLLARS
    assert listed("openai", "gpt-4o", Tokens(input=2_000_000, output=2_000_000), WALL) == 2 * cost
    cached = listed("openai", "gpt-4o", Tokens(input=1_000_000, output=1_000_000, cache_read=900_000), WALL)
    assert cached is not None
    assert cached < cost
    assert listed("openai", "no-such-model", tokens, WALL) is None
    assert listed("ollama", "llama3", tokens, WALL) is None
    assert listed("openai", "gpt-4o", Tokens(input=1, output=1, cache_read=2), WALL) is None


def test_without_the_extra_the_list_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "genai_prices", None)
    price_list.cache_clear()
    try:
        assert price_list()("openai", "gpt-4o", Tokens(input=1, output=1), WALL) is None
    finally:
        price_list.cache_clear()
