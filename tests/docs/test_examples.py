"""The examples run as they stand."""

import pytest

from tests.docs.examples import ROOT, printed_by

EXAMPLES = ROOT / "examples"


# The original's own examples need a provider, and are tested with one: tests/provider/test_seed_examples.py.
OWN = sorted(path.name for path in EXAMPLES.glob("*.py") if not path.name.startswith("seed_"))


@pytest.mark.parametrize("name", OWN)
def test_an_example_runs_as_it_stands(name: str) -> None:
    printed = printed_by(EXAMPLES / name)
    assert "UTC" in printed
    assert "'clock': 'ready'" in printed
