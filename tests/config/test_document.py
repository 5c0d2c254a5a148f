"""``docs/settings.md``: written from the models, and up to date."""

import pytest

from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.config.document import in_words, markdown, meanings
from nexus3.config.schema import Config, SupervisorSettings
from tests.docs.examples import ROOT

PAGE = markdown()


def test_the_page_of_all_settings_is_up_to_date() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == PAGE, "run: python -m nexus3.config.document > docs/settings.md"


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("The whole", Config),
        ("A provider", ProviderConfig),
        ("A model", ModelConfig),
        ("The supervisor", SupervisorSettings),
    ],
)
def test_every_setting_has_a_row(
    title: str, model: type[Config | ProviderConfig | ModelConfig | SupervisorSettings]
) -> None:
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert rows == sorted(model.model_fields)


def test_what_is_printed_is_what_holds() -> None:
    assert "| `max_retries` | whole number from 0 to 10 | `3` | After the first attempt. |\n" in PAGE
    assert "| `connect_timeout` | 5 | 5 | 2 | 2 | 5 | 5 |\n" in PAGE, "by type"
    assert "| `on_exhausted` | one of `park`, `escalate` | `park` | Park: this child rests, the others go on." in PAGE
    assert "| `max_request_bytes` | whole number from 1 | `33554432` (32 MiB) |" in PAGE


def test_meanings_come_from_the_classes_that_a_model_is_made_of() -> None:
    found = meanings(SupervisorSettings)
    assert found["spend_cap"] == "For all requests together."
    assert found["park_for"] == "How long a parked child rests before it is tried again."


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "number", "exclusiveMinimum": 0}, "number above 0"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 600}, "number above 0, at most 600"),
        ({"type": "integer", "minimum": 0, "maximum": 10}, "whole number from 0 to 10"),
        ({"anyOf": [{"type": "boolean"}, {"type": "string"}, {"type": "null"}]}, "`true` or `false` or text"),
        ({"type": "array", "items": {"$ref": "#/$defs/ModelTarget"}}, "list; each: [a target](#a-target)"),
        ({"type": "object", "additionalProperties": {"$ref": "#/$defs/JsonValue"}}, "object; each value: any JSON"),
    ],
)
def test_types_are_said_in_words(schema: dict[str, object], words: str) -> None:
    assert in_words(schema) == words
