"""Secrets taken out of text and of log lines: by exact value where it is known, by shape where it is not.

Shapes are those of :func:`nexus3.wire.provider_text.scrub`. They find the keys of known providers only, so whoever
knows a secret should also give its value.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeGuard
from urllib.parse import quote

from nexus3.wire.provider_text import REDACTED, is_secret_name, scrub

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

Redact = Callable[[str], str]
"""Text in, the same text without secrets out."""

MIN_SECRET_CHARS = 8
"""A shorter value is not looked for: it would blot out half of every line, and is no secret."""

_HEAD_CHARS = 12
"""A secret whose beginning is this long is found without its end, too: texts are cut off, and so are keys in them."""

_TAIL = r"[A-Za-z0-9._~+/=%-]*"
"""What may follow such a beginning: the characters that keys, base64 and percent-encoding are written in."""

_DEPTH = 4
"""Levels of nested values that are walked; what lies deeper is redacted as its ``repr``."""

_MARKS = (
    *("sk-", "rk-", "pk-", "hf_", "gsk_", "xai-", "ghp_", "github_pat_", "akia", "aiza", "eyj", "-----begin "),
    *("bearer", "basic", "key", "@"),
)
"""No text that :func:`scrub` changes is without one of these, in whatever case."""

_NUMBERS = frozenset({type(None), bool, int, float})


def _is_shapeless(text: str) -> bool:
    """No known shape is in any part of ``text``. Quick, and says no where it would have to look closely."""
    if not text.isascii():  # beyond it letters have cases that lower() does not know of
        return False
    text = text.lower()
    # A third cheaper than any(); one regular expression for all of them costs half as much again.
    for mark in _MARKS:  # noqa: SIM110 - as above
        if mark in text:
            return False
    return True


class Redactor:
    """Takes the secrets it knows out of text, in every spelling they travel in, and all known shapes.

    Spellings: as it is, base64 (both alphabets, also where it is a part of what was encoded: ``user:password``),
    percent-encoded, escaped for JSON; each of them cut short as well.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spellings: set[str] = set()
        self._exact: re.Pattern[str] | None = None
        self.learn(secrets)

    def __call__(self, text: str) -> str:
        return scrub(text if self._exact is None else self._exact.sub(REDACTED, text))

    def has_nothing_in(self, text: str) -> bool:
        """No part of ``text`` would be changed. Quick, and may say no where it would take a closer look."""
        return _is_shapeless(text) and (self._exact is None or self._exact.search(text) is None)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these, too, from now on. None is ever forgotten: what was a key may still be quoted."""
        known = len(self._spellings)
        for secret in secrets:
            if len(secret) >= MIN_SECRET_CHARS:
                self._spellings |= _spellings(secret)
        if len(self._spellings) > known:
            # Longest first, so that a secret which begins with another one leaves no tail.
            texts = sorted(self._spellings, key=len, reverse=True)
            self._exact = re.compile("|".join(pattern for text in texts for pattern in _patterns(text)))


def _patterns(text: str) -> list[str]:
    if len(text) <= _HEAD_CHARS:
        return [re.escape(text)]
    cut_short = re.escape(text[:_HEAD_CHARS]) + _TAIL
    is_covered = re.fullmatch(_TAIL, text[_HEAD_CHARS:])  # as keys are: a token of kilobytes costs no more than another
    return [cut_short] if is_covered else [re.escape(text), cut_short]


def _spellings(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    found = {secret, quote(raw, safe=""), json.dumps(secret)[1:-1]}
    for before in range(3):
        # Six bits a character: those that hold nothing but the secret, whatever stands before and after it.
        padded = b"\0" * before + raw
        first, end = -(-before * 8 // 6), len(padded) * 8 // 6
        found |= {encode(padded).decode("ascii")[first:end] for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return found


def printable(text: str) -> str:
    """``text`` with everything escaped that could steer a terminal or hide from a reader. Line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def redacting(redact: Redact) -> "Callable[[WrappedLogger, str, EventDict], EventDict]":
    """A structlog processor that applies ``redact`` to every value of every line, nested ones included.

    Put it last before the renderer. An exception on the line becomes text here, without the values of locals, which
    may hold a key: structlog's own console traceback would show them.
    """

    # A line is a few dozen short values, hardly ever with a secret: they are looked through together, and one by one
    # only where that is not enough. What a function of somebody else's does to a text, only calling it can tell.
    has_nothing_in: Callable[[str], bool]
    if isinstance(redact, Redactor):
        has_nothing_in = redact.has_nothing_in
    else:
        has_nothing_in = _is_shapeless if redact is scrub else _looks_closely

    def processor(logger: "WrappedLogger", method: str, line: "EventDict") -> "EventDict":
        if "exc_info" in line:
            from structlog.processors import format_exc_info  # here: who does not use structlog need not wait for it

            line = format_exc_info(logger, method, line)
        kind = _kind_of(tuple(line), tuple(map(type, line.values())))
        if not kind.is_plain:
            return {
                # A leading underscore marks what structlog's stdlib bridge hands to itself.
                name: value if name[:1] == "_" else _clean(name, value, redact, _DEPTH)
                for name, value in line.items()
            }
        texts = [*kind.texts_of(line)]
        closely = []
        for name in kind.others:
            if _are_texts(value := line[name]):
                texts += value
            else:
                closely.append(name)
        # The line is ours: structlog makes each anew.
        for name in closely if has_nothing_in("\n".join(texts)) else (*kind.texts, *kind.others):
            line[name] = _clean(name, line[name], redact, _DEPTH)
        return line

    return processor


class _Kind(NamedTuple):
    """What the names and types of a line say about it."""

    is_plain: bool
    """No name says that its value is a secret, or is for structlog alone."""
    texts: tuple[str, ...]
    """Names of values that are texts."""
    texts_of: "Callable[[EventDict], tuple[str, ...]]"
    """These values."""
    others: tuple[str, ...]
    """Names of values that are neither texts nor numbers."""


@lru_cache(maxsize=256)
def _kind_of(names: tuple[str, ...], types: tuple[type, ...]) -> _Kind:
    """Of lines there are few kinds."""
    typed = list(zip(names, types, strict=True))
    texts = tuple(name for name, type_ in typed if type_ is str)
    return _Kind(
        is_plain=not any(name[:1] == "_" or is_secret_name(name) for name in names),
        texts=texts,
        # (Of a single name an itemgetter makes no tuple.)
        texts_of=itemgetter(*texts) if len(texts) > 1 else lambda line: tuple(line[name] for name in texts),
        others=tuple(name for name, type_ in typed if type_ is not str and type_ not in _NUMBERS),
    )


def _are_texts(value: object) -> TypeGuard[list[str]]:
    """Texts alone, and no pair: that might be a header."""
    return type(value) is list and len(value) != 2 and {*map(type, value)} == {str}


def _looks_closely(_: str) -> bool:
    return False


redact_secrets = redacting(scrub)
"""The processor for known shapes."""


def _clean(name: object, value: object, redact: Redact, depth: int) -> object:
    if isinstance(name, str | bytes) and is_secret_name(name):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if depth:
        if isinstance(value, Mapping):
            return {
                redact(key) if isinstance(key, str) else key: _clean(key, item, redact, depth - 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return _clean_items(value, redact, depth - 1)
    return redact(repr(value))


def _clean_items(items: Sequence[object], redact: Redact, depth: int) -> list[object]:
    name = items[0] if len(items) == 2 else None
    if isinstance(name, str | bytes) and is_secret_name(name):  # a header as a pair
        return [name, REDACTED]
    return [_clean(None, item, redact, depth) for item in items]
