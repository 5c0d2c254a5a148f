"""Schemas of tools as they are sent, made once for all requests that send the same.

Agents send the same tools hundreds of times, and to put a schema into the form that every provider takes costs ten
times as much as to write it out. Schemas are told apart by what they say, not by the tool that says it: a tool may be
copied, pickled, made anew for every request, or changed in place, and always sends what it says now.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec import Raw

from nexus3.wire.toolschema import Schema, normalised

_LONGEST_KEPT = 16 << 10
"""Bytes of JSON. What is longer is normalised for every request, so that what is kept stays small."""

_encode = msgspec.json.Encoder().encode


class Sendable(msgspec.Struct, frozen=True):
    """The parameters of a tool, ready to be put into a body."""

    schema: Raw | Schema
    """JSON, but for what cannot be JSON as it stands. Not to be changed."""
    changes: tuple[str, ...]
    """What had to change, in words for a notice."""


def sendable(name: str, parameters: Mapping[str, object] | None) -> Sendable:
    """The ``parameters`` of the tool ``name``, as :func:`~nexus3.wire.toolschema.normalised` has them.

    Raises:
        ProviderError: as ``normalised`` does.
    """
    try:
        given = _encode(parameters)
    except (TypeError, ValueError, RecursionError):  # half a character, say: codecs mend it in the body as a whole
        schema, changes = normalised(name, parameters)
        return Sendable(schema, tuple(changes))
    return _kept(name, given) if len(given) <= _LONGEST_KEPT else _sendable(name, given)


def _sendable(name: str, given: bytes) -> Sendable:
    schema, changes = normalised(name, msgspec.json.decode(given))
    return Sendable(Raw(_encode(schema)), tuple(changes))


_kept = lru_cache(maxsize=1024)(_sendable)
