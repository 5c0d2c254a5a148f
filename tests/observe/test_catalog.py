"""The catalogue and the code say the same, both ways; the page is made from it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from nexus3.observe import catalog
from nexus3.observe.catalog import CATALOG, LogEvent
from nexus3.observe.document import markdown

ROOT = Path(__file__).parents[2]
CONSTANTS = {name: value for name, value in vars(catalog).items() if isinstance(value, LogEvent)}

NOT_SAID_YET: dict[str, str] = {}
"""Catalogued ahead of the part that will say it."""

STRUCTLOG_S_OWN = {"event", "level", "timestamp", "logger", "exc_info", "exception", "stack_info"}
"""Not ``stack``: there it means what ours means, a stack as text."""

MAY_LOG_BY_THEMSELVES = {"observe", "cli", "testing"}


class Said(NamedTuple):
    """One place in the code that hands an event to a log."""

    place: str
    constant: str
    keys: frozenset[str] | None
    """``None`` where the data is made by a function that has tests of its own."""


@cache
def said() -> tuple[Said, ...]:
    return tuple(find_said())


def find_said() -> Iterator[Said]:
    """Every call with a catalogued event among its arguments; the next argument is the data."""
    for path in sorted((ROOT / "nexus3").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "nexus3.observe.catalog"
            for alias in node.names
        }
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
            for call in [node for node in ast.walk(function) if isinstance(node, ast.Call)]:
                for event, data in pairwise(call.args):
                    constant = event_named(event, imported)
                    if constant is not None:
                        where = f"{path.relative_to(ROOT)}:{call.lineno}"
                        yield Said(where, constant, keys_of(data, function, where))


def event_named(node: ast.expr, imported: set[str]) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="catalog"), attr=name) if name.isupper() and name != "CATALOG":
            return name
        case ast.Name(id=name) if name in imported and name.isupper() and name != "CATALOG":
            return name
    return None


def keys_of(data: ast.expr, function: ast.AST, where: str) -> frozenset[str] | None:
    """The keys of a dict display, of a local name that one is assigned to, and of those that it unpacks."""
    match data:
        case ast.Dict(keys=keys, values=values):
            found: set[str] = set()
            for key, value in zip(keys, values, strict=True):
                if key is None:
                    found |= keys_of(value, function, where) or set()
                else:
                    assert isinstance(key, ast.Constant), f"{where}: a key that is not a literal"
                    found.add(str(key.value))
            return frozenset(found)
        case ast.Name(id=name):
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
                    return keys_of(node.value, function, where)
        case ast.Lambda(body=body):
            return keys_of(body, function, where)
        case ast.Call(func=ast.Attribute(attr="_wide_line")):
            return None
    raise AssertionError(f"{where}: write the data of a log line as a dict where it is said, so that it can be checked")


def test_everything_said_is_in_the_catalogue() -> None:
    unknown = [f"{place}: {name}" for place, name, _ in said() if name not in CONSTANTS]
    assert unknown == []


def test_everything_in_the_catalogue_is_said() -> None:
    assert len(said()) > 10, "the search still finds what is said"
    assert set(CONSTANTS) - {line.constant for line in said()} - set(NOT_SAID_YET) == set()
    assert set(NOT_SAID_YET) <= set(CONSTANTS)


def test_the_keys_are_the_catalogue_s() -> None:
    wrong = [
        f"{line.place}: {line.constant} has {sorted(line.keys)}"
        for line in said()
        if line.keys is not None
        and not set(CONSTANTS[line.constant].keys)
        <= line.keys
        <= {*CONSTANTS[line.constant].keys, *CONSTANTS[line.constant].optional}
    ]
    assert wrong == []


def test_no_line_is_said_past_the_catalogue() -> None:
    """Whoever logs imports the one log; structlog and logging are known to the observers alone."""
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "nexus3").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] in ("structlog", "logging")
    }
    assert {user for user in users if Path(user).parts[1] not in MAY_LOG_BY_THEMSELVES} == set()


def test_names_are_constant_short_and_unique() -> None:
    names = [event.name for event in CATALOG]
    assert len(names) == len(set(names)) == len(CONSTANTS)
    for event in CATALOG:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?", event.name)
        assert event.means.endswith(".")
        everything = (*event.keys, *event.optional)
        assert len(everything) == len(set(everything)), event.name
        assert set(event.quotes) <= set(everything), event.name


def test_no_key_collides_with_one_that_structlog_gives_meaning() -> None:
    for event in CATALOG:
        assert STRUCTLOG_S_OWN.isdisjoint((*event.keys, *event.optional)), event.name


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "logs.md").read_text("utf-8")
    assert page == markdown(), "run: python -m nexus3.observe.document > docs/logs.md"
