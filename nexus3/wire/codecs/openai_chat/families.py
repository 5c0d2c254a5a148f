"""What OpenAI's models refuse, by the beginning of their names.

Only what is known to be answered with a 400 stands here; a name that no row fits is sent everything. Settings are the
last word: ``gate_parameters: false`` switches the table off, ``model_family`` names the model where its id does not.
"""

from functools import lru_cache
from typing import Literal

import msgspec

from nexus3.wire.requests import Effort

_SAMPLING = frozenset({"temperature", "top_p"})
_O_SERIES = _SAMPLING | {"parallel_tool_calls"}
_NO_STOP = _SAMPLING | {"stop"}
_LOW_TO_HIGH: tuple[Effort, ...] = ("low", "medium", "high")


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A row. ``names`` fit the id itself, or its beginning where a hyphen follows."""

    names: tuple[str, ...]
    system_role: Literal["system", "developer", "user"] = "system"
    reasons: Literal["never", "on_request", "by_default", "always"] = "never"
    """``on_request``: with an effort above ``none``; ``by_default``: unless the effort is ``none``."""
    efforts: tuple[Effort, ...] = ()
    """Efforts that are taken; empty where that is not known."""
    refuses: frozenset[str] = frozenset()
    """Parameters that are refused, while it reasons where reasoning can be off."""

    def refused(self, effort: Effort | None) -> frozenset[str]:
        """What is refused when ``effort`` is sent (``None``: no effort is)."""
        match self.reasons:
            case "on_request":
                off = effort in (None, "none")
            case "by_default":
                off = effort == "none"
            case "always" | "never":
                off = False
        return frozenset() if off else self.refuses


# First fit wins, so the special stands before the general.
_FAMILIES = (
    Family(names=("o1-mini", "o1-preview"), system_role="user", refuses=_O_SERIES),
    Family(names=("o1",), system_role="developer", reasons="always", efforts=_LOW_TO_HIGH, refuses=_O_SERIES),
    Family(
        names=("o3", "o4"),
        system_role="developer",
        reasons="always",
        efforts=_LOW_TO_HIGH,
        refuses=_O_SERIES | {"stop"},
    ),
    Family(names=("gpt-5-chat",)),
    Family(names=("gpt-5-pro",), system_role="developer", reasons="always", efforts=("high",), refuses=_NO_STOP),
    Family(
        names=("gpt-5",),
        system_role="developer",
        reasons="always",
        efforts=("minimal", *_LOW_TO_HIGH),
        refuses=_NO_STOP,
    ),
    Family(
        names=(
            *("gpt-5.1-chat", "gpt-5.2-chat", "gpt-5.3-chat", "gpt-5.1-codex"),
            *("gpt-5.1-pro", "gpt-5.2-pro", "gpt-5.3-pro", "gpt-5.4-pro", "gpt-5.5-pro", "gpt-5.6-pro"),
        ),
        system_role="developer",
        reasons="always",
        refuses=_NO_STOP,
    ),
    Family(
        names=("gpt-5.1", "gpt-5.2", "gpt-5.3", "gpt-5.4"),
        system_role="developer",
        reasons="on_request",
        refuses=_NO_STOP,
    ),
    Family(names=("gpt-5.5",), system_role="developer", reasons="by_default", refuses=_NO_STOP),
    Family(
        names=("gpt-5.6",),
        system_role="developer",
        reasons="by_default",
        efforts=("none", *_LOW_TO_HIGH, "xhigh", "max"),
        refuses=_NO_STOP,
    ),
    Family(
        names=("gpt-4o-search-preview", "gpt-4o-mini-search-preview"),
        refuses=frozenset({"temperature"}),
    ),
    Family(names=("gpt-3.5", "gpt-35", "gpt-4", "gpt-4o", "gpt-4.1", "gpt-4.5", "chatgpt-4o")),
)

UNKNOWN = Family(names=(), reasons="on_request")
"""Sent everything."""

# Served by Azure's gateway beside OpenAI's: they know only ``max_tokens``.
_OTHER_VENDORS = (
    *("mistral", "ministral", "codestral", "mixtral", "llama", "meta-llama", "phi", "cohere", "command", "deepseek"),
    *("grok", "jamba", "jais", "qwen", "kimi", "gemma", "granite", "claude", "gpt-oss"),
)


@lru_cache(maxsize=256)  # asked several times per request; users may name any number of models
def family_of(name: str) -> Family:
    """The row for a model id in lower case without a vendor's prefix (``Target.family``)."""
    for family in _FAMILIES:
        if any(name == known or name.startswith(f"{known}-") for known in family.names):
            return family
    return UNKNOWN


def is_openai(name: str) -> bool:
    """Whether an id of unknown origin is to be taken for a model of OpenAI's."""
    return not name.startswith(_OTHER_VENDORS)


def same_family(one: str, other: str) -> bool:
    """Whether two ids mean the same model: vendor prefix, routing variant and date of a snapshot do not count."""
    return _stem(one) == _stem(other)


def _stem(model: str) -> str:
    words = model.lower().rpartition("/")[2].partition(":")[0].split("-")
    while len(words) > 1 and (words[-1] == "latest" or (words[-1].isdigit() and len(words[-1]) in (2, 4, 8))):
        words.pop()
    return "-".join(words)
