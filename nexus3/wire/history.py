"""Repairs a conversation so that it may be sent: every call answered, directly behind its turn, and nothing else.

Conversations are cut by cancellations, compacted, edited and carried from provider to provider; servers of every
dialect answer the scars with a 400, and go on doing so, for the history is sent again with each request. What they all
demand is seen to here, once; what one of them demands beside that, its codec adds. What was said is never changed, and
nobody is made to say what was not said: a call that nobody answered gets an error for an answer.

A *step* is a turn with calls and all that stands before the next one. Results belong to the last turn that called for
them and never leave its step: a result moved behind later calls would make calls in turn look like calls at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from nexus3.wire.events import HISTORY_CHANGED, Notice
from nexus3.wire.failures import ProviderError, error_of, fail
from nexus3.wire.messages import Message, Role, TextPart

NO_RESULT = "No result provided"
"""What a call without a result is answered with, as an error."""


class Repairs(dict[str, int]):
    """What was repaired, in words, and how often. The codecs add what only they can know.

    Not a ``Counter``, whose constructor is Python: there is one to every request, and hardly ever a repair.
    """

    def __missing__(self, what: str) -> int:
        return 0


EMPTY_MESSAGE = "A message without content was left out"
MOVED_RESULT = "A tool result was moved up to the turn that called for it"
STRAY_RESULT = "A tool result that no call waits for was left out"
SECOND_RESULT = "A second result of a tool call was left out"
MISSING_RESULT = "A tool call without a result was answered with an error"
NEW_ID = "A tool call was given another id, for its own was empty, repeated or not one that is taken here"
BROKEN_ARGUMENTS = "Arguments of a tool call that are no JSON object were wrapped in one, as text"
FOREIGN_REASONING = "Reasoning that this model did not write, or does not take back, was left out"
FOREIGN_BLOCKS = "Raw content that cannot go back to this model, or was edited since, was left out of an assistant turn"

_SYSTEM, _DEVELOPER, _ASSISTANT, _TOOL = Role.SYSTEM, Role.DEVELOPER, Role.ASSISTANT, Role.TOOL


class CallIds(msgspec.Struct, frozen=True):
    """Which ids of calls a dialect takes. Servers number their calls in many ways, some anew in each turn."""

    odd: re.Pattern[str]
    """A character that may not be in one."""
    max_chars: int
    unique_in: Literal["turn", "conversation"]

    def takes(self, call_id: str) -> bool:
        return 0 < len(call_id) <= self.max_chars and not self.odd.search(call_id)


def repair(
    messages: Sequence[Message], repairs: Repairs, *, ids: CallIds, is_empty: Callable[[Message], bool]
) -> Sequence[Message]:
    """The messages to send: ``messages`` itself where it needs nothing, which is found out in one cheap pass.

    In the answer every assistant turn says something, and each turn with calls is followed by exactly one result for
    each of them, under an id of ``ids``. ``messages`` and what is in it stay as they are.

    Args:
        repairs: what was changed is counted here.
        is_empty: whether nothing of an assistant turn without calls can be sent; see :func:`says_nothing`.
    """
    if _needs_nothing(messages, ids, is_empty):
        return messages
    sendable: list[Message] = []
    used: dict[str, int] = {}
    for step in _steps(messages):
        if ids.unique_in == "turn":
            used.clear()
        sendable += _mended(step, repairs, ids, used, is_empty)
    return sendable


def _needs_nothing(messages: Sequence[Message], ids: CallIds, is_empty: Callable[[Message], bool]) -> bool:
    waiting: set[str] = set()
    used: set[str] = set()
    for message in messages:
        role = message.role
        if role is _TOOL:
            call_id = message.tool_call_id or ""
            if call_id not in waiting:
                return False
            waiting.remove(call_id)
        elif waiting:
            return False
        elif role is _ASSISTANT:
            calls = message.tool_calls
            if not calls:
                if is_empty(message):
                    return False
                continue
            if ids.unique_in == "turn":
                used.clear()
            for call in calls:
                if call.id in used or not ids.takes(call.id):
                    return False
                used.add(call.id)
                waiting.add(call.id)
    return not waiting


def _steps(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """The messages before the first calls, then the steps."""
    start = 0
    for place, message in enumerate(messages):
        if message.role is _ASSISTANT and message.tool_calls:
            yield messages[start:place]
            start = place
    yield messages[start:]


def _mended(
    step: Sequence[Message], repairs: Repairs, ids: CallIds, used: dict[str, int], is_empty: Callable[[Message], bool]
) -> list[Message]:
    front: list[Message] = []  # the turn and its results
    others: list[Message] = []
    waiting: dict[str, list[str]] = {}  # a call's id as it was given -> the ids to send, oldest first
    for message in step:
        if message.role is _TOOL:
            given = message.tool_call_id or ""
            if not waiting.get(given):
                repairs[SECOND_RESULT if given in waiting else STRAY_RESULT] += 1
                continue
            if others:
                repairs[MOVED_RESULT] += 1
            front.append(_with_id(message, waiting[given].pop(0)))
        elif message.role is not _ASSISTANT:
            others.append(message)
        elif message.tool_calls:
            turn = _with_ids(message, repairs, ids, used)
            for call, sent in zip(message.tool_calls, turn.tool_calls, strict=True):
                waiting.setdefault(call.id, []).append(sent.id)
            front.append(turn)
        elif is_empty(message):
            repairs[EMPTY_MESSAGE] += 1
        else:
            others.append(message)
    for call_id in (call_id for call_ids in waiting.values() for call_id in call_ids):
        repairs[MISSING_RESULT] += 1
        front.append(Message(role=Role.TOOL, tool_call_id=call_id, content=NO_RESULT, is_error=True))
    return front + others


def _with_ids(turn: Message, repairs: Repairs, ids: CallIds, used: dict[str, int]) -> Message:
    """``turn`` with ids that are taken and not in ``used``, which they are added to."""
    call_ids = [_free_id(call.id, ids, used) for call in turn.tool_calls]
    given = list(zip(turn.tool_calls, call_ids, strict=True))
    if not (changed := sum(call.id != call_id for call, call_id in given)):
        return turn
    repairs[NEW_ID] += changed
    calls = (call if call.id == call_id else call.model_copy(update={"id": call_id}) for call, call_id in given)
    return turn.model_copy(update={"tool_calls": tuple(calls)})


def _free_id(given: str, ids: CallIds, used: dict[str, int]) -> str:
    """``given``, or what is left of it, with a number where that is taken: the same whenever the history is sent
    again, so that prefix caches keep matching. ``used`` says of each id which number was last put behind it.
    """
    wanted = given if ids.takes(given) else ids.odd.sub("_", given)[: ids.max_chars] or "call"
    call_id, number = wanted, used.get(wanted, 1)
    while call_id in used:
        number += 1
        ending = f"_{number}"
        call_id = wanted[: ids.max_chars - len(ending)] + ending
    used[wanted] = number
    used.setdefault(call_id, 1)
    return call_id


def _with_id(result: Message, call_id: str) -> Message:
    return result if result.tool_call_id == call_id else result.model_copy(update={"tool_call_id": call_id})


def says_nothing(turn: Message) -> bool:
    """No text but white space, no part of another kind, no call and no refusal. It may hold reasoning or raw blocks,
    which some servers take alone.
    """
    content = turn.content
    if isinstance(content, str):
        if content and not content.isspace():
            return False
    elif not all(isinstance(part, TextPart) and (not part.text or part.text.isspace()) for part in content):
        return False
    return not turn.tool_calls and not (turn.refusal or "").strip()


def split_system(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """The leading system messages, and the conversation behind them."""
    for place, message in enumerate(messages):
        if message.role is not _SYSTEM and message.role is not _DEVELOPER:
            return messages[:place], messages[place:]
    return messages, ()


def nothing_to_answer() -> ProviderError:
    """For a history of which nothing is left to send."""
    return error_of(
        fail("bad_request", "no_messages", "There is no message with content to answer; give at least one.")
    )


def notices_of(repairs: Mapping[str, int]) -> list[Notice]:
    """One notice for each kind of repair, however often it was made, in order of its first time."""
    return [
        Notice(HISTORY_CHANGED, f"{what}{f' ({count} times)' if count > 1 else ''}.") for what, count in repairs.items()
    ]
