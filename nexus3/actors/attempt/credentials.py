"""A provider's key as a header, added last; and taken out of what the provider says.

One object per generation of settings: all its requests share the key, also where a function returns it
(:mod:`nexus3.actors.attempt.fetched_key`).
"""

import re
from collections import deque
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import msgspec

from nexus3.actors.attempt.fetched_key import FetchedKey
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.secrets import Secret
from nexus3.observe.redact import MIN_SECRET_CHARS, Redactor
from nexus3.wire.catalog import AuthMethod
from nexus3.wire.failures import Failure, error_of, fail

_REMEMBERED = 4
"""Fetched keys that are looked for in what a provider says: the present one, and those that requests still run on."""

_PUBLIC_HEADERS = frozenset(
    {"anthropic-beta", "anthropic-version", "openai-beta", "http-referer", "referer", "x-title", "user-agent"}
)
"""Extra headers whose values are no secrets: errors quote them, and a reader needs to see which one was refused."""


def secrets_of(provider: ResolvedProvider) -> list[str]:
    """What must not be shown of a provider's settings, in plain text: key, proxy password, values of extra headers.

    A key that a function returns is not among them: nobody knows it yet.
    """
    found = [value for name, value in provider.extra_headers if name.lower() not in _PUBLIC_HEADERS]
    if isinstance(provider.api_key, Secret):
        found.append(provider.api_key.get_secret_value())
    if provider.proxy is not None:
        parts = urlsplit(provider.proxy.get_secret_value())
        password = parts.password or parts.username or ""
        found += [password, unquote(password)]
    return found


class Credentials:
    """The keys of one provider."""

    def __init__(
        self,
        provider: ResolvedProvider,
        wall_clock: Callable[[], float],
        on_refresh_failed: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        """``wall_clock`` tells Unix time, as the expiry of a fetched key does. ``on_refresh_failed`` is told why the
        next key could not be fetched ahead of time; see :class:`~nexus3.actors.attempt.fetched_key.FetchedKey`."""
        self._provider = provider
        key = provider.api_key
        self._key: Secret | FetchedKey | None
        if callable(key):
            self._key = FetchedKey(key, provider.name, wall_clock, self._remember, on_refresh_failed)
        else:
            self._key = key
        self._configured = secrets_of(provider)
        self._used = deque[str](maxlen=_REMEMBERED)
        self.redact = Redactor(self._configured)
        """Takes this provider's secrets out of a text, fetched ones included."""

    def cleaned(self, failure: Failure) -> Failure:
        """The failure without the secrets that a provider's words repeat: fit for logs, and for strangers.

        What was received of an answer stays as it is: that is the caller's.
        """
        request_id = failure.request_id
        if request_id is not None and self.redact(request_id) != request_id:
            request_id = None
        # Codes are respelled on their way here, in snake_case and lower case.
        reason = _letters(failure.reason)
        secrets = (_letters(secret) for secret in (*self._configured, *self._used))
        is_secret = any(len(secret) >= MIN_SECRET_CHARS and secret in reason for secret in secrets)
        return msgspec.structs.replace(
            failure,
            reason=failure.kind if is_secret else failure.reason,
            message=self.redact(failure.message),
            request_id=request_id,
        )

    def lend(self) -> "AttemptKey":
        """What one attempt authenticates with."""
        return AttemptKey(self._provider, self._key)

    def _remember(self, key: str) -> None:
        if key not in self._used:
            self._used.append(key)
            self.redact = Redactor((*self._configured, *self._used))


class AttemptKey:
    """The key of one attempt. Made by :meth:`Credentials.lend`."""

    def __init__(self, provider: ResolvedProvider, key: Secret | FetchedKey | None) -> None:
        self._provider = provider
        self._key = key
        self._sent: Secret | None = None

    async def headers(self) -> list[tuple[str, str]]:
        """The header that authenticates, or none where none is needed. Waits where a key must be fetched; cancelling
        that is safe, and does not end a fetch that others wait for.

        Raises:
            ProviderError: ``auth``, where there is no key or it could not be fetched.
        """
        provider = self._provider
        if provider.unconfigured is not None:
            raise error_of(fail("auth", "missing_key", provider.unconfigured))
        if self._key is None:
            return []
        self._sent = await self._key.get() if isinstance(self._key, FetchedKey) else self._key
        return _spell(provider.auth_method, self._sent.get_secret_value())

    def was_refused(self) -> bool:
        """The provider answered 401: nobody is given this key again, where a function can be asked for another one.
        True where it can: then another attempt is worth making, once."""
        if not isinstance(self._key, FetchedKey) or self._sent is None:
            return False
        self._key.refuse(self._sent)
        return True


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def _spell(method: AuthMethod, key: str) -> list[tuple[str, str]]:
    match method:
        case "bearer":
            return [("authorization", f"Bearer {key}")]
        case "api-key" | "x-api-key":
            return [(method, key)]
        case "none":
            return []
