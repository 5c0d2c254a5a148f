"""Answers in OpenAI's chat dialect: a stream as frames, a whole body, errors. Pure.

Each flavour has the manners that clients have to cope with: OpenRouter's comments, ``reasoning_details`` and cost,
Azure's prologue chunk and filter results, ollama's whole tool calls, vLLM's integer error codes and ``stop_reason``.
Shapes are from the vendors' references and servers' sources as of 2026.
"""

import msgspec

from nexus3.loopback.answers import Answer
from nexus3.loopback.faults import Error
from nexus3.loopback.frames import Frame
from nexus3.loopback.pieces import Piece, pieces_of, usage_of
from nexus3.loopback.received import Flavour, Received
from nexus3.wire.messages import Usage

CREATED = 1_790_000_000
"""Every answer's time of birth, so that equal requests have equal answers."""

PING: bytes = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

_FINISH = {"refusal": "stop", "pause": "stop", "context_window": "length"}
_SAFE = {"filtered": False, "severity": "safe"}
_FILTERS = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}
_PROMPT_FILTERS = [{"prompt_index": 0, "content_filter_results": _FILTERS}]


def headers(received: Received) -> list[tuple[str, str]]:
    """What the vendor adds to every response: the request id under its name."""
    request_id = f"req_loopback_{received.number:06d}"
    match received.route.flavour:
        case "azure":
            return [("apim-request-id", request_id), ("x-ms-region", "Loopback")]
        case "openrouter":
            return [("x-generation-id", _id(received))]
        case "openai":
            return [("x-request-id", request_id), ("openai-version", "2020-10-01"), ("openai-processing-ms", "1")]
        case _:
            return []


def frames(answer: Answer, received: Received) -> list[Frame]:
    """The whole stream, one server-sent event a frame."""
    flavour = received.route.flavour
    usage = usage_of(answer, received.asked.prompt_words)
    told = usage is not None and (received.asked.include_usage or flavour == "openrouter")
    head = _head(received, "chat.completion.chunk")
    if told and flavour in ("openai", "azure"):
        head["usage"] = None
    lead: dict[str, object] = {"role": "assistant", "content": ""}

    def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**head, "choices": [{**choice, **_choice_extras(flavour, finish)}]})

    out: list[Frame] = []
    if flavour == "openrouter":
        out.append(Frame(b": OPENROUTER PROCESSING\n\n", "lead"))
    if flavour == "azure":
        nothing = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        out.append(Frame(_event({**nothing, "prompt_filter_results": _PROMPT_FILTERS, "usage": None}), "lead"))
    out.append(Frame(chunk(lead), "lead"))
    for piece in pieces_of(answer):
        if not (piece.kind == "arguments" and flavour == "ollama"):  # its calls come whole
            delta = _delta(piece, answer, received)
            out.append(Frame(chunk({**lead, **delta} if flavour == "openrouter" else delta), "piece"))
    out.append(Frame(chunk(lead if flavour == "openrouter" else {}, _finish(answer)), "finish"))
    if usage is not None and told:
        out.append(Frame(_event({**head, "choices": [], "usage": _usage(usage, flavour)}), "tail"))
    out.append(Frame(DONE, "done"))
    return out


def document(answer: Answer, received: Received) -> bytes:
    """The unstreamed answer."""
    flavour, finish = received.route.flavour, _finish(answer)
    usage = usage_of(answer, received.asked.prompt_words)
    text, reasoning, refusal = ("".join(said) for said in (answer.text, answer.reasoning, answer.refusal))
    message: dict[str, object] = {"role": "assistant", "content": text or None if answer.tool_calls else text}
    message["refusal"] = refusal or None
    if reasoning:
        message |= _reasoning(reasoning, flavour)
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": _call_id(answer, index, received),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_text},
            }
            for index, call in enumerate(answer.tool_calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    body = {**_head(received, "chat.completion"), "choices": [{**choice, **_choice_extras(flavour, finish)}]}
    if flavour == "azure":
        body["prompt_filter_results"] = _PROMPT_FILTERS
    if usage is not None:
        body["usage"] = _usage(usage, flavour)
    return msgspec.json.encode(body)


def error_document(status: int, error: Error, received: Received) -> bytes:
    """The body of an error status."""
    return msgspec.json.encode(_error(status, error, received.route.flavour))


def error_frames(status: int, error: Error, received: Received) -> list[Frame]:
    """An error in the stream. OpenRouter puts it into a last chunk; it and vLLM say ``[DONE]`` even so."""
    flavour = received.route.flavour
    body = _error(status, error, flavour)
    if flavour == "openrouter":
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
        body = {**_head(received, "chat.completion.chunk"), **body, "choices": [choice]}
    frames = [Frame(_event(body), "tail")]
    return [*frames, Frame(DONE, "done")] if flavour in ("openrouter", "vllm") else frames


def models(names: list[str]) -> bytes:
    """The list of models."""
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "nexus3"} for name in names]
    return msgspec.json.encode({"object": "list", "data": data})


def _event(value: object) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _id(received: Received) -> str:
    return f"{'gen' if received.route.flavour == 'openrouter' else 'chatcmpl'}-loopback{received.number:06d}"


def _head(received: Received, kind: str) -> dict[str, object]:
    head: dict[str, object] = {"id": _id(received), "object": kind, "created": CREATED, "model": received.model}
    match received.route.flavour:
        case "openrouter":
            head["provider"] = "Loopback"
        case "openai":
            head |= {"service_tier": "default", "system_fingerprint": "fp_loopback"}
        case "ollama":
            head["system_fingerprint"] = "fp_ollama"
        case _:
            pass
    return head


def _choice_extras(flavour: Flavour, finish: str | None) -> dict[str, object]:
    match flavour:
        case "openrouter":
            return {"native_finish_reason": finish}
        case "azure":
            return {"content_filter_results": _FILTERS if finish is None else {}}
        case "vllm" if finish is not None:
            return {"stop_reason": None}
        case _:
            return {}


def _delta(piece: Piece, answer: Answer, received: Received) -> dict[str, object]:
    match piece.kind:
        case "text":
            return {"content": piece.text}
        case "refusal":
            return {"refusal": piece.text}
        case "reasoning":
            return _reasoning(piece.text, received.route.flavour)
        case "call":
            call = answer.tool_calls[piece.index]
            whole = call.arguments_text if received.route.flavour == "ollama" else ""
            function = {"name": call.name, "arguments": whole}
            call_id = _call_id(answer, piece.index, received)
            return {"tool_calls": [{"index": piece.index, "id": call_id, "type": "function", "function": function}]}
        case "arguments":
            return {"tool_calls": [{"index": piece.index, "function": {"arguments": piece.text}}]}


def _reasoning(text: str, flavour: Flavour) -> dict[str, object]:
    """OpenAI itself shows none here; hosts of open models behind its dialect call it ``reasoning_content``."""
    match flavour:
        case "openrouter":
            detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
            return {"reasoning": text, "reasoning_details": [detail]}
        case "ollama" | "vllm":
            return {"reasoning": text}
        case _:
            return {"reasoning_content": text}


def _call_id(answer: Answer, index: int, received: Received) -> str:
    prefix = "chatcmpl-tool-" if received.route.flavour == "vllm" else "call_"
    return answer.tool_calls[index].id or f"{prefix}{received.number:06d}{index:02d}"


def _finish(answer: Answer) -> str:
    reason = answer.finish or ("tool_calls" if answer.tool_calls else "stop")
    return _FINISH.get(reason, reason)


def _usage(usage: Usage, flavour: Flavour) -> dict[str, object]:
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    told: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if flavour == "ollama":
        return told
    told["prompt_tokens_details"] = {"cached_tokens": usage.cache_read_tokens or 0}
    told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens or 0}
    if flavour == "openrouter":
        told["cost"] = usage.cost or 0.0
    return told


_KINDS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "invalid_request"),
    401: ("invalid_request_error", "invalid_api_key", "authentication"),
    402: ("insufficient_quota", "insufficient_quota", "payment_required"),
    403: ("permission_error", None, "permission_denied"),
    404: ("invalid_request_error", "model_not_found", "not_found"),
    408: ("timeout", "timeout", "timeout"),
    429: ("requests", "rate_limit_exceeded", "rate_limit_exceeded"),
    500: ("server_error", None, "server"),
    503: ("overloaded", "engine_overloaded", "provider_overloaded"),
    504: ("timeout", "timeout", "timeout"),
    529: ("overloaded", "engine_overloaded", "provider_overloaded"),
}
"""Status to OpenAI's ``type`` and ``code``, and to OpenRouter's ``error_type``."""

_OLLAMA_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_VLLM_TYPES = {404: "NotFoundError", 503: "ServiceUnavailableError"}


def _error(status: int, error: Error, flavour: Flavour) -> dict[str, object]:
    type_, code, openrouter_type = _KINDS.get(status, _KINDS[500 if status >= 500 else 400])
    message = error.message or f"{code or type_}, says the loopback provider"
    type_, code = error.type or type_, error.code or code
    match flavour:
        case "openrouter":
            metadata = {"error_type": error.code or error.type or openrouter_type}
            return {"error": {"code": status, "message": message, "metadata": metadata}}
        case "azure" if code == "content_filter":
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _FILTERS}
            told = {"message": message, "type": None, "param": "prompt", "code": code, "status": status}
            return {"error": {**told, "innererror": inner}}
        case "azure":
            return {"error": {"code": error.code or str(status), "message": message}}
        case "ollama":
            type_ = error.type or _OLLAMA_TYPES.get(status, "api_error")
            return {"error": {"message": message, "type": type_, "param": None, "code": error.code}}
        case "vllm" if status == 401:  # its key check stands before the API
            return {"error": error.message or "Unauthorized"}
        case "vllm":
            type_ = error.type or _VLLM_TYPES.get(status, "InternalServerError" if status >= 500 else "BadRequestError")
            return {"error": {"message": message, "type": type_, "param": None, "code": error.code or status}}
        case _:
            return {"error": {"message": message, "type": type_, "param": None, "code": code}}
