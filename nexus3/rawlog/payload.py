"""What hooks are shown of a body: its JSON without secrets. Pure."""

from contextlib import suppress
from urllib.parse import urlsplit

import msgspec
from pydantic import JsonValue
from pydantic_core import from_json

from nexus3.rawlog.redaction import Redaction
from nexus3.wire.messages import JsonObject
from nexus3.wire.provider_text import REDACTED, is_secret_name

TRUNCATED = "_truncated"
"""A key of this name, true: the body was longer than is kept, or did not come to its end."""

TEXT = "_text"
"""The only key of a body that is no JSON object."""

BYTES = "_bytes"
"""The only key where bodies are not to be shown: the length."""


def shown_body(data: bytes, redact: Redaction, *, is_cut: bool, text_key: str = TEXT) -> JsonObject:
    """A body as hooks get it. Of one that ``is_cut``, what is there is read as far as it goes.

    Redacted after it was parsed: JSON can spell a key in ways that its text does not show.
    """
    cleaned: JsonObject | None = None
    with suppress(RecursionError):
        if (body := _object(data, is_cut=is_cut)) is not None:
            cleaned = _without_secrets(body, redact)
    if cleaned is None:
        cleaned = {text_key: redact(data.decode("utf-8", "replace"))}
    if is_cut:
        cleaned[TRUNCATED] = True
    return cleaned


def shown_url(url: str, redact: Redaction) -> str:
    """Origin and path: a query or userinfo may hold what nobody looks for."""
    parts = urlsplit(url)
    return redact(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def _object(data: bytes, *, is_cut: bool) -> JsonObject | None:
    """The JSON object that ``data`` is, or begins; ``None`` for anything else."""
    value: JsonValue
    try:
        value = from_json(data, allow_partial="trailing-strings") if is_cut else msgspec.json.decode(data)
    except ValueError:  # DecodeError of msgspec is one
        return None
    return value if isinstance(value, dict) else None


def _without_secrets(body: JsonObject, redact: Redaction) -> JsonObject:
    """``body`` itself where it has none, as nearly all chunks of a stream: their texts are looked through together."""
    texts: list[str] = []
    _gather(body, texts)
    return body if redact.has_nothing_in("\n".join(texts)) else _clean_object(body, redact)


def _gather(value: JsonValue, texts: list[str]) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            # Of a value that its name makes a secret, something is gathered that is always found.
            texts.append(_FOUND if _is_secret(name, item) else name)
            _gather(item, texts)
    elif isinstance(value, list):
        for item in value:
            _gather(item, texts)


def _clean(value: JsonValue, redact: Redaction) -> JsonValue:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return _clean_object(value, redact)
    if isinstance(value, list):
        return [_clean(item, redact) for item in value]
    return value


def _clean_object(value: JsonObject, redact: Redaction) -> JsonObject:
    return {redact(name): REDACTED if _is_secret(name, item) else _clean(item, redact) for name, item in value.items()}


def _is_secret(name: str, item: JsonValue) -> bool:
    # A schema may have a property named password: only a text under such a name is a secret.
    return isinstance(item, str) and is_secret_name(name)


_FOUND = "sk-" + "x" * 16
