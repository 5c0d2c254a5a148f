"""The examples of docs/resilience.md run as they stand, and print what they say."""

import pytest

from tests.docs.examples import ROOT, examples, printed_by, promised_by

EXAMPLES = examples(ROOT / "docs" / "resilience.md")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("example", EXAMPLES, ids=["fallback", "breaker", "pace", "spend"])
def test_an_example_runs_as_it_stands(example: str) -> None:
    printed = printed_by(example).splitlines()
    promised = promised_by(example)
    assert promised
    assert [line for line in promised if line not in printed] == []
