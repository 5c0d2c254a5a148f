"""Where a request goes. Pure: the caller brings the dice."""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, assert_never

from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.settings import ModelConfig, ModelTarget
from nexus3.wire.catalog import Target
from nexus3.wire.failures import Failure
from nexus3.wire.requests import CompletionRequest
from nexus3.wire.urls import endpoint_url


class Route(NamedTuple):
    """What a model string means: a slot, the id to send, and the alias's settings where an alias was used."""

    provider: str
    model_id: str
    settings: ModelConfig | None


def choose(places: Sequence[ModelTarget], is_able: Callable[[str], bool], rng: Random) -> ModelTarget:
    """One of the places where a model is served, by weight, among those whose provider is able; else among all.

    ``is_able`` takes a provider's name. Where none is able the choice still stands, and the request's failure is the
    chosen provider's own.
    """
    able = [place for place in places if is_able(place.provider)] or places
    return rng.choices(able, weights=[place.weight for place in able])[0]


def may_fall_back(failure: Failure, *, emitted: bool) -> bool:
    """Whether another model may be asked instead. Never once content was emitted; never for what the request itself is
    to blame for, or what its caller did; for everything that another provider or model may do better."""
    if emitted:
        return False
    match failure.kind:
        case (
            "auth"
            | "quota"
            | "permission"
            | "not_found"
            | "context_length"
            | "rate_limit"
            | "overloaded"
            | "server"
            | "transport"
            | "protocol"
            | "unsupported"
            | "unavailable"
        ):
            return True
        case "timeout":
            return failure.reason not in ("deadline", "deadline_queued")
        case (
            "bad_request"
            | "content_filter"
            | "blocked"
            | "limit"
            | "cancelled"
            | "slow_consumer"
            | "actor_crashed"
            | "internal"
        ):
            return False
        case _:
            assert_never(failure.kind)


def target_of(provider: ResolvedProvider, model_id: str, max_tokens: int | None) -> Target:
    """The target of a model at ``provider``; ``max_tokens`` is the alias's default.

    Raises:
        ConfigError: the base URL, deployment and model do not make a URL.
    """
    return Target(
        provider=provider.name,
        type=provider.type,
        model=model_id,
        url=endpoint_url(
            provider.type,
            provider.base_url,
            model=model_id,
            deployment=provider.deployment,
            api_version=provider.api_version,
        ),
        quirks=provider.quirks,
        headers=provider.extra_headers,
        extra_body=dict(provider.extra_body),
        prompt_caching=provider.prompt_caching,
        max_tokens=max_tokens,
    )


def with_defaults(request: CompletionRequest, model: ModelConfig | None) -> CompletionRequest:
    """The request with what its model's settings add to it."""
    if model is None or model.reasoning is None or request.reasoning is not None:
        return request
    return request.model_copy(update={"reasoning": model.reasoning})


def wants_stream(provider: ResolvedProvider, model: ModelConfig | None) -> bool:
    """Whether the answer is asked for as a stream: always, unless the model or its provider may not stream."""
    mode = (model.stream if model else None) or provider.stream
    return mode == "auto"
