"""The house holds together by its arrows: who may import whom. Read from the source, nothing is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nexus3"

SETTINGS = {
    "nexus3.actors.limits",
    "nexus3.actors.resolved",
    "nexus3.actors.secrets",
    "nexus3.actors.settings",
    "nexus3.supervisor.settings",
}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "wire": {"errors"},
    "core": {"wire"},
    "supervisor": {"errors"},
    "observe": {"errors", "wire"},
    "actors": {"errors", "wire", "observe"},
    "rawlog": {"errors", "wire", "observe", "actors"},
    "config": {"errors", "wire"},  # and the settings models that owners define
    "loopback": {"errors", "wire"},
    "directory": {"errors", "wire", "actors", "supervisor", "observe", "config"},
    # Loopback only where "loopback" is asked for by name: a lazy import.
    "runtime": {"errors", "wire", "actors", "supervisor", "observe", "config", "directory", "rawlog", "loopback"},
}
"""Rooms above these (provider, tools, testing, cli) may import everything below them."""

PURE = ("wire", "core")
IMPURE_MODULES = {"trio", "httpx", "time", "random", "os", "socket", "ssl", "structlog", "datetime.datetime.now"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, lazily or not; names imported from a package count as its modules too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def eager_imports(path: Path) -> set[str]:
    """What is imported when the module is, in module scope."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_it_may(name: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        if room(module) == name
        for imported in imports(path)
        if imported.startswith("nexus3.")
        and room(imported) not in {name, *MAY_IMPORT[name]}
        and not (name == "config" and any(imported == s or imported.startswith(s + ".") for s in SETTINGS))
        and not (name == "config" and imported in ("nexus3.actors", "nexus3.supervisor"))
    ]
    assert wrong == []


def test_what_is_said_is_pure() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, path in modules()
        if room(module) in PURE
        for imported in imports(path)
        if imported in IMPURE_MODULES or imported.split(".")[0] in ("trio", "httpx", "structlog")
    ]
    assert wrong == []


def test_httpx_is_known_where_it_is_served_or_used_only() -> None:
    users = {module for module, path in modules() if any(i.split(".")[0] == "httpx" for i in imports(path))}
    assert users == {"nexus3.actors.http.httpx_transport", "nexus3.actors.http.proxied"}


def test_there_are_no_circles() -> None:
    names = {module for module, _ in modules()}
    graph = {module: (eager_imports(path) & names) - {module} for module, path in modules()}
    done: set[str] = set()
    path_now: list[str] = []

    def visit(module: str) -> None:
        if module in done:
            return
        assert module not in path_now, f"circle: {' -> '.join([*path_now, module])}"
        path_now.append(module)
        for other in sorted(graph[module]):
            visit(other)
        path_now.pop()
        done.add(module)

    for module in sorted(graph):
        visit(module)


def test_provider_names_appear_only_in_the_table_and_in_the_original_s_face() -> None:
    names = {"openrouter", "openai", "ollama", "vllm", "azure", "anthropic"}
    allowed = {"wire", "provider", "loopback", "cli"}
    wrong = [
        f"{module}: {node.value!r}"
        for module, path in modules()
        if room(module) not in allowed
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert wrong == ["nexus3.actors.settings: 'openrouter'"], "the default type of a provider is the one exception"
