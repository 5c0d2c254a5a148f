"""What a configured proxy is asked for, on a real socket: hosts that the settings list, and no others."""

import pytest

from nexus3.actors.http.proxied import open_proxied
from nexus3.actors.settings import ProviderConfig
from nexus3.actors.transport import TransportFault
from nexus3.config.resolve import resolve
from nexus3.loopback import Loopback, open_loopback
from nexus3.wire.failures import Failure, fail
from tests.actors.http.world import HEADERS, PATH, body

UNLISTED = fail(
    "blocked", "unlisted_host", "The proxy may not be asked for a host that is not in allowed_hosts.", phase="connect"
)


async def asked_for(url: str, proxy: Loopback, **settings: object) -> int:
    """The status of an answer through ``proxy``."""
    provider = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "k" * 10, "allow_loopback": True}
    config = ProviderConfig.model_validate({**provider, "proxy": proxy.url, **settings})
    async with (
        open_proxied(resolve("p", config, {})) as pool,
        pool.exchange(url + PATH, HEADERS, body("m"), on_sent=lambda: None) as response,
    ):
        return response.status


async def refused(url: str) -> Failure:
    """How an exchange fails that the proxy never hears of."""
    async with open_loopback() as proxy:
        with pytest.raises(TransportFault) as caught:
            await asked_for(url, proxy)
        assert proxy.exchanges == []
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.failure


async def test_a_listed_host_is_asked_for_at_any_port_and_in_any_spelling() -> None:
    async with open_loopback() as proxy:
        assert await asked_for("http://127.0.0.1:9", proxy) == 200
        assert await asked_for("http://127.0.0.1:7", proxy) == 200
        two = ["127.0.0.1", "api.example.test"]
        assert await asked_for("http://API.example.test.", proxy, allowed_hosts=two) == 200
        assert len(proxy.exchanges) == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:9",
        "http://localhost:9",
        "http://[::ffff:127.0.0.1]:9",
        "http://api.example.test",
        "http://metadata.google.internal",
        "http://169.254.169.254",
        "http://x.127.0.0.1.example",
    ],
)
async def test_the_proxy_is_asked_for_no_other_host(url: str) -> None:
    assert await refused(url) == UNLISTED


@pytest.mark.parametrize(
    "url", ["http://127.1:9", "http://k@127.0.0.1:9", "http://127.0.0.1:9\\@evil.example", "file://"]
)
async def test_a_url_that_parsers_disagree_on_is_not_sent(url: str) -> None:
    failure = await refused(url)
    assert (failure.kind, failure.reason) == ("bad_request", "unsendable")
