"""How a request fails: one value, one exception around it, one table of kinds.

Inside the house a failure is a *value* that travels as an event. It becomes an exception once, at the public edge.
"""

from typing import Literal

import msgspec

from nexus3.errors import NexusError
from nexus3.wire.messages import Message, Usage

Kind = Literal[
    "bad_request",
    "context_length",
    "content_filter",
    "auth",
    "quota",
    "permission",
    "not_found",
    "rate_limit",
    "overloaded",
    "server",
    "timeout",
    "transport",
    "protocol",
    "blocked",
    "limit",
    "unsupported",
    "unavailable",
    "cancelled",
    "slow_consumer",
    "actor_crashed",
    "internal",
]

Phase = Literal["queued", "connect", "request", "headers", "first_event", "stream"]
"""How far the last attempt came: ``headers`` until the response head is complete, ``first_event`` until content."""

RETRYABLE: frozenset[Kind] = frozenset({"rate_limit", "overloaded", "server", "timeout", "transport", "unavailable"})
"""Worth sending again unchanged, unless the provider or the reason says otherwise."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request failed. Holds no header, no key and no foreign exception."""

    kind: Kind
    reason: str
    """A snake_case detail within the kind: ``stream_truncated``, ``connect``, ``invalid_api_key`` ..."""
    message: str
    """One or two sentences for a person; names the limit and the remedy where there is one."""
    retryable: bool
    """The same request may be sent again unchanged and has a chance."""
    emitted: bool = False
    """Content events had reached the caller."""
    phase: Phase = "queued"
    status: int | None = None
    provider: str | None = None
    model: str | None = None
    attempts: int = 0
    """HTTP attempts begun, this one included."""
    retry_after: float | None = None
    """Seconds the provider asked us to wait."""
    request_id: str | None = None
    partial: Message | None = None
    """What was received before the failure; ``None`` where nothing was."""
    usage: Usage | None = None
    """Usage as far as the provider reported it."""
    before: tuple["Failure", ...] = ()
    """How it failed at the models that it fell back from, in their order. What is to be mended is often the first."""


def fail(kind: Kind, reason: str, message: str, *, retryable: bool | None = None, phase: Phase = "queued") -> Failure:
    """A failure of ours (not classified from a response), retryable as its kind is unless said otherwise."""
    return Failure(
        kind=kind,
        reason=reason,
        message=message,
        retryable=kind in RETRYABLE if retryable is None else retryable,
        phase=phase,
    )


class ProviderError(NexusError):
    """One request failed. ``except*`` and ``except`` can select by the subclass of each kind, or read ``kind``.

    Equal to another error with the same failure, so that events can be compared as values. Safe to pickle.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        before = [f"(before that, {_told(failure)})" for failure in reversed(self.failure.before)]
        return " ".join([_told(self.failure), *before])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProviderError) and other.failure == self.failure

    def __hash__(self) -> int:
        return hash((self.failure.kind, self.failure.reason, self.failure.message))

    @property
    def kind(self) -> Kind:
        return self.failure.kind

    @property
    def reason(self) -> str:
        return self.failure.reason

    @property
    def message(self) -> str:
        return self.failure.message

    @property
    def retryable(self) -> bool:
        return self.failure.retryable

    @property
    def emitted(self) -> bool:
        return self.failure.emitted

    @property
    def phase(self) -> Phase:
        return self.failure.phase

    @property
    def status(self) -> int | None:
        return self.failure.status

    @property
    def provider(self) -> str | None:
        return self.failure.provider

    @property
    def model(self) -> str | None:
        return self.failure.model

    @property
    def attempts(self) -> int:
        return self.failure.attempts

    @property
    def retry_after(self) -> float | None:
        return self.failure.retry_after

    @property
    def request_id(self) -> str | None:
        return self.failure.request_id

    @property
    def partial(self) -> Message | None:
        return self.failure.partial

    @property
    def usage(self) -> Usage | None:
        return self.failure.usage

    @property
    def before(self) -> tuple[Failure, ...]:
        return self.failure.before


def _told(failure: Failure) -> str:
    where = "/".join(part for part in (failure.provider, failure.model) if part)
    return f"{where + ': ' if where else ''}{failure.kind} ({failure.reason}): {failure.message}"


class BadRequestError(ProviderError): ...


class ContextLengthError(ProviderError): ...


class ContentFilterError(ProviderError): ...


class AuthError(ProviderError): ...


class QuotaError(ProviderError): ...


class PermissionDeniedError(ProviderError): ...


class NotFoundError(ProviderError): ...


class RateLimitError(ProviderError): ...


class OverloadedError(ProviderError): ...


class ServerError(ProviderError): ...


class RequestTimeoutError(ProviderError): ...


class TransportError(ProviderError): ...


class ProtocolError(ProviderError): ...


class BlockedError(ProviderError): ...


class LimitError(ProviderError): ...


class UnsupportedError(ProviderError): ...


class UnavailableError(ProviderError): ...


class CancelledError(ProviderError): ...


class SlowConsumerError(ProviderError): ...


class ActorCrashedError(ProviderError): ...


class InternalError(ProviderError): ...


ERRORS: dict[Kind, type[ProviderError]] = {
    "bad_request": BadRequestError,
    "context_length": ContextLengthError,
    "content_filter": ContentFilterError,
    "auth": AuthError,
    "quota": QuotaError,
    "permission": PermissionDeniedError,
    "not_found": NotFoundError,
    "rate_limit": RateLimitError,
    "overloaded": OverloadedError,
    "server": ServerError,
    "timeout": RequestTimeoutError,
    "transport": TransportError,
    "protocol": ProtocolError,
    "blocked": BlockedError,
    "limit": LimitError,
    "unsupported": UnsupportedError,
    "unavailable": UnavailableError,
    "cancelled": CancelledError,
    "slow_consumer": SlowConsumerError,
    "actor_crashed": ActorCrashedError,
    "internal": InternalError,
}
"""The one table from kind to exception."""


def error_of(failure: Failure) -> ProviderError:
    """A fresh exception of the failure's kind, without traceback or context."""
    return ERRORS[failure.kind](failure)
