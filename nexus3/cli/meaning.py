"""What a configuration means, as data for people and scripts: where each provider is, which keys are there, what each
alias leads to.

No secret is in it, and nothing is asked of the network.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from nexus3.actors.attempt.credentials import secrets_of
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.config.reach import opt_outs
from nexus3.config.resolve import resolve
from nexus3.config.schema import Config
from nexus3.observe.redact import Redactor
from nexus3.wire.catalog import ProviderTypeName

Key = Literal["found", "missing", "not needed"]


class ProviderMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """One configured provider."""

    name: str
    type: ProviderTypeName
    base_url: str
    """Without its query, which may hold a key."""
    base_url_from: str
    """``config``, ``default``, or the environment variable's name."""
    key: Key
    key_from: str | None
    """``config``, or the environment variable's name; ``None`` where there is none."""
    problem: str | None
    """What to do where the key is missing."""
    opt_outs: dict[str, str]
    """Settings that let requests go where they may not go by default, and what each allows, in words."""


class TargetMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """One place where an alias leads to."""

    provider: str
    model_id: str
    weight: float
    """Its share of the requests, relative to the other targets'."""


class ModelMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """One alias."""

    alias: str
    targets: list[TargetMeaning]
    fallbacks: list[str]


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration."""

    file: str
    found_by: str
    """``argument``, ``NEXUS3_CONFIG``, or ``user folder``."""
    default_model: str | None
    providers: list[ProviderMeaning]
    models: list[ModelMeaning]

    @property
    def missing_keys(self) -> int:
        """How many providers cannot be asked."""
        return sum(provider.key == "missing" for provider in self.providers)


def meaning_of(config: Config, file: str, found_by: str, environ: Mapping[str, str]) -> Meaning:
    """Join the settings with the environment.

    Raises:
        ConfigError: as :func:`nexus3.config.resolve.resolve`.
    """
    return Meaning(
        file=file,
        found_by=found_by,
        default_model=config.default_model,
        providers=[_provider(each, resolve(name, each, environ)) for name, each in config.providers.items()],
        models=[_model(alias, model) for alias, model in config.models.items()],
    )


def _provider(config: ProviderConfig, provider: ResolvedProvider) -> ProviderMeaning:
    base_url, mark, _query = provider.base_url.partition("?")
    missing = provider.unconfigured is not None
    return ProviderMeaning(
        name=provider.name,
        type=provider.type.name,
        # A gateway's path may repeat the key.
        base_url=Redactor(secrets_of(provider))(base_url) + (mark and "?..."),
        base_url_from=provider.base_url_from,
        key="missing" if missing else "not needed" if provider.api_key is None else "found",
        key_from=provider.api_key_from,
        problem=provider.unconfigured,
        opt_outs=dict(opt_outs(config, provider)),
    )


def _model(alias: str, model: ModelConfig) -> ModelMeaning:
    return ModelMeaning(
        alias=alias,
        targets=[
            TargetMeaning(provider=place.provider, model_id=place.model_id, weight=place.weight)
            for place in model.places
        ],
        fallbacks=list(model.fallbacks),
    )
