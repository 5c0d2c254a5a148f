"""Canaries: secrets that stand out, and the search for one in whatever spelling it got somewhere."""

import base64
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from random import Random
from urllib.parse import quote

HEAD_CHARS = 12
"""So much of a secret's beginning is already too much."""

_rng = Random(20261122)


def _random(alphabet: str, length: int) -> str:
    return "".join(_rng.choice(alphabet) for _ in range(length))


_HEX = "0123456789abcdef"
_WORD = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"

KEYS = {
    "openai": f"sk-proj-{_random(_WORD, 40)}",
    "anthropic": f"sk-ant-{_random(_WORD, 40)}",
    "openrouter": f"sk-or-v1-{_random(_HEX, 64)}",
    # Begins with a letter, so that it could be taken for an error's code.
    "azure": f"c{_random(_HEX, 31)}",
    "vllm": f"tok.{_random(_WORD, 8)}.{_random(_WORD, 8)}+/{_random(_WORD, 6)}==",
    "ollama": _random(_WORD, 8),
}
"""One for each provider type, and of each shape that keys have."""

GATEWAY_TOKEN = f"gate/{_random(_WORD, 20)}"
"""The value of a header of the user's own."""

PROXY_USER = "operator"
PROXY_PASSWORD = f"pw+{_random(_WORD, 16)}"


def spellings(secret: str) -> list[str]:
    """As it is, base64, Basic, percent-encoded, in JSON, as an error's code; and its beginning."""
    found = {secret, secret[:HEAD_CHARS], quote(secret, safe=""), json.dumps(secret)[1:-1]}
    for user in ("", ":", "u:", f"{PROXY_USER}:"):
        raw = f"{user}{secret}".encode()
        whole = raw[: len(raw) // 3 * 3]  # what follows it changes nothing of this
        found |= {base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode()}
    found.add(re.sub(r"[^a-z0-9]+", "_", secret.lower()).strip("_"))
    return sorted(found)


@lru_cache(maxsize=64)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    texts = {spelling for secret in secrets for spelling in spellings(secret)}
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)), re.IGNORECASE)


def hits(shown: Iterable[str | bytes], secrets: tuple[str, ...]) -> list[str]:
    """Where a secret is seen: the text around it."""
    pattern = _pattern(secrets)
    found: list[str] = []
    for item in shown:
        text = item if isinstance(item, str) else item.decode("latin-1")
        found += [text[max(0, at.start() - 100) : at.end() + 20] for at in pattern.finditer(text)]
    return found
