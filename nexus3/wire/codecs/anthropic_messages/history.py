"""The conversation as the API wants it: system text apart, user and assistant in turn, results first in the user's.

The calls and their results were brought into order by :mod:`nexus3.wire.history`. What else the API refuses is changed
where nothing that was said is lost, with a notice; the rest is refused here.
"""

import re
from collections.abc import Sequence
from typing import Literal, assert_never

import msgspec

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.anthropic_messages.content import blocks_of, cache_control, plain
from nexus3.wire.codecs.anthropic_messages.models import Traits
from nexus3.wire.codecs.anthropic_messages.replay import Block, is_blank, is_ours, kept_blocks, turn_blocks
from nexus3.wire.events import Notice
from nexus3.wire.failures import error_of, fail
from nexus3.wire.history import (
    BROKEN_ARGUMENTS,
    EMPTY_MESSAGE,
    FOREIGN_BLOCKS,
    FOREIGN_REASONING,
    CallIds,
    Repairs,
    nothing_to_answer,
    notices_of,
    repair,
    says_nothing,
    split_system,
)
from nexus3.wire.messages import CacheMark, Message, ReasoningBlock, Role, TextPart

_IDS = CallIds(re.compile(r"[^A-Za-z0-9_-]"), max_chars=64, unique_in="conversation")


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
    repairs = Repairs()
    sendable = repair(messages, repairs, ids=_IDS, is_empty=lambda turn: _is_empty(turn, target))
    lead, conversation = split_system(sendable)
    system = [block for message in lead for block in _only_text(message, target)]
    writer = _Writer(target, traits, repairs)
    for message in conversation:
        writer.write(message)
    writer.close()
    if repairs:
        notices += notices_of(repairs)
    return History(system, writer.turns, writer.tool_names)


def _is_empty(turn: Message, target: Target) -> bool:
    """Thinking and blocks that go back are content, though they say nothing."""
    if not says_nothing(turn):
        return False
    return not (_own_blocks(turn, target) or any(_may_go_back(block, target) for block in turn.reasoning))


def _own_blocks(turn: Message, target: Target) -> list[Block] | None:
    return kept_blocks(turn, target) if target.quirks.reasoning_replay else None


def _may_go_back(block: ReasoningBlock, target: Target) -> bool:
    return target.quirks.reasoning_replay and bool(block.data or block.signature) and is_ours(block.origin, target)


def _only_text(message: Message, target: Target) -> list[Block]:
    """The blocks of a message whose role can say nothing but text."""
    if not isinstance(message.content, str) and not all(isinstance(part, TextPart) for part in message.content):
        problem = f"Messages of role {message.role} hold text only; put images and files into a user message."
        raise error_of(fail("unsupported", "content_of_role", problem))
    return blocks_of(message.content, target)


class _Writer:
    """The turns so far."""

    def __init__(self, target: Target, traits: Traits, repairs: Repairs) -> None:
        self.turns: list[Turn] = []
        self.tool_names: list[str] = []
        self._target = target
        self._traits = traits
        self._repairs = repairs
        self._is_paused = False

    def write(self, message: Message) -> None:
        """Add a message, in the order of the repaired history."""
        match message.role:
            case Role.USER:
                self._add("user", blocks_of(message.content, self._target))
            case Role.ASSISTANT:
                self._assistant(message)
            case Role.TOOL:
                self._result(message)
            case Role.SYSTEM | Role.DEVELOPER:
                self._later_system(message)
            case role:
                assert_never(role)

    def _add(self, role: Literal["user", "assistant", "system"], blocks: list[Block]) -> None:
        if not blocks:
            self._repairs[EMPTY_MESSAGE] += 1
        elif self.turns and self.turns[-1].role == role:
            self.turns[-1].content += blocks
        else:
            self.turns.append(Turn(role, blocks))

    def _assistant(self, message: Message) -> None:
        kept = _own_blocks(message, self._target)
        self._is_paused = kept is not None
        if kept is None and message.blocks:
            self._repairs[FOREIGN_BLOCKS] += 1
        if broken := sum(call.arguments is None for call in message.tool_calls):
            self._repairs[BROKEN_ARGUMENTS] += broken
        blocks = self._rebuilt(message) if kept is None else kept
        for block in blocks:
            if block["type"] == "tool_use" and (name := str(block["name"])) not in self.tool_names:
                self.tool_names.append(name)
        self._add("assistant", blocks)

    def _rebuilt(self, message: Message) -> list[Block]:
        reasoning = [block for block in message.reasoning if _may_go_back(block, self._target)]
        if len(reasoning) < len(message.reasoning):
            self._repairs[FOREIGN_REASONING] += 1
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

    def _result(self, message: Message) -> None:
        content = blocks_of(message.content, self._target)
        marks = [mark for block in content if (mark := block.pop("cache_control", None))]
        result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": plain(content) or ""}
        if message.is_error:
            result["is_error"] = True
        if marks:
            result["cache_control"] = marks[-1]
        self._add("user", [result])

    def _later_system(self, message: Message) -> None:
        blocks = _only_text(message, self._target)
        if self._traits.later_system and self.turns:
            self._add("system", blocks)
            return
        if blocks:
            self._repairs["A system message between turns was sent as user text in <system> tags"] += 1
        self._add("user", [{**block, "text": f"<system>{block['text']}</system>"} for block in blocks])

    def close(self) -> None:
        """The history is over."""
        if not self.turns:
            raise nothing_to_answer()
        if self.turns[0].role == "assistant":
            self._repairs["The history began with the assistant; a user message was put before it"] += 1
            self.turns.insert(0, Turn("user", [{"type": "text", "text": "(continued)"}]))
        final = self.turns[-1]
        if final.role != "assistant":
            return
        # A paused turn of server tools goes back as it is and is continued by every model.
        if not self._traits.prefill and not self._is_paused:
            problem = f"{self._target.model} does not continue an assistant message; end the messages with a user turn."
            raise error_of(fail("unsupported", "prefill", problem))
        if final.content[-1]["type"] == "text":  # a prefill that ends in white space is refused
            final.content[-1] = {**final.content[-1], "text": str(final.content[-1]["text"]).rstrip()}
