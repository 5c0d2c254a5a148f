"""What is wrong is said in one line that names the place, and shows nothing that may be a key."""

import json
import pickle
import traceback
from collections.abc import Callable

import pytest
from pydantic import SecretStr, ValidationError

from nexus3.config.load import load_config
from nexus3.config.schema import Config, ModelConfig, ProviderConfig
from nexus3.errors import ConfigError
from tests.config.samples import CANARY


def az(settings: dict[str, object], problem: str) -> tuple[dict[str, object], str]:
    """A provider with a key and these settings, and what is said of it."""
    return {"providers": {"az": {"api_key": CANARY, **settings}}}, f"providers.az{problem}"


def m(settings: dict[str, object], problem: str) -> tuple[dict[str, object], str]:
    """A model of a known provider with these settings, and what is said of it."""
    providers = {"mine": {"type": "ollama", "api_key": CANARY}}
    models = {"m": {"provider": "mine", "model_id": "x", **settings}}
    return {"providers": providers, "models": models}, f"models.m{problem}"


TYPES = "openrouter, openai, ollama, vllm, azure, anthropic"
HTTP = "http:// sends key and prompts unencrypted; use https://, or set allow_insecure_http"
LOCAL = "this is the local machine; set allow_loopback if that is meant, or list it in allowed_cidrs"
PRIVATE = "this is a private address; set allow_private if that is meant, or list it in allowed_cidrs"
METADATA = "this is a metadata service of a cloud, and never a provider"
NEVER = "no provider can be at a link-local, multicast or reserved address"
NETWORK = "must be a network such as 10.20.0.0/16 or fd12:3456::/48, or one address"
HOST = "must be a host alone, such as api.example.com: without scheme, port, path or wildcard"
RESERVED = "cannot be set here: credentials go to api_key, framing is ours"
NO_ALIAS = "not an alias, nor provider:model with a configured provider"

TABLE: list[tuple[dict[str, object], str]] = [
    # The root.
    ({"modles": {}}, "modles: unknown key; did you mean 'models'?"),
    ({"x\n\u2028y": {}}, "'x\\n\\u2028y': unknown key"),
    ({"permissions": {}}, "permissions belongs to the original application, not to its provider layer; take it out"),
    ({"providers": []}, "providers: must be an object"),
    ({"default_model": 5}, "default_model: must be a string"),
    # Providers: names and types.
    ({"providers": {"a b": {}}}, "providers: the name 'a b' must be 1 to 64 of A-Z a-z 0-9 _ . -"),
    ({"providers": {"a:b": {}}}, "providers: the name 'a:b' must be 1 to 64 of A-Z a-z 0-9 _ . -"),
    ({"providers": {"az": 5}}, "providers.az: must be an object"),
    az({"type": "azur"}, f".type: must be one of {TYPES}; did you mean 'azure'?"),
    az({"type": CANARY}, f".type: must be one of {TYPES}"),
    az({"base_ulr": "x"}, ".base_ulr: unknown key; did you mean 'base_url'?"),
    az({"conect_timeout": 1}, ".conect_timeout: unknown key; did you mean 'connect_timeout'?"),
    az({"base_url": 5}, ".base_url: must be a string"),
    az({"max_retries": "3"}, ".max_retries: must be a valid integer"),
    az({"max_retries": True}, ".max_retries: must be a valid integer"),
    az({"max_retries": -1}, ".max_retries: must be greater than or equal to 0"),
    az({"request_timeout": 0}, ".request_timeout: must be greater than 0"),
    az({"idle_timeout": float("inf")}, ".idle_timeout: must be a finite number"),
    az({"idle_timeout": float("nan")}, ".idle_timeout: must be a finite number"),
    az({"hedge": 1}, ".hedge: must be a valid boolean"),
    az({"hedge": 1, "breaker": "of"}, ".breaker: must be one of on, observe, off; did you mean 'off'? (and 1 more)"),
    # Addresses.
    az({"type": "azure"}, ".base_url: azure has no common address; give base_url, or set AZURE_OPENAI_ENDPOINT"),
    az({"base_url": "http://api.example.com/v1"}, f".base_url: {HTTP}"),
    az({"base_url": "http://localhost/v1"}, f".base_url: {LOCAL}"),
    az({"base_url": "https://127.0.0.2/v1"}, f".base_url: {LOCAL}"),
    az({"base_url": "https://192.168.1.5/v1"}, f".base_url: {PRIVATE}"),
    az({"base_url": "http://10.0.0.5/v1", "allow_private": True}, f".base_url: {HTTP}"),
    az({"base_url": "http://10.0.0.5/v1", "allow_insecure_http": True}, f".base_url: {PRIVATE}"),
    az({"base_url": "https://169.254.169.254/v1", "allow_private": True}, f".base_url: {METADATA}"),
    az({"base_url": "https://metadata.google.internal/v1"}, f".base_url: {METADATA}"),
    az({"base_url": "https://169.254.1.1/v1", "allow_private": True}, f".base_url: {NEVER}"),
    az({"type": "vllm", "base_url": "http://192.168.1.5:8000/v1"}, f".base_url: {PRIVATE}"),
    # Networks that are allowed on their own.
    az({"allowed_cidrs": ["10.0.0.0/8", "::1", "x"]}, f".allowed_cidrs[2]: {NETWORK}"),
    az({"allowed_cidrs": [CANARY]}, f".allowed_cidrs[0]: {NETWORK}"),
    az({"allowed_cidrs": [5]}, ".allowed_cidrs[0]: must be a string"),
    az({"allowed_cidrs": "10.0.0.0/8"}, ".allowed_cidrs: must be a list"),
    az(
        {"allowed_cidrs": ["10.1.2.3/16"]},
        ".allowed_cidrs[0]: has bits set beyond its prefix; write 10.1.0.0/16, or 10.1.2.3 for that one address",
    ),
    az({"base_url": "https://10.1.2.3/v1", "allowed_cidrs": ["10.2.0.0/16"]}, f".base_url: {PRIVATE}"),
    az({"base_url": "https://localhost/v1", "allowed_cidrs": ["10.0.0.0/8"]}, f".base_url: {LOCAL}"),
    az({"base_url": "https://127.0.0.2/v1", "allowed_cidrs": ["127.0.0.1"]}, f".base_url: {LOCAL}"),
    az({"base_url": "http://10.1.2.3/v1", "allowed_cidrs": ["10.1.0.0/16"]}, f".base_url: {HTTP}"),
    # Hosts that the base URL may have.
    az({"allowed_hosts": ["a.example", f"https://u:{CANARY}@b.example"]}, f".allowed_hosts[1]: {HOST}"),
    az({"allowed_hosts": ["*.example.com"]}, f".allowed_hosts[0]: {HOST}"),
    az({"allowed_hosts": ["a.example:443"]}, f".allowed_hosts[0]: {HOST}"),
    az({"allowed_hosts": ["[::1]:443"]}, f".allowed_hosts[0]: {HOST}"),
    az({"allowed_hosts": ["a.example/v1"]}, f".allowed_hosts[0]: {HOST}"),
    az({"allowed_hosts": ["2130706433"]}, f".allowed_hosts[0]: {HOST}"),
    az({"allowed_hosts": [""]}, f".allowed_hosts[0]: {HOST}"),
    az({"allowed_hosts": "a.example"}, ".allowed_hosts: must be a list"),
    az(
        {"base_url": "https://a.example", "allowed_hosts": ["b.a.example", "example"]},
        ".allowed_hosts: lacks the host of base_url; add it if that is meant",
    ),
    az(
        {"proxy": "http://proxy:3128", "allowed_hosts": []},
        ".allowed_hosts: lacks the host of openrouter's own base URL (openrouter.ai); add it if that is meant",
    ),
    az(
        {"base_url": f"https://u:{CANARY}@h/v1"},
        ".base_url: the URL has a user name or password; give keys as api_key or api_key_env",
    ),
    az({"base_url": "ftp://h"}, ".base_url: the URL must begin with https:// or http://"),
    az({"base_url": ""}, ".base_url: the URL must begin with https:// or http://"),
    az(
        {"base_url": "https://2130706433/v1"},
        ".base_url: the URL's host must, as an IPv4 address, be four decimal numbers, for example 127.0.0.1",
    ),
    az({"base_url": "https://[::ffff:169.254.169.254]/"}, f".base_url: {METADATA}"),
    az(
        {"type": "azure", "base_url": "https://x.example", "api_version": "a/b"},
        ".api_version: use a date such as 2024-10-21, v1 or preview",
    ),
    az(
        {"type": "azure", "base_url": "https://x.example", "api_version": "2024-10-21", "deployment": "a/../b"},
        ".deployment: use 1 to 256 of A-Z a-z 0-9 . _ : @ / + ~ - without two dots in a row",
    ),
    az(
        {"verify_ssl": False},
        ": verify_ssl cannot be switched off: anyone on the way could read the key; "
        "name the server's authority by ca_file",
    ),
    az({"ssl_ca_cert": "x.pem"}, ": ssl_ca_cert is called ca_file here"),
    az({"ca_file": "/nowhere.pem"}, ".ca_file: /nowhere.pem cannot be read: No such file or directory"),
    az({"ca_file": __file__}, f".ca_file: {__file__} is not a PEM file of certificates"),
    az({"ca_file": 5}, ".ca_file: must be a string"),
    az({"proxy": f"socks5://u:{CANARY}@p:1080"}, ".proxy: must be http://host:port or https://host:port"),
    az({"proxy": f"http://u:{CANARY}@[p"}, ".proxy: must be http://host:port or https://host:port"),
    az({"proxy": "http://proxy:3128\n"}, ".proxy: must be http://host:port or https://host:port"),
    az({"proxy": "http://169.254.169.254:80"}, f".proxy: {METADATA}"),
    # Keys and headers.
    az({"api_key": 5}, ".api_key: must be a string, or an async function that returns the key and its expiry"),
    az({"api_key": ""}, ".api_key: the key is empty"),
    az({"api_key": CANARY + "\r\nX: y"}, ".api_key: the key has an illegal character at index 26"),
    az({"api_key": "sk-\u00e9" + CANARY}, ".api_key: the key has an illegal character at index 3"),
    az({"api_key": CANARY[:10] + " " + CANARY}, ".api_key: the key has an illegal character at index 10"),
    az({"api_key": CANARY * 400}, ".api_key: the key is longer than 8192 characters"),
    az(
        {"api_key": "**********"},
        ".api_key: the key was masked when these settings were dumped or pickled; give it again",
    ),
    az(
        {"api_key_env": CANARY},
        ".api_key_env: must be the name of an environment variable; a key itself goes to api_key",
    ),
    az({"extra_headers": {"Authorization": CANARY}}, f".extra_headers: 'Authorization' {RESERVED}"),
    az({"extra_headers": {"X-Api-Key": CANARY}}, f".extra_headers: 'X-Api-Key' {RESERVED}"),
    az({"extra_headers": {"proxy-authorization": CANARY}}, f".extra_headers: 'proxy-authorization' {RESERVED}"),
    az({"extra_headers": {"content-length": "5"}}, f".extra_headers: 'content-length' {RESERVED}"),
    az({"extra_headers": {"x y": "z"}}, ".extra_headers: 'x y' is not a header name"),
    az({"extra_headers": {"x\r\ny": "z"}}, ".extra_headers: 'x\\r\\ny' is not a header name"),
    az(
        {"extra_headers": {"x": CANARY + "\r\ny: z"}},
        ".extra_headers: the value of 'x' has a character that a header cannot carry",
    ),
    az({"extra_headers": {"x": "\0"}}, ".extra_headers: the value of 'x' has a character that a header cannot carry"),
    az({"extra_headers": {"x": "1", "X": "2"}}, ".extra_headers: 'X' is given twice"),
    az({"extra_headers": {"x": 1}}, ".extra_headers.x: must be a string"),
    az({"extra_headers": []}, ".extra_headers: must be an object"),
    # Quirks.
    az({"quirks": {"sed": False}}, ".quirks.sed: unknown key; did you mean 'seed'?"),
    az({"quirks": {"seed": 0}}, ".quirks: seed must be true or false"),
    az({"quirks": {"cache_marks": CANARY}}, ".quirks: cache_marks must be one of none, anthropic_models, all"),
    az({"quirks": {"model_family": 4}}, ".quirks: model_family must be a string"),
    az({"quirks": "none"}, ".quirks: must be an object"),
    # Models.
    m({"provider": "mien"}, ".provider: no provider 'mien' is configured; did you mean 'mine'?"),
    m({"id": "x"}, ".id: unknown key"),
    m({"model_id": None}, ": needs provider and model_id, or targets"),
    m({"model_id": ""}, ".model_id: must be one line of printable characters, and not empty"),
    m({"model_id": "a\nb"}, ".model_id: must be one line of printable characters, and not empty"),
    m({"targets": [{"provider": "mine", "model_id": "x"}]}, ": give provider and model_id, or targets, not both"),
    m({"fallbacks": ["m"]}, ".fallbacks: a model cannot be its own fallback"),
    m({"fallbacks": ["mm"]}, f".fallbacks: 'mm' is {NO_ALIAS}; did you mean 'm'?"),
    m({"fallbacks": ["mien:x"]}, f".fallbacks: 'mien:x' is {NO_ALIAS}; did you mean 'mine:x'?"),
    m({"fallbacks": "m"}, ".fallbacks: must be a list"),
    m({"context_window": -5}, ".context_window: must be greater than or equal to 1"),
    m({"reasoning": "hgih"}, ".reasoning: must be true, false, or one of none, minimal, low, medium, high, xhigh, max"),
    m({"reasoning": {"effort": "low", "budget_tokens": 5}}, ".reasoning: give effort or budget_tokens, not both"),
    m({"prices": {"inputs": 3}}, ".prices.inputs: unknown key; did you mean 'input'?"),
    m({"prices": {"input": -3}}, ".prices.input: must be greater than or equal to 0"),
    ({"default_model": "llama"}, f"default_model: 'llama' is {NO_ALIAS}"),
    ({"models": {"": {"targets": []}}}, "models.'': needs provider and model_id, or targets"),
    (
        {"models": {"m": {"targets": [{"provider": "p", "model_id": "x"}]}}},
        "models.m.targets[0].provider: no provider 'p' is configured",
    ),
    ({"models": {"m": {"targets": [{"provider": "p"}]}}}, "models.m.targets[0].model_id: is required"),
    (
        {"models": {"m": {"targets": [{"provider": "p", "model_id": "x", "weight": 0}]}}},
        "models.m.targets[0].weight: must be greater than 0",
    ),
    # Models within their provider.
    az({"models": {"m": {}}}, ".models.m.model_id: is required"),
    az({"models": {"m": {"id": "x", "guidence": ""}}}, ".models.m.guidence: unknown key; did you mean 'guidance'?"),
    az({"models": {"m": {"id": "x", "provider": "y"}}}, ".models.m.provider: unknown key"),
    (
        {"providers": {"a": {"models": {"m": {"id": "x"}}}, "b": {"models": {"m": {"id": "y"}}}}},
        "providers.b.models: the alias 'm' is defined in providers.a.models already",
    ),
    (
        {"providers": {"a": {"models": {"m": {"id": "x"}}}}, "models": {"m": {"provider": "a", "model_id": "y"}}},
        "providers.a.models: the alias 'm' is defined in models already",
    ),
    # The supervisor.
    ({"supervisor": {"max_restart": 5}}, "supervisor.max_restart: unknown key; did you mean 'max_restarts'?"),
    ({"supervisor": {"on_exhausted": "give_up"}}, "supervisor.on_exhausted: must be one of park, escalate"),
    ({"supervisor": {"backoff_min": 9.0}}, "supervisor: backoff_min must not be greater than backoff_max"),
    ({"supervisor": 5}, "supervisor: must be an object"),
]


@pytest.mark.parametrize(("data", "problem"), TABLE, ids=[problem[:60] for _, problem in TABLE])
def test_a_mistake_is_one_line_with_its_place_and_no_key(data: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(data, environ={})
    assert str(caught.value) == problem
    assert len(problem.splitlines()) == 1
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    # Whoever walks the chain, as some loggers do, finds nothing of what was given either.
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_wrong_variable_is_named_and_not_shown() -> None:
    config = Config(providers={"a": ProviderConfig(type="openai")})
    for environ, problem in (
        (
            {"OPENAI_API_KEY": CANARY + "\nx"},
            "providers.a: $OPENAI_API_KEY: the key has an illegal character at index 26",
        ),
        ({"OPENAI_BASE_URL": "https://10.0.0.1"}, f"providers.a: $OPENAI_BASE_URL: {PRIVATE}"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(config, environ=environ)
        assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("build", "hint"),
    [
        (lambda: ProviderConfig.model_validate({"api_key": CANARY, "max_retry": 3}), "did you mean 'max_retries'?"),
        (lambda: ProviderConfig.model_validate({"apikey": CANARY}), "did you mean 'api_key'?"),
        (lambda: ProviderConfig(api_key=SecretStr(CANARY), max_retries=-1), "greater than or equal to 0"),
        (lambda: Config.model_validate({"providers": {"a": {"api_key": CANARY, "type": CANARY}}}), "openrouter"),
        (
            lambda: Config.model_validate({"providers": {"a": {"api_key": CANARY}}, "default_model": "x"}),
            "not an alias",
        ),
        (lambda: ModelConfig.model_validate({"provider": CANARY}), "needs provider and model_id, or targets"),
    ],
)
def test_building_a_model_by_hand_raises_pydantics_error_without_the_key(
    build: Callable[[], object], hint: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        build()
    assert hint in str(caught.value)
    assert CANARY not in str(caught.value) + repr(caught.value)


def test_a_key_is_shown_nowhere() -> None:
    async def fetch() -> tuple[str, float]:
        return CANARY, 0.0

    config = Config.model_validate(
        {"providers": {"text": {"api_key": CANARY, "proxy": f"http://u:{CANARY}@p"}, "function": {"api_key": fetch}}}
    )
    shown = [str(config), repr(config), config.model_dump_json(), json.dumps(config.model_dump(mode="json"))]
    pickled = pickle.dumps(Config(providers={"text": config.providers["text"]}))
    assert CANARY not in "".join(shown)
    assert CANARY.encode() not in pickled
    copy = pickle.loads(pickled)
    with pytest.raises(ConfigError, match="the key was masked when these settings were dumped or pickled"):
        load_config(copy, environ={})


def test_a_copy_within_the_program_keeps_the_key() -> None:
    config = ProviderConfig.model_validate({"api_key": CANARY})
    assert config.model_copy(deep=True) == config
