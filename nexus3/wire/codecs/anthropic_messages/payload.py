"""JSON as it comes in: checked before anything is built of it, and forgiving where only characters are broken."""

import json
import math
import re

import msgspec

from nexus3.wire.failures import Failure, fail

# A string, closed or running to the end, or one bracket. Possessive, so that hostile input cannot make it backtrack.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


def is_too_deep(data: bytes, max_depth: int) -> bool:
    """Whether objects and lists are nested deeper than ``max_depth``. Linear, and nearly free for flat data."""
    if len(data) <= max_depth or data.count(b"{") + data.count(b"[") <= max_depth:
        return False
    depth = 0
    for match in _TOKEN.finditer(data):
        token = match.group()
        if token in (b"{", b"["):
            depth += 1
            if depth > max_depth:
                return True
        elif token in (b"}", b"]"):
            depth -= 1
    return False


def parse_object(data: bytes, *, max_depth: int, reason: str) -> dict[str, object] | Failure:
    """The JSON object in ``data``; else a failure: ``limit`` for what is nested too deep, ``protocol`` with ``reason``
    for what is not one JSON object. Broken UTF-8 and lone surrogates inside strings are replaced, not refused.
    """
    if is_too_deep(data, max_depth):
        return fail(
            "limit", "max_json_depth", f"The provider sent JSON nested deeper than max_json_depth ({max_depth})."
        )
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _parse_tolerantly(data)
    if isinstance(value, dict):
        return value
    seen = data[:200].decode("utf-8", "replace")
    return fail("protocol", reason, f"The provider sent something that is not a JSON object: {seen!r}")


def _parse_tolerantly(data: bytes) -> object:
    try:
        value = json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return without_surrogates(value)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits[:20]} is out of range")
    return number


def without_surrogates(value: object) -> object:
    """The same JSON value with halves of surrogate pairs joined where they meet, and replaced where they are alone."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(item) for item in value]
    return value
