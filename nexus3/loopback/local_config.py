"""A configuration for ``open_supervisor`` whose every provider is one loopback server. Pure."""

from nexus3.wire.catalog import CATALOG

KEY = "loopback-key"

_PATHS = {"openrouter": "/api/v1", "openai": "/v1", "ollama": "/ollama/v1", "vllm": "/vllm/v1"}
"""Where each type's base URL stands on the server; the path tells it whose manners to take on."""


def local_config(url: str) -> dict[str, object]:
    """One provider per type, named like it; alias ``local`` (OpenAI's type) and ``local-TYPE`` for each.

    Every alias is for the model ``local-echo``.
    """
    providers: dict[str, dict[str, object]] = {
        name: {"type": name, "base_url": url + _PATHS.get(name, ""), "api_key": KEY, "allow_loopback": True}
        for name in CATALOG
    }
    providers["azure"] |= {"deployment": "local", "api_version": "2024-10-21"}
    aliases = {"local": "openai", **{f"local-{name}": name for name in CATALOG}}
    models = {alias: {"provider": name, "model_id": "local-echo"} for alias, name in aliases.items()}
    return {"default_model": "local", "providers": providers, "models": models}
