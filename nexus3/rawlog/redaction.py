"""Secrets of a raw log, and how they are taken out of texts that may be long."""

from collections.abc import Iterable, Sequence

from nexus3.observe.redact import Redactor

_MOST_SECRETS = 64
"""Of the attempts made last. Keys that a function fetches come anew every hour; none of them stays for ever."""

_PIECE_CHARS = 32_768
"""A search holds the interpreter's lock: two milliseconds for so many characters, and then the run may have it."""


class Redaction:
    """Takes out what it knows and what has a known shape, as :class:`~nexus3.observe.redact.Redactor` does.

    Learns in the thread of the run, is used in that of the hooks.
    """

    def __init__(self, known: Redactor | None = None) -> None:
        """``known`` are secrets for good; it may learn more meanwhile."""
        self._known = known
        self._recent: dict[str, None] = {}
        self._redactors = [] if known is None else [known]
        self.learn(())

    def learn(self, secrets: Sequence[str]) -> None:
        """Know these, and forget those that were not named for longest."""
        if secrets and all(secret in self._recent for secret in secrets):
            return
        for secret in secrets:
            self._recent.pop(secret, None)
            self._recent[secret] = None
        for secret in list(self._recent)[:-_MOST_SECRETS]:
            del self._recent[secret]
        # A new one: the other thread may be using the old.
        self._redactors = [Redactor(self._recent), *([] if self._known is None else [self._known])]

    def has_nothing_in(self, text: str) -> bool:
        """No part of ``text`` would be changed. Quick, and may say no where it would take a closer look."""
        return all(redactor.has_nothing_in(text) for redactor in self._redactors)

    def __call__(self, text: str) -> str:
        if self.has_nothing_in(text):
            return text
        for redactor in self._redactors:
            text = "".join(map(redactor, _pieces(text)))
        return text


def _pieces(text: str) -> Iterable[str]:
    """``text``, cut at ends of lines: no key goes over them, but those in PEM."""
    if len(text) <= _PIECE_CHARS or "-----BEGIN " in text:
        return [text]
    pieces: list[str] = []
    start = 0
    while (end := text.find("\n", start + _PIECE_CHARS)) >= 0:
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return pieces
