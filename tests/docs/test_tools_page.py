"""The examples of docs/tools.md run as they stand, and print what they say."""

import pytest

from tests.docs.examples import ROOT, examples, printed_by, promised_by

EXAMPLES = examples(ROOT / "docs" / "tools.md")
ENDS = (
    "['city']\n3 days of sun in Berlin\n",
    "get_weather: sunny in Berlin\n",
    "city='Berlin' sunny=True\n",
)


@pytest.mark.parametrize(("example", "end"), list(zip(EXAMPLES, ENDS, strict=True)), ids=["function", "loop", "output"])
def test_an_example_runs_as_it_stands(example: str, end: str) -> None:
    printed = printed_by(example)
    assert end in printed
    assert [line for line in promised_by(example) if "and so on" not in line and line not in printed] == []
