"""Who asks the gates for leave to make an attempt, and what they want to know of the request."""

from nexus3.actors.gates.estimate import characters
from nexus3.actors.settings import ModelConfig, Prices
from nexus3.wire.requests import CompletionRequest


class Ask:
    """One request for one model. Made anew when the request moves to another."""

    __slots__ = ("_size", "caller", "model", "request", "settings")

    def __init__(
        self, request: CompletionRequest, model: str, settings: ModelConfig | None, caller: str | None = None
    ) -> None:
        self.request = request
        self.model = model
        self.settings = settings
        self.caller = caller
        self._size: int | None = None

    @property
    def size(self) -> int:
        """In characters. Counted once, and only where a rate is limited or spending is capped."""
        if self._size is None:
            self._size = characters(self.request)
        return self._size

    @property
    def max_tokens(self) -> int | None:
        """Of the answer: the request's own, else its alias's."""
        if self.request.max_tokens is not None or self.settings is None:
            return self.request.max_tokens
        return self.settings.max_tokens

    @property
    def prices(self) -> Prices | None:
        """As configured."""
        return self.settings.prices if self.settings is not None else None
