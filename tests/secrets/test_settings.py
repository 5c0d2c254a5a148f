"""What is wrong with settings is said without showing them: not the values, not the file, not the environment."""

import json
import os
import pickle
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from nexus3 import ConfigError, ProviderConfig, Supervisor, SupervisorEscalated, load_config, open_supervisor
from nexus3.config.resolve import resolve
from nexus3.testing import Crash, ScriptedNetwork
from tests.actors.house import ask
from tests.secrets import sinks
from tests.secrets.canary import KEYS, PROXY_PASSWORD, hits
from tests.secrets.sinks import Caught

KEY = KEYS["openai"]
ENVIRONMENT = {"OPENAI_API_KEY": KEY, "HOME": "/nowhere"}

UNUSABLE: dict[str, Mapping[str, object]] = {
    "a line break in the key": {"api_key": f"{KEY}\n{KEY}"},
    "a carriage return in the key": {"api_key": f"{KEY}\r{KEY}"},
    "not ASCII": {"api_key": f"{KEY}é"},
    "a space in the key": {"api_key": f"{KEY} {KEY}"},
    "too long": {"api_key": KEY * 200},
    "a list of keys": {"api_key": [KEY]},
    "an object": {"api_key": {"value": KEY}},
    "an unknown setting beside the key": {"api_key": KEY, "apikey": KEY},
    "a wrong type beside the key": {"api_key": KEY, "max_retries": KEY},
    "the key as the variable's name": {"api_key_env": KEY},
    "the key as the type": {"type": KEY},
    "the key as the way of authentication": {"auth_method": KEY},
    "the key in the address": {"api_key": KEY, "base_url": f"https://{KEY}:x@api.example.test/v1"},
    "the key in a fragment": {"api_key": KEY, "base_url": f"https://api.example.test/v1#{KEY}"},
    "an address that is not allowed": {"api_key": KEY, "base_url": "http://169.254.169.254/v1"},
    "the key in a header that is ours": {"extra_headers": {"Authorization": f"Bearer {KEY}"}},
    "a header that cannot be sent": {"extra_headers": {"X-Gateway-Token": f"{KEY}\n"}},
    "a proxy that is none": {"proxy": f"socks5://operator:{PROXY_PASSWORD}@127.0.0.1"},
    "a proxy without a host": {"proxy": f"http://operator:{PROXY_PASSWORD}@"},
    "no such file of authorities": {"api_key": KEY, "ca_file": "/nowhere/ca.pem"},
}


def shown_of(*errors: BaseException) -> list[str]:
    """What every sink shows of the errors; in logs as a host writes them, both ways."""
    caught = Caught(errors=list(errors))
    shown: list[str | bytes] = [*sinks.texts(caught), *sinks.tracebacks(caught), *sinks.pickles(caught)]
    shown += sinks.reachable(caught)
    ways: tuple[sinks.Logging, ...] = ("structlog", "stdlib")
    for way in ways:
        with sinks.logged(way) as lines:
            sinks.log_as_a_host_does(way, caught.errors)
        shown.append(lines.getvalue())
    return hits(shown, (KEY, PROXY_PASSWORD))


def refused(path: Path, environ: Mapping[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ=environ)
    del environ  # this frame is in the traceback
    return caught.value


def written(folder: Path, settings: Mapping[str, object]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({"providers": {"p": {"type": "openai", **settings}}}))
    return path


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_refused_file_is_not_shown(name: str, tmp_path: Path) -> None:
    assert shown_of(refused(written(tmp_path, UNUSABLE[name]), ENVIRONMENT)) == []


@pytest.mark.parametrize("value", [f"{KEY}\n{KEY}", f"{KEY}é", f"{KEY} {KEY}"])
def test_a_refused_environment_is_not_shown(value: str, tmp_path: Path) -> None:
    error = refused(written(tmp_path, {}), {"OPENAI_API_KEY": value})
    assert str(error) == f"{tmp_path}/config.json: providers.p: $OPENAI_API_KEY: " + (
        f"the key has an illegal character at index {len(KEY)}"
    )
    assert shown_of(error) == []


async def add(sup: Supervisor, name: str, settings: ProviderConfig) -> None:
    await sup.add_provider(name, settings)


async def reconfigure(sup: Supervisor, name: str, settings: ProviderConfig) -> None:
    await sup.reconfigure(name, settings)


@pytest.mark.parametrize("deed", [add, reconfigure])
async def test_settings_that_are_refused_later_are_not_shown(
    deed: Callable[[Supervisor, str, ProviderConfig], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, **ENVIRONMENT})
    config = {"providers": {"p": {"type": "vllm"}}}
    async with open_supervisor(config, open_transport=ScriptedNetwork(()).open) as sup:
        unusable = ProviderConfig.model_validate({"type": "openai", "base_url": "http://169.254.169.254"})
        with pytest.raises(ConfigError) as caught:
            await deed(sup, "q" if deed is add else "p", unusable)
    assert shown_of(caught.value) == []


async def escalate(config: dict[str, object]) -> SupervisorEscalated:
    network = ScriptedNetwork([[Crash()]])
    with pytest.raises(SupervisorEscalated) as caught:
        async with open_supervisor(config, open_transport=network.open) as sup:
            await sup.complete(ask())
    del config  # this frame is in the traceback
    return caught.value


async def test_a_supervisor_that_gives_up_does_not_show_the_settings_it_was_given() -> None:
    config: dict[str, object] = {
        "default_model": "p:m",
        "providers": {"p": {"type": "openai", "api_key": KEY, "extra_headers": {"X-Gateway-Token": PROXY_PASSWORD}}},
        "supervisor": {"max_restarts": 0, "on_exhausted": "escalate"},
    }
    assert shown_of(await escalate(config)) == []


def test_settings_are_not_shown() -> None:
    settings = {"type": "openai", "api_key": KEY, "proxy": f"http://operator:{PROXY_PASSWORD}@127.0.0.1:3128"}
    config = load_config({"providers": {"p": settings}}, environ={})
    with_header = load_config({"providers": {"p": {**settings, "extra_headers": {"X-Token": KEY}}}}, environ={})
    resolved = resolve("p", with_header.providers["p"], {})
    shown: list[str | bytes] = [pickle.dumps(config), config.model_dump_json(), str(config.model_dump())]
    shown += [text for item in (config, with_header, resolved) for text in (repr(item), str(item))]
    assert hits(shown, (KEY, PROXY_PASSWORD)) == []
