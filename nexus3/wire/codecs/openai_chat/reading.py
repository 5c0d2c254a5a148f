"""Bytes to a :class:`Chunk`: the well-behaved at full speed, then whatever else can be understood.

Nearly every chunk parses straight into the typed shape. Where a type is odd (content as a list of parts, arguments as
an object, numbers as text) the bytes are read once more as plain data and taken over key by key, into the same shape:
from there on, nobody can tell the difference.
"""

import json
import math
import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from nexus3.wire.codecs.openai_chat.chunks import (
    ABSENT,
    CallDelta,
    Choice,
    Chunk,
    Delta,
    FunctionDelta,
    WireUsage,
)
from nexus3.wire.codecs.openai_chat.surrogates import whole_texts

typed = msgspec.json.Decoder(Chunk).decode
"""Bytes of a well-behaved chunk; anything else is :func:`read_chunk`'s."""

# To the end of the data where the closing quote is missing, so that no quote is looked at twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class Malformed(Exception):  # noqa: N818 - never leaves the folder: the decoder makes a failure of it
    """Not one JSON object."""


class OverLimit(Exception):  # noqa: N818 - as above
    """One of :class:`~nexus3.wire.limits.DecodeLimits` was passed; ``limit`` is its name."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


def read_chunk(data: bytes, max_depth: int) -> Chunk:
    """Read one event's data or a whole body.

    Nesting is measured in what is built. Keys that nobody reads are skipped without building anything.

    Raises:
        Malformed, OverLimit
    """
    try:
        chunk = typed(data)
    except RecursionError:
        raise OverLimit("max_json_depth") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return chunk_from(load(data, max_depth))
    if chunk.choices is None and chunk.usage is None and chunk.error is ABSENT:
        return chunk_from(load(data, max_depth))  # perhaps an error that does not say so
    return chunk


def load(data: bytes | Raw, max_depth: int) -> object:
    """JSON as plain data. Broken UTF-8 and lone surrogates become U+FFFD, as a browser would have them.

    Raises:
        Malformed, OverLimit
    """
    data = bytes(data)
    if _is_deeper(data, max_depth):
        raise OverLimit("max_json_depth")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # msgspec refuses what is left over from a surrogate pair, \ud83d without \ude00; the standard library does not.
    try:
        text = data.decode("utf-8", "replace")
        return whole_texts(json.loads(text, parse_constant=_refuse, parse_float=_finite), "replace")
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from None


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits[:20]} is out of range")
    return number


def _is_deeper(data: bytes, limit: int) -> bool:
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def chunk_from(value: object) -> Chunk:
    """Take plain data for a chunk, as far as it can be understood.

    Raises:
        Malformed: it is no object.
    """
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("error"):
        value = value[0]  # Google answers with its error in a list
    if not isinstance(value, dict):
        raise Malformed(f"a JSON object was expected, not {type(value).__name__}")
    choices = value.get("choices")
    usage = value.get("usage")
    error = _raw(value.get("error"))
    if "choices" not in value and not value.get("error") and _is_bare_error(value):
        error = _raw(value)
    return Chunk(
        id=_text(value.get("id")),
        model=_text(value.get("model")),
        choices=[_choice(item) for item in choices if isinstance(item, dict)] if isinstance(choices, list) else None,
        usage=_usage(usage) if isinstance(usage, dict) else None,
        error=error,
    )


def _is_bare_error(value: Mapping[str, object]) -> bool:
    """vLLM's old flat form, FastAPI's ``detail``, Azure's gateway with ``statusCode``."""
    if value.get("object") == "error" or "detail" in value:
        return True
    return isinstance(value.get("message"), str) and ("statusCode" in value or "code" in value or "type" in value)


def _choice(value: dict[str, object]) -> Choice:
    delta, message = value.get("delta"), value.get("message")
    finish, usage = value.get("finish_reason"), value.get("usage")
    return Choice(
        index=_number(value.get("index")),
        delta=_delta(delta) if isinstance(delta, dict) else None,
        finish_reason=finish if isinstance(finish, str) else None,
        message=_delta(message) if isinstance(message, dict) else None,
        usage=_usage(usage) if isinstance(usage, dict) else None,
        error=_raw(value.get("error")),
    )


def _delta(value: dict[str, object]) -> Delta:
    content, thinking, others = _content(value.get("content"))
    calls = value.get("tool_calls")
    images = value.get("images")
    return Delta(
        content=content,
        reasoning=_inner_text(value.get("reasoning")),
        reasoning_content=_inner_text(value.get("reasoning_content")),
        reasoning_text=_inner_text(value.get("reasoning_text")),
        content_thinking=thinking or None,
        refusal=_inner_text(value.get("refusal")),
        tool_calls=[_call(item) for item in calls if isinstance(item, dict)] if isinstance(calls, list) else None,
        function_call=_function(value.get("function_call")),
        reasoning_details=_raws(value.get("reasoning_details")),
        annotations=_raws(value.get("annotations")),
        images=_raws([*others, *images] if isinstance(images, list) else others),
        audio=_raw(value.get("audio")),
    )


def _content(value: object) -> tuple[str | None, str, list[object]]:
    """Visible text, the text of thinking parts (Mistral, Databricks), and parts that are neither.

    Where a server answers with the JSON object that a schema asked for, instead of its text, the text is made.
    """
    match value:
        case None | str():
            return value, "", []
        case list():
            thinking = [part for part in value if _is_thinking(part)]
            visible = [part for part in value if not _is_thinking(part)]
            others: list[object] = [part for part in visible if isinstance(part, dict) and _inner_text(part) is None]
            return _inner_text(visible), _inner_text(thinking) or "", others
        case _:
            return msgspec.json.encode(value).decode(), "", []


def _is_thinking(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def _inner_text(value: object) -> str | None:
    """The text in a string, a part, or a list of parts, however it is wrapped."""
    match value:
        case str():
            return value
        case list():
            return "".join(_inner_text(item) or "" for item in value)
        case {"text": str(text)}:
            return text
        case {"thinking": inner} | {"summary": inner} | {"content": inner}:
            return _inner_text(inner)
        case _:
            return None


def _call(value: dict[str, object]) -> CallDelta:
    return CallDelta(
        index=_number(value.get("index")),
        id=_text(value.get("id")),
        function=_function(value.get("function")),
        extra_content=_raw(value.get("extra_content")),
    )


def _function(value: object) -> FunctionDelta | None:
    if not isinstance(value, dict):
        return None
    arguments = value.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    return FunctionDelta(name=_text(value.get("name")), arguments=arguments)


def _usage(value: dict[str, object]) -> WireUsage:
    cost = value.get("cost")
    clean = {
        **_numbers(value),
        "prompt_tokens_details": _numbers(value.get("prompt_tokens_details")),
        "completion_tokens_details": _numbers(value.get("completion_tokens_details")),
        "cost": {"total_cost": _amount(cost.get("total_cost"))} if isinstance(cost, dict) else _amount(cost),
    }
    return msgspec.convert(clean, WireUsage)


def _numbers(value: object) -> dict[str, object]:
    return {key: _number(item) for key, item in value.items()} if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.isascii() and value.isdigit() and len(value) < 20:
            return int(value)
        case _:
            return None


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _text(value: object) -> str | None:
    match value:
        case bool():
            return None
        case str():
            return value
        case int():
            return str(value)
        case _:
            return None


def _raw(value: object) -> Raw:
    return ABSENT if value is None else Raw(msgspec.json.encode(value))


def _raws(value: object) -> list[Raw] | None:
    return [_raw(item) for item in value] if isinstance(value, list) else None
