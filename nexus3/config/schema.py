"""The configuration as a whole. Its parts are defined by those who act on them, and collected here."""

import re
from typing import Self

from pydantic import Field, model_validator

from nexus3.actors.limits import Settings
from nexus3.actors.settings import (
    ModelConfig,
    ModelTarget,
    NestedModel,
    Prices,
    ProviderConfig,
    SpendCap,
    SpendSettings,
)
from nexus3.config.models import resolve_model, unknown_model
from nexus3.supervisor.settings import SupervisorSettings as SupervisionSettings
from nexus3.wire.nearest import did_you_mean, quoted

__all__ = [
    "Config",
    "ModelConfig",
    "ModelTarget",
    "NestedModel",
    "Prices",
    "ProviderConfig",
    "SpendCap",
    "SupervisorSettings",
]

_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_OF_THE_ORIGINAL_APPLICATION = frozenset(
    {
        "stream_output", "max_tool_iterations", "default_permission_level", "skill_timeout", "max_concurrent_tools",
        "permissions", "compaction", "search", "clipboard", "context", "mcp_servers", "server", "gitlab",
    }
)  # fmt: skip


class SupervisorSettings(SupervisionSettings, SpendSettings):
    """How hard the supervisor tries, and what it may spend: what concerns the whole block."""


class Config(Settings):
    """Providers by name, models by alias, and how hard the supervisor tries.

    Also reads the original's shape, with models nested in their providers; they appear in ``models``.
    """

    default_model: str | None = None
    """For requests that name no model."""
    providers: dict[str, ProviderConfig] = Field(default_factory=dict)
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    # Made without validating, which would build its schema while nexus3 is imported, beside the one within this one.
    supervisor: SupervisorSettings = SupervisorSettings.model_construct()

    @model_validator(mode="before")
    @classmethod
    def _none_of_the_application(cls, value: object) -> object:
        if isinstance(value, dict):
            for key in value:
                if key in _OF_THE_ORIGINAL_APPLICATION:
                    raise ValueError(
                        f"{key} belongs to the original application, not to its provider layer; take it out"
                    )
        return value

    @model_validator(mode="after")
    def _plain_provider_names(self) -> Self:
        for name in self.providers:
            if not _PROVIDER_NAME.fullmatch(name):
                raise ValueError(f"providers: the name {quoted(name)} must be 1 to 64 of A-Z a-z 0-9 _ . -")
        return self

    @model_validator(mode="after")
    def _move_nested_models(self) -> Self:
        home = dict.fromkeys(self.models, "models")
        for name, provider in self.providers.items():
            for alias, nested in provider.models.items():
                here = f"providers.{name}.models"
                if alias in home:
                    raise ValueError(f"{here}: the alias {quoted(alias)} is defined in {home[alias]} already")
                home[alias] = here
                fields = {field: getattr(nested, field) for field in nested.model_fields_set}
                self.models[alias] = ModelConfig.model_validate({**fields, "provider": name})
            if provider.models:
                self.providers[name] = provider.model_copy(update={"models": {}})
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for alias, model in self.models.items():
            if not alias.isprintable() or not alias.strip():
                raise ValueError(f"models: the alias {quoted(alias)} must be a line of printable characters")
            self._check_model(alias, model)
        if self.default_model is not None and resolve_model(self.default_model, self) is None:
            raise ValueError(
                f"default_model: {quoted(self.default_model)} is {unknown_model(self.default_model, self)}"
            )
        return self

    def _check_model(self, alias: str, model: ModelConfig) -> None:
        here = f"models.{alias}"
        for number, place in enumerate(model.places):
            if place.provider not in self.providers:
                where = f"{here}.targets[{number}].provider" if model.targets else f"{here}.provider"
                hint = did_you_mean(place.provider, self.providers)
                raise ValueError(f"{where}: no provider {quoted(place.provider)} is configured{hint}")
        for fallback in model.fallbacks:
            # Longer circles are legal: two models may stand in for each other.
            if fallback == alias:
                raise ValueError(f"{here}.fallbacks: a model cannot be its own fallback")
            if resolve_model(fallback, self) is None:
                raise ValueError(f"{here}.fallbacks: {quoted(fallback)} is {unknown_model(fallback, self)}")
