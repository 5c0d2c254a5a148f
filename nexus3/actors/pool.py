"""Which connections an incarnation gets: a pool of our own, or httpx's behind a configured proxy."""

from contextlib import AbstractAsyncContextManager

from nexus3.actors.http import pool
from nexus3.actors.resolved import ResolvedProvider
from nexus3.actors.transport import Transport


def open_pool(provider: ResolvedProvider) -> AbstractAsyncContextManager[Transport]:
    """The connections of one incarnation: an :data:`nexus3.actors.transport.OpenTransport`.

    Leaving the block closes every connection. Names and certificates are always checked, redirects never followed, the
    environment never read.

    Raises:
        OSError: ``ca_file`` cannot be read.
    """
    if provider.proxy is None:
        return pool.open_pool(provider)
    # httpx is a third of what importing nexus3 would cost; few have a proxy.
    from nexus3.actors.http.proxied import open_proxied

    return open_proxied(provider)
