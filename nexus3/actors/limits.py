"""How long, how many, how much: every limit of a provider by name, and what all settings models share.

None can be switched off. Times are seconds.
"""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from nexus3.wire.limits import DecodeLimits
from nexus3.wire.messages import Frozen
from nexus3.wire.nearest import did_you_mean, quoted

# Numbers and switches are strict: "5" or true for a number is a slip, in JSON and TOML alike.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Seconds = Positive
Count = Annotated[int, Field(ge=1, strict=True)]
Bytes = Count
Flag = Annotated[bool, Field(strict=True)]
Weight = Annotated[float, Field(ge=0.01, le=100, strict=True)]
"""A share relative to others'. Bounded, so that the turns of the smallest come within reach."""


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be one line of printable characters, and not empty")
    return text


Text = Annotated[str, AfterValidator(_one_line)]

OnFull = Literal["reject", "shed_oldest", "wait"]
"""What happens to a request that finds the mailbox full."""


def refuse_unknown_keys(value: object, known: set[str]) -> object:
    """Return ``value``; where it is a dict, every key must be known. The refusal has the nearest known one."""
    if isinstance(value, dict):
        for key in value:
            if key not in known:
                hint = did_you_mean(key, sorted(known)) if isinstance(key, str) else ""
                # JSON can spell half characters, which the error could not carry.
                name = str(key).encode("utf-8", "backslashreplace").decode()
                context = {"name": name, "shown": quoted(str(key)), "hint": hint}
                raise PydanticCustomError("unknown_key", "unknown key {shown}{hint}", context)
    return value


class Settings(Frozen):
    """What all settings share. Errors do not print what was given: it may be a key in the wrong place."""

    model_config = ConfigDict(hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        return refuse_unknown_keys(value, set(cls.model_fields))


class CommonLimits(Settings):
    """Limits that do not depend on the provider type. All can be set, none can be switched off. Times in seconds."""

    write_timeout: Seconds = 10.0
    """Between two pieces of a request that the provider takes."""
    idle_timeout: Seconds = 60.0
    """Between two reads of a body, whatever they hold."""
    progress_timeout: Seconds = 120.0
    """Between two content events; pings do not count."""
    stall_timeout: Seconds = 60.0
    """How long a caller may leave a full reply unread."""
    error_body_timeout: Seconds = 2.0
    drain_timeout: Seconds = 0.05
    """What may come after the end marker, so that the connection can be used again."""
    close_timeout: Seconds = 2.0
    """For the teardown of an incarnation's connections."""
    keepalive_expiry: Seconds = 20.0
    """Less than the 60 to 75 s after which common servers close an idle connection."""
    max_connection_age: Seconds = 300.0
    """Then a connection is replaced, so that a moved address is seen."""
    max_connection_requests: Count = 1000
    """Then a connection is replaced, too."""
    max_retry_delay: Seconds = 8.0
    """Of our own waits between attempts, but for those after a 429 or 529."""
    max_throttle_delay: Seconds = 30.0
    """Of our own waits after a 429 or 529 that named no time."""
    max_retry_after: Annotated[Seconds, Field(le=600)] = 60.0
    """The longest wait that a provider may ask for; more ends the request with ``rate_limit``."""
    mailbox_capacity: Count = 256
    """Requests that wait for this provider; of the next one, ``on_full`` decides."""
    mailbox_per_caller: Count = 10_000
    """Of these, one caller's; its next one is refused as ``unavailable``, whatever ``on_full`` says."""
    on_full: OnFull = "reject"
    """Refuse the new request as ``unavailable``; end the longest waiting one of the lowest priority instead; or let the
    new one wait all the same, within its deadline."""
    promote_after: Seconds = 30.0
    """When those of higher priority have kept a caller's requests from being served for this long, its first one is
    served next."""
    caller_weights: dict[Text, Weight] = Field(default_factory=dict)
    """Callers' shares of this provider, relative to each other's, while more wait than can be served; 1 where none is
    given."""
    reply_buffer: Count = 64
    """Network reads of one answer whose events may wait for their reader; then its own socket is left unread."""
    max_request_bytes: Bytes = 32 << 20
    max_stream_bytes: Bytes = 64 << 20
    max_body_bytes: Bytes = 16 << 20
    """Of an unstreamed answer."""
    max_error_body_bytes: Bytes = 64 << 10
    max_drain_bytes: Bytes = 64 << 10
    max_header_bytes: Bytes = 64 << 10
    max_header_count: Count = 128
    max_informational_responses: Count = 8
    """1xx responses before the real one."""
    max_line_bytes: Bytes = 1 << 20
    max_event_bytes: Bytes = 4 << 20
    max_events: Count = 1_000_000
    max_tool_calls: Count = 128
    max_tool_arguments_bytes: Bytes = 256 << 10
    max_all_tool_arguments_bytes: Bytes = 1 << 20
    max_json_depth: Count = 64

    @cached_property
    def decode(self) -> DecodeLimits:
        """The decoder's part of these limits."""
        return DecodeLimits(**{name: getattr(self, name) for name in DecodeLimits.__struct_fields__})


class Limits(CommonLimits):
    """All limits of one provider, resolved."""

    connect_timeout: Seconds = 5.0
    """Name lookup, TCP and TLS together."""
    header_timeout: Seconds = 120.0
    """From the last byte of the request to the end of the response head."""
    first_event_timeout: Seconds = 120.0
    """From the sent request to the first content event."""
    reasoning_first_event_timeout: Seconds = 300.0
    """The same for a request that asks for reasoning."""
    max_connections: Count = 32
    """Requests in flight; each has a connection of its own."""
    max_keepalive_connections: Count = 32
    """Idle connections that are kept. As many as may be in use, or each burst pays for new ones: 11 ms each."""
