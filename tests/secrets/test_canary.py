"""No secret is seen in any place, in any spelling, whatever goes wrong: six provider types, every failure, every sink.

The server repeats what it was sent wherever a failure can carry it. Each scene also checks that it was the failure that
was meant, so that none passes because nothing happened.
"""

import pytest

from tests.secrets.canary import GATEWAY_TOKEN, KEYS, PROXY_PASSWORD, hits
from tests.secrets.scene import play
from tests.secrets.sinks import Logging
from tests.secrets.troubles import TROUBLES, Trouble

WAYS: tuple[Logging, ...] = ("structlog", "stdlib")
TYPES = tuple(KEYS)


async def leaks(trouble: Trouble, type_name: str, key: str, way: Logging, seen: set[str]) -> list[str]:
    """Where a secret is seen in one scene. Notes in ``seen`` which sinks were looked at."""
    caught, shown = await play(trouble, type_name, key, way)
    failures = caught.failures()
    if trouble.expected:
        assert any(failure.startswith(trouble.expected) for failure in failures), f"{trouble.name}: {failures}"
    else:
        assert not failures, trouble.name
    place = f"{type_name} | {trouble.name}"
    found = [f"{place} | foreign | {request}" for request in caught.foreign]
    for sink, items in shown.items():
        seen.add(f"{place} | {sink}")
        found += [f"{place} | {sink} | {hit!r}" for hit in hits(items, (key, GATEWAY_TOKEN, PROXY_PASSWORD))]
    return found


async def leaks_of(
    type_name: str, key: str, capfd: pytest.CaptureFixture[str], *, every_way: bool = False
) -> list[str]:
    """All failures of one provider type; prints how much was looked at.

    A scene is played for one way of logging, which takes turns: each failure meets both, over the six types.
    """
    seen: set[str] = set()
    found: list[str] = []
    for number, trouble in enumerate(TROUBLES, TYPES.index(type_name)):
        for way in WAYS if every_way else (WAYS[number % len(WAYS)],):
            found += await leaks(trouble, type_name, key, way, seen)
        written = hits(capfd.readouterr(), (key, GATEWAY_TOKEN, PROXY_PASSWORD))
        found += [f"{type_name} | {trouble.name} | stdout and stderr | {hit!r}" for hit in written]
        seen.add(f"{type_name} | {trouble.name} | stdout and stderr")
    with capfd.disabled():
        print(f"\n{type_name}: {len(seen)} triples of type, failure and sink ({len(TROUBLES)} failures)")
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("type_name", TYPES)
async def test_no_secret_is_seen(type_name: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = await leaks_of(type_name, KEYS[type_name], capfd)
    assert found == [], "\n".join(found)


@pytest.mark.soak
@pytest.mark.parametrize("shape", KEYS)
@pytest.mark.parametrize("type_name", TYPES)
async def test_no_secret_is_seen_whatever_its_shape(
    type_name: str, shape: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = await leaks_of(type_name, KEYS[shape], capfd, every_way=True)
    assert found == [], "\n".join(found)
