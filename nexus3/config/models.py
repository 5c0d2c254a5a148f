"""What a model string means."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.wire.nearest import did_you_mean


class HasModels(Protocol):
    """The part of a configuration that gives model strings their meaning."""

    @property
    def providers(self) -> Mapping[str, ProviderConfig]: ...
    @property
    def models(self) -> Mapping[str, ModelConfig]: ...


class ResolvedModel(NamedTuple):
    """A configured provider's name, the id to send to it, and the alias's settings where an alias was used."""

    provider: str
    model_id: str
    settings: ModelConfig | None


def resolve_model(text: str, config: HasModels) -> ResolvedModel | None:
    """Read an alias, ``provider:model`` or ``provider/model``; ``None`` where it is none of them.

    An exact alias wins. Model ids may hold ``:`` and ``/`` themselves, so the text is split once, at the first of them,
    and only where a configured provider stands before it. An alias with several targets gives the first of them;
    :attr:`ModelConfig.places` has all. ``provider/alias`` is the original's long form of an alias.
    """
    if settings := config.models.get(text):
        if settings.provider and settings.model_id:
            return ResolvedModel(settings.provider, settings.model_id, settings)
        first = settings.targets[0]
        return ResolvedModel(first.provider, first.model_id, settings)
    provider, _, model_id = text.partition(":")
    if model_id and provider in config.providers:
        return ResolvedModel(provider, model_id, None)
    provider, _, model_id = text.partition("/")
    if model_id and provider in config.providers:
        settings = config.models.get(model_id)
        if settings is not None and settings.provider == provider and settings.model_id is not None:
            return ResolvedModel(provider, settings.model_id, settings)
        return ResolvedModel(provider, model_id, None)
    return None


def unknown_model(text: str, config: HasModels) -> str:
    """What to tell someone whose model string means nothing: the nearest that would."""
    separator = ":" if ":" in text else "/"
    rest = text.partition(separator)[2]
    known = [*config.models, *(f"{provider}{separator}{rest}" for provider in config.providers if rest)]
    hint = did_you_mean(text, known)
    if hint or not config.models:
        return f"not an alias, nor provider:model with a configured provider{hint}"
    return f"not an alias, nor provider:model with a configured provider; the aliases are {_some(config.models)}"


def _some(names: Mapping[str, object]) -> str:
    shown = sorted(names)[:8]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
