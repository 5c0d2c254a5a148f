"""The conversation as the API wants it: system text apart, user and assistant in turn, every tool call answered.

What callers bring is often none of that: histories of other providers, cut off, compacted. Whatever can be repaired
without changing what was said is repaired, with a notice; the rest is refused.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile
from typing import Literal

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.anthropic_messages.content import blocks_of, cache_control, plain
from nexus3.wire.codecs.anthropic_messages.models import Traits
from nexus3.wire.codecs.anthropic_messages.replay import Block, is_blank, is_ours, kept_blocks, turn_blocks
from nexus3.wire.events import HISTORY_CHANGED, Notice
from nexus3.wire.failures import error_of, fail
from nexus3.wire.messages import CacheMark, Message, ReasoningBlock, Role, TextPart

_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Turn(msgspec.Struct):
    """Consecutive messages of one speaker."""

    role: Literal["user", "assistant", "system"]
    content: list[Block]

    def spelled(self) -> Block:
        """As it goes into ``messages``."""
        return {"role": self.role, "content": plain(self.content)}


class History(msgspec.Struct):
    """A conversation, ready to be spelled."""

    system: list[Block]
    turns: list[Turn]
    tool_names: list[str]
    """Of the calls in it, in order of appearance."""

    @property
    def breaks_thinking(self) -> bool:
        """The last assistant turn is still being worked on and does not begin with thinking: where thinking has a
        budget, the API refuses to switch it on for such a conversation.
        """
        turns = [turn for turn in self.turns if turn.role != "system"]
        if turns and turns[-1].role == "user" and turns[-1].content[0]["type"] == "tool_result":
            turns.pop()
        last = turns[-1] if turns else None
        return last is not None and last.role == "assistant" and "thinking" not in str(last.content[0]["type"])


def spell_history(messages: Sequence[Message], target: Target, traits: Traits, notices: list[Notice]) -> History:
    """Read the messages into turns; repairs are added to ``notices``.

    Raises:
        ProviderError: ``unsupported`` for content or an order that this model does not take; ``bad_request`` where
            nothing is left to answer.
    """
    lead = list(takewhile(lambda message: message.role in _SYSTEM, messages))
    system = [block for message in lead for block in _only_text(message, target)]
    writer = _Writer(target, traits)
    for is_assistant, group in groupby(messages[len(lead) :], lambda message: message.role is Role.ASSISTANT):
        if is_assistant:
            for message in group:
                writer.assistant(message)
        else:
            writer.others(list(group))
    writer.close(messages[-1])
    notices += writer.notices()
    return History(system, writer.turns, writer.tool_names)


def _only_text(message: Message, target: Target) -> list[Block]:
    """The blocks of a message whose role can say nothing but text."""
    if not isinstance(message.content, str) and not all(isinstance(part, TextPart) for part in message.content):
        problem = f"Messages of role {message.role} hold text only; put images and files into a user message."
        raise error_of(fail("unsupported", "content_of_role", problem))
    return list(blocks_of(message.content, target))


class _Writer:
    """The turns so far, and the calls that wait for their results."""

    def __init__(self, target: Target, traits: Traits) -> None:
        self.turns: list[Turn] = []
        self.tool_names: list[str] = []
        self._target = target
        self._traits = traits
        self._used_ids: set[str] = set()
        self._awaited: dict[str, list[str]] = {}  # the caller's id of a call -> its ids on the wire, oldest first
        self._repairs: dict[str, int] = {}

    def notices(self) -> list[Notice]:
        """What was repaired: one notice for each kind of repair, however often it was made."""
        return [
            Notice(HISTORY_CHANGED, f"{what}{f' ({count} times)' if count > 1 else ''}.")
            for what, count in self._repairs.items()
        ]

    def _repaired(self, what: str) -> None:
        self._repairs[what] = self._repairs.get(what, 0) + 1

    def _add(self, role: Literal["user", "assistant", "system"], blocks: Iterable[Block]) -> None:
        added = list(blocks)
        if not added:
            self._repaired(f"A message without content (role {role}) was left out")
        elif self.turns and self.turns[-1].role == role:
            self.turns[-1].content += added
        else:
            self.turns.append(Turn(role, added))

    def assistant(self, message: Message) -> None:
        self._answer_orphans()
        blocks = kept_blocks(message, self._target) if self._target.quirks.reasoning_replay else None
        if blocks is None:
            if message.blocks:
                self._repaired("Content that another model or an edited message had was left out of an assistant turn")
            blocks = self._rebuilt(message)
        for block in blocks:
            if block["type"] == "tool_use":
                name, given_id = str(block["name"]), str(block["id"])
                block["id"] = wire_id = self._wire_id(given_id)
                self._awaited.setdefault(given_id, []).append(wire_id)
                if name not in self.tool_names:
                    self.tool_names.append(name)
        self._add("assistant", blocks)

    def _rebuilt(self, message: Message) -> list[Block]:
        reasoning = [block for block in message.reasoning if self._may_go_back(block)]
        if len(reasoning) < len(message.reasoning):
            self._repaired("Reasoning that this model did not sign was left out")
        _only_text(message, self._target)
        text = message.text
        if is_blank(text) and message.refusal:
            text = message.refusal
        blocks = turn_blocks(reasoning, text, message.tool_calls)
        parts = () if isinstance(message.content, str) else message.content
        mark: CacheMark | None = next((part.cache for part in reversed(parts) if part.cache is not None), None)
        for block in blocks:
            if mark is not None and block["type"] == "text":
                block["cache_control"] = cache_control(mark)
        return blocks

    def _may_go_back(self, block: ReasoningBlock) -> bool:
        return (
            self._target.quirks.reasoning_replay
            and bool(block.data or block.signature)
            and is_ours(block.origin, self._target)
        )

    def _wire_id(self, call_id: str) -> str:
        """An id that the API takes and that no call before has: providers that count from ``call_0`` repeat theirs."""
        wanted = call_id if _ID.fullmatch(call_id) else re.sub(r"[^A-Za-z0-9_-]", "_", call_id)[:64] or "call"
        wire_id, count = wanted, 1
        while wire_id in self._used_ids:
            count += 1
            wire_id = f"{wanted[:56]}_{count}"
        self._used_ids.add(wire_id)
        return wire_id

    def others(self, messages: list[Message]) -> None:
        """What stands between two assistant turns. Results come first, wherever they were among the rest."""
        for message in messages:
            if message.role is Role.TOOL:
                self._result(message)
        self._answer_orphans()
        for message in messages:
            if message.role is Role.USER:
                self._add("user", blocks_of(message.content, self._target))
            elif message.role in _SYSTEM:
                self._later_system(message)

    def _result(self, message: Message) -> None:
        awaited = self._awaited.get(message.tool_call_id or "")
        if not awaited:
            self._repaired("A tool result without a call before it was left out")
            return
        content = list(blocks_of(message.content, self._target))
        marks = [mark for block in content if (mark := block.pop("cache_control", None))]
        result: Block = {"type": "tool_result", "tool_use_id": awaited.pop(0), "content": plain(content) or ""}
        if message.is_error:
            result["is_error"] = True
        if marks:
            result["cache_control"] = marks[-1]
        self._add("user", [result])

    def _answer_orphans(self) -> None:
        """Every call needs a result right behind it, or the API refuses the whole conversation."""
        for wire_ids in self._awaited.values():
            for wire_id in wire_ids:
                self._repaired("A tool call without a result was answered with an error")
                result: Block = {"type": "tool_result", "tool_use_id": wire_id, "content": "No result provided"}
                self._add("user", [{**result, "is_error": True}])
        self._awaited.clear()

    def _later_system(self, message: Message) -> None:
        blocks = _only_text(message, self._target)
        if self._traits.later_system and self.turns:
            self._add("system", blocks)
            return
        self._repaired("A system message between turns was sent as user text in <system> tags")
        self._add("user", ({**block, "text": f"<system>{block['text']}</system>"} for block in blocks))

    def close(self, last: Message) -> None:
        """The history is over; ``last`` is its last message."""
        self._answer_orphans()
        if not self.turns:
            raise error_of(fail("bad_request", "no_messages", "There is no user message with content to answer."))
        if self.turns[0].role == "assistant":
            self._repaired("The history began with the assistant; a user message was put before it")
            self.turns.insert(0, Turn("user", [{"type": "text", "text": "(continued)"}]))
        final = self.turns[-1]
        if final.role != "assistant":
            return
        # A paused turn of server tools goes back as it is and is continued by every model.
        if not self._traits.prefill and not last.blocks:
            problem = f"{self._target.model} does not continue an assistant message; end the messages with a user turn."
            raise error_of(fail("unsupported", "prefill", problem))
        if final.content[-1]["type"] == "text":  # a prefill that ends in white space is refused
            final.content[-1] = {**final.content[-1], "text": str(final.content[-1]["text"]).rstrip()}
