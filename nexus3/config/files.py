"""Reading JSON and TOML: the same data either way, and one line about whatever is wrong.

JSON is read as strictly as TOML: no key twice, no ``NaN``, no ``Infinity``.
"""

import json
import os
from collections import Counter
from pathlib import Path

from nexus3.errors import ConfigError
from nexus3.wire.nearest import quoted


def read_file(path: Path) -> object:
    """The data in a ``.json`` or ``.toml`` file; an empty file is an empty object.

    A relative ``ca_file`` in it is read as relative to the file's folder.

    Raises:
        ConfigError: one line, without the path.
    """
    if path.suffix not in (".json", ".toml"):
        raise ConfigError("a configuration file ends in .json or .toml")
    text, problem = "", None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 text (byte {error.start})"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:
        problem = "cannot be read: not a path"
    if problem is not None:
        raise ConfigError(problem)
    if not text.strip():
        return {}
    data = _parse_json(text) if path.suffix == ".json" else _parse_toml(text)
    return _anchor_files(data, path.parent)


def _parse_json(text: str) -> object:
    try:
        data: object = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    except RecursionError:
        problem = "not usable: nested too deeply"
    except ValueError as error:
        problem = f"not JSON: {error}"
    else:
        if isinstance(data, dict):
            return data
        problem = "must be a JSON object"
    raise ConfigError(problem)


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {quoted(twice)} is given twice in one object")
    return data


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _parse_toml(text: str) -> object:
    import tomllib  # here, for whoever has no TOML does without

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem = f"not TOML: {error}"
    except RecursionError:
        problem = "not usable: nested too deeply"
    except ValueError:
        problem = "not TOML: a number has too many digits"
    raise ConfigError(" ".join(problem.split()))


def _anchor_files(data: object, folder: Path) -> object:
    match data:
        case {"providers": dict(providers), **rest}:
            anchored = {name: _anchor_provider(provider, folder) for name, provider in providers.items()}
            return {**rest, "providers": anchored}
        case _:
            return data


def _anchor_provider(provider: object, folder: Path) -> object:
    match provider:
        case {"ca_file": str(file), **rest}:
            return {**rest, "ca_file": str(folder / os.path.expanduser(file))}
        case _:
            return provider
