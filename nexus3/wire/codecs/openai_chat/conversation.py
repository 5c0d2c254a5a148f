"""Spells a conversation: repaired history in, wire messages out."""

import re
from collections.abc import Sequence

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.openai_chat.families import family_of
from nexus3.wire.codecs.openai_chat.parts import Speller, WireObject, cache_control, parts_of
from nexus3.wire.codecs.openai_chat.reasoning import THINKING_PARTS, is_ours, replayed
from nexus3.wire.codecs.openai_chat.surrogates import json_bytes, whole_text
from nexus3.wire.events import Notice
from nexus3.wire.history import (
    BROKEN_ARGUMENTS,
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
from nexus3.wire.messages import Message, Part, Role, TextPart, ToolCall, parse_arguments

# Ids are left as they are where they can be: some chat templates show them to the model, which was trained on its own.
_ODD = re.compile(r"[^A-Za-z0-9_.:-]")
_IDS = CallIds(_ODD, max_chars=128, unique_in="turn")
_IDS_OF_OPENAI = CallIds(_ODD, max_chars=40, unique_in="turn")  # answered with a 400 beyond


def spell_messages(
    messages: Sequence[Message], target: Target, notices: list[Notice], *, mark_system: bool
) -> list[WireObject]:
    """The ``messages`` of the body. ``mark_system`` sets a cache mark behind the leading system text.

    Raises:
        ProviderError: ``unsupported`` for parts that cannot be sent, ``bad_request`` where nothing is left to send.
    """
    repairs = Repairs()
    ids = _IDS_OF_OPENAI if target.type.name in ("openai", "azure") else _IDS
    sendable = repair(messages, repairs, ids=ids, is_empty=says_nothing)
    if not sendable:
        raise nothing_to_answer()
    speller = _MessageSpeller(target, notices, repairs)
    system, others = split_system(sendable)
    if target.quirks.merge_system and len(system) > 1:
        system = [_merged(system)]
    wire = [speller.system(message) for message in system]
    if mark_system and wire and speller.takes_marks:
        _mark(wire[-1])
    wire += speller.rest(others)
    if repairs:
        notices += notices_of(repairs)
    return wire


def _merged(messages: Sequence[Message]) -> Message:
    """One message of several, an empty line between them, for chat templates that demand exactly one."""
    parts: list[Part] = []
    for message in messages:
        if parts:
            parts.append(TextPart(text="\n\n"))
        parts += parts_of(message)
    return messages[0].model_copy(update={"content": tuple(parts)})


def _mark(message: WireObject) -> None:
    """Set a cache mark behind a message's text, unless it has marks of its own."""
    content = message["content"]
    if isinstance(content, str) and content:
        message["content"] = [{"type": "text", "text": content, "cache_control": cache_control("default")}]


class _MessageSpeller:
    def __init__(self, target: Target, notices: list[Notice], repairs: Repairs) -> None:
        self._target = target
        self._repairs = repairs
        self._parts = Speller(target, notices)
        self.takes_marks = self._parts.takes_marks
        quirk = target.quirks.system_role
        self._system_role = family_of(target.family).system_role if quirk == "auto" else quirk

    def system(self, message: Message) -> WireObject:
        return self._named(message, {"role": self._system_role, "content": self._parts.text_content(message)})

    def rest(self, messages: Sequence[Message]) -> list[WireObject]:
        """All but the leading system text, images of tool results behind the results of a turn."""
        wire: list[WireObject] = []
        media: list[Part] = []
        for message in messages:
            if media and message.role is not Role.TOOL:
                wire.append(self._media_of_tools(media))
                media = []
            match message.role:
                case Role.SYSTEM | Role.DEVELOPER:
                    wire.append(self.system(message))
                case Role.USER:
                    content = self._parts.content(message.content)
                    wire.append(self._named(message, {"role": "user", "content": content}))
                case Role.ASSISTANT:
                    wire.append(self._assistant(message))
                case Role.TOOL:
                    wire.append(self._tool_result(message, media))
        if media:
            wire.append(self._media_of_tools(media))
        return wire

    def _assistant(self, message: Message) -> WireObject:
        content: str | list[WireObject] | None = self._parts.text_content(message)
        if not content or (isinstance(content, str) and content.isspace()):
            content = None  # Claude behind a proxy of this dialect refuses blank text
        spelled = "" if content is None and not self._target.quirks.null_content else content
        wire: WireObject = {"role": "assistant", "content": spelled}
        if message.refusal:
            if self._target.type.name in ("openai", "azure", "openrouter"):
                wire["refusal"] = message.refusal
            elif content is None:
                wire["content"] = message.refusal
        wire |= self._reasoning(message, content)
        if message.blocks:
            self._repairs[FOREIGN_BLOCKS] += 1
        if message.tool_calls:
            takes_extra = is_ours(message.origin, self._target)
            wire["tool_calls"] = [self._tool_call(call, takes_extra=takes_extra) for call in message.tool_calls]
        return self._named(message, wire)

    def _reasoning(self, message: Message, content: object) -> WireObject:
        ours = [block for block in message.reasoning if is_ours(block.origin, self._target)]
        if not self._target.quirks.reasoning_replay:
            ours = []
        if len(ours) < len(message.reasoning):
            self._repairs[FOREIGN_REASONING] += 1
        fields = replayed(ours)
        thinking = fields.get(THINKING_PARTS)
        if isinstance(thinking, list) and content:
            visible = content if isinstance(content, list) else [{"type": "text", "text": content}]
            fields[THINKING_PARTS] = thinking + visible
        return fields

    def _tool_call(self, call: ToolCall, *, takes_extra: bool) -> WireObject:
        wire: WireObject = {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": self._arguments(call)},
        }
        return {**call.extra, **wire} if takes_extra else wire

    def _arguments(self, call: ToolCall) -> str:
        """The text as it was received, which keeps the provider's cache; but only where it is an object."""
        text = whole_text(call.raw_arguments, "ignore")
        if text.strip() and parse_arguments(text) is not None:
            return text
        if call.arguments is not None:
            return json_bytes(call.arguments).decode()
        self._repairs[BROKEN_ARGUMENTS] += 1
        return json_bytes({"_raw_arguments": text}).decode()

    def _tool_result(self, message: Message, media: list[Part]) -> WireObject:
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": self._result_content(message, media),
        }

    def _result_content(self, message: Message, media: list[Part]) -> str | list[WireObject]:
        if isinstance(message.content, str) and not message.is_error:
            return message.content
        parts = parts_of(message)
        texts: list[Part] = [part for part in parts if isinstance(part, TextPart)]
        others = [part for part in parts if not isinstance(part, TextPart)]
        if others:
            media += others
            if not texts:
                texts = [TextPart(text="(see the attachment in the next message)")]
        if message.is_error and not message.text.lower().startswith("error"):
            texts.insert(0, TextPart(text="Error: "))
        return self._parts.content(texts)

    def _media_of_tools(self, media: Sequence[Part]) -> WireObject:
        self._repairs["Images and files of tool results were sent in a user message: no result can hold them here"] += 1
        heading = TextPart(text="Attachments of the tool results above:")
        return {"role": "user", "content": self._parts.content([heading, *media])}

    @staticmethod
    def _named(message: Message, wire: WireObject) -> WireObject:
        return wire | {"name": message.name} if message.name else wire
