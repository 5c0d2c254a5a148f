"""Who meets whom in what, and how far nexus3 should be from the others. Data only."""

from dataclasses import dataclass, field

LIMIT, LIMIT_A = "wire.bare:socket", "wire.bare:socket_anthropic"
HTTPX, HTTPX_A, DISCARD = "wire.bare:httpx", "wire.bare:httpx_anthropic", "wire.bare:httpx_discard"
OPENAI, OPENAI_TRIO = "wire.sdks:openai", "wire.sdks:openai_trio"
ANTHROPIC, ANTHROPIC_TRIO = "wire.sdks:anthropic", "wire.sdks:anthropic_trio"
PYDANTIC_AI, ANY_LLM = "wire.frameworks:pydantic_ai", "wire.frameworks:any_llm"
LITELLM = "wire.frameworks:litellm"
OURS, OURS_A, REPLY_TO, DIRECT = "ours:openai", "ours:anthropic", "ours:reply_to", "ours:direct"

NAMES = {
    LIMIT: "bare trio socket (limit-1)",
    LIMIT_A: "bare trio socket (limit-1), Anthropic",
    HTTPX: "bare httpx",
    HTTPX_A: "bare httpx, Anthropic",
    DISCARD: "bare httpx, bytes dropped",
    OPENAI: "openai SDK",
    OPENAI_TRIO: "openai SDK on trio",
    ANTHROPIC: "anthropic SDK",
    ANTHROPIC_TRIO: "anthropic SDK on trio",
    PYDANTIC_AI: "pydantic-ai",
    ANY_LLM: "any-llm",
    LITELLM: "litellm",
    OURS: "**nexus3**",
    OURS_A: "**nexus3**, Anthropic",
    REPLY_TO: "**nexus3**, literal `reply_to`",
    DIRECT: "**nexus3**, `sup.stream`",
}
SDKS = (OPENAI, OPENAI_TRIO, ANTHROPIC, ANTHROPIC_TRIO)
FRAMEWORKS = (PYDANTIC_AI, ANY_LLM, LITELLM)
PLAIN, TLS = "http", "https"


@dataclass(frozen=True)
class Row:
    """One contestant of a set."""

    spec: str
    parameters: dict[str, int] = field(default_factory=dict)
    scheme: str = PLAIN
    label: str = ""
    """Names it among the set's rows, where the same contestant has several; else its spec does."""

    @property
    def key(self) -> str:
        """Unique in its set."""
        return self.label or self.spec


@dataclass(frozen=True)
class Bar:
    """``figure`` of row ``ours`` is at most ``factor`` times that of row ``other``."""

    ours: str
    other: str
    factor: float
    figure: str


@dataclass(frozen=True)
class MatchUp:
    """A set: one scenario, its contestants, and the bars."""

    title: str
    scenario: str
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...] = ()
    ceilings: tuple[tuple[str, str, float], ...] = ()
    """Row, figure, and the greatest value that is still good."""
    timeout: float = 120.0
    """Seconds for one run of one contestant."""


def _rows(*specs: str, **parameters: int) -> tuple[Row, ...]:
    return tuple(Row(spec, parameters) for spec in specs)


def _bars(ours: str, figure: str, others: dict[str, float]) -> tuple[Bar, ...]:
    return tuple(Bar(ours, other, factor, figure) for other, factor in others.items())


EVENT, REQUEST = "us/event", "ms/request"
PER_READ = {"events": 1500, "rate": 1000}
TLS_LABEL, HTTPX_TLS = "ours:openai over TLS", "wire.bare:httpx over TLS"

SETS: dict[str, MatchUp] = {
    "s1": MatchUp(
        "Burst of 20,000 events",
        "burst",
        _rows(LIMIT, LIMIT_A, HTTPX, HTTPX_A, DISCARD, OURS, OURS_A, REPLY_TO, DIRECT, events=20_000),
        (*_bars(OURS, EVENT, {LIMIT: 1.8, DISCARD: 0.4}), *_bars(OURS_A, EVENT, {LIMIT_A: 1.8})),
    ),
    "s1p": MatchUp(
        "The same beside client libraries (their bursts are of 3,000 events)",
        "burst",
        (
            *_rows(LIMIT, DISCARD, OURS, OURS_A, REPLY_TO, events=20_000),
            *_rows(*SDKS, *FRAMEWORKS, events=3000),
        ),
        (
            *_bars(OURS, EVENT, {LIMIT: 1.8, DISCARD: 0.4, OPENAI: 1 / 30, LITELLM: 1 / 120}),
            *_bars(OURS_A, EVENT, {ANTHROPIC: 1 / 8}),
        ),
    ),
    "s1tls": MatchUp(
        "The burst over TLS, one record per event",
        "burst",
        (
            *_rows(OURS, events=20_000),
            Row(OURS, {"events": 20_000}, TLS, TLS_LABEL),
            Row(HTTPX, {"events": 20_000}, TLS, HTTPX_TLS),
        ),
        _bars(TLS_LABEL, EVENT, {OURS: 2.5}),
    ),
    "s1t": MatchUp(
        "One event per network read, 1,000 a second",
        "single",
        _rows(LIMIT, HTTPX, DISCARD, OURS, OURS_A, REPLY_TO, *SDKS, *FRAMEWORKS, **PER_READ),
        (*_bars(OURS, EVENT, {LIMIT: 1.5, HTTPX: 0.85, OPENAI: 0.5}), *_bars(OURS_A, EVENT, {ANTHROPIC: 2 / 3})),
    ),
    "s1ttls": MatchUp(
        "One event per network read, over TLS",
        "single",
        (Row(OURS, PER_READ, TLS, TLS_LABEL), Row(HTTPX, PER_READ, TLS, HTTPX_TLS)),
        _bars(TLS_LABEL, EVENT, {HTTPX_TLS: 0.75}),
    ),
    "s2": MatchUp(
        "Short unstreamed requests",
        "requests",
        (*_rows(LIMIT, HTTPX, OURS, OURS_A, DIRECT, requests=1000), *_rows(*SDKS, *FRAMEWORKS, requests=200)),
        (
            *_bars(OURS, REQUEST, {HTTPX: 0.75, OPENAI: 1 / 3}),
            *_bars(OURS_A, REQUEST, {ANTHROPIC: 1 / 3}),
        ),
    ),
    "s4": MatchUp(
        "Streams of one event",
        "first_event",
        (*_rows(LIMIT, HTTPX, OURS, OURS_A, DIRECT, streams=300), *_rows(*SDKS, *FRAMEWORKS, streams=100)),
        (Bar(OURS, HTTPX, 0.8, "first event, ms"), Bar(OURS, HTTPX, 0.75, "ms/stream")),
    ),
    "pool": MatchUp(
        "Short requests beside 1,000 live streams",
        "beside_live",
        _rows(LIMIT, HTTPX, OURS, streams=1000),
        _bars(OURS, "ms beside 1000", {HTTPX: 0.1}),
    ),
    "poolidle": MatchUp(
        "Short requests beside 500 idle connections",
        "beside_idle",
        _rows(LIMIT, HTTPX, OURS, connections=500),
        _bars(OURS, "ms beside 500", {HTTPX: 0.1}),
    ),
    "s3_200": MatchUp(
        "200 streams of 20 events a second",
        "many",
        _rows(LIMIT, HTTPX, OURS, OPENAI, ANTHROPIC, PYDANTIC_AI, ANY_LLM, LITELLM, streams=200),
        ceilings=((OURS, "KiB/stream", 40),),
    ),
    "s3_1000": MatchUp(
        "1,000 streams of 20 events a second, and 100",
        "many",
        (
            *_rows(LIMIT, HTTPX, OURS, OURS_A, OPENAI, ANTHROPIC, streams=1000),
            Row(OURS, {"streams": 100}, label="ours:openai, 100 streams"),
        ),
        (
            Bar(OURS, LIMIT, 1.35, EVENT),
            Bar(OURS_A, ANTHROPIC, 0.5, EVENT),
            Bar(OURS, OPENAI, 1, "lag p99, ms"),
            Bar(OURS, ANTHROPIC, 1, "lag p99, ms"),
            Bar(OURS, "ours:openai, 100 streams", 1.15, EVENT),
        ),
        ((OURS, "KiB/stream", 40),),
        timeout=180,
    ),
}
"""By the name that is given on the command line, in the order in which they are run."""
