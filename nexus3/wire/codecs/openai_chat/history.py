"""Repairs a conversation so that it may be sent: every call answered, directly behind its turn, and nothing else.

Conversations are cut by cancellations, edited and carried from provider to provider; servers of every dialect refuse
the scars. Nothing here knows the wire.
"""

from collections import Counter
from collections.abc import Sequence

from nexus3.wire.codecs.openai_chat.notes import repaired
from nexus3.wire.events import Notice
from nexus3.wire.messages import Message, Role, TextPart, ToolCall

NO_RESULT = "No result provided"


def repair(messages: Sequence[Message]) -> tuple[list[Message], list[Notice]]:
    """Returns the messages to send, and what was changed. The messages given stay as they are."""
    notices: list[Notice] = []
    kept = _without_empty_turns(messages, notices)
    sendable: list[Message] = []
    claimed: set[int] = set()
    for place, message in enumerate(kept):
        if message.role is Role.TOOL:
            if place not in claimed:
                text = f"a tool result was left out: no call {message.tool_call_id!r} waits for it"
                notices.append(repaired(text))
            continue
        if not message.tool_calls:
            sendable.append(message)
            continue
        turn = _with_ids(message, place)
        places = _results_of(turn, kept, place)
        claimed.update(places)
        if places != list(range(place + 1, place + 1 + len(places))):
            notices.append(repaired("tool results were moved up to the turn that called for them"))
        sendable.append(turn)
        sendable += (kept[result] for result in places)
        sendable += _missing_results(turn, [kept[result] for result in places], notices)
    return sendable, notices


def _without_empty_turns(messages: Sequence[Message], notices: list[Notice]) -> list[Message]:
    kept = [message for message in messages if not _is_empty_turn(message)]
    if count := len(messages) - len(kept):
        notices.append(repaired(f"assistant turns without content were left out: {count}"))
    return kept


def _is_empty_turn(message: Message) -> bool:
    """Parts of text without any text count as nothing."""
    if message.role is not Role.ASSISTANT or message.text or message.tool_calls or message.refusal:
        return False
    return isinstance(message.content, str) or all(isinstance(part, TextPart) for part in message.content)


def _with_ids(turn: Message, place: int) -> Message:
    """``turn`` with an id for each call that came without one."""
    if all(call.id for call in turn.tool_calls):
        return turn
    calls = tuple(
        call if call.id else call.model_copy(update={"id": f"call_{place}_{number}"})
        for number, call in enumerate(turn.tool_calls)
    )
    return turn.model_copy(update={"tool_calls": calls})


def _results_of(turn: Message, messages: Sequence[Message], place: int) -> list[int]:
    """Where the results of the turn at ``place`` are: behind it, before the next turn with calls."""
    waiting = Counter(call.id for call in turn.tool_calls)
    places = []
    for later in range(place + 1, len(messages)):
        message = messages[later]
        if message.role is Role.TOOL and message.tool_call_id is not None:
            if waiting[message.tool_call_id] > 0:
                waiting[message.tool_call_id] -= 1
                places.append(later)
        elif message.tool_calls:
            break
    return places


def _missing_results(turn: Message, results: Sequence[Message], notices: list[Notice]) -> list[Message]:
    answered = Counter(result.tool_call_id for result in results)
    orphans: list[ToolCall] = []
    for call in turn.tool_calls:
        if answered[call.id] > 0:
            answered[call.id] -= 1
        else:
            orphans.append(call)
    notices += (repaired(f"tool call {call.id!r} ({call.name}) had no result: one was made up") for call in orphans)
    return [Message(role=Role.TOOL, tool_call_id=call.id, content=NO_RESULT) for call in orphans]
