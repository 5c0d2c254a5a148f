"""What an error body says, whatever its shape. Reads; judges nothing.

The shapes, all seen on the wire: OpenAI's ``{"error": {"message", "type", "code"}}`` with Azure's ``innererror`` and
OpenRouter's ``metadata`` and ``availability``; ``{"error": "text"}``; the same flat, without ``error``; Anthropic's
with ``request_id`` outside; FastAPI's ``{"detail": ...}``; API Management's ``{"statusCode", "message"}``;
``{"errors": [...]}``; Google's array of one; an error as JSON text inside another one's message; HTML; plain text;
nothing.
"""

import re
from collections.abc import Mapping

import msgspec

from nexus3.wire import retry_hints
from nexus3.wire.provider_text import readable, scrub

_SNIPPET_CHARS = 500
"""Of a body that is no error object: enough to see whose page it is."""
_MAX_NESTING = 4
"""How deep errors are unwrapped: a gateway's around a router's around a provider's."""

_CODE_KEYS = ("error_type", "code", "error_code", "type", "status", "reason", "__type")
_NUMBER_KEYS = ("code", "status", "status_code", "http_status", "statusCode", "raw_status_code", "error_code")
_MESSAGE_KEYS = ("message", "msg", "Message", "detail", "error_description", "error_msg", "title")
_WAIT_MS_KEYS = ("retry_after_ms", "retry-after-ms")
_WAIT_KEYS = ("retry_after", "retry-after", "retry_after_seconds", "retryafter", "retrydelay")
"""Looked up in lower case."""
_REQUEST_ID_KEYS = ("request_id", "requestId")

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,63}")
_NO_CODE = frozenset({"error", "errors", "fail", "failed", "failure", "object", "none", "null", "unknown"})
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_SNAKE = re.compile(r"[^A-Za-z0-9]+")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")
_BROKEN_PAIR = re.compile(r'"(message|code|type)"\s*:\s*"((?:[^"\\]|\\.){0,4000})')


class Said(msgspec.Struct):
    """What was found, the innermost error's first. Empty where the body said nothing."""

    codes: list[str] = []
    """In snake_case."""
    word: str | None = None
    """A bare text in the place of the error, spelt as a code, which it may be: ``{"error": "Unauthorized"}``."""
    number: int | None = None
    """A status between 400 and 599 that the body states."""
    messages: list[str] = []
    """Fit to be shown."""
    retryable: bool | None = None
    retry_after: float | None = None
    """Seconds."""
    request_id: str | None = None

    @property
    def message(self) -> str:
        """All messages as one, without repetition."""
        kept: list[str] = []
        for message in self.messages:
            if message and not any(message in earlier for earlier in kept):
                kept.append(message)
        return readable(": ".join(kept))


def read_body(body: bytes, *, truncated: bool) -> Said:
    """Read the body of a response with an error status. ``truncated``: it was cut off at a limit of ours."""
    said = Said()
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    value = _json(text)
    if value is None and text.startswith(("{", "[")):
        # Cut off, or not quite JSON (raw control characters, a tail): the usual keys are still there to see.
        value = dict(reversed(_BROKEN_PAIR.findall(text))) or None
    if isinstance(value, dict | list):
        _read(value, said, 0)
    if not said.messages and text:
        if "\x00" in text or text.count("\ufffd") > len(text) // 8:
            said.messages.append(f"{len(body)} bytes that are not text")
        else:
            shown = readable(text, max_chars=_SNIPPET_CHARS)
            said.messages.append(f"{shown} (cut off)" if truncated and not shown.endswith("…") else shown)
    return said


def read_payload(payload: object) -> Said:
    """Read a parsed error: the object that holds ``error``, or the error itself."""
    said = Said()
    _read(payload, said, 0)
    return said


def request_id(value: object) -> str | None:
    """``value`` where it can be an id: printable, no spaces, not endless."""
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None


def _read(value: object, said: Said, nesting: int) -> None:
    """Add what ``value`` says to ``said``: inner errors first, for the innermost knows most."""
    if isinstance(value, str):
        _read_text(value, said, nesting)
    elif nesting > _MAX_NESTING:
        return
    elif isinstance(value, list):
        for item in value[:3]:
            _read(item, said, nesting + 1)
    elif isinstance(value, dict):
        error = value.get("error")
        if isinstance(error, dict | list):
            _read(error, said, nesting + 1)
        elif isinstance(error, str):
            said.word = said.word or _code(error.replace(" ", "_"))
        _read_fields(value, said, nesting)
        if isinstance(error, str) and not said.messages:
            _read_text(error, said, nesting)


def _read_fields(value: dict[object, object], said: Said, nesting: int) -> None:
    where = value.get("loc")
    if isinstance(where, list) and isinstance(value.get("msg"), str):  # one of FastAPI's complaints
        _add_message(said, f"{'.'.join(str(step) for step in where[:8])}: {value['msg']}")
        return

    metadata, availability, inner = (_object(value.get(key)) for key in ("metadata", "availability", "innererror"))
    _add_code(said, metadata.get("error_type"))
    for key in _CODE_KEYS:
        _add_code(said, value.get(key))
    for code in (inner.get("code"), availability.get("code"), metadata.get("provider_code")):
        _add_code(said, code)
    if metadata.get("flagged_input") or metadata.get("reasons"):
        _add_code(said, "moderation")
    for key in _NUMBER_KEYS:
        if said.number is None:
            said.number = _status_number(value.get(key))
    if said.retryable is None and isinstance(retryable := availability.get("retryable"), bool):
        said.retryable = retryable
    for key in _REQUEST_ID_KEYS:
        said.request_id = said.request_id or request_id(value.get(key))
    details = value.get("details")
    detail_objects = [_object(item) for item in details[:8]] if isinstance(details, list) else []
    for place in (value, availability, metadata, _object(metadata.get("headers")), *detail_objects):
        if said.retry_after is None:
            said.retry_after = _wait(place)

    for key in _MESSAGE_KEYS:
        if message := value.get(key):
            _read(message, said, nesting + 1)
            break
    if not said.messages:
        _read(value.get("errors"), said, nesting + 1)
        _read(details, said, nesting + 1)
    # OpenRouter hands on what the provider behind it said, often as JSON text.
    _read(metadata.get("raw"), said, nesting + 1)


def _read_text(text: str, said: Said, nesting: int) -> None:
    """A message; where it is or ends in an error as JSON text, what that one says."""
    start = text.find("{")
    inner = _json(text[start:]) if start >= 0 else None
    if isinstance(inner, dict) and ("error" in inner or not text[:start].strip()):
        _add_message(said, text[:start])
        before = len(said.messages)
        _read(inner, said, nesting + 1)
        if len(said.messages) > before:
            return
    _add_message(said, text)


def _add_message(said: Said, text: str) -> None:
    if message := readable(text):
        said.messages.append(message)


def _add_code(said: Said, value: object) -> None:
    code = _code(value)
    if code is not None and code not in said.codes:
        said.codes.append(code)


def _code(value: object) -> str | None:
    """``value`` in snake_case, if it can be a code: not a sentence, not a number, not a key."""
    if not isinstance(value, str) or len(value) > 128:
        return None
    value = value.rpartition("#")[2]
    if not _CODE.fullmatch(value) or scrub(value) != value:
        return None
    code = _NOT_SNAKE.sub("_", _WORD_START.sub("_", value)).strip("_").lower()
    return None if code in _NO_CODE else code


def _status_number(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    return int(value) if isinstance(value, int | float) and 400 <= value <= 599 else None


def _wait(place: Mapping[object, object]) -> float | None:
    named = {key.lower(): value for key, value in place.items() if isinstance(key, str)}
    for key in _WAIT_MS_KEYS:
        if (wait := _seconds(named.get(key))) is not None:
            return wait / 1000.0
    for key in _WAIT_KEYS:
        if (wait := _seconds(named.get(key))) is not None:
            return wait
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        return retry_hints.seconds(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:
        return float(value)
    return None


def _object(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
