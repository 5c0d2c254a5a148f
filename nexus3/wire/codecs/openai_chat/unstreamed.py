"""Reads an unstreamed answer: the one chunk of a stream that has no more."""

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.codecs import Reply
from nexus3.wire.codecs.openai_chat.answer import Answer
from nexus3.wire.codecs.openai_chat.reading import Malformed, OverLimit, read_chunk
from nexus3.wire.events import StreamEvent
from nexus3.wire.failures import Failure
from nexus3.wire.limits import DecodeLimits

_BOM = b"\xef\xbb\xbf"


def decode_body(
    body: bytes, target: Target, *, request_id: str | None, limits: DecodeLimits
) -> tuple[list[StreamEvent], Reply | Failure]:
    """Read an answer with a 2xx status into the events that a stream would have given.

    A failure comes without events: nothing of a body is shown before all of it is known.
    """
    events: list[StreamEvent] = []
    answer = Answer(target, request_id=request_id, limits=limits, streamed=False)
    text = body.removeprefix(_BOM).strip()  # DeepSeek sends empty lines while it queues
    if not text:
        answer.nothing_came(events)
    else:
        try:
            answer.take(read_chunk(text, limits.max_json_depth), events)
        except Malformed as error:
            answer.malformed("malformed_body", text, error, events)
        except OverLimit as error:
            answer.over_limit(error.limit, events)
    if answer.outcome is None:
        answer.end_body(events)
    assert answer.outcome is not None
    if isinstance(answer.outcome, Failure):
        return [], msgspec.structs.replace(answer.outcome, emitted=False, phase="first_event")
    return events, answer.outcome
