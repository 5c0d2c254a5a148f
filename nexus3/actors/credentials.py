"""A provider's key as a header, fetched when it must be, added last.

One object per incarnation: a fetched key is shared by all requests until it expires.
"""

from collections.abc import Callable

import trio

from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.secrets import Credential, KeySource, Secret, read_credential
from nexus3.errors import ConfigError
from nexus3.wire.catalog import AuthMethod
from nexus3.wire.failures import error_of, fail

EXPIRY_MARGIN = 30.0
"""Seconds before its expiry at which a fetched key is fetched anew."""


class Credentials:
    """The keys of one provider."""

    def __init__(self, provider: ResolvedProvider, wall_clock: Callable[[], float]) -> None:
        self._provider = provider
        self._wall_clock = wall_clock
        self._fetching = trio.Lock()
        self._fetched: Credential | None = None

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
            assert self._fetched is not None
            return self._fetched.secret


@trio.lowlevel.disable_ki_protection
async def _call(source: KeySource) -> object:
    """The user's own code: Control-C may strike it, as it may anywhere outside of ours."""
    return await source()


def _spell(method: AuthMethod, key: str) -> list[tuple[str, str]]:
    match method:
        case "bearer":
            return [("authorization", f"Bearer {key}")]
        case "api-key" | "x-api-key":
            return [(method, key)]
        case "none":
            return []
