"""What an actor is given: one provider's settings, its type's row and the environment, joined and checked."""

from dataclasses import dataclass, field
from pathlib import Path

from nexus3.actors.limits import Limits
from nexus3.actors.secrets import KeySource, Secret
from nexus3.actors.settings import BreakerMode, SpendCap, StreamMode
from nexus3.wire.addresses import Network
from nexus3.wire.catalog import AuthMethod, ProviderType, Quirks
from nexus3.wire.messages import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedProvider:
    """One provider, nothing left open. Made by :func:`nexus3.config.resolve.resolve`; shows no secret."""

    name: str
    type: ProviderType
    base_url: str
    base_url_from: str
    """``config``, ``default``, or the environment variable's name."""
    auth_method: AuthMethod
    api_key: Secret | KeySource | None
    """``None`` where none is needed, or where :attr:`unconfigured` says what is missing."""
    api_key_from: str | None
    """``config``, or the environment variable's name."""
    unconfigured: str | None
    """Why no request can be sent, and what to set; ``None`` where all is there."""
    extra_headers: tuple[tuple[str, str], ...] = field(repr=False)
    extra_body: JsonObject
    quirks: Quirks
    deployment: str | None
    api_version: str | None
    limits: Limits
    request_timeout: float
    max_retries: int
    retry_backoff: float
    retry_unsafe: bool
    stream: StreamMode
    requests_per_minute: float | None
    tokens_per_minute: float | None
    spend_cap: SpendCap | None
    breaker: BreakerMode
    hedge: bool
    allow_insecure_http: bool
    allow_loopback: bool
    """Set, or implied: by a type that runs beside the application, or by an address from the environment."""
    allow_private: bool
    allowed_cidrs: tuple[Network, ...]
    allowed_hosts: tuple[str, ...]
    """Where requests may go by name; the base URL's host is among them."""
    ca_file: Path | None
    prompt_caching: bool
    proxy: Secret | None
