"""Keys: values that are used in one place and shown in none.

A secret is revealed when the header is built, per attempt, and nowhere else. A key may also come from an async
function, for tokens that expire.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Self

import msgspec
from pydantic import PlainSerializer, PlainValidator, SecretStr

from nexus3.errors import ConfigError

MASK = "**********"
"""What a secret looks like wherever it is printed, dumped or pickled."""

_ILLEGAL = re.compile(r"[^\x21-\x7e]")
_MAX_KEY_LENGTH = 8192
"""Access tokens of identity services reach a few kilobytes; common servers refuse header lines above 8 KiB."""


class Secret(SecretStr):
    """A ``SecretStr`` that pickles as its mask too. ``get_secret_value()`` reveals it."""

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        return Secret, (MASK,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Credential(msgspec.Struct, frozen=True):
    """A key that expires. ``expires_at`` is Unix time in seconds; ``None`` is never."""

    secret: Secret
    expires_at: float | None = None


KeySource = Callable[[], Awaitable[Credential | tuple[str | SecretStr, float | None]]]
"""An async function that fetches a key and says when it expires (Unix seconds, or ``None``). Called ahead of the last
key's expiry, and when the provider refuses it; runs in a task of its own, once for all requests that need the key, in
the context of the one that asked first."""


def _read_key(value: object) -> object:
    if isinstance(value, Secret):
        return value
    if isinstance(value, SecretStr):
        return Secret(value.get_secret_value())
    if isinstance(value, str):
        return Secret(value)
    raise ValueError("must be a string")


def _read_key_or_source(value: object) -> object:
    if callable(value):
        return value
    try:
        return _read_key(value)
    except ValueError:
        raise ValueError("must be a string, or an async function that returns the key and its expiry") from None


_masked = PlainSerializer(lambda _: MASK, return_type=str)

SecretText = Annotated[SecretStr, PlainValidator(_read_key, json_schema_input_type=str), _masked]
"""A field that takes a string, or a ``SecretStr``, and keeps it as a :class:`Secret`."""

ApiKey = Annotated[SecretStr | KeySource, PlainValidator(_read_key_or_source, json_schema_input_type=str), _masked]
"""The same, or a :data:`KeySource`."""


def check_key(text: str, place: str) -> Secret:
    """A key fit for a header line; white space that a file or a shell left at its end is cut off.

    Raises:
        ConfigError: it is empty, masked, too long, or has a character that a header cannot carry. The message names
            ``place`` and the index of the character, never the value.
    """
    key = text.rstrip("\r\n ")
    if not key:
        raise ConfigError(f"{place}: the key is empty")
    if key == MASK:
        raise ConfigError(f"{place}: the key was masked when these settings were dumped or pickled; give it again")
    if len(key) > _MAX_KEY_LENGTH:
        raise ConfigError(f"{place}: the key is longer than {_MAX_KEY_LENGTH} characters")
    if illegal := _ILLEGAL.search(key):
        raise ConfigError(f"{place}: the key has an illegal character at index {illegal.start()}")
    return Secret(key)


def read_credential(value: object, place: str) -> Credential:
    """What a :data:`KeySource` returned, checked.

    Raises:
        ConfigError: it is not a :class:`Credential` or a pair of secret and expiry, or the key is not legal.
    """
    match value:
        case Credential(secret, expires_at) | (str() | SecretStr() as secret, expires_at):
            text = secret if isinstance(secret, str) else secret.get_secret_value()
        case _:
            raise ConfigError(f"{place}: the key function must return a pair of the key and its expiry")
    if expires_at is not None and (isinstance(expires_at, bool) or not isinstance(expires_at, int | float)):
        raise ConfigError(f"{place}: the key function must return the expiry as Unix seconds, or None")
    return Credential(check_key(text, place), expires_at)
