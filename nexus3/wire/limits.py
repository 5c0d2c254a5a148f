"""How much of a provider's output is taken before it is refused. All can be set; none can be switched off.

The numbers are chosen against real traffic: base64 images and encrypted reasoning reach megabytes in one event,
and 64 MiB of stream is hours of text.
"""

import msgspec


class DecodeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Caps of a decoder. Going over one ends the request with kind ``limit`` and the cap's name as reason."""

    max_line_bytes: int = 1 << 20
    max_event_bytes: int = 4 << 20
    max_events: int = 1_000_000
    max_tool_calls: int = 128
    max_tool_arguments_bytes: int = 256 << 10
    """Of one call."""
    max_all_tool_arguments_bytes: int = 1 << 20
    max_json_depth: int = 64
    """msgspec itself stops at the interpreter's recursion limit; this stops before anything is built."""


DEFAULT_LIMITS = DecodeLimits()
