"""The table of models: which row a name finds, and that it is open at its end."""

import pytest

from nexus3.wire.codecs.anthropic_messages.models import Traits, model_line, traits_of


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("Claude-Sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5:beta", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-opus-4@20250514", "claude-opus-4"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("DeepSeek-v4", "deepseek-v4"),
        ("zai/glm-5:20251001", "glm-5:20251001"),
    ],
)
def test_a_line_is_the_name_without_vendor_date_and_tag(model: str, line: str) -> None:
    assert model_line(model) == line


def row(model: str) -> dict[str, object]:
    traits = traits_of(model)
    default = Traits()
    fields = {name: getattr(traits, name) for name in traits.__struct_fields__}
    return {name: value for name, value in fields.items() if value != getattr(default, name)}


CURRENT = {
    "adaptive": True,
    "xhigh": True,
    "thinks_unasked": True,
    "sampling": "none",
    "native_schema": True,
    "prefill": False,
    "max_output_tokens": 128_000,
}
ALWAYS = {**CURRENT, "off": "low_effort", "forced_tools": False, "later_system": True}
FOUR = {"budgets": True, "sampling": "one", "max_output_tokens": 64_000}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-2.1", {"off": "nothing", "default_max_tokens": 4096}),
        ("claude-instant-1.2", {"off": "nothing", "default_max_tokens": 4096}),
        ("claude-3-haiku-20240307", {"off": "nothing", "default_max_tokens": 4096}),
        ("claude-3-5-sonnet-20241022", {"off": "nothing", "default_max_tokens": 4096}),
        ("claude-3-7-sonnet-latest", {"budgets": True, "default_max_tokens": 4096, "max_output_tokens": 64_000}),
        ("claude-opus-4-20250514", {**FOUR, "max_output_tokens": 32_000}),
        ("claude-opus-4-1-20250805", {**FOUR, "max_output_tokens": 32_000}),
        ("claude-sonnet-4-20250514", FOUR),
        ("claude-sonnet-4-5", {**FOUR, "native_schema": True}),
        ("claude-haiku-4-5-20251001", {**FOUR, "native_schema": True}),
        ("claude-opus-4-5", {**FOUR, "native_schema": True}),
        (
            "claude-sonnet-4-6",
            {**FOUR, "adaptive": True, "native_schema": True, "prefill": False, "max_output_tokens": 128_000},
        ),
        ("claude-opus-4-7", {name: value for name, value in CURRENT.items() if name != "thinks_unasked"}),
        (
            "claude-opus-4-8",
            {**{name: value for name, value in CURRENT.items() if name != "thinks_unasked"}, "later_system": True},
        ),
        ("claude-sonnet-5", CURRENT),
        ("claude-opus-5", {**CURRENT, "later_system": True}),
        ("claude-opus-5-20260724", {**CURRENT, "later_system": True}),
        ("claude-haiku-5-5", {**CURRENT, "later_system": True}),
        ("claude-fable-5-1", ALWAYS),
        ("claude-mythos-5", ALWAYS),
        ("claude-opus-5-5", ALWAYS),
        ("claude-sonnet-5-5", {**ALWAYS, "off": "between_tools"}),
        ("claude-opus-4-9", CURRENT),
        ("claude-sonnet-7", CURRENT),
        ("claude-nobody-knows", CURRENT),
        ("kimi-k3", {"budgets": True, "default_max_tokens": 4096}),
        ("", {"budgets": True, "default_max_tokens": 4096}),
    ],
)
def test_rows(model: str, expected: dict[str, object]) -> None:
    assert row(model) == expected
