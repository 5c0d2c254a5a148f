"""Answers in Anthropic's Messages dialect: a stream as frames, a whole body, errors. Pure.

Shapes are from the vendor's reference as of 2026: ``input_tokens`` leaves the cache out, the first
``input_json_delta`` is empty, a signature comes once at the end of a thinking block.
"""

from itertools import groupby

import msgspec

from nexus3.loopback.answers import Answer
from nexus3.loopback.faults import Error
from nexus3.loopback.frames import Frame, Stage
from nexus3.loopback.pieces import Piece, pieces_of, usage_of
from nexus3.loopback.received import Received
from nexus3.wire.messages import Usage, parse_arguments

SIGNATURE = "bG9vcGJhY2s="
"""Under every thinking block."""

PING: bytes = b'event: ping\ndata: {"type": "ping"}\n\n'

_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "context_window": "model_context_window_exceeded",
}


def headers(received: Received) -> list[tuple[str, str]]:
    """What the vendor adds to every response."""
    return [("request-id", _request_id(received))]


def frames(answer: Answer, received: Received) -> list[Frame]:
    """The whole stream, one server-sent event a frame."""
    usage = _usage(usage_of(answer, received.asked.prompt_words))
    begun = {**usage, "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 0}}
    started = {**_message(received), "content": [], "stop_reason": None, "usage": begun}
    out = [_event({"type": "message_start", "message": started}, "lead"), Frame(PING, "lead")]
    for index, (_, block) in enumerate(groupby(pieces_of(answer), key=_block_key)):
        out += _block(index, list(block), answer, received)
    delta = {"stop_reason": _finish(answer), "stop_sequence": None}
    out.append(_event({"type": "message_delta", "delta": delta, "usage": _final(usage)}, "finish"))
    out.append(_event({"type": "message_stop"}, "done"))
    return out


def document(answer: Answer, received: Received) -> bytes:
    """The unstreamed answer. Arguments that are no JSON object cannot be said here: they come out as ``{}``."""
    content: list[object] = []
    if reasoning := "".join(answer.reasoning):
        content.append({"type": "thinking", "thinking": reasoning, "signature": SIGNATURE})
    if text := "".join([*answer.text, *answer.refusal]):
        content.append({"type": "text", "text": text})
    for index, call in enumerate(answer.tool_calls):
        given = parse_arguments(call.arguments_text) or {}
        content.append({"type": "tool_use", "id": _call_id(answer, index, received), "name": call.name, "input": given})
    usage = _usage(usage_of(answer, received.asked.prompt_words))
    return msgspec.json.encode(
        {**_message(received), "content": content, "stop_reason": _finish(answer), "usage": usage}
    )


def error_document(status: int, error: Error, received: Received) -> bytes:
    """The body of an error status."""
    return msgspec.json.encode(_error(status, error, received))


def error_frames(status: int, error: Error, received: Received) -> list[Frame]:
    """An error in the stream."""
    return [_event(_error(status, error, received), "tail")]


def models(names: list[str]) -> bytes:
    """The list of models."""
    data = [{"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names]
    return msgspec.json.encode({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})


def _event(value: dict[str, object], stage: Stage) -> Frame:
    return Frame(b"event: %b\ndata: %b\n\n" % (str(value["type"]).encode(), msgspec.json.encode(value)), stage)


def _request_id(received: Received) -> str:
    return f"req_loopback_{received.number:06d}"


def _message(received: Received) -> dict[str, object]:
    head = {"id": f"msg_loopback{received.number:06d}", "type": "message", "role": "assistant"}
    return {**head, "model": received.model, "stop_sequence": None}


def _block_key(piece: Piece) -> tuple[str, int]:
    """Pieces of one content block have the same key; a refusal is text."""
    match piece.kind:
        case "reasoning":
            return "thinking", 0
        case "text" | "refusal":
            return "text", 0
        case "call" | "arguments":
            return "tool_use", piece.index


def _block(index: int, pieces: list[Piece], answer: Answer, received: Received) -> list[Frame]:
    def start(block: dict[str, object], stage: Stage = "frame") -> Frame:
        return _event({"type": "content_block_start", "index": index, "content_block": block}, stage)

    def delta(value: dict[str, object], stage: Stage = "piece") -> Frame:
        return _event({"type": "content_block_delta", "index": index, "delta": value}, stage)

    first = pieces[0]
    match first.kind:
        case "reasoning":
            out = [start({"type": "thinking", "thinking": "", "signature": ""})]
            out += [delta({"type": "thinking_delta", "thinking": piece.text}) for piece in pieces]
            out.append(delta({"type": "signature_delta", "signature": SIGNATURE}, "frame"))
        case "text" | "refusal":
            out = [start({"type": "text", "text": ""})]
            out += [delta({"type": "text_delta", "text": piece.text}) for piece in pieces]
        case "call" | "arguments":
            call = answer.tool_calls[first.index]
            call_id = _call_id(answer, first.index, received)
            out = [start({"type": "tool_use", "id": call_id, "name": call.name, "input": {}}, "piece")]
            out.append(delta({"type": "input_json_delta", "partial_json": ""}, "frame"))
            out += [delta({"type": "input_json_delta", "partial_json": piece.text}) for piece in pieces[1:]]
    out.append(_event({"type": "content_block_stop", "index": index}, "frame"))
    return out


def _call_id(answer: Answer, index: int, received: Received) -> str:
    return answer.tool_calls[index].id or f"toolu_{received.number:06d}{index:02d}"


def _finish(answer: Answer) -> str:
    reason = answer.finish or ("tool_calls" if answer.tool_calls else "refusal" if answer.refusal else "stop")
    return _FINISH.get(reason, reason)


def _usage(usage: Usage | None) -> dict[str, object]:
    usage = usage or Usage()
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input_tokens": max((usage.input_tokens or 0) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens or 0,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens or 0},
        "service_tier": "standard",
    }


def _final(usage: dict[str, object]) -> dict[str, object]:
    return {key: usage[key] for key in ("output_tokens", "output_tokens_details")}


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _error(status: int, error: Error, received: Received) -> dict[str, object]:
    kind = error.type or error.code or _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = error.message or f"{kind}, says the loopback provider"
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": _request_id(received)}
