"""Several places behind one alias: by weight, and by who is able."""

from collections import Counter
from random import Random

import pytest

from nexus3.actors.route import choose
from nexus3.actors.settings import ModelTarget
from nexus3.loopback import open_loopback
from nexus3.runtime import open_supervisor
from tests.actors.house import HELLO, ask

PLACES = (
    ModelTarget(provider="a", model_id="x", weight=3.0),
    ModelTarget(provider="b", model_id="y", weight=1.0),
    ModelTarget(provider="c", model_id="z", weight=1.0),
)


def shares(able: str, draws: int = 20_000) -> dict[str, float]:
    rng = Random(1)
    counted = Counter(choose(PLACES, lambda name: name in able, rng).provider for _ in range(draws))
    return {name: count / draws for name, count in counted.items()}


def test_places_are_chosen_by_weight() -> None:
    assert shares("abc") == {
        "a": pytest.approx(0.6, abs=0.02),
        "b": pytest.approx(0.2, abs=0.02),
        "c": pytest.approx(0.2, abs=0.02),
    }


def test_a_place_that_is_not_able_is_passed_over() -> None:
    assert shares("bc") == pytest.approx({"b": 0.5, "c": 0.5}, abs=0.02)


def test_where_none_is_able_the_choice_still_stands() -> None:
    assert set(shares("")) == {"a", "b", "c"}


async def test_an_alias_with_targets_goes_where_its_providers_are_able() -> None:
    async with open_loopback(script=lambda _: HELLO) as server:
        config = dict(server.config)
        config["models"] = {
            "spread": {
                "targets": [
                    {"provider": "openai", "model_id": "m", "weight": 1.0},
                    {"provider": "anthropic", "model_id": "n", "weight": 1.0},
                ]
            }
        }
        config["default_model"] = "spread"
        async with open_supervisor(config) as sup:
            seen = {(await sup.complete(ask())).provider for _ in range(30)}
            assert seen == {"openai", "anthropic"}
            sup.pause("openai")
            assert {(await sup.complete(ask())).provider for _ in range(10)} == {"anthropic"}
