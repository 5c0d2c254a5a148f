"""Every feature, lesson and weakness of the original has tests that exist and run with the suite."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.inventory.features import FEATURES
from tests.inventory.lessons import LESSONS
from tests.inventory.weaknesses import WEAKNESSES

TESTS = Path(__file__).parents[1]
DIFFERENCES = TESTS.parent / "docs" / "differences.md"
NOT_IN_THE_SUITE = ("soak", "skip", "xfail")


@cache
def functions_of(file: str) -> dict[str, str]:
    """The tests in a file, by the names that pytest has for them, with their decorators as text."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    places = [("", tree.body), *((f"{node.name}::", node.body) for node in tree.body if isinstance(node, ast.ClassDef))]
    return {
        place + node.name: " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
        for place, body in places
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def is_shown(by: tuple[str, ...]) -> None:
    """Each of these tests exists and is not left out of the suite."""
    assert by
    for test in by:
        file, _, name = test.partition("::")
        assert (TESTS / file).is_file(), f"{file} does not exist"
        assert name in functions_of(file), f"{test} does not exist"
        assert not any(mark in functions_of(file)[name] for mark in NOT_IN_THE_SUITE), f"{test} is not in the suite"


@pytest.mark.parametrize("feature", FEATURES)
def test_feature(feature: str) -> None:
    is_shown(FEATURES[feature])


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson(lesson: str) -> None:
    is_shown(LESSONS[lesson])


@pytest.mark.parametrize("weakness", WEAKNESSES)
def test_weakness(weakness: str) -> None:
    is_shown(WEAKNESSES[weakness])


def test_none_is_left_out() -> None:
    assert [int(lesson[:2]) for lesson in LESSONS] == list(range(1, 31))
    assert [int(weakness[:2]) for weakness in WEAKNESSES] == list(range(1, 23))


def test_what_differs_is_a_feature_with_tests() -> None:
    rows = re.findall(r"^\| (.+?) \|", DIFFERENCES.read_text("utf-8"), re.MULTILINE)
    named = [row for row in rows if row != "what" and not row.startswith("---")]
    assert len(named) == len(set(named)) > 30
    assert [name for name in named if name not in FEATURES] == []
