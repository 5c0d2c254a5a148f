"""A key goes to the origin that it was configured for, and no other: whatever is changed, answered or set outside."""

from contextlib import AsyncExitStack

import pytest

from nexus3 import ConfigError, ProviderConfig, ProviderError, Supervisor, open_supervisor
from nexus3.config.resolve import resolve
from nexus3.loopback import Loopback, open_loopback, redirect
from nexus3.wire.catalog import CATALOG, ProviderTypeName
from nexus3.wire.urls import endpoint_url, origin_of
from tests.actors.house import ask
from tests.secrets.canary import KEYS, hits

KEY, OTHER_KEY = KEYS["openai"], KEYS["anthropic"]
TYPES: tuple[ProviderTypeName, ...] = tuple(CATALOG)


@pytest.fixture(autouse=True)
def no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in CATALOG.values():
        for variable in (*row.key_env, *row.url_env):
            monkeypatch.delenv(variable, raising=False)


def seen_by(server: Loopback) -> list[str]:
    return hits([f"{exchange.path} {exchange.headers} {exchange.body}" for exchange in server.exchanges], (KEY,))


def config_of(server: Loopback) -> dict[str, object]:
    settings = {"type": "openai", "base_url": f"{server.url}/v1", "api_key": KEY, "allow_loopback": True}
    return {"default_model": "p:m", "providers": {"p": settings}}


def settings_at(server: Loopback, type_name: str = "openai", **more: object) -> ProviderConfig:
    settings: dict[str, object] = {"type": type_name, "base_url": f"{server.url}/v1", "allow_loopback": True}
    if type_name == "azure":
        settings |= {"base_url": server.url, "deployment": "d", "api_version": "2024-10-21"}
    return ProviderConfig.model_validate({**settings, **more})


async def outcome(sup: Supervisor, model: str) -> str:
    try:
        return (await sup.complete(ask(model=model))).message.text
    except ProviderError as error:
        return f"{error.kind}/{error.reason}"


@pytest.mark.parametrize("type_name", TYPES)
async def test_a_provider_that_is_moved_or_added_gets_no_key_but_its_own(type_name: ProviderTypeName) -> None:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(open_loopback())
        there = await stack.enter_async_context(open_loopback())
        sup = await stack.enter_async_context(open_supervisor(config_of(here)))
        await outcome(sup, "p:m")
        assert seen_by(here) != []

        elsewhere = settings_at(there, type_name)
        await sup.add_provider("q", elsewhere)
        added = await outcome(sup, "q:m")
        await sup.reconfigure("p", elsewhere)
        moved = await outcome(sup, "p:m")

        assert seen_by(there) == []
        assert added == moved
        # Who must have a key is not even asked.
        assert (added == "auth/missing_key") == CATALOG[type_name].key_required == (not there.exchanges)


async def test_a_key_that_was_fetched_stays_with_the_origin_it_was_fetched_for() -> None:
    async def key() -> tuple[str, None]:
        return KEY, None

    async def other_key() -> tuple[str, None]:
        return OTHER_KEY, None

    async with (
        open_loopback() as here,
        open_loopback() as there,
        open_supervisor({"providers": {"p": settings_at(here, api_key=key)}}) as sup,
    ):
        await outcome(sup, "p:m")
        await sup.reconfigure("p", settings_at(there, api_key=other_key))
        await outcome(sup, "p:m")
        assert [exchange.headers["authorization"] for exchange in here.exchanges] == [f"Bearer {KEY}"]
        assert [exchange.headers["authorization"] for exchange in there.exchanges] == [f"Bearer {OTHER_KEY}"]


async def test_settings_that_were_dumped_and_moved_have_no_key_to_send() -> None:
    async with (
        open_loopback() as here,
        open_loopback() as there,
        open_supervisor(config_of(here)) as sup,
    ):
        dumped = {**sup.config.providers["p"].model_dump(exclude_unset=True), "base_url": f"{there.url}/v1"}
        with pytest.raises(ConfigError, match="masked"):
            await sup.reconfigure("p", ProviderConfig.model_validate(dumped))
        await outcome(sup, "p:m")
        assert there.exchanges == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_not_even_on_the_same_machine(status: int) -> None:
    async with (
        open_loopback() as there,
        open_loopback(script=lambda _: redirect(f"{there.url}/v1/chat/completions", status)) as here,
        open_supervisor(config_of(here)) as sup,
    ):
        assert await outcome(sup, "p:m") == "protocol/redirect"
        assert len(here.exchanges) == 1
        assert there.exchanges == []


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize("url_from", TYPES)
def test_an_address_from_the_environment_gets_no_key_of_another_type(
    type_name: ProviderTypeName, url_from: ProviderTypeName
) -> None:
    """All addresses and all keys are set but this type's key: another's is never taken for it."""
    environ = dict.fromkeys(CATALOG[url_from].url_env, "https://elsewhere.example.test/v1")
    for name, row in CATALOG.items():
        if name != type_name:
            environ |= dict.fromkeys(row.key_env, KEYS[name])
    base_url = {} if CATALOG[type_name].base_url or url_from == type_name else {"base_url": "https://x.example.test"}
    resolved = resolve("p", ProviderConfig.model_validate({"type": type_name, **base_url}), environ)
    assert resolved.api_key is None
    moved = resolved.base_url == "https://elsewhere.example.test/v1"
    assert moved == (url_from == type_name)


@pytest.mark.parametrize("type_name", TYPES)
@pytest.mark.parametrize(
    "name",
    [
        "@elsewhere.example.test/",
        "//elsewhere.example.test/",
        "https://elsewhere.example.test/",
        "\\\\elsewhere.example.test",
        "../../../elsewhere.example.test",
        "x#@elsewhere.example.test",
        "x?@elsewhere.example.test",
        "x\r\nhost: elsewhere.example.test",
        "%2f%2felsewhere.example.test",
        ":443@elsewhere.example.test",
    ],
)
def test_no_name_of_a_model_or_deployment_leads_elsewhere(type_name: ProviderTypeName, name: str) -> None:
    base_url = "https://api.example.test"
    for deployment in (None, name):
        try:
            url = endpoint_url(
                CATALOG[type_name], base_url, model=name, deployment=deployment, api_version="2024-10-21"
            )
        except ConfigError:
            continue
        assert origin_of(url) == origin_of(base_url)
