"""Secrets taken out of what people and models wrote, with the prose around them left as it was.

A log line can afford to lose a word; a recording cannot. So what :mod:`nexus3.observe.redact` finds by a label alone
("basic ..." may be a credential, and is a "basic understanding" as a rule) counts here only if it looks like a key: 16
characters or more that keys are written in, a digit among them.
"""

import re
from collections.abc import Iterable

from nexus3.observe.redact import Redactor
from nexus3.wire.provider_text import REDACTED

_LABELS = r"\b(?:bearer|basic)\s+|\bapi[-_ ]?key\\?[\"']?(?: provided)?\s*[:=]\s*\\?[\"']?"
"""What may stand before a secret; its quotes escaped as well, as they are within JSON."""

_LABEL = re.compile(rf"({_LABELS}|://)", re.IGNORECASE)
_LABELLED = re.compile(
    rf"(?P<label>{_LABELS})(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{{16,}}",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"://[^\s/@\"\\]{1,256}@")


class BodySecrets:
    """Call it with a text for the same text without secrets: those it knows, and those of known shapes."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._redactor = Redactor()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these, too, from now on, in any spelling; of ``Bearer ...`` also what is behind the label."""
        for secret in secrets:
            self._redactor.learn([secret, *_LABEL.split(secret)[2::2]])

    def __call__(self, text: str) -> str:
        text = _LABELLED.sub(rf"\g<label>{REDACTED}", text)
        text = _USERINFO.sub(f"://{REDACTED}@", text)
        # Parted from its label, a word of prose is no longer taken for a credential.
        parts = _LABEL.split(text)
        return "".join(part if at % 2 else self._redactor(part) for at, part in enumerate(parts))
