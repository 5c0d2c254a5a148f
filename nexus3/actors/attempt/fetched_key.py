"""A key that a function returns: fetched once for all who need it, and anew before it expires.

Nothing runs while nobody asks: a key that grows old is noticed by the next request. That one goes on with it, and the
next key is fetched beside it; only where the old one may not be sent any more do requests wait, all for the same fetch.
"""

import math
from collections.abc import Callable

import trio

from nexus3.actors.secrets import Credential, KeySource, Secret, read_credential
from nexus3.errors import ConfigError
from nexus3.wire.failures import error_of, fail

FETCH_TIMEOUT = 30.0
"""Seconds that the function may take. Whoever waits for it does so within its own deadline, too."""
REFRESH_AT = 0.8
"""Of a key's life: from then on the next one is fetched ahead of time."""
EXPIRY_MARGIN = 30.0
"""Seconds before its expiry from which a key is not sent any more, of one that lives for five minutes or longer: clocks
differ, and requests take time to arrive. Of others, a tenth of their life."""
REFRESH_PAUSE = 10.0
"""Seconds after a fetch ahead of time has failed until the next one. The old key is good meanwhile."""


class FetchedKey:
    """One provider's key. ``on_fetched`` is told each key, in plain text, before anybody gets it."""

    def __init__(
        self,
        source: KeySource,
        name: str,
        wall_clock: Callable[[], float],
        on_fetched: Callable[[str], None],
        on_refresh_failed: Callable[[str], None],
    ) -> None:
        """``name`` is the provider's, for errors; ``wall_clock`` tells Unix time, as expiries do. ``on_refresh_failed``
        is told each failure of a fetch ahead of time, which no request fails by; in words that quote nobody."""
        self._source = source
        self._name = name
        self._wall_clock = wall_clock
        self._on_fetched = on_fetched
        self._on_refresh_failed = on_refresh_failed
        self._known: Secret | None = None
        self._due_at = -math.inf
        """When the next key shall be fetched ahead of time ..."""
        self._over_at = -math.inf
        """... and when the present one may not be sent any more."""
        self._fetch: _Fetch | None = None
        """The one that is under way."""

    async def get(self) -> Secret:
        """The key for a request that begins now.

        To be called from a request's own task: a fetch runs as a task beside it, in the same nursery, which is the
        incarnation's. So cancelling this leaves the fetch to all others who need it, and nothing outlives the
        incarnation.

        Raises:
            ProviderError: ``auth``, where the function failed, took too long, or returned what is no key.
        """
        now = self._wall_clock()
        if self._known is not None and now < self._over_at:
            if self._due_at <= now and self._fetch is None:
                self._begin(is_ahead=True)
            return self._known
        fetch = self._fetch or self._begin()
        await fetch.is_over.wait()
        if fetch.secret is None:
            raise error_of(fail("auth", "key_function", fetch.problem))
        return fetch.secret

    def refuse(self, secret: Secret) -> None:
        """The provider does not take ``secret``, whatever its expiry says: nobody gets it again."""
        if self._known == secret:
            self._known = None

    def _begin(self, *, is_ahead: bool = False) -> "_Fetch":
        nursery = trio.lowlevel.current_task().parent_nursery
        assert nursery is not None, "a request's task has one"
        fetch = self._fetch = _Fetch()
        nursery.start_soon(self._run, fetch, is_ahead)
        return fetch

    @trio.lowlevel.enable_ki_protection
    async def _run(self, fetch: "_Fetch", is_ahead: bool) -> None:
        try:
            with trio.move_on_after(FETCH_TIMEOUT) as scope:
                self._keep(read_credential(await _call(self._source), self._name), fetch)
            if scope.cancelled_caught:
                fetch.problem = f"The key function took longer than {FETCH_TIMEOUT:g} s."
        except ConfigError as error:
            fetch.problem = str(error)
        except Exception as error:  # noqa: BLE001 - the user's function; its message may hold the key
            fetch.problem = f"The key function raised {type(error).__name__}."
        finally:
            if fetch.secret is None:
                self._due_at = self._wall_clock() + REFRESH_PAUSE
            self._fetch = None
            fetch.is_over.set()
        if is_ahead and fetch.secret is None:
            self._on_refresh_failed(fetch.problem)

    def _keep(self, credential: Credential, fetch: "_Fetch") -> None:
        secret = credential.secret
        self._on_fetched(secret.get_secret_value())
        now = self._wall_clock()
        life = math.inf if credential.expires_at is None else max(0.0, credential.expires_at - now)
        self._known = fetch.secret = secret
        self._due_at = now + REFRESH_AT * life
        self._over_at = now + life - min(EXPIRY_MARGIN, life / 10)


class _Fetch:
    """One call of the function, and what came of it. Who waits for it takes its key, even one that expires at once."""

    def __init__(self) -> None:
        self.is_over = trio.Event()
        self.secret: Secret | None = None
        self.problem = "The key function was cancelled."
        """Why there is no key."""


@trio.lowlevel.disable_ki_protection
async def _call(source: KeySource) -> object:
    """The user's own code: Control-C may strike it, as it may anywhere outside of ours."""
    return await source()
