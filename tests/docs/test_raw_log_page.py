"""The example of docs/raw-log.md runs as it stands, and prints what it says."""

from tests.docs.examples import ROOT, examples, printed_by, promised_by


def test_the_example_runs_as_it_stands() -> None:
    (example,) = examples(ROOT / "docs" / "raw-log.md")
    assert printed_by(example).splitlines() == promised_by(example)
