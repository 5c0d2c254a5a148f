"""Where a configuration comes from: a value, a named file, or the user's own folder.

Never a file of the working directory that nobody named: a cloned repository must not redirect anyone's key.
"""

import os
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from nexus3.config.files import read_file
from nexus3.config.problems import describe
from nexus3.config.resolve import resolve
from nexus3.config.schema import Config
from nexus3.errors import ConfigError
from nexus3.wire.nearest import did_you_mean

LOOPBACK = "loopback"
"""The word for the bundled local provider. It has no settings to load: ``open_supervisor`` starts it and makes them."""

_EXAMPLE = """\
{"default_model": "claude",
 "providers": {"anthropic": {"type": "anthropic"}},
 "models": {"claude": {"provider": "anthropic", "model_id": "claude-sonnet-4-20250514"}}}"""


def load_config(
    source: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Read and check a configuration. Keys need not be there.

    ``source`` is a :class:`Config`, a dict of its shape, or the path of a ``.json`` or ``.toml`` file. ``None`` is the
    file that ``$NEXUS3_CONFIG`` names, else ``config.json`` or ``config.toml`` in the user's configuration folder.

    Raises:
        ConfigError: one line that names the file and the place; where there is no configuration at all, a few lines
            that say what to write.
    """
    try:
        return _load(source, environ)
    except ConfigError as error:
        problem = str(error)
    del source, environ  # a traceback that shows locals would show the keys in them
    raise ConfigError(problem)


def _load(source: Config | Mapping[str, object] | str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Config:
    if isinstance(source, Config):
        _check(source, environ)
        return source
    if isinstance(source, Mapping):
        return _build(dict(source), environ)
    path = find_config(environ) if source is None else _named(source)
    try:
        return _build(read_file(path), environ)
    except ConfigError as error:
        problem = str(error) + ("" if path.suffix else did_you_mean(str(path), [LOOPBACK]))
    raise ConfigError(f"{_shown(path)}: {problem}")


def _build(data: object, environ: Mapping[str, str]) -> Config:
    # Raised outside of the handler: a validation error holds what was given, keys included, and so would the chain.
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problem = describe(error)
    except RecursionError:
        problem = "nested too deeply"
    else:
        _check(config, environ)
        return config
    raise ConfigError(problem)


def _check(config: Config, environ: Mapping[str, str]) -> None:
    """What validation cannot see: addresses from the environment, and files."""
    for name, provider in config.providers.items():
        resolved = resolve(name, provider, environ)
        if resolved.ca_file is not None:
            check_ca_file(f"providers.{name}.ca_file", resolved.ca_file)


def check_ca_file(place: str, path: Path) -> None:
    """See that certificates can be read, before anything is opened; ``place`` is where the path stands.

    Raises:
        ConfigError: they cannot.
    """
    problem = None
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        problem = "is not a PEM file of certificates"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:
        problem = "cannot be read: not a path"
    if problem is not None:
        raise ConfigError(f"{place}: {_shown(path)} {problem}")


def _named(source: str | os.PathLike[str]) -> Path:
    if source == LOOPBACK:
        raise ConfigError("the bundled provider has no settings to load; pass the word to open_supervisor")
    return Path(os.path.expanduser(source))  # unlike Path.expanduser it does not raise where there is no home


def find_config(environ: Mapping[str, str] = os.environ) -> Path:
    """The file of the user's own configuration, for those who name none.

    Raises:
        ConfigError: there is none; a few lines that say what to write. Or ``$NEXUS3_CONFIG`` is no path.
    """
    if named := environ.get("NEXUS3_CONFIG"):
        return _named(named)
    folder = user_folder(environ)
    if folder is not None:
        for name in ("config.json", "config.toml"):
            if (folder / name).is_file():
                return folder / name
    where = "name a file in NEXUS3_CONFIG" + (f", or write {folder / 'config.json'}" if folder else "")
    raise ConfigError(f"there is no configuration: {where}, for example\n{_EXAMPLE}")


def user_folder(environ: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """The folder of the user's own configuration, by the platform's habit; ``None`` where the user has no home."""
    if (xdg := environ.get("XDG_CONFIG_HOME", "")) and Path(xdg).is_absolute():
        return Path(xdg) / "nexus3"
    if platform == "win32":
        roaming = environ.get("APPDATA")
        return Path(roaming) / "nexus3" if roaming else None
    home = environ.get("HOME")
    if not home:
        return None
    return Path(home) / ("Library/Application Support" if platform == "darwin" else ".config") / "nexus3"


def _shown(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() else ascii(text)
