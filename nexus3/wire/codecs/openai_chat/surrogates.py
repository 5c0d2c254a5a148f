"""Half characters: UTF-16 surrogates without their partner, which Python's strings hold and UTF-8 does not.

They come from text that was cut by UTF-16 units, mostly through an emoji. No JSON encoder takes them.
"""

from typing import Literal

import msgspec


def whole_text(text: str, errors: Literal["ignore", "replace"]) -> str:
    """``text`` with pairs joined and lone halves left out, or replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", errors)


def whole_texts(value: object, errors: Literal["ignore", "replace"]) -> object:
    """:func:`whole_text` of every text in JSON data, keys too. The data given stays as it is."""
    match value:
        case str():
            return whole_text(value, errors)
        case dict():
            return {whole_texts(key, errors): whole_texts(item, errors) for key, item in value.items()}
        case list() | tuple():
            return [whole_texts(item, errors) for item in value]
        case _:
            return value


def json_bytes(value: object) -> bytes:
    """JSON data as UTF-8, lone halves left out."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(whole_texts(value, "ignore"))


_encode = msgspec.json.Encoder().encode
