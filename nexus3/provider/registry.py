"""``ProviderRegistry``: the providers of a configuration, made once each."""

from types import TracebackType
from typing import Self

from nexus3.config.models import resolve_model, unknown_model
from nexus3.config.schema import Config, ModelConfig
from nexus3.errors import ConfigError
from nexus3.provider.factory import Provider


class ProviderRegistry:
    """A lazy cache of providers. :meth:`aclose` (or leaving ``async with``) closes them all."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._providers: dict[tuple[str, str, str], Provider] = {}

    def get(self, provider_name: str, model_id: str) -> Provider:
        """The provider for ``model_id`` at a configured provider.

        Raises:
            ConfigError: no such provider is configured.
        """
        return self._get(provider_name, model_id, None)

    def get_for_model(self, alias: str | None = None) -> Provider:
        """The provider for an alias or model string; ``None`` is the default model.

        Raises:
            ConfigError: it means nothing under this configuration.
        """
        text = alias or self._config.default_model
        if text is None:
            raise ConfigError("default_model is not set; name a model")
        resolved = resolve_model(text, self._config)
        if resolved is None:
            raise ConfigError(f"{text!r} is {unknown_model(text, self._config)}")
        return self._get(resolved.provider, resolved.model_id, resolved.settings)

    @property
    def cached_providers(self) -> tuple[str, ...]:
        """Keys of the providers made so far, ``provider:model_id``."""
        return tuple(dict.fromkeys(f"{provider}:{model}" for provider, model, _ in self._providers))

    async def aclose(self) -> None:
        """Close all; the registry may be used again."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _get(self, provider_name: str, model_id: str, model: ModelConfig | None) -> Provider:
        settings = self._config.providers.get(provider_name)
        if settings is None:
            raise ConfigError(f"no provider {provider_name!r} is configured")
        # Two aliases of one model may differ in their settings; each has an entry of its own.
        key = provider_name, model_id, model.model_dump_json() if model else ""
        if key not in self._providers:
            self._providers[key] = Provider(settings, model_id, model)
        return self._providers[key]
