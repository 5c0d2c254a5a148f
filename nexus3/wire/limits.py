"""How much of a provider's output is taken before it is refused. All can be set; none can be switched off.

The numbers are chosen against real traffic: base64 images and encrypted reasoning reach megabytes in one event,
and 64 MiB of stream is hours of text.
"""

import re

import msgspec

CALL_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""Ids of tool calls that are handed on. Callers put them into logs, paths and other requests; any other one is replaced
by one of ours, for the call and all that refers to it."""


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
