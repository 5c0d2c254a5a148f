"""What holds where nothing is set, and that what is set can be read."""

import pytest

from nexus3.actors.limits import Limits
from nexus3.actors.settings import ModelConfig, Prices, ProviderConfig
from nexus3.config.schema import Config, SupervisorSettings
from nexus3.provider.defaults import PROVIDER_DEFAULTS
from nexus3.wire.limits import DecodeLimits
from nexus3.wire.requests import Reasoning

KIB, MIB = 1 << 10, 1 << 20


def test_every_limit_has_a_default() -> None:
    decode = {name: getattr(DecodeLimits(), name) for name in DecodeLimits.__struct_fields__}
    assert Limits().model_dump() == decode | {
        "connect_timeout": 5.0,
        "write_timeout": 10.0,
        "header_timeout": 120.0,
        "first_event_timeout": 120.0,
        "reasoning_first_event_timeout": 300.0,
        "idle_timeout": 60.0,
        "progress_timeout": 120.0,
        "stall_timeout": 60.0,
        "error_body_timeout": 2.0,
        "drain_timeout": 0.05,
        "close_timeout": 2.0,
        "keepalive_expiry": 20.0,
        "max_connections": 32,
        "max_keepalive_connections": 32,
        "max_connection_age": 300.0,
        "max_connection_requests": 1000,
        "max_retry_delay": 8.0,
        "max_throttle_delay": 30.0,
        "max_retry_after": 60.0,
        "mailbox_capacity": 256,
        "mailbox_per_caller": 10_000,
        "on_full": "reject",
        "promote_after": 30.0,
        "caller_weights": {},
        "reply_buffer": 64,
        "max_request_bytes": 32 * MIB,
        "max_stream_bytes": 64 * MIB,
        "max_body_bytes": 16 * MIB,
        "max_error_body_bytes": 64 * KIB,
        "max_drain_bytes": 64 * KIB,
        "max_header_bytes": 64 * KIB,
        "max_header_count": 128,
        "max_informational_responses": 8,
    }


@pytest.mark.parametrize("name", Limits.model_fields)
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "5", None])
def test_no_limit_can_be_switched_off(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        Limits.model_validate({name: value})


def test_the_supervisor_tries_five_times_in_half_a_minute_then_parks() -> None:
    assert Config().supervisor == SupervisorSettings()
    assert SupervisorSettings().model_dump() == {
        "strategy": "one_for_one",
        "max_restarts": 5,
        "restart_window": 30.0,
        "max_total_restarts": None,
        "total_restart_window": 30.0,
        "on_exhausted": "park",
        "park_for": 30.0,
        "backoff_min": 0.1,
        "backoff_max": 5.0,
        "backoff_factor": 2.0,
        "reset_after": 60.0,
        "start_timeout": 10.0,
        "restart_grace": 5.0,
        "cancel_grace": 2.0,
        "shutdown_timeout": 30.0,
        "auto_shutdown": "never",
        "spend_cap": None,
        "caller_spend_caps": {},
        "on_unknown_price": "refuse",
    }
    given = {
        "strategy": "rest_for_one",
        "max_restarts": 0,
        "restart_window": 1.5,
        "max_total_restarts": 7,
        "total_restart_window": 6.5,
        "on_exhausted": "escalate",
        "park_for": 2.5,
        "backoff_min": 3.5,
        "backoff_max": 4.5,
        "backoff_factor": 1.0,
        "reset_after": 5.5,
        "start_timeout": 7.5,
        "restart_grace": 8.5,
        "cancel_grace": 9.5,
        "shutdown_timeout": 10.5,
        "auto_shutdown": "all_significant",
        "spend_cap": {"tokens": 1000, "dollars": 2.5},
        "caller_spend_caps": {"planner": {"tokens": 10, "dollars": None}},
        "on_unknown_price": "notice",
    }
    assert Config.model_validate({"supervisor": given}).supervisor.model_dump() == given


def test_a_model_keeps_everything_that_is_said_of_it() -> None:
    given = {
        "provider": "p",
        "model_id": "m",
        "fallbacks": ["p:n"],
        "reasoning": {"budget_tokens": 2048},
        "max_tokens": 1000,
        "stream": "never",
        "requests_per_minute": 10,
        "tokens_per_minute": 20,
        "prices": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75},
        "context_window": 200_000,
        "guidance": "For long texts.\nNot for code.",
    }
    model = Config.model_validate({"providers": {"p": {}}, "models": {"a": given}}).models["a"]
    assert set(given) == set(ModelConfig.model_fields) - {"targets"}
    assert model == ModelConfig(
        provider="p",
        model_id="m",
        fallbacks=("p:n",),
        reasoning=Reasoning(budget_tokens=2048),
        max_tokens=1000,
        stream="never",
        requests_per_minute=10.0,
        tokens_per_minute=20.0,
        prices=Prices(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75),
        context_window=200_000,
        guidance="For long texts.\nNot for code.",
    )


@pytest.mark.parametrize(
    ("given", "means"),
    [
        (True, Reasoning(effort="high")),
        (False, None),
        (None, None),
        ("low", Reasoning(effort="low")),
        ("none", Reasoning(effort="none")),
        ({"effort": "max", "visible": True}, Reasoning(effort="max", visible=True)),
    ],
)
def test_reasoning_is_a_switch_a_word_or_an_object(given: object, means: Reasoning | None) -> None:
    model = ModelConfig.model_validate({"provider": "p", "model_id": "m", "reasoning": given})
    assert model.reasoning == means


def test_the_text_of_a_provider_is_what_was_set() -> None:
    provider = ProviderConfig(type="vllm", max_retries=1, extra_headers={"x-team": "secret-ish"})
    assert repr(provider) == "ProviderConfig(type='vllm', max_retries=1)"


def test_the_originals_table_of_defaults_is_a_view_of_the_catalogue() -> None:
    assert PROVIDER_DEFAULTS == {
        "openrouter": {
            "base_url": "https://openrouter.ai/api/v1",
            "api_key_env": "OPENROUTER_API_KEY",
            "auth_method": "bearer",
        },
        "openai": {
            "base_url": "https://api.openai.com/v1",
            "api_key_env": "OPENAI_API_KEY",
            "auth_method": "bearer",
        },
        "ollama": {
            "base_url": "http://localhost:11434/v1",
            "api_key_env": "OLLAMA_API_KEY",
            "auth_method": "bearer",
        },
        "vllm": {"base_url": "http://localhost:8000/v1", "api_key_env": "VLLM_API_KEY", "auth_method": "bearer"},
        "azure": {"api_key_env": "AZURE_OPENAI_API_KEY", "auth_method": "api-key", "api_version": "v1"},
        "anthropic": {
            "base_url": "https://api.anthropic.com",
            "api_key_env": "ANTHROPIC_API_KEY",
            "auth_method": "x-api-key",
        },
    }
