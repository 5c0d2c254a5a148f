"""The original's classes by their names, each a provider of some types.

What differs between types is data (:mod:`nexus3.wire.catalog`) and codecs (:mod:`nexus3.wire.codecs`), so these add
nothing but a check, and there is nothing to override in them. ``create_provider`` chooses among them.
"""

from typing import ClassVar

from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.errors import ConfigError
from nexus3.provider.provider import Provider, ReasoningLevel
from nexus3.rawlog import RawLogCallback
from nexus3.wire.catalog import ProviderTypeName

BaseProvider = Provider
"""What every provider is, whatever made it."""


class _OfTypes(Provider):
    """A provider whose configuration must be of one of :attr:`types`; where it names no type, it is of the first."""

    types: ClassVar[tuple[ProviderTypeName, ...]]

    def __init__(
        self,
        config: ProviderConfig,
        model_id: str,
        raw_log: RawLogCallback | None = None,
        reasoning: ReasoningLevel = False,
        *,
        model: ModelConfig | None = None,
    ) -> None:
        """``model`` is an alias's settings. See :func:`nexus3.provider.create_provider` for the others.

        Raises:
            ConfigError: ``config`` is of another type.
            ProviderError: ``bad_request``, for an empty model id.
            TypeError: ``raw_log`` has no hook, or one that is not a plain function.
        """
        if "type" not in config.model_fields_set:
            config = config.model_copy(update={"type": self.types[0]})
        if config.type not in self.types:
            raise ConfigError(
                f"{type(self).__name__} is for {', '.join(self.types)}, and not for {config.type}; use create_provider"
            )
        super().__init__(config, model_id, raw_log, reasoning, model=model)


class OpenAICompatProvider(_OfTypes):
    """The types with OpenAI's paths and keys."""

    types: ClassVar[tuple[ProviderTypeName, ...]] = ("openrouter", "openai", "ollama", "vllm")


class AzureOpenAIProvider(OpenAICompatProvider):
    """OpenAI's dialect with Azure's paths and keys."""

    types = ("azure",)


class AnthropicProvider(_OfTypes):
    """Anthropic's own dialect."""

    types = ("anthropic",)


OpenRouterProvider = OpenAICompatProvider
