"""The coding that the kernel's measurements contain, on the same bytes, without trio."""

from collections.abc import Sequence

from benchmarks.memory import event_per_read, full_reads, one_event
from nexus3 import CompletionRequest, Message, Role
from nexus3.wire.catalog import CATALOG, Target
from nexus3.wire.codecs.dialects import CODECS
from nexus3.wire.limits import DEFAULT_LIMITS

REQUEST = CompletionRequest(messages=(Message(role=Role.USER, content="hello"),))
"""What is asked, always."""

_ROW = CATALOG["openai"]
_CODEC = CODECS[_ROW.dialect]
_TARGET = Target(provider="memory", type=_ROW, model="m", url="http://127.0.0.1:9/v1", quirks=_ROW.quirks)


def code_asks(n: int) -> None:
    """``n`` requests with an answer of one event each."""
    for _ in range(n):
        _code(one_event())


def code_full_reads(n: int) -> None:
    """One request; ``n`` events, many to a read."""
    _code(full_reads(n))


def code_single_reads(n: int) -> None:
    """One request; ``n`` events, each in a read of its own."""
    _code(event_per_read(n))


def _code(reads: Sequence[bytes]) -> None:
    _CODEC.encode(REQUEST, _TARGET, stream=True)
    decoder = _CODEC.open_decoder(_TARGET, request_id=None, limits=DEFAULT_LIMITS)
    for data in reads:
        decoder.feed(data)
    assert decoder.outcome is not None
