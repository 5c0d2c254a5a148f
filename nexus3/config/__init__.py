"""Reading settings: the schema, where a configuration comes from, and how it is joined with the environment."""

from nexus3.config.load import LOOPBACK, load_config
from nexus3.config.models import ResolvedModel, resolve_model, unknown_model
from nexus3.config.resolve import require_keys, resolve
from nexus3.config.schema import Config, ModelConfig, ModelTarget, ProviderConfig, SupervisorSettings

__all__ = [
    "LOOPBACK",
    "Config",
    "ModelConfig",
    "ModelTarget",
    "ProviderConfig",
    "ResolvedModel",
    "SupervisorSettings",
    "load_config",
    "require_keys",
    "resolve",
    "resolve_model",
    "unknown_model",
]
