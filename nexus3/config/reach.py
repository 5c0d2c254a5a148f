"""Where a provider's requests may go, as far as its settings and the text of its address say.

What names resolve to is checked where a connection is made: :mod:`nexus3.actors.http.ssrf`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import assert_never
from urllib.parse import urlsplit

from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.secrets import Secret
from nexus3.actors.settings import ProviderConfig
from nexus3.errors import ConfigError
from nexus3.wire.addresses import Network, allowed_networks, classify_host
from nexus3.wire.urls import origin_of, origin_parts

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def opt_outs(config: ProviderConfig, provider: ResolvedProvider) -> Iterator[tuple[str, str]]:
    """Which of the settings let requests go where this type's may not go by default, and what each allows, in words.

    For the log: no secret is among them. ``provider`` is what ``config`` was resolved to.
    """
    if config.allow_insecure_http:
        yield "allow_insecure_http", "plain http to every address that is allowed"
    if config.allow_loopback and not provider.type.local:
        yield "allow_loopback", "this machine"
    if config.allow_private:
        yield "allow_private", "all private networks"
    if config.allowed_cidrs:
        yield "allowed_cidrs", ", ".join(config.allowed_cidrs)
    if config.proxy is not None:
        yield "proxy", f"whatever addresses the proxy finds for {', '.join(provider.allowed_hosts)}"


def check_reachable(place: str, provider: ResolvedProvider) -> None:
    """Where the key may go, as far as the text of the address says where that is.

    Raises:
        ConfigError: not there. The message begins with ``place`` and says what would allow it, if anything does.
    """
    origin = urlsplit(origin_of(provider.base_url))
    host = origin.hostname or ""
    allowed = allowed_networks(
        loopback=provider.allow_loopback, private=provider.allow_private, listed=provider.allowed_cidrs
    )
    _check_host(place, host, allowed)
    if origin.scheme == "http" and not provider.allow_insecure_http and classify_host(host) != "loopback":
        raise ConfigError(
            f"{place}: http:// sends key and prompts unencrypted; use https://, or set allow_insecure_http"
        )


def _check_host(place: str, host: str, allowed: Sequence[Network]) -> None:
    match classify_host(host, allowed):
        case "metadata":
            raise ConfigError(f"{place}: this is a metadata service of a cloud, and never a provider")
        case "never":
            raise ConfigError(f"{place}: no provider can be at a link-local, multicast or reserved address")
        case "loopback":
            raise ConfigError(
                f"{place}: this is the local machine; set allow_loopback if that is meant, or list it in allowed_cidrs"
            )
        case "private":
            raise ConfigError(
                f"{place}: this is a private address; set allow_private if that is meant, or list it in allowed_cidrs"
            )
        case "public" | None:
            pass
        case kind:
            assert_never(kind)


def allowed_hosts(place: str, config: ProviderConfig, base_url: str, base_url_from: str) -> tuple[str, ...]:
    """The hosts that requests may go to; see :attr:`ProviderConfig.allowed_hosts`.

    Raises:
        ConfigError: the base URL's host is not listed, or a list is needed.
    """
    host = origin_parts(base_url)[1]
    match base_url_from:
        case "config":
            source = "base_url"
        case "default":
            source = f"{config.type}'s own base URL ({host})"
        case variable:
            source = f"${variable}"
    place = f"{place}.allowed_hosts"
    if config.allowed_hosts is None:
        if config.proxy is not None and base_url_from not in ("config", "default"):
            raise ConfigError(
                f"{place}: is required, since {source} says where to go and a proxy finds the address; list the host"
            )
        return (host,)
    if host not in config.allowed_hosts:
        raise ConfigError(f"{place}: lacks the host of {source}; add it if that is meant")
    return config.allowed_hosts


def read_proxy(place: str, config: ProviderConfig) -> Secret | None:
    """The proxy's URL. What the proxy itself connects to is out of our sight.

    Raises:
        ConfigError: it is no URL of a proxy, or of one that cannot be. The message does not show it: it may have a
            password in it.
    """
    if config.proxy is None:
        return None
    place = f"{place}.proxy"
    url = config.proxy.get_secret_value()
    host = None
    # urlsplit drops what is not visible instead of refusing it.
    if _VISIBLE.fullmatch(url):
        with suppress(ValueError):
            parts = urlsplit(url)
            host = parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    if not host:
        raise ConfigError(f"{place}: must be http://host:port or https://host:port")
    _check_host(place, host, allowed_networks(loopback=True, private=True))
    return Secret(url)
