"""Base URLs: which are refused by their text alone, and which endpoint each one means.

Users paste a bare host, a base with ``/v1`` or the whole endpoint; all three mean the same. A URL is parsed once, here,
by one parser, and what is sent later is rebuilt from the parts that were checked. Addresses are not judged here: a name
is only as good as what it resolves to at each connect.

No message quotes a URL: it may carry a key, in userinfo or in a query.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from nexus3.errors import ConfigError
from nexus3.wire.catalog import ProviderType

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL = 2048
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]*")
_LABEL = re.compile(r"[a-z0-9-]{1,63}")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH_NAME = re.compile(r"[A-Za-z0-9._:@/+~-]{1,256}")
_API_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DEPLOYMENT_PATH = re.compile(r"/openai/deployments/[^/]+")

_UNDATED = frozenset({"v1", "preview"})
"""API versions of Azure's second generation of URLs, where it takes them but needs none."""


class _Url(NamedTuple):
    scheme: str
    host: str
    """Lower case, without brackets or a trailing dot."""
    port: int
    path: str
    """Without trailing slashes."""
    query: str

    @property
    def authority(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def check_base_url(text: str) -> None:
    """Refuse what no base URL may be, whatever it resolves to.

    Raises:
        ConfigError: not http or https, userinfo, a fragment, characters that parsers disagree on, no valid host (names
            by label, IPv4 as a canonical dotted quad, IPv6 without a zone), or no valid port.
    """
    _parse(text)


def origin_of(url: str) -> str:
    """``scheme://host:port`` in lower case, the port always written: what a key is bound to.

    Raises:
        ConfigError: as :func:`check_base_url`.
    """
    parsed = _parse(url)
    return f"{parsed.scheme}://{parsed.authority}:{parsed.port}"


def origin_parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, as they are connected to: an IPv6 host without brackets.

    Raises:
        ConfigError: as :func:`check_base_url`.
    """
    parsed = _parse(url)
    return parsed.scheme, parsed.host, parsed.port


def endpoint_url(
    type: ProviderType,  # noqa: A002 - the field's name everywhere
    base_url: str,
    *,
    model: str,
    deployment: str | None,
    api_version: str | None,
) -> str:
    """The whole URL of the completion endpoint that ``base_url`` means for this provider type.

    A query in the base URL is kept. ``deployment`` (else ``model``) and ``api_version`` are used by Azure only.

    Raises:
        ConfigError: the URL, the deployment's name or the API version cannot be used, or do not fit together.
    """
    url = _parse(base_url)
    if type.dialect == "anthropic_messages":
        path, version = _anthropic_path(url.path), None
    elif type.name == "azure":
        path, version = _azure_path(url, deployment, model, api_version)
    else:
        path, version = _openai_path(url.path, type.bare_host_path), None
    query = url.query
    if version is not None:
        kept = [pair for pair in query.split("&") if pair and not pair.lower().startswith("api-version=")]
        query = "&".join([*kept, f"api-version={version}"])
    port = "" if url.port == _DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return f"{url.scheme}://{url.authority}{port}{path}{'?' if query else ''}{query}"


def _openai_path(path: str, bare_host_path: str) -> str:
    if path.endswith("/chat/completions"):
        return path
    return f"{path or bare_host_path}/chat/completions"


def _anthropic_path(path: str) -> str:
    if path.endswith("/messages"):
        return path
    return f"{path}/messages" if path.endswith("/v1") else f"{path}/v1/messages"


def _azure_path(url: _Url, deployment: str | None, model: str, api_version: str | None) -> tuple[str, str | None]:
    """Path and API version for one of Azure's two generations of URLs.

    The first names the deployment in the path and demands a dated version; the second (``/openai/v1``) takes the
    deployment as the model and no dated version. A path of a gateway's own is kept as it is.
    """
    if api_version is not None and not _API_VERSION.fullmatch(api_version):
        raise ConfigError("api_version: use a date such as 2024-10-21, v1 or preview")
    dated = api_version is not None and api_version not in _UNDATED
    path = url.path
    if path.endswith("/chat/completions"):
        return path, api_version
    if url.host.endswith(".models.ai.azure.com") and path in ("", "/v1"):
        if api_version is not None:
            raise ConfigError("api_version: hosts under models.ai.azure.com take none; leave it out")
        return "/v1/chat/completions", None
    if path.endswith("/v1"):
        if dated:
            raise ConfigError("api_version: a base_url that ends in /v1 takes no dated version; leave out one of them")
        return f"{path}/chat/completions", api_version
    if _DEPLOYMENT_PATH.search(path):
        if api_version is None and "api-version=" not in url.query.lower():
            raise ConfigError("api_version: a base_url that names a deployment needs one, for example 2024-10-21")
        return f"{path}/chat/completions", api_version
    if path in ("", "/openai") or (dated and deployment is not None):
        prefix = path if path.endswith("/openai") else f"{path}/openai"
        if dated:
            return f"{prefix}/deployments/{_path_segment(deployment or model)}/chat/completions", api_version
        return f"{prefix}/v1/chat/completions", api_version
    return f"{path}/chat/completions", api_version


def _path_segment(name: str) -> str:
    """A deployment's name as one segment of a path, whatever it contains."""
    if not _PATH_NAME.fullmatch(name) or ".." in name or name == ".":
        raise ConfigError("deployment: use 1 to 256 of A-Z a-z 0-9 . _ : @ / + ~ - without two dots in a row")
    return quote(name, safe="")


def _parse(text: str) -> _Url:
    # First what makes parsers disagree about where the host is: nothing of that reaches one.
    if len(text) > _MAX_URL:
        raise ConfigError(f"the URL is longer than {_MAX_URL} characters")
    if not _VISIBLE_ASCII.fullmatch(text):
        raise ConfigError("the URL has spaces, control or non-ASCII characters; write names in their xn-- form")
    if "\\" in text:
        raise ConfigError("the URL has a backslash")
    if "#" in text:
        raise ConfigError("the URL has a fragment (#...)")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigError("the URL's host or port cannot be read") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ConfigError("the URL must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ConfigError("the URL has a user name or password; give keys as api_key or api_key_env")
    if port == 0 or parts.netloc.endswith(":"):
        raise ConfigError("the URL's port must be between 1 and 65535")
    return _Url(
        scheme=parts.scheme,
        host=_host(parts.netloc),
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=parts.path.rstrip("/"),
        query=parts.query,
    )


def _host(netloc: str) -> str:
    """The host of an authority without userinfo, in its one canonical spelling."""
    if netloc.startswith("["):
        literal, _, rest = netloc[1:].partition("]")
        try:
            if "%" in literal or (rest and not rest.startswith(":")):
                raise AddressValueError
            return str(IPv6Address(literal))
        except AddressValueError:
            raise ConfigError("the URL's IPv6 address cannot be used; zones are not allowed") from None
    host = netloc.partition(":")[0].lower().removesuffix(".")
    if not host:
        raise ConfigError("the URL has no host")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ConfigError("the URL's host must be labels of 1 to 63 letters, digits and hyphens, joined by dots")
    # Resolvers read 127.1, 0x7f000001 and 2130706433 as addresses; only the spelling that everyone reads alike passes.
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise ConfigError(
                "the URL's host must, as an IPv4 address, be four decimal numbers, for example 127.0.0.1"
            ) from None
    return host
