"""What a provider wrote, made fit to be shown: one line, no markup, no control characters, no secrets, not too long.

Error messages are written by strangers, echo keys and prompts, arrive as HTML from proxies, and end in terminals.
Patterns find secrets of known shapes only; whoever knows a configured secret must also replace its exact value.
"""

import re
from functools import lru_cache

MAX_CHARS = 2000
REDACTED = "[redacted]"

_SECRET_NAMES = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "authorization-token",
        "api-key",
        "apikey",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "password",
        "client-secret",
        "access-token",
        "refresh-token",
    }
)
"""Headers and fields whose value is never shown, whatever it looks like; lower case, with hyphens."""

_SEEN_CHARS = 16_000
"""No more than this is looked at: what a page says, it says at its beginning."""

# Tags of real pages only: messages quote placeholders in angle brackets (``<your-key>``) that a reader needs.
_TAG = re.compile(
    r"<(?:!(?:doctype|--)|(?P<end>/)?(?P<name>html|head|body|title|meta|link|script|style|h[1-6]|p|br|hr|div|span|center"
    r"|a|b|i|em|strong|font|pre|code|ul|ol|li|table|thead|tbody|tr|td|th|img|svg|main|section|header|footer|address)\b)"
    r"[^<>]*>",
    re.IGNORECASE,
)
_SILENT = frozenset({"script", "style"})

# Every alternative either consumes what it has scanned or is bounded, so hostile text costs no more than honest text.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|rk|pk)-[A-Za-z0-9_-]{16,}"
    r"|(?<![A-Za-z0-9])(?:hf_|gsk_|xai-|ghp_|github_pat_|AKIA|AIza)[A-Za-z0-9_-]{8,}"
    r"|(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_.-]+"
    r"|-----BEGIN [A-Z ]{1,40}-----(?:.{0,4096}?-----END [A-Z ]{1,40}-----|.{0,4096})",
    re.DOTALL,
)
_LABELLED = re.compile(
    r"(?P<label>\b(?:bearer|basic)\s+|\bapi[-_ ]?key[\"']?(?: provided)?\s*[:=]\s*[\"']?)[^\s\"',;]{8,}", re.IGNORECASE
)
_USERINFO = re.compile(r"://[^\s/@]{1,256}@")

# C0 and C1 controls (terminal escapes), bidirectional overrides and marks, line separators, byte order marks, lone
# surrogates (which no UTF-8 encoder takes), and tag characters. The joiners U+200C and U+200D stay: scripts need them.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


# Secrets begin where a word does, so they are looked for there alone. Possessive: nothing is scanned again.
_PLAIN = re.compile(rf"[._/-]*+(?:(?!{_SECRET.pattern})[A-Za-z0-9]++[._/-]*+)*+", _SECRET.flags)
"""Words without a secret: no markup, no blank, and no label or userinfo with a secret behind it."""


def readable(text: str, *, max_chars: int = MAX_CHARS) -> str:
    """``text`` as one line of at most ``max_chars``; empty where it says nothing."""
    if len(text) <= max_chars and _PLAIN.fullmatch(text):
        return text  # as nearly all ids and names are
    line = scrub(" ".join(_without_markup(text[:_SEEN_CHARS]).split()))
    line = _UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), line)
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"


def scrub(text: str) -> str:
    """``text`` with everything that looks like a credential replaced."""
    text = _SECRET.sub(REDACTED, text)
    text = _LABELLED.sub(lambda found: found["label"] + REDACTED, text)
    return _USERINFO.sub(f"://{REDACTED}@", text)


@lru_cache(maxsize=1024)
def is_secret_name(name: str | bytes) -> bool:
    """A header or field of this name has a secret for its value; in any case, with hyphens or underscores."""
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return text.lower().replace("_", "-") in _SECRET_NAMES


def _without_markup(text: str) -> str:
    if not _TAG.search(text):
        return text
    shown: list[str] = []
    start, silent = 0, False
    for tag in _TAG.finditer(text):
        if not silent:
            shown.append(text[start : tag.start()])
        start = tag.end()
        if (tag["name"] or "").lower() in _SILENT:
            silent = not tag["end"]
    if not silent:
        shown.append(text[start:])
    import html  # here, for its table of entities is large and pages are rare

    return html.unescape(" ".join(shown))
