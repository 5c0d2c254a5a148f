"""From settings as written to what an actor is given: joined with the type's row and the environment, and checked.

Pure: the environment is an argument, no file is opened and no name is looked up. Where requests may go is the matter of
:mod:`nexus3.config.reach`.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from nexus3.actors.limits import CommonLimits, Limits
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.secrets import KeySource, Secret, check_key
from nexus3.actors.settings import ProviderConfig
from nexus3.config.reach import allowed_hosts, check_reachable, read_proxy
from nexus3.errors import ConfigError
from nexus3.wire.addresses import read_network
from nexus3.wire.catalog import CATALOG, AuthMethod, ProviderType
from nexus3.wire.urls import check_base_url, endpoint_url

_LOCAL_CONNECT_TIMEOUT = 2.0
_LOCAL_HEADER_TIMEOUT = 300.0
"""A local server answers no head before it has loaded the model."""


def resolve(name: str, config: ProviderConfig, environ: Mapping[str, str]) -> ResolvedProvider:
    """Join one provider's settings with its type's row and the environment.

    A missing key is no error: the result says so in ``unconfigured``.

    Raises:
        ConfigError: an address that may not be used, or a key that no header can carry.
    """
    try:
        return _resolve(name, config, environ)
    except ConfigError as error:
        problem = str(error)
    del environ  # a traceback that shows locals would show the keys in it
    raise ConfigError(problem)


def _resolve(name: str, config: ProviderConfig, environ: Mapping[str, str]) -> ResolvedProvider:
    row = CATALOG[config.type]
    place = f"providers.{name}"
    base_url, base_url_from = _base_url(place, row, config, environ)
    auth_method = config.auth_method or row.auth
    api_key, api_key_from, unconfigured = _api_key(place, row, config, auth_method, environ)
    resolved = ResolvedProvider(
        name=name,
        type=row,
        base_url=base_url,
        base_url_from=base_url_from,
        auth_method=auth_method,
        api_key=api_key,
        api_key_from=api_key_from,
        unconfigured=unconfigured,
        extra_headers=tuple(config.extra_headers.items()),
        extra_body=config.extra_body,
        quirks=msgspec.structs.replace(row.quirks, **config.quirks),
        deployment=config.deployment,
        api_version=config.api_version,
        limits=_limits(row, config),
        request_timeout=config.request_timeout,
        max_retries=config.max_retries,
        retry_backoff=config.retry_backoff,
        retry_unsafe=config.retry_unsafe,
        stream=config.stream,
        requests_per_minute=config.requests_per_minute,
        tokens_per_minute=config.tokens_per_minute,
        spend_cap=config.spend_cap,
        breaker=config.breaker,
        hedge=config.hedge,
        allow_insecure_http=config.allow_insecure_http,
        # An address from the environment is the operator's word.
        allow_loopback=config.allow_loopback or row.local or base_url_from not in ("config", "default"),
        allow_private=config.allow_private,
        allowed_cidrs=tuple(read_network(text) for text in config.allowed_cidrs),
        allowed_hosts=allowed_hosts(place, config, base_url, base_url_from),
        ca_file=config.ca_file,
        prompt_caching=config.prompt_caching,
        proxy=read_proxy(place, config),
    )
    check_reachable(f"{place}.base_url" if base_url_from == "config" else f"{place}: ${base_url_from}", resolved)
    _check_endpoint(place, resolved)
    return resolved


def require_keys(provider: ResolvedProvider) -> None:
    """Refuse a provider that lacks its key, for those who want to know at the start.

    Raises:
        ConfigError: it is ``unconfigured``.
    """
    if provider.unconfigured is not None:
        raise ConfigError(f"providers.{provider.name}: {provider.unconfigured}")


def _base_url(place: str, row: ProviderType, config: ProviderConfig, environ: Mapping[str, str]) -> tuple[str, str]:
    """The address and where it came from."""
    if config.base_url is not None:
        _check_text(f"{place}.base_url", config.base_url)
        return config.base_url, "config"
    for variable in row.url_env:
        if text := environ.get(variable, "").strip():
            url = complete_address(text, row)
            _check_text(f"{place}: ${variable}", url)
            return url, variable
    if row.base_url is None:
        raise ConfigError(
            f"{place}.base_url: {row.name} has no common address; give base_url, or set {' or '.join(row.url_env)}"
        )
    return row.base_url, "default"


def complete_address(text: str, row: ProviderType) -> str:
    """A base URL from an environment variable that may hold less: ``host:port``, ``host``, ``:port``.

    What is missing comes from the row. Addresses to *listen* on (``0.0.0.0``, ``::``), which some share one variable
    for, are read as the loopback address.
    """
    if "://" in text:
        scheme, _, rest = text.partition("://")
        default_port = None
    else:
        scheme, rest = ("http" if row.local else "https"), text
        default_port = urlsplit(row.base_url).port if row.base_url else None
    authority, slash, path = rest.partition("/")
    host, port = _split_port(authority)
    if host in ("", "0.0.0.0", "[::]"):  # noqa: S104 - recognised here so as not to be used
        host = "127.0.0.1"
    if not port and default_port is not None:
        port = str(default_port)
    return f"{scheme}://{host}{':' + port if port else ''}{slash}{path}"


def _split_port(authority: str) -> tuple[str, str]:
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        return authority, ""
    return host, port


def _check_text(place: str, url: str) -> None:
    try:
        check_base_url(url)
    except ConfigError as error:
        problem = str(error)
    else:
        return
    raise ConfigError(f"{place}: {problem}")


def _check_endpoint(place: str, provider: ResolvedProvider) -> None:
    """Address, deployment and API version must make a URL together; whichever model will be asked for."""
    try:
        endpoint_url(
            provider.type,
            provider.base_url,
            model="any",
            deployment=provider.deployment,
            api_version=provider.api_version,
        )
    except ConfigError as error:
        problem = str(error)  # begins with the key that is wrong
    else:
        return
    raise ConfigError(f"{place}.{problem}")


def _api_key(
    place: str, row: ProviderType, config: ProviderConfig, auth_method: AuthMethod, environ: Mapping[str, str]
) -> tuple[Secret | KeySource | None, str | None, str | None]:
    """The key, where it came from, and what to set where it is missing."""
    if auth_method == "none":
        return None, None, None
    if isinstance(config.api_key, SecretStr):
        return check_key(config.api_key.get_secret_value(), f"{place}.api_key"), "config", None
    if config.api_key is not None:
        return config.api_key, "config", None
    variables = (config.api_key_env,) if config.api_key_env is not None else row.key_env
    for variable in variables:
        if environ.get(variable, "").strip():
            return check_key(environ[variable], f"{place}: ${variable}"), variable, None
    if row.key_required or config.api_key_env is not None:
        return None, None, f"there is no API key; set the environment variable {variables[0]}, or api_key"
    return None, None, None


def _limits(row: ProviderType, config: ProviderConfig) -> Limits:
    defaults = Limits()
    first_event = config.first_event_timeout or row.first_event_timeout
    thinking = max(first_event, defaults.reasoning_first_event_timeout)
    max_connections = config.max_connections or row.max_connections
    return Limits(
        **{name: getattr(config, name) for name in CommonLimits.model_fields},
        connect_timeout=config.connect_timeout or (_LOCAL_CONNECT_TIMEOUT if row.local else defaults.connect_timeout),
        header_timeout=config.header_timeout or (_LOCAL_HEADER_TIMEOUT if row.local else defaults.header_timeout),
        first_event_timeout=first_event,
        # Who set the one limit by hand meant it for all requests.
        reasoning_first_event_timeout=config.reasoning_first_event_timeout or config.first_event_timeout or thinking,
        max_connections=max_connections,
        max_keepalive_connections=config.max_keepalive_connections or max_connections,
    )
