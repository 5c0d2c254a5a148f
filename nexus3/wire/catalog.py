"""THE TABLE: one row per provider type. A new provider of a known dialect is one more row.

Nothing else in the house knows what an ``ollama`` is: type names, defaults, environment names, authentication,
address rules and quirks are read from here. Facts are from the vendors' own sources as of 2026.
"""

from typing import Literal

import msgspec

ProviderTypeName = Literal["openrouter", "openai", "ollama", "vllm", "azure", "anthropic"]
Dialect = Literal["openai_chat", "anthropic_messages"]
AuthMethod = Literal["bearer", "api-key", "x-api-key", "none"]


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """Where servers of one dialect differ. Every switch can be set per provider, for gateways that differ again."""

    system_role: Literal["auto", "system", "developer", "user"] = "system"
    """The role that system text goes out under; ``auto`` chooses by the model's family."""
    merge_system: bool = False
    """Join leading system messages into one, for chat templates that demand exactly one."""
    max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    """Ask for usage at the end of a stream (``stream_options``); some servers refuse the field."""
    strict_tools: bool = False
    """``strict`` on tools is understood."""
    parallel_flag: bool = True
    """``parallel_tool_calls`` is understood."""
    tool_choice: Literal["full", "auto_only"] = "full"
    null_content: bool = True
    """An assistant turn with tool calls and no text goes out with ``content: null``; else with ``""``, for servers that
    refuse null (llama-cpp-python's)."""
    json_output: Literal["schema", "schema_in_object", "object", "none"] = "schema"
    """JSON by a schema, by a schema inside ``json_object`` (llama.cpp), any JSON object only, or no JSON mode."""
    reasoning_param: Literal["effort", "object", "none"] = "effort"
    """``reasoning_effort``, or an object ``reasoning`` (OpenRouter), or nothing."""
    reasoning_replay: bool = True
    """Reasoning of earlier turns goes back in the field it came in."""
    user_field: Literal["user", "safety_identifier", "none"] = "user"
    metadata: bool = True
    seed: bool = True
    remote_images: bool = True
    """Images by https URL are fetched by the server."""
    files: bool = True
    """File parts (PDF) are understood."""
    audio: bool = True
    cache_marks: Literal["none", "anthropic_models", "all"] = "none"
    """``cache_control`` on parts: for no model, for models named ``anthropic/...`` or ``claude``, for all."""
    gate_parameters: bool = False
    """Leave out what OpenAI's reasoning models refuse (sampling, stop), by the family table of the codec."""
    model_family: str | None = None
    """The underlying model where the model id does not reveal it (an Azure deployment's name)."""


class ProviderType(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    name: ProviderTypeName
    dialect: Dialect
    base_url: str | None
    """``None`` where every customer has an address of their own."""
    bare_host_path: str
    """What is put behind a base URL that has no path, before the dialect's own path."""
    auth: AuthMethod
    key_env: tuple[str, ...]
    """Environment names of the key, first found wins. The first is the one to name in messages."""
    key_required: bool
    url_env: tuple[str, ...]
    """Environment names of the base URL; a value there is the operator's word."""
    genai_name: str
    """``gen_ai.provider.name`` of OpenTelemetry, or a custom string where it has none."""
    local: bool = False
    """Usually runs beside the application: plain http to loopback needs no flag, and slow model loads are normal."""
    max_connections: int = 32
    first_event_timeout: float = 120.0
    """Seconds from the sent request to the first content event."""
    quirks: Quirks


CATALOG: dict[ProviderTypeName, ProviderType] = {
    "openrouter": ProviderType(
        name="openrouter",
        dialect="openai_chat",
        base_url="https://openrouter.ai/api/v1",
        bare_host_path="/api/v1",
        auth="bearer",
        key_env=("OPENROUTER_API_KEY",),
        key_required=True,
        url_env=("OPENROUTER_BASE_URL", "OPENROUTER_API_BASE"),
        genai_name="openrouter",
        # The router drops what a model does not take and translates the rest, so nothing is gated here.
        quirks=Quirks(strict_tools=True, reasoning_param="object", user_field="user", cache_marks="anthropic_models"),
    ),
    "openai": ProviderType(
        name="openai",
        dialect="openai_chat",
        base_url="https://api.openai.com/v1",
        bare_host_path="/v1",
        auth="bearer",
        key_env=("OPENAI_API_KEY",),
        key_required=True,
        url_env=("OPENAI_BASE_URL",),
        genai_name="openai",
        quirks=Quirks(
            system_role="auto",
            max_tokens_field="max_completion_tokens",
            strict_tools=True,
            reasoning_replay=False,
            user_field="safety_identifier",
            gate_parameters=True,
        ),
    ),
    "ollama": ProviderType(
        name="ollama",
        dialect="openai_chat",
        base_url="http://localhost:11434/v1",
        bare_host_path="/v1",
        auth="bearer",
        key_env=("OLLAMA_API_KEY",),
        key_required=False,
        url_env=("OLLAMA_BASE_URL", "OLLAMA_HOST"),
        genai_name="ollama",
        local=True,
        max_connections=4,
        first_event_timeout=300.0,
        # ollama's compatibility layer ignores these fields or answers 400 (read in its source, August 2026).
        quirks=Quirks(
            parallel_flag=False,
            tool_choice="auto_only",
            user_field="none",
            metadata=False,
            remote_images=False,
            files=False,
        ),
    ),
    "vllm": ProviderType(
        name="vllm",
        dialect="openai_chat",
        base_url="http://localhost:8000/v1",
        bare_host_path="/v1",
        auth="bearer",
        key_env=("VLLM_API_KEY",),
        key_required=False,
        url_env=("VLLM_BASE_URL", "VLLM_API_BASE"),
        genai_name="vllm",
        local=True,
        max_connections=64,
        first_event_timeout=300.0,
        quirks=Quirks(metadata=False, files=False),
    ),
    "azure": ProviderType(
        name="azure",
        dialect="openai_chat",
        base_url=None,
        bare_host_path="",
        auth="api-key",
        key_env=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"),
        key_required=True,
        url_env=("AZURE_OPENAI_ENDPOINT",),
        genai_name="azure.ai.openai",
        quirks=Quirks(
            system_role="auto",
            max_tokens_field="auto",
            strict_tools=True,
            reasoning_replay=False,
            user_field="user",
            files=False,
            gate_parameters=True,
        ),
    ),
    "anthropic": ProviderType(
        name="anthropic",
        dialect="anthropic_messages",
        base_url="https://api.anthropic.com",
        bare_host_path="",
        auth="x-api-key",
        key_env=("ANTHROPIC_API_KEY",),
        key_required=True,
        url_env=("ANTHROPIC_BASE_URL",),
        genai_name="anthropic",
        quirks=Quirks(
            user_field="user", seed=False, strict_tools=True, audio=False, cache_marks="all", reasoning_param="object"
        ),
    ),
}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where one request goes: a row, joined with a provider's configuration and a model id."""

    provider: str
    """The configured name."""
    type: ProviderType
    model: str
    """The id sent on the wire."""
    url: str
    """The whole URL of the completion endpoint (:func:`nexus3.wire.urls.endpoint_url`)."""
    quirks: Quirks
    """The row's, with the provider's own settings laid over."""
    headers: tuple[tuple[str, str], ...] = ()
    """The provider's extra headers; the codec's own win where they clash, but ``anthropic-beta`` is joined."""
    extra_body: dict[str, object] = msgspec.field(default_factory=dict[str, object])
    prompt_caching: bool = True
    max_tokens: int | None = None
    """The model's configured default."""

    @property
    def family(self) -> str:
        """The model id that gating tables look at, lower case, without a vendor's prefix."""
        return (self.quirks.model_family or self.model).lower().rpartition("/")[2]
