"""What can be set for a provider and for a model, and what holds where nothing is set.

These are the settings as written: a ``None`` here means "as the provider type has it", and becomes a value when
:func:`nexus3.config.resolve.resolve` joins the settings with the type's row and the environment.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from nexus3.actors.limits import (
    CommonLimits,
    Count,
    Flag,
    Positive,
    Seconds,
    Settings,
    Text,
    refuse_unknown_keys,
)
from nexus3.actors.secrets import ApiKey, SecretText
from nexus3.errors import ConfigError
from nexus3.wire.addresses import read_network
from nexus3.wire.catalog import AuthMethod, ProviderTypeName, Quirks
from nexus3.wire.messages import JsonObject
from nexus3.wire.nearest import quoted
from nexus3.wire.requests import Effort, Reasoning
from nexus3.wire.urls import origin_parts

StreamMode = Literal["auto", "never"]
"""Whether answers are streamed on the wire; the caller sees the same events either way."""
BreakerMode = Literal["on", "observe", "off"]


class Prices(Settings):
    """US dollars per million tokens; ``None`` where the price is not known."""

    input: Annotated[float | None, Field(ge=0, allow_inf_nan=False, strict=True)] = None
    """Of input that is not read from a cache."""
    output: Annotated[float | None, Field(ge=0, allow_inf_nan=False, strict=True)] = None
    cache_read: Annotated[float | None, Field(ge=0, allow_inf_nan=False, strict=True)] = None
    cache_write: Annotated[float | None, Field(ge=0, allow_inf_nan=False, strict=True)] = None


class SpendCap(Settings):
    """The most that may be spent while the supervisor lives. Give tokens, dollars, or both."""

    tokens: Count | None = None
    """Input and output together, cache reads included."""
    dollars: Positive | None = None

    @model_validator(mode="after")
    def _caps_something(self) -> Self:
        if self.tokens is None and self.dollars is None:
            raise ValueError("give tokens, dollars, or both")
        return self


class SpendSettings(Settings):
    """What may be spent in a whole supervisor. They stand in its section of the configuration."""

    spend_cap: SpendCap | None = None
    """For all requests together."""
    caller_spend_caps: dict[Text, SpendCap] = Field(default_factory=dict)
    """By the name of the caller; under ``*`` that of each caller who is not named here. Requests that name no caller
    count as one caller."""
    on_unknown_price: Literal["refuse", "notice"] = "refuse"
    """What becomes of a request under a cap on money whose price is not known."""


def _read_reasoning(value: object) -> object:
    """As in a request, but ``False`` asks for nothing: that is what the original's configuration means by it."""
    if isinstance(value, bool):
        return {"effort": "high"} if value else None
    if isinstance(value, str):
        if value not in get_args(Effort):
            raise ValueError(f"must be true, false, or one of {', '.join(get_args(Effort))}")
        return {"effort": value}
    return value


class ModelTarget(Settings):
    """One of several places where a model is served."""

    provider: Text
    """A configured name."""
    model_id: Text
    weight: Positive = 1.0
    """Its share of the requests, relative to the other targets'."""


class ModelDefaults(Settings):
    """What a request leaves open is taken from here."""

    fallbacks: tuple[Text, ...] = ()
    """Models to go on with, in order, when this one fails before any content."""
    reasoning: Annotated[Reasoning | None, BeforeValidator(_read_reasoning)] = None
    max_tokens: Count | None = None
    stream: StreamMode | None = None
    requests_per_minute: Positive | None = None
    """For this model alone, within the provider's."""
    tokens_per_minute: Positive | None = None
    prices: Prices | None = None
    """They come before any price list, and put the cost on the usage of answers whose provider does not state it."""
    context_window: Count | None = None
    """In tokens. Not enforced: kept for applications that choose or compact by it."""
    guidance: str | None = None
    """When to choose this model, in words. Kept for applications that show it to an agent."""


class NestedModel(ModelDefaults):
    """A model within its provider's settings: the original's shape, with ``id`` for ``model_id``."""

    model_id: Text

    @model_validator(mode="before")
    @classmethod
    def _read_id(cls, value: object) -> object:
        if isinstance(value, dict) and "id" in value and "model_id" not in value:
            return {"model_id" if key == "id" else key: item for key, item in value.items()}
        return value


class ModelConfig(ModelDefaults):
    """An alias: where a model is served, and its defaults.

    Give ``provider`` and ``model_id``, or several ``targets``.
    """

    provider: Text | None = None
    model_id: Text | None = None
    targets: tuple[ModelTarget, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_say_where(self) -> Self:
        if self.targets and (self.provider or self.model_id):
            raise ValueError("give provider and model_id, or targets, not both")
        if not self.targets and not (self.provider and self.model_id):
            raise ValueError("needs provider and model_id, or targets")
        return self

    @property
    def places(self) -> tuple[ModelTarget, ...]:
        """Where it is served, always at least one."""
        if self.provider and self.model_id:
            return (ModelTarget(provider=self.provider, model_id=self.model_id),)
        return self.targets


# Framing belongs to the transport, and credentials to api_key: a key in a header would be printed and logged.
_RESERVED_HEADERS = frozenset(
    {
        "host", "authorization", "api-key", "x-api-key", "cookie", "content-length", "transfer-encoding", "connection",
        "te", "trailer", "upgrade", "expect", "keep-alive", "accept-encoding", "content-type", "accept",
    }
)  # fmt: skip
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def _variable_name(text: str) -> str:
    if not _VARIABLE_NAME.fullmatch(text):
        raise ValueError("must be the name of an environment variable; a key itself goes to api_key")
    return text


_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


def _host(text: str) -> str:
    """As the parser of base URLs spells it: lower case, without brackets or a trailing dot."""
    address = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    if _HOST.fullmatch(address):
        with suppress(ConfigError):
            return origin_parts(f"https://{address}")[1]
    raise ValueError("must be a host alone, such as api.example.com: without scheme, port, path or wildcard")


def _network(text: str) -> str:
    return str(read_network(text))


class ProviderConfig(CommonLimits):
    """One provider. The type alone is enough: the rest comes from the type's row and the environment."""

    type: ProviderTypeName = "openrouter"
    """Says the dialect, the usual address, and which environment variables are read."""
    base_url: str | None = None
    """``None`` is what the type's environment variable says, else the type's own."""
    api_key: ApiKey | None = None
    """A string, or an async function that returns the key and its expiry; never shown again."""
    api_key_env: Annotated[str, AfterValidator(_variable_name)] | None = None
    """The environment variable with the key; ``None`` is the type's usual one."""
    auth_method: AuthMethod | None = None
    """The header that the key goes out in: ``Authorization: Bearer``, ``api-key``, ``x-api-key``, or none."""
    extra_headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Sent with every request. Credentials and framing are refused here."""
    extra_body: JsonObject = Field(default_factory=dict)
    """Merged into every request's body, below the request's own ``extra_body``."""
    quirks: dict[str, bool | str | None] = Field(default_factory=dict)
    """Where this server differs from its type: fields of :class:`nexus3.wire.catalog.Quirks` by name."""
    deployment: Text | None = None
    """Azure's name for a model that it serves; ``None`` is the model's id."""
    api_version: Text | None = None
    """Azure's."""
    models: dict[str, NestedModel] = Field(default_factory=dict)
    """Aliases of this provider. :class:`nexus3.config.schema.Config` moves them to its own ``models``."""
    request_timeout: Seconds = 600.0
    """Total, from acceptance to the terminal event, where a request names no ``timeout``."""
    max_retries: Annotated[int, Field(ge=0, le=10, strict=True)] = 3
    """After the first attempt."""
    retry_backoff: Annotated[float, Field(ge=1, le=10, allow_inf_nan=False, strict=True)] = 2.0
    """The base of the exponent in the delays between attempts."""
    retry_unsafe: Flag = True
    """Send again what may have been received (and billed) already, as long as no content was seen."""
    stream: StreamMode = "auto"
    """Whether answers are streamed on the wire; the caller sees the same events either way."""
    max_connections: Count | None = None
    """Requests in flight."""
    max_keepalive_connections: Count | None = None
    """Idle connections that are kept; ``None`` is ``max_connections``."""
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    spend_cap: SpendCap | None = None
    """For this provider alone, within the supervisor's."""
    breaker: BreakerMode = "on"
    """``observe``: the same states and log lines, but every request passes."""
    hedge: Flag = False
    """Send a slow request a second time and take whichever answers first. Both may be billed."""
    allow_insecure_http: Flag = False
    """Plain http to every address that is allowed."""
    allow_loopback: Flag = False
    """This machine; types that usually run there may always."""
    allow_private: Flag = False
    """All private networks."""
    allowed_cidrs: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Private and loopback networks (``10.20.0.0/16``) that are allowed where ``allow_private`` or ``allow_loopback``
    would allow more than is meant. They add to what is allowed and restrict nothing; plain http to a private one needs
    ``allow_insecure_http`` all the same. A network with a cloud's metadata service in it, as ``100.64.0.0/10`` has, is
    refused: list parts of it."""
    allowed_hosts: tuple[Annotated[str, AfterValidator(_host)], ...] | None = None
    """The hosts, without ports, of which the base URL's must be one, behind a ``proxy`` or not.

    Behind a proxy this takes the place of the address policy: the proxy looks names up, and nobody here sees which
    addresses they lead to. ``None`` is the base URL's own host where that is the type's or stands in the configuration:
    whoever wrote it there, beside ``proxy``, has named the host already. Behind a proxy a base URL from the environment
    needs the list: the environment may be another's to set, and would decide alone what the proxy is asked for."""
    ca_file: Path | None = None
    """A PEM file of authorities to trust instead of the usual ones."""
    prompt_caching: Flag = True
    """Set marks for the provider's cache, where it takes them and the request does not say."""
    proxy: SecretText | None = None
    """``http://`` or ``https://``, possibly with a user and password in it: a secret as a whole. What it connects to is
    bounded by ``allowed_hosts``."""
    connect_timeout: Seconds | None = None
    header_timeout: Seconds | None = None
    first_event_timeout: Seconds | None = None
    reasoning_first_event_timeout: Seconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        if value.get("ssl_ca_cert") is not None:
            raise ValueError("ssl_ca_cert is called ca_file here")
        if value.get("verify_ssl", True) is not True:
            raise ValueError(
                "verify_ssl cannot be switched off: anyone on the way could read the key; "
                "name the server's authority by ca_file"
            )
        return {key: item for key, item in value.items() if key not in ("ssl_ca_cert", "verify_ssl")}

    @field_validator("extra_headers")
    @classmethod
    def _harmless_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        seen = set[str]()
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{quoted(name)} is not a header name")
            folded = name.lower()
            if folded in _RESERVED_HEADERS or folded.startswith("proxy-"):
                raise ValueError(f"{quoted(name)} cannot be set here: credentials go to api_key, framing is ours")
            if folded in seen:
                raise ValueError(f"{quoted(name)} is given twice")
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"the value of {quoted(name)} has a character that a header cannot carry")
            seen.add(folded)
        return headers

    @field_validator("quirks", mode="before")
    @classmethod
    def _known_quirks(cls, quirks: object) -> object:
        kinds = get_type_hints(Quirks)
        refuse_unknown_keys(quirks, set(kinds))
        if isinstance(quirks, dict):
            for name, value in quirks.items():
                if not _fits(value, kinds[name]):
                    raise ValueError(f"{name} must be {_spelled(kinds[name])}")
        return quirks

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        """Only what was set: fifty defaults would hide it."""
        return [(name, value) for name, value in super().__repr_args__() if name in self.model_fields_set]


def _fits(value: object, kind: Any) -> bool:  # a type form: no annotation covers all of them
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _spelled(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    words = [word for word in get_args(kind) if isinstance(word, str)]
    return f"one of {', '.join(words)}" if words else "a string"
