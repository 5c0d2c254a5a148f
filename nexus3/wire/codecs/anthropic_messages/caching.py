"""Prompt caching: where ``cache_control`` marks stand, and the API's rules about them.

A mark caches everything up to itself, in the order tools, system, messages. At most four are taken, and a long mark
may not stand behind a short one.
"""

from collections.abc import Sequence

from nexus3.wire.codecs.anthropic_messages.content import cache_control
from nexus3.wire.codecs.anthropic_messages.history import History
from nexus3.wire.codecs.anthropic_messages.replay import Block
from nexus3.wire.events import CHANGED_PARAMETER, DROPPED_PARAMETER, Notice

_MAX_MARKS = 4
_MARK = "cache_control"


def place_marks(tools: Sequence[Block], history: History, *, automatic: bool, notices: list[Notice]) -> None:
    """Bring the marks that the caller set under the rules, then set ours where there is room.

    Ours stand where a growing conversation profits: behind the system text, and behind the last user turn but one,
    which the next request repeats.
    """
    stable = [*tools, *history.system]
    moving = [block for turn in history.turns for block in turn.content]
    blocks = stable + moving
    marks = sum([_MARK in block for block in blocks])
    are_given = marks > 0  # nearly no caller sets marks, and ours alone break no rule
    if are_given:
        marks = _drop_surplus(stable, moving, notices)
        if lengthened := _lengthen(blocks):
            said = f"cache: {lengthened} marks before a mark of 1h were lengthened to 1h, as the API demands."
            notices.append(Notice(CHANGED_PARAMETER, said))
    if automatic:
        users = [turn for turn in history.turns if turn.role == "user"]
        for block in [*history.system[-1:], *(users[-2].content[-1:] if len(users) > 1 else ())]:
            if marks < _MAX_MARKS and _MARK not in block:
                block[_MARK] = cache_control("default")
                marks += 1
        if are_given:
            _lengthen(blocks)


def remove_marks(tools: Sequence[Block], history: History, notices: list[Notice]) -> None:
    """Take every mark away, for servers that do not know them."""
    blocks = [*tools, *history.system, *(block for turn in history.turns for block in turn.content)]
    if [block.pop(_MARK) for block in blocks if _MARK in block]:
        notices.append(Notice(DROPPED_PARAMETER, "cache: this provider takes no cache marks."))


def _drop_surplus(stable: list[Block], moving: list[Block], notices: list[Notice]) -> int:
    """Where marks are too many, the oldest of messages, then of the rest, make way for newer ones. Returns how many
    are left.
    """
    marked = [block for block in moving + stable if _MARK in block]
    surplus = len(marked) - _MAX_MARKS
    if surplus <= 0:
        return len(marked)
    for block in marked[:surplus]:
        del block[_MARK]
    notices.append(Notice(DROPPED_PARAMETER, f"cache: only {_MAX_MARKS} marks are taken; {surplus} were left out."))
    return _MAX_MARKS


def _lengthen(blocks: list[Block]) -> int:
    """Before a mark of one hour every mark lasts one hour: what it covers is part of what the later one keeps. Returns
    how many were changed.
    """
    marked = [block for block in blocks if _MARK in block]
    last_long = max((place for place, block in enumerate(marked) if _ttl(block) == "1h"), default=0)
    short = [block for block in marked[:last_long] if _ttl(block) != "1h"]
    for block in short:
        block[_MARK] = cache_control("1h")
    return len(short)


def _ttl(block: Block) -> object:
    mark = block[_MARK]
    return mark.get("ttl") if isinstance(mark, dict) else None
