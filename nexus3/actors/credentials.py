"""A provider's key as a header, fetched when it must be, added last; and taken out of what the provider says.

One object per incarnation: a fetched key is shared by all requests until it expires.
"""

import re
from collections import deque
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import msgspec
import trio

from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.secrets import Credential, KeySource, Secret, read_credential
from nexus3.errors import ConfigError
from nexus3.observe.redact import MIN_SECRET_CHARS, Redactor
from nexus3.wire.catalog import AuthMethod
from nexus3.wire.failures import Failure, error_of, fail

EXPIRY_MARGIN = 30.0
"""Seconds before its expiry at which a fetched key is fetched anew."""

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

    def __init__(self, provider: ResolvedProvider, wall_clock: Callable[[], float]) -> None:
        self._provider = provider
        self._wall_clock = wall_clock
        self._fetching = trio.Lock()
        self._fetched: Credential | None = None
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

    async def headers(self) -> list[tuple[str, str]]:
        """The header that authenticates, or none where none is needed.

        Raises:
            ProviderError: ``auth``, where there is no key or it could not be fetched.
        """
        provider = self._provider
        if provider.unconfigured is not None:
            raise error_of(fail("auth", "missing_key", provider.unconfigured))
        if provider.api_key is None:
            return []
        secret = provider.api_key if isinstance(provider.api_key, Secret) else await self._fetch()
        return _spell(provider.auth_method, secret.get_secret_value())

    async def _fetch(self) -> Secret:
        source = self._provider.api_key
        assert callable(source)
        async with self._fetching:
            known = self._fetched
            if known is None or (
                known.expires_at is not None and known.expires_at - EXPIRY_MARGIN <= self._wall_clock()
            ):
                self._fetched = None
                problem = "The key function failed."
                try:
                    self._fetched = read_credential(await _call(source), self._provider.name)
                except ConfigError as error:
                    problem = str(error)
                except Exception as error:  # noqa: BLE001 - the user's function; its message may hold the key
                    problem = f"The key function raised {type(error).__name__}."
                if self._fetched is None:
                    raise error_of(fail("auth", "key_function", problem)) from None
                self._remember(self._fetched.secret.get_secret_value())
            assert self._fetched is not None
            return self._fetched.secret

    def _remember(self, key: str) -> None:
        if key not in self._used:
            self._used.append(key)
            self.redact = Redactor((*self._configured, *self._used))


@trio.lowlevel.disable_ki_protection
async def _call(source: KeySource) -> object:
    """The user's own code: Control-C may strike it, as it may anywhere outside of ours."""
    return await source()


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
