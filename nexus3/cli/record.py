"""``nexus3 record``: a local server that forwards to a configured provider, and writes down what passes."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import trio

from nexus3.actors.resolved import ResolvedProvider
from nexus3.cli.relay import open_relay
from nexus3.config.load import load_config
from nexus3.config.models import resolve_model
from nexus3.config.resolve import resolve
from nexus3.config.schema import Config
from nexus3.errors import ConfigError
from nexus3.loopback.server import HOST
from nexus3.wire.nearest import did_you_mean, quoted

_tell = partial(print, file=sys.stderr)


def choose_provider(source: Path | None, name: str | None) -> ResolvedProvider:
    """The provider to record: the named one, else the one of the default model, else the only one.

    Raises:
        ConfigError: the configuration cannot be used, or it is not clear which provider is meant.
    """
    config = load_config(source)
    name = name or _only_one(config)
    if name not in config.providers:
        hint = did_you_mean(name, config.providers) or f"; configured are: {_names(config)}"
        raise ConfigError(f"no provider {quoted(name)} is configured{hint}")
    return resolve(name, config.providers[name], os.environ)


def _only_one(config: Config) -> str:
    default = resolve_model(config.default_model, config) if config.default_model else None
    if default is not None:
        return default.provider
    if len(config.providers) == 1:
        return next(iter(config.providers))
    raise ConfigError(f"say which by --provider; configured are: {_names(config)}")


def _names(config: Config) -> str:
    return ", ".join(config.providers) or "none"


async def record(cassette: Path, provider: ResolvedProvider, port: int) -> None:
    """Record until interrupted. The line to set goes to standard output, everything else to standard error.

    Raises:
        CassetteError: there is such a file, and it is no cassette; or it takes no more.
        OSError: it cannot be opened, or the port is taken.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as ended:
        async with open_relay(cassette, provider, port=port, tell=_tell) as relay:
            print(_base_url_line(provider, relay.port), flush=True)
            key = "your application's own key" if provider.api_key is None else "its configured key"
            _tell(f"Forwarding to {provider.name} with {key}.\nRecording to {cassette}\nCtrl-C stops.")
            await anext(ended)
    unanswered = f"; {relay.unanswered} got no answer and are not in it" if relay.unanswered else ""
    _tell(f"\n{relay.recorded} recorded in {cassette}{unanswered}")


def _base_url_line(provider: ResolvedProvider, port: int) -> str:
    """What an application's environment must say so that it talks to us."""
    return f"{provider.type.url_env[0]}=http://{HOST}:{port}{provider.type.bare_host_path}"
