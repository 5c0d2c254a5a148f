"""The provider's token counters, and what they mean in ours.

``input_tokens`` on this wire leaves cache reads and writes out; ours counts them in. Counters in a stream are
cumulative and often partial: what is said replaces, what is not said stays.
"""

from nexus3.wire.messages import Usage

_COUNTERS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def merge_counters(counters: dict[str, int], said: object) -> None:
    """Lay one ``usage`` object of the wire over ``counters``. Absent, null and senseless values change nothing."""
    if not isinstance(said, dict):
        return
    for name in _COUNTERS:
        if name in said and (tokens := _tokens(said[name])) is not None:
            counters[name] = tokens
    details = said.get("output_tokens_details")
    if isinstance(details, dict) and (tokens := _tokens(details.get("thinking_tokens"))) is not None:
        counters["thinking_tokens"] = tokens


def _tokens(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None  # a bool is an int, too


def usage_of(counters: dict[str, int]) -> Usage | None:
    """The counters as usage; ``None`` where nothing was said."""
    if not counters:
        return None
    read = counters.get("cache_read_input_tokens")
    written = counters.get("cache_creation_input_tokens")
    uncached = counters.get("input_tokens")
    return Usage(
        input_tokens=None if uncached is None else uncached + (read or 0) + (written or 0),
        output_tokens=counters.get("output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=counters.get("thinking_tokens"),
    )
