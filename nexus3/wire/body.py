"""Laying a caller's own fields over a request body."""

from collections.abc import Mapping


def merge_body(body: Mapping[str, object], *extras: Mapping[str, object]) -> dict[str, object]:
    """``body`` with each of ``extras`` laid over it, in order; nothing given is changed.

    Objects are merged deeply, anything else replaces. ``None`` deletes the key, so that a field which is sent by
    default can be taken away; ``null`` itself can therefore be sent within a list only.
    """
    merged = dict(body)
    for extra in filter(None, extras):
        for key, value in extra.items():
            before = merged.get(key)
            if value is None:
                merged.pop(key, None)
            elif isinstance(value, Mapping):
                merged[key] = merge_body(before if isinstance(before, Mapping) else {}, value)
            else:
                merged[key] = value
    return merged
