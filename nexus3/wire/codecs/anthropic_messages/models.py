"""What each line of models takes, by the beginning of its name: the gates of the encoder.

Facts are from the vendor's pages and from clients that were corrected by its 400s, as of November 2026. The table is
open at its end: a ``claude`` that it does not know is taken for one of the current generation, any other name for a
compatible server that takes the classic form. A gate that is wrong for somebody is overridden by ``model_family`` or
by ``extra_body``.
"""

import re
from functools import lru_cache
from typing import Literal

import msgspec


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """One row."""

    adaptive: bool = False
    """``thinking: {"type": "adaptive"}`` and ``output_config.effort`` are understood."""
    budgets: bool = False
    """``thinking: {"type": "enabled", "budget_tokens": n}`` is understood."""
    xhigh: bool = False
    """Effort ``xhigh`` exists; else the next above it is ``max``."""
    off: Literal["disabled", "between_tools", "low_effort", "nothing"] = "disabled"
    """How thinking is switched off, or as nearly off as the model allows; ``nothing`` where there is none."""
    thinks_unasked: bool = False
    """Thinks where ``thinking`` is left out."""
    sampling: Literal["all", "one", "none"] = "all"
    """Of temperature and top_p: both at once, one of them, or a 400 for either."""
    forced_tools: bool = True
    """A required or named tool choice is taken."""
    native_schema: bool = False
    """``output_config.format`` and ``strict`` tools are understood."""
    later_system: bool = False
    """System messages may stand between turns."""
    prefill: bool = True
    """The last message may be the assistant's, to be continued."""
    default_max_tokens: int = 16_384
    max_output_tokens: int | None = None
    """The ceiling of ``max_tokens``, where known."""


_FOUR = Traits(budgets=True, sampling="one", max_output_tokens=64_000)
_CURRENT = Traits(
    adaptive=True,
    xhigh=True,
    thinks_unasked=True,
    sampling="none",
    native_schema=True,
    prefill=False,
    max_output_tokens=128_000,
)
_replace = msgspec.structs.replace
_ALWAYS_THINKING = _replace(_CURRENT, off="low_effort", forced_tools=False, later_system=True)

# The first that matches the beginning of a name counts. (?!-\d) keeps "claude-opus-4" from matching a later 4-9.
_TABLE: tuple[tuple[str, Traits], ...] = (
    (r"claude-(instant|v?[12]\b|3-(opus|sonnet|haiku|5))", Traits(off="nothing", default_max_tokens=4096)),
    (r"claude-3-7", Traits(budgets=True, default_max_tokens=4096, max_output_tokens=64_000)),
    (r"claude-opus-4(-1\b|(?!-\d))", _replace(_FOUR, max_output_tokens=32_000)),
    (r"claude-sonnet-4(?!-\d)", _FOUR),
    (r"claude-(opus|sonnet|haiku)-4-5", _replace(_FOUR, native_schema=True)),
    (
        r"claude-(opus|sonnet)-4-6",
        _replace(_FOUR, adaptive=True, native_schema=True, prefill=False, max_output_tokens=128_000),
    ),
    (r"claude-opus-4-7", _replace(_CURRENT, thinks_unasked=False)),
    (r"claude-opus-4-8", _replace(_CURRENT, thinks_unasked=False, later_system=True)),
    (r"claude-mythos-preview", _replace(_ALWAYS_THINKING, budgets=True, later_system=False)),
    (r"claude-(fable|mythos)|claude-opus-5-5", _ALWAYS_THINKING),
    (r"claude-sonnet-5-5", _replace(_ALWAYS_THINKING, off="between_tools")),
    (r"claude-(opus-5(?!-\d)|haiku-5)", _replace(_CURRENT, later_system=True)),
    (r"claude", _CURRENT),
    (r"", Traits(budgets=True, default_max_tokens=4096)),
)

_RELEASE = re.compile(r"([-@](20\d{6}|latest|default))?(-v\d+)?(:.*)?$")


def model_line(model: str) -> str:
    """The name that two releases of one model share: without vendor, cloud region, date and version tag.

    ``us.anthropic.claude-sonnet-4.5-20250929-v1:0`` is ``claude-sonnet-4-5``. Names of others are only lowered.
    """
    name = model.lower().rpartition("/")[2]
    start = name.find("claude")
    if start < 0:
        return name
    return _RELEASE.sub("", name[start:].replace(".", "-"), count=1).removesuffix("-0")


@lru_cache(maxsize=256)
def traits_of(family: str) -> Traits:
    """The row of a model family (:attr:`nexus3.wire.catalog.Target.family`)."""
    name = model_line(family)
    return next(traits for pattern, traits in _TABLE if re.match(pattern, name))
