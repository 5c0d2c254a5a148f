"""The README's examples run as they stand, and what it refers to is there."""

import re
from pathlib import Path

import pytest

from tests.docs.examples import ROOT, examples, printed_by

README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = examples(ROOT / "README.md")
PAGES = sorted((ROOT / "docs").glob("*.md"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs_as_it_stands(number: int) -> None:
    printed = printed_by(EXAMPLES[number])
    assert "hello" in printed.lower()
    promised = re.findall(r"print\(.*\) +# (\[.*) \.\.\.$", EXAMPLES[number], re.MULTILINE)
    assert [line for line in promised if line not in printed] == []


def anchors(page: str) -> set[str]:
    """Of a page's headings, as forges make them."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)", page, re.MULTILINE)
    }


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("https://")]
    missing = [
        link
        for link in links
        if (link.startswith("#") and link[1:] not in anchors(text))
        or not (page.parent / link.partition("#")[0]).exists()
    ]
    assert missing == []


def test_every_page_and_every_room_is_told_of() -> None:
    assert [page.name for page in PAGES if f"](docs/{page.name})" not in README] == []
    rooms = [path.parent.name for path in (ROOT / "nexus3").glob("*/__init__.py")]
    the_map = README.partition("## The map")[2]
    assert [room for room in rooms if f"`{room}/`" not in the_map] == []
