"""Whether a request is the one that was recorded, and if not, where it differs. Pure.

Compared are the method, the path from the API's version on (``/v1``, or Azure's ``/deployments``: the same cassette
serves whatever stands before it) and the body as JSON, in which the order of an object's names and the white space mean
nothing. Not compared: headers, the query, and the top-level fields of :data:`VOLATILE`, which say who asks, not what.
Where the recording says ``[redacted]``, anything fits.
"""

import re
from collections.abc import Iterator
from itertools import islice, zip_longest

import msgspec

from nexus3.loopback.received import Received
from nexus3.loopback.recordings import RecordedRequest
from nexus3.wire.nearest import quoted
from nexus3.wire.provider_text import REDACTED

VOLATILE = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user"})

MAX_COUNTED = 1000
"""Differences that are counted of one request: beyond, all are equally far."""

_SHOWN_BEFORE = 12
"""Characters shown of what two texts have in common, before where they part."""

_BEFORE_THE_VERSION = re.compile(r".*/(?:v1|deployments)(?=/)")

_ABSENT = msgspec.UNSET


def differences(recorded: RecordedRequest, received: Received) -> Iterator[str]:
    """Where ``received`` is not what was recorded, in words, most telling first; none where they match."""
    if recorded.method != received.method:
        yield f"method: recorded {recorded.method}, got {received.method}"
    path = received.path.partition("?")[0]
    if not _fits(_endpoint(recorded.path), _endpoint(path)):
        yield f"path: recorded {recorded.path}, got {path}"
    yield from _between(_lasting(recorded.body), _lasting(received.body), "body")


def distance(recorded: RecordedRequest, received: Received) -> int:
    """How many differences there are."""
    return sum(1 for _ in islice(differences(recorded, received), MAX_COUNTED))


def _endpoint(path: str) -> str:
    return _BEFORE_THE_VERSION.sub("", path, count=1)


def _lasting(body: object) -> object:
    return {name: value for name, value in body.items() if name not in VOLATILE} if isinstance(body, dict) else body


def _between(recorded: object, given: object, place: str) -> Iterator[str]:
    match recorded, given:
        case (dict(), dict()):
            for name in [*recorded, *(name for name in given if name not in recorded)]:
                yield from _between(recorded.get(name, _ABSENT), given.get(name, _ABSENT), f"{place}.{name}")
        case (list(), list()):
            for at, (one, other) in enumerate(zip_longest(recorded, given, fillvalue=_ABSENT)):
                yield from _between(one, other, f"{place}[{at}]")
        case (str(), str()):
            if not _fits(recorded, given):
                parting = next((at for at, (a, b) in enumerate(zip(recorded, given, strict=False)) if a != b), 0)
                yield _told(place, recorded, given, max(parting - _SHOWN_BEFORE, 0))
        case _:
            # A recorded secret has become a text, whatever it was; True is no 1, though Python's are equal.
            is_same = recorded == given and isinstance(recorded, bool) == isinstance(given, bool)
            if not is_same and recorded != REDACTED:
                yield _told(place, recorded, given)


def _fits(recorded: str, given: str) -> bool:
    first, *others = recorded.split(REDACTED)
    if not others:
        return recorded == given
    *between, last = others
    if not given.startswith(first) or not given.endswith(last):
        return False
    at, end = len(first), len(given) - len(last)
    for part in between:
        found = given.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def _told(place: str, recorded: object, given: object, start: int = 0) -> str:
    return f"{place}: recorded {_shown(recorded, start)}, got {_shown(given, start)}"


def _shown(value: object, start: int) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, str):
        return ("..." if start else "") + quoted(value[start:])
    return quoted(msgspec.json.encode(value).decode())
