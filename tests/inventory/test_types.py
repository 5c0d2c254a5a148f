"""Names, types and signatures of the original, and what takes the place of those that are not here."""

import importlib.util
import inspect
from typing import get_args

import pytest
from pydantic import ValidationError

from nexus3 import AsyncProvider, Config, Message, ProviderConfig, Role, ToolCall
from nexus3.core.types import ContentDelta, StreamEvent
from nexus3.wire.catalog import ProviderTypeName
from nexus3.wire.requests import CompletionRequest
from tests.wire.anthropic_messages.helpers import a_target, body_of, spelled

HELLO = [Message(role=Role.USER, content="hello")]


def test_roles_are_strings_of_the_original_s_values() -> None:
    assert {"system", "user", "assistant", "tool"} <= {str(role) for role in Role}
    assert Role("user") is Role.USER


def test_every_event_is_a_stream_event() -> None:
    assert isinstance(ContentDelta("x"), StreamEvent)
    assert not isinstance("x", StreamEvent)


def test_calls_and_messages_have_fields_in_place_of_a_dict_of_more() -> None:
    assert ToolCall(id="a", name="f", arguments={"b": 1}).raw_arguments == '{"b":1}'
    assert ToolCall(id="a", name="f", raw_arguments='{"b": ').arguments is None
    for given in ({"role": "user", "meta": {}}, {"role": "tool", "output": "x"}):
        with pytest.raises(ValidationError, match="Extra inputs"):
            Message.model_validate(given)


def test_messages_are_made_by_keywords() -> None:
    with pytest.raises(TypeError, match="positional"):
        Message(Role.USER, "hi")  # type: ignore[call-arg] # that is the point


def test_complete_and_stream_take_messages_and_tools() -> None:
    for method in (AsyncProvider.complete, AsyncProvider.stream):
        assert list(inspect.signature(method).parameters) == ["self", "messages", "tools"]


@pytest.mark.parametrize(
    "path",
    [
        "nexus3.core.cancel",
        "nexus3.core.errors",
        "nexus3.core.interfaces",
        "nexus3.core.redaction",
        "nexus3.core.url_validator",
        "nexus3.client",
        "nexus3.context",
        "nexus3.provider.tool_call_formats",
        "nexus3.provider.tool_schema",
        "nexus3.session",
    ],
)
def test_modules_of_the_application_are_not_here(path: str) -> None:
    parent, _, name = path.rpartition(".")
    assert importlib.util.find_spec(parent) is not None
    assert importlib.util.find_spec(f"{parent}.{name}") is None


@pytest.mark.parametrize(
    "name", ["resolve_model", "find_model", "get_provider_config", "list_models", "list_providers"]
)
def test_a_configuration_is_data(name: str) -> None:
    assert not hasattr(Config(), name)
    assert not hasattr(Config(), "get_model_guidance_table")


def test_what_the_original_fixed_is_a_field_of_the_request() -> None:
    request = CompletionRequest(
        messages=tuple(HELLO), max_tokens=17, temperature=0.5, stop=("x",), tool_choice=None, prompt_caching=False
    )
    sent = body_of(spelled(request, a_target("claude-3-5-haiku-latest")))
    assert {key: sent[key] for key in ("max_tokens", "temperature", "stop_sequences")} == {
        "max_tokens": 17,
        "temperature": 0.5,
        "stop_sequences": ["x"],
    }


def test_the_type_is_one_of_six() -> None:
    assert set(get_args(ProviderTypeName)) == {"openrouter", "openai", "azure", "anthropic", "ollama", "vllm"}
    for wrong in ("OpenAI", "gemini"):
        with pytest.raises(ValidationError, match="'openrouter', 'openai', 'ollama', 'vllm', 'azure' or 'anthropic'"):
            ProviderConfig.model_validate({"type": wrong})
