"""A failure is cleaned of what the provider's own settings hold, and of nothing else."""

import msgspec

from nexus3 import ProviderConfig
from nexus3.actors.attempt.credentials import Credentials
from nexus3.config.resolve import resolve
from nexus3.wire.failures import Failure, fail
from tests.secrets.canary import GATEWAY_TOKEN, KEYS, PROXY_PASSWORD

AZURE_KEY = KEYS["azure"]


def credentials(**settings: object) -> Credentials:
    config = ProviderConfig.model_validate({"type": "openai", "api_key": AZURE_KEY, **settings})
    return Credentials(resolve("p", config, {}), lambda: 0.0)


def said(message: str, reason: str = "odd_code", request_id: str | None = None) -> Failure:
    return msgspec.structs.replace(fail("auth", reason, message, phase="headers"), request_id=request_id)


def test_key_password_and_header_values_go() -> None:
    known = credentials(
        extra_headers={"X-Gateway-Token": GATEWAY_TOKEN}, proxy=f"http://operator:{PROXY_PASSWORD}@127.0.0.1:3128"
    )
    failure = said(f"no {AZURE_KEY}, no {GATEWAY_TOKEN}, no {PROXY_PASSWORD}", AZURE_KEY, f"id-{AZURE_KEY}")
    assert known.cleaned(failure) == said("no [redacted], no [redacted], no [redacted]", "auth")


def test_what_was_cut_off_within_the_key_goes_too() -> None:
    assert credentials().cleaned(said(f"no {AZURE_KEY[:20]}…")) == said("no [redacted]…")


def test_a_token_without_a_password_is_one() -> None:
    known = credentials(proxy="http://token-of-mine@127.0.0.1:3128")
    assert known.cleaned(said("no token-of-mine")) == said("no [redacted]")


def test_what_a_reader_needs_stays() -> None:
    """A refused beta is named in the error; nothing about it is secret."""
    known = credentials(extra_headers={"Anthropic-Beta": "context-1m-2025-08-07", "X-Punctuation": "--------"})
    failure = said("unexpected value context-1m-2025-08-07", "invalid_api_key", "req_0123456789")
    assert known.cleaned(failure) == failure


async def test_of_fetched_keys_the_recent_ones_go() -> None:
    """Those of weeks ago have expired; remembering all of them would cost more with each."""
    keys = [f"fetched-key-number-{number:03}-of-many" for number in range(100)]
    given = iter(keys)

    async def source() -> tuple[str, float]:
        return next(given), 0.0

    known = credentials(api_key=source)
    for key in keys:
        assert await known.lend().headers() == [("authorization", f"Bearer {key}")]
        assert known.cleaned(said(f"no {key}")) == said("no [redacted]")
    assert known.redact(keys[-2]) == "[redacted]"
    assert len(known._used) == 4
