"""What a model string means."""

import pytest

from nexus3.actors.settings import ModelTarget
from nexus3.config.models import ResolvedModel, resolve_model, unknown_model
from nexus3.config.schema import Config

CONFIG = Config.model_validate(
    {
        "providers": {"openrouter": {}, "ollama": {"type": "ollama"}, "mine": {"type": "vllm"}},
        "models": {
            "fast": {"provider": "ollama", "model_id": "llama3.2:3b"},
            "ollama:odd": {"provider": "mine", "model_id": "odd"},
            "ollama/slashed": {"provider": "mine", "model_id": "slashed"},
            "spread": {
                "targets": [
                    {"provider": "mine", "model_id": "llama", "weight": 3},
                    {"provider": "openrouter", "model_id": "meta/llama"},
                ]
            },
        },
    }
)


@pytest.mark.parametrize(
    ("text", "provider", "model_id", "alias"),
    [
        ("fast", "ollama", "llama3.2:3b", "fast"),
        ("spread", "mine", "llama", "spread"),
        # An exact alias wins over everything that its text could mean.
        ("ollama:odd", "mine", "odd", "ollama:odd"),
        ("ollama/slashed", "mine", "slashed", "ollama/slashed"),
        ("ollama:llama3.2:3b", "ollama", "llama3.2:3b", None),
        ("ollama/llama3.2:3b", "ollama", "llama3.2:3b", None),
        ("openrouter:meta/llama-3:free", "openrouter", "meta/llama-3:free", None),
        ("openrouter/meta/llama-3:free", "openrouter", "meta/llama-3:free", None),
        # The long form of an alias; behind a colon stands an id, always.
        ("ollama/fast", "ollama", "llama3.2:3b", "fast"),
        ("ollama:fast", "ollama", "fast", None),
        ("mine/fast", "mine", "fast", None),
    ],
)
def test_a_model_string_names_a_provider_and_a_model(
    text: str, provider: str, model_id: str, alias: str | None
) -> None:
    settings = CONFIG.models[alias] if alias else None
    assert resolve_model(text, CONFIG) == ResolvedModel(provider, model_id, settings)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("fsat", "; did you mean 'fast'?"),
        ("olama:llama3", "; did you mean 'ollama:llama3'?"),
        ("openruter/meta/llama", "; did you mean 'openrouter/meta/llama'?"),
        ("gpt-4o", "; the aliases are fast, ollama/slashed, ollama:odd, spread"),
        ("openrouter", "; the aliases are fast, ollama/slashed, ollama:odd, spread"),
        ("openrouter:", "; the aliases are fast, ollama/slashed, ollama:odd, spread"),
        ("", "; the aliases are fast, ollama/slashed, ollama:odd, spread"),
    ],
)
def test_an_unknown_one_is_none_and_the_nearest_is_known(text: str, hint: str) -> None:
    assert resolve_model(text, CONFIG) is None
    assert unknown_model(text, CONFIG) == f"not an alias, nor provider:model with a configured provider{hint}"


def test_a_model_knows_all_places_where_it_is_served() -> None:
    assert CONFIG.models["spread"].places == (
        ModelTarget(provider="mine", model_id="llama", weight=3.0),
        ModelTarget(provider="openrouter", model_id="meta/llama"),
    )
    assert CONFIG.models["fast"].places == (ModelTarget(provider="ollama", model_id="llama3.2:3b"),)
