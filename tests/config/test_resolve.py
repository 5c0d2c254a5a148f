"""Settings, type row and environment joined into what an actor gets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nexus3.actors.limits import CommonLimits
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.secrets import Credential, KeySource, Secret, read_credential
from nexus3.actors.settings import ProviderConfig
from nexus3.config.reach import opt_outs
from nexus3.config.resolve import require_keys, resolve
from nexus3.errors import ConfigError
from nexus3.wire.catalog import CATALOG, ProviderTypeName
from nexus3.wire.limits import DecodeLimits
from tests.config.samples import CANARY


async def fetch_key() -> tuple[str, float | None]:
    return CANARY, None


def reveal(key: Secret | KeySource | None) -> str | None:
    if key is None:
        return None
    assert isinstance(key, Secret)
    return key.get_secret_value()


Read = Callable[[ResolvedProvider], object]

REACHES: dict[str, tuple[object, Read]] = {
    "type": ("anthropic", lambda resolved: resolved.type.name),
    "base_url": ("https://example.com/v1", lambda resolved: resolved.base_url),
    "api_key": (CANARY, lambda resolved: reveal(resolved.api_key)),
    "auth_method": ("x-api-key", lambda resolved: resolved.auth_method),
    "extra_headers": ({"x-team": "a"}, lambda resolved: dict(resolved.extra_headers)),
    "extra_body": ({"top_k": 5}, lambda resolved: resolved.extra_body),
    "deployment": ("gpt", lambda resolved: resolved.deployment),
    "api_version": ("2024-10-21", lambda resolved: resolved.api_version),
    "request_timeout": (7.5, lambda resolved: resolved.request_timeout),
    "max_retries": (7, lambda resolved: resolved.max_retries),
    "retry_backoff": (3.5, lambda resolved: resolved.retry_backoff),
    "retry_unsafe": (False, lambda resolved: resolved.retry_unsafe),
    "stream": ("never", lambda resolved: resolved.stream),
    "requests_per_minute": (30, lambda resolved: resolved.requests_per_minute),
    "tokens_per_minute": (40_000, lambda resolved: resolved.tokens_per_minute),
    "spend_cap": (
        {"tokens": 5},
        lambda resolved: resolved.spend_cap and resolved.spend_cap.model_dump(exclude_none=True),
    ),
    "breaker": ("observe", lambda resolved: resolved.breaker),
    "hedge": (True, lambda resolved: resolved.hedge),
    "allow_insecure_http": (True, lambda resolved: resolved.allow_insecure_http),
    "allow_loopback": (True, lambda resolved: resolved.allow_loopback),
    "allow_private": (True, lambda resolved: resolved.allow_private),
    "allowed_cidrs": (
        ["10.20.0.0/16", "fd12:3456::/48", "127.0.0.1/32"],
        lambda resolved: [str(network) for network in resolved.allowed_cidrs],
    ),
    "allowed_hosts": (["api.example.com", "openrouter.ai"], lambda resolved: list(resolved.allowed_hosts)),
    "ca_file": (Path("/ca.pem"), lambda resolved: resolved.ca_file),
    "prompt_caching": (False, lambda resolved: resolved.prompt_caching),
    "proxy": ("http://u:p@proxy:3128", lambda resolved: reveal(resolved.proxy)),
    "quirks": (
        {"seed": False, "model_family": "gpt-5"},
        lambda resolved: {"seed": resolved.quirks.seed, "model_family": resolved.quirks.model_family},
    ),
    "on_full": ("wait", lambda resolved: resolved.limits.on_full),
    "caller_weights": ({"planner": 2.5}, lambda resolved: resolved.limits.caller_weights),
    "max_connections": (7, lambda resolved: resolved.limits.max_connections),
    "max_keepalive_connections": (7, lambda resolved: resolved.limits.max_keepalive_connections),
    "connect_timeout": (7.5, lambda resolved: resolved.limits.connect_timeout),
    "header_timeout": (7.5, lambda resolved: resolved.limits.header_timeout),
    "first_event_timeout": (7.5, lambda resolved: resolved.limits.first_event_timeout),
    "reasoning_first_event_timeout": (7.5, lambda resolved: resolved.limits.reasoning_first_event_timeout),
}

TESTED_ELSEWHERE = {"api_key_env", "models"}


@pytest.mark.parametrize("key", ProviderConfig.model_fields)
def test_every_key_reaches_the_actor(key: str) -> None:
    if key in TESTED_ELSEWHERE:
        return
    limit: tuple[object, Read] = (7, lambda resolved: getattr(resolved.limits, key))
    value, read = REACHES[key] if key in REACHES or key not in CommonLimits.model_fields else limit
    assert read(resolve("p", ProviderConfig(), {})) != value
    assert read(resolve("p", ProviderConfig.model_validate({key: value}), {})) == value


def test_the_decoders_limits_are_among_them() -> None:
    names = DecodeLimits.__struct_fields__
    config = ProviderConfig.model_validate(dict.fromkeys(names, 7))
    assert resolve("p", config, {}).limits.decode == DecodeLimits(**dict.fromkeys(names, 7))
    assert resolve("p", ProviderConfig(), {}).limits.decode == DecodeLimits()


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind != "azure"])
def test_a_type_alone_is_enough(kind: ProviderTypeName) -> None:
    row = CATALOG[kind]
    resolved = resolve("p", ProviderConfig(type=kind), {row.key_env[0]: CANARY})
    assert (resolved.base_url, resolved.base_url_from) == (row.base_url, "default")
    assert (resolved.auth_method, reveal(resolved.api_key)) == (row.auth, CANARY)
    assert (resolved.api_key_from, resolved.unconfigured) == (row.key_env[0], None)
    assert resolved.quirks == row.quirks
    assert resolved.limits.max_connections == resolved.limits.max_keepalive_connections == row.max_connections
    assert resolved.limits.first_event_timeout == row.first_event_timeout


def test_local_types_connect_sooner_and_think_longer() -> None:
    def times(kind: ProviderTypeName, **settings: float) -> tuple[float, ...]:
        config = ProviderConfig.model_validate({"type": kind, **settings})
        limits = resolve("p", config, {}).limits
        return (
            limits.connect_timeout,
            limits.header_timeout,
            limits.first_event_timeout,
            limits.reasoning_first_event_timeout,
        )

    assert times("openai") == (5, 120, 120, 300)
    assert times("ollama") == (2, 300, 300, 300)
    assert times("openai", first_event_timeout=10) == (5, 120, 10, 10)
    assert times("openai", first_event_timeout=10, reasoning_first_event_timeout=90) == (5, 120, 10, 90)


# Keys.


def key_of(environ: dict[str, str], **settings: object) -> tuple[str | None, str | None, str | None]:
    resolved = resolve("p", ProviderConfig.model_validate(settings), environ)
    return reveal(resolved.api_key), resolved.api_key_from, resolved.unconfigured


def test_a_key_in_the_settings_wins_over_the_named_variable_and_that_over_the_usual_one() -> None:
    environ = {"MINE": "from-mine", "AZURE_OPENAI_API_KEY": "usual", "AZURE_OPENAI_KEY": "older"}
    azure = {"type": "azure", "base_url": "https://x.openai.azure.com"}
    assert key_of(environ, **azure, api_key="given", api_key_env="MINE") == ("given", "config", None)
    assert key_of(environ, **azure, api_key_env="MINE") == ("from-mine", "MINE", None)
    assert key_of(environ, **azure) == ("usual", "AZURE_OPENAI_API_KEY", None)
    assert key_of({**environ, "AZURE_OPENAI_API_KEY": " "}, **azure) == ("older", "AZURE_OPENAI_KEY", None)


def test_a_missing_key_leaves_the_provider_unconfigured_and_says_what_to_set() -> None:
    def missing(variable: str) -> tuple[None, None, str]:
        return None, None, f"there is no API key; set the environment variable {variable}, or api_key"

    assert key_of({}, type="anthropic") == missing("ANTHROPIC_API_KEY")
    # A variable that was named is meant: the usual one does not stand in for it, not even where none is required.
    assert key_of({"ANTHROPIC_API_KEY": CANARY}, type="anthropic", api_key_env="MINE") == missing("MINE")
    assert key_of({}, type="ollama", api_key_env="MINE") == missing("MINE")
    assert key_of({}, type="ollama") == (None, None, None)
    assert key_of({"ANTHROPIC_API_KEY": CANARY}, type="anthropic", auth_method="none") == (None, None, None)


def test_whoever_demands_keys_gets_the_same_words_as_an_error() -> None:
    require_keys(resolve("p", ProviderConfig(type="ollama"), {}))
    with pytest.raises(ConfigError) as caught:
        require_keys(resolve("p", ProviderConfig(type="openai"), {}))
    assert str(caught.value) == (
        "providers.p: there is no API key; set the environment variable OPENAI_API_KEY, or api_key"
    )


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "  \n"])
def test_the_end_of_a_line_is_not_part_of_a_key(end: str) -> None:
    assert key_of({"OPENROUTER_API_KEY": CANARY + end}) == (CANARY, "OPENROUTER_API_KEY", None)


def test_a_key_may_come_from_a_function() -> None:
    resolved = resolve("p", ProviderConfig(api_key=fetch_key), {})
    assert (resolved.api_key, resolved.api_key_from, resolved.unconfigured) == (fetch_key, "config", None)


@pytest.mark.parametrize("returned", [(CANARY, 5), (Secret(CANARY), 5.0), Credential(Secret(CANARY), 5.0)])
def test_what_the_function_returns_is_read(returned: object) -> None:
    assert read_credential(returned, "p") == Credential(Secret(CANARY), 5.0)


@pytest.mark.parametrize("returned", [CANARY, None, (CANARY,), (CANARY, "5"), (CANARY, True), ("", 5), ("a b", 5)])
def test_what_the_function_must_not_return_is_refused_unseen(returned: object) -> None:
    with pytest.raises(ConfigError) as caught:
        read_credential(returned, "providers.p.api_key")
    assert str(caught.value).startswith("providers.p.api_key: the key ")
    assert CANARY not in str(caught.value)


# Addresses.


def address_of(environ: dict[str, str], **settings: object) -> tuple[str, str, bool]:
    resolved = resolve("p", ProviderConfig.model_validate(settings), environ)
    return resolved.base_url, resolved.base_url_from, resolved.allow_loopback


def test_an_address_in_the_settings_wins_over_the_environment_and_that_over_the_types() -> None:
    environ = {"OPENROUTER_BASE_URL": "https://one.example/v1", "OPENROUTER_API_BASE": "https://two.example/v1"}
    given = address_of(environ, base_url="https://given.example/v1")
    assert given == ("https://given.example/v1", "config", False)
    assert address_of(environ) == ("https://one.example/v1", "OPENROUTER_BASE_URL", True)
    environ["OPENROUTER_BASE_URL"] = ""
    assert address_of(environ) == ("https://two.example/v1", "OPENROUTER_API_BASE", True)
    assert address_of({}) == ("https://openrouter.ai/api/v1", "default", False)


@pytest.mark.parametrize(
    ("kind", "variable"),
    [(kind, variable) for kind, row in CATALOG.items() for variable in row.url_env],
)
def test_every_type_may_be_pointed_at_the_local_machine_by_the_environment(
    kind: ProviderTypeName, variable: str
) -> None:
    assert address_of({variable: "http://127.0.0.1:9/v1"}, type=kind) == ("http://127.0.0.1:9/v1", variable, True)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:11500", "http://127.0.0.1:11500"),
        ("localhost", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:8080/v1", "http://127.0.0.1:8080/v1"),
        ("[::]:8080", "http://127.0.0.1:8080"),
        ("[::1]", "http://[::1]:11434"),
        (":8080", "http://127.0.0.1:8080"),
        (" https://ollama.example.com ", "https://ollama.example.com"),
    ],
)
def test_ollama_host_is_read_as_ollama_writes_it(host: str, url: str) -> None:
    assert address_of({"OLLAMA_HOST": host}, type="ollama") == (url, "OLLAMA_HOST", True)


def test_the_environment_is_no_word_for_an_unencrypted_network() -> None:
    with pytest.raises(ConfigError, match=r"^providers\.p: \$OLLAMA_HOST: this is a private address; "):
        address_of({"OLLAMA_HOST": "192.168.1.5:11434"}, type="ollama")
    lan = address_of({"OLLAMA_HOST": "192.168.1.5:11434"}, type="ollama", allow_private=True, allow_insecure_http=True)
    assert lan == ("http://192.168.1.5:11434", "OLLAMA_HOST", True)


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.0.0.7:1/v1", "http://[::1]:1/v1"])
def test_plain_http_to_the_local_machine_needs_no_flag_for_local_types(url: str) -> None:
    for kind in ("ollama", "vllm"):
        assert address_of({}, type=kind, base_url=url) == (url, "config", True)
    for kind in ("openai", "anthropic", "openrouter", "azure"):
        assert address_of({}, type=kind, base_url=url, allow_loopback=True) == (url, "config", True)
        with pytest.raises(ConfigError, match="set allow_loopback if that is meant"):
            address_of({}, type=kind, base_url=url)


# Networks that are allowed on their own, and hosts.


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("https://10.20.0.1/v1", {}),
        ("https://[::ffff:10.20.0.1]/v1", {}),
        ("http://10.20.0.1/v1", {"allow_insecure_http": True}),
        ("http://127.0.0.1:8000/v1", {}),
        ("http://localhost:8000/v1", {}),  # what it leads to is checked where it is connected to
    ],
)
def test_an_address_in_a_listed_network_needs_no_flag(url: str, settings: dict[str, object]) -> None:
    listed = {"type": "openai", "base_url": url, "allowed_cidrs": ["10.20.0.0/16", "127.0.0.1"], **settings}
    assert address_of({}, **listed) == (url, "config", False)
    with pytest.raises(ConfigError, match="or list it in allowed_cidrs"):
        address_of({}, **listed | {"allowed_cidrs": ["10.21.0.0/16"]})


def hosts_of(environ: dict[str, str], **settings: object) -> tuple[str, ...]:
    return resolve("p", ProviderConfig.model_validate({"type": "openai", **settings}), environ).allowed_hosts


PROXY = {"proxy": "http://proxy:3128"}


@pytest.mark.parametrize("proxy", [{}, PROXY])
def test_without_a_list_a_base_url_of_the_configuration_or_the_type_names_its_host(proxy: dict[str, object]) -> None:
    assert hosts_of({}, **proxy) == ("api.openai.com",)
    assert hosts_of({}, base_url="https://API.example.com.:8443/v1", **proxy) == ("api.example.com",)


def test_behind_a_proxy_a_base_url_from_the_environment_must_be_listed() -> None:
    environ = {"OPENAI_BASE_URL": "https://gateway.example/v1"}
    assert hosts_of(environ) == ("gateway.example",)
    assert hosts_of(environ, **PROXY, allowed_hosts=["gateway.example"]) == ("gateway.example",)
    with pytest.raises(ConfigError) as caught:
        hosts_of(environ, **PROXY)
    assert str(caught.value) == (
        "providers.p.allowed_hosts: is required, since $OPENAI_BASE_URL says where to go and a proxy finds the address;"
        " list the host"
    )


@pytest.mark.parametrize("proxy", [{}, PROXY])
def test_a_list_holds_wherever_the_base_url_comes_from(proxy: dict[str, object]) -> None:
    lacking = r"^providers\.p\.allowed_hosts: lacks the host of {}; add it if that is meant$"
    with pytest.raises(ConfigError, match=lacking.format("base_url")):
        hosts_of({}, base_url="https://api.example.com", allowed_hosts=["example.com"], **proxy)
    with pytest.raises(ConfigError, match=lacking.format(r"\$OPENAI_BASE_URL")):
        hosts_of({"OPENAI_BASE_URL": "https://gateway.example"}, allowed_hosts=["api.openai.com"], **proxy)
    with pytest.raises(ConfigError, match=lacking.format(r"openai's own base URL \(api\.openai\.com\)")):
        hosts_of({}, allowed_hosts=[], **proxy)


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("API.Example.COM.", "https://api.example.com/v1"),
        ("api.example.com", "https://API.example.com./v1"),
        ("0::1", "http://[::1]:8000"),
        ("[::1]", "http://[0:0::1]:8000"),
        ("127.0.0.1", "http://127.0.0.1:8000"),
    ],
)
def test_a_host_is_listed_in_any_of_its_spellings(listed: str, url: str) -> None:
    (host,) = hosts_of({}, base_url=url, allow_loopback=True, allowed_hosts=[listed], **PROXY)
    assert host in ("api.example.com", "::1", "127.0.0.1")


def test_the_settings_that_allow_more_are_told_with_what_they_allow() -> None:
    def told(**settings: object) -> dict[str, str]:
        config = ProviderConfig.model_validate(settings)
        return dict(opt_outs(config, resolve("p", config, {})))

    for nothing_more in ({}, {"type": "ollama", "allow_loopback": True}, {"allowed_hosts": ["openrouter.ai"]}):
        assert told(**nothing_more) == {}
    assert told(
        allow_insecure_http=True,
        allow_loopback=True,
        allow_private=True,
        allowed_cidrs=["10.20.0.0/16", "::1"],
        proxy=f"http://user:{CANARY}@proxy:3128",
    ) == {
        "allow_insecure_http": "plain http to every address that is allowed",
        "allow_loopback": "this machine",
        "allow_private": "all private networks",
        "allowed_cidrs": "10.20.0.0/16, ::1/128",
        "proxy": "whatever addresses the proxy finds for openrouter.ai",
    }
