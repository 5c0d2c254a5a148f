"""Whatever becomes of a conversation, both dialects send it by their rules, and lose nothing that was said.

Three judges: the vendors' own parameter types, their rules as ``dialect_rules`` states them, and what should be left of
a history, found by definition instead of by repair.
"""

import json
import random
from collections import Counter
from itertools import takewhile
from typing import Any, NamedTuple

import pytest

from nexus3.wire.catalog import Target
from nexus3.wire.codecs import Codec, anthropic_messages, openai_chat
from nexus3.wire.failures import ProviderError
from nexus3.wire.history import (
    EMPTY_MESSAGE,
    MISSING_RESULT,
    MOVED_RESULT,
    NEW_ID,
    NO_RESULT,
    SECOND_RESULT,
    STRAY_RESULT,
    Repairs,
    repair,
    says_nothing,
)
from nexus3.wire.messages import ImagePart, JsonObject, Message, Origin, Part, ReasoningBlock, Role, TextPart, ToolCall
from nexus3.wire.requests import CompletionRequest
from tests.wire.anthropic_messages.helpers import a_target
from tests.wire.anthropic_messages.test_official_types import ADAPTERS
from tests.wire.dialect_rules import Said, read_anthropic, read_openai
from tests.wire.openai_chat.build import target
from tests.wire.openai_chat.official import EXTENSIONS, accept
from tests.wire.test_history import PER_CONVERSATION, PER_TURN

SEED = 20_261_122
IDS = ("", "call_0", "call_1", "call_0_2", "a b", "ü", "functions.f:0", "functions/f:0", "x" * 41, "x" * 80, "x" * 200)
IMAGE = ImagePart(data=b"\0", media_type="image/png")
PAUSE: JsonObject = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}

OURS = Origin(dialect="anthropic_messages", provider="anthropic", model="claude-sonnet-5")
SIGNED = ReasoningBlock(text="Hm.", signature="c2ln", origin=OURS)
FOREIGN = ReasoningBlock(text="Hm.", signature="c2ln")


class Author:
    """Writes messages. Every text and every name is used once, so that each can be found again."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._count = 0
        self._recent: list[str] = ["call_0"]

    def damaged(self) -> list[Message]:
        """A conversation as an agent has it, then cut, shuffled and edited."""
        messages = [self.system()] if self._chance.random() < 0.3 else []
        for _ in range(self._chance.randint(1, 4)):
            messages.append(self.user())
            for _ in range(self._chance.randint(0, 2)):
                turn = self.assistant(calls=self._chance.randint(1, 3))
                messages.append(turn)
                messages += [self.result(call.id or "call_0") for call in turn.tool_calls]
            messages.append(self.assistant(calls=0))
        for _ in range(self._chance.randint(0, 4)):
            place = self._chance.randrange(len(messages))
            match self._chance.randrange(5):
                case 0 if len(messages) > 1:
                    del messages[place]
                case 1:
                    messages.insert(place, messages.pop(self._chance.randrange(len(messages))))
                case 2:
                    messages.insert(place, self.anything())
                case 3 if messages[place].role is Role.TOOL:
                    messages.append(self.result(messages[place].tool_call_id or "call_0"))
                case _:
                    messages = messages[place:] if self._chance.random() < 0.3 else messages[: place + 1]
        return messages

    def noise(self) -> list[Message]:
        """Messages in any order."""
        return [self.anything() for _ in range(self._chance.randint(1, 10))]

    def anything(self) -> Message:
        match self._chance.randrange(8):
            case 0:
                return self.system()
            case 1 | 2:
                return self.user()
            case 3 | 4 | 5:
                return self.assistant(calls=self._chance.choice((0, 0, 1, 1, 2, 3)))
            case _:
                return self.result(self._chance.choice((*self._recent, *IDS[1:])))

    def system(self) -> Message:
        return Message(role=self._chance.choice((Role.SYSTEM, Role.DEVELOPER)), content=self._content("s"))

    def user(self) -> Message:
        content = self._content("u")
        if not isinstance(content, str) and self._chance.random() < 0.3:
            content = (*content, IMAGE)
        return Message(role=Role.USER, content=content)

    def assistant(self, *, calls: int) -> Message:
        tool_calls = tuple(self._call() for _ in range(calls))
        self._recent = [call.id or "call_0" for call in tool_calls] or self._recent
        if self._chance.random() < 0.03 and not tool_calls:
            return Message(role=Role.ASSISTANT, blocks=(PAUSE,), origin=OURS)
        return Message(
            role=Role.ASSISTANT,
            content=self._content("a"),
            tool_calls=tool_calls,
            refusal=self._text("n") if self._chance.random() < 0.05 else None,
            reasoning=self._chance.choice(((), (), (), (SIGNED,), (FOREIGN,))),
        )

    def _call(self) -> ToolCall:
        raw = self._chance.choice(("", "{}", '{"a": 1}', '{"a": ', "[]"))
        return ToolCall(id=self._chance.choice((*IDS, "call_0", "call_1")), name=self._text("f"), raw_arguments=raw)

    def result(self, call_id: str) -> Message:
        content = self._content("r")
        if not isinstance(content, str) and self._chance.random() < 0.2:
            content = (TextPart(text=self._text("r")), IMAGE)
        return Message(role=Role.TOOL, tool_call_id=call_id, content=content, is_error=self._chance.random() < 0.2)

    def _content(self, kind: str) -> str | tuple[Part, ...]:
        match self._chance.randrange(10):
            case 0:
                return self._chance.choice(("", " \n", (), (TextPart(text=" "),)))
            case 1 | 2:
                return (TextPart(text=self._text(kind)), TextPart(text=self._chance.choice(("", " "))))
            case _:
                return self._text(kind) + self._chance.choice(("", " ", "\n"))

    def _text(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


class Expected(NamedTuple):
    """What a dialect should make of a history, by definition instead of by repair."""

    messages: list[Message]
    """In the order in which they go out, without results."""
    answers: dict[str, Message | None]
    """The name of a call -> its result."""
    repairs: Counter[str]
    """Without the ids."""

    def said(self, message: Message) -> list[Said]:
        who = "system" if message.role in (Role.SYSTEM, Role.DEVELOPER) else message.role.value
        text = message.text.strip() or message.refusal or ""
        said = [Said(who, text)] if text else []
        for call in message.tool_calls:
            result = self.answers[call.name]
            told = (NO_RESULT, True) if result is None else (result.text.strip(), result.is_error)
            said.append(Said("call", call.name, *told))
        return said


def expected(messages: list[Message], *, goes_back: bool) -> Expected:
    """``goes_back``: thinking and blocks of ours are content."""
    kept: list[Message] = []
    answers: dict[str, Message | None] = {}
    repairs = Counter[str]()
    starts = [place for place, message in enumerate(messages) if message.tool_calls]
    spoken = [message.role is not Role.TOOL and not is_empty(message, goes_back=goes_back) for message in messages]
    for place, message in enumerate(messages):
        if spoken[place]:
            kept.append(message)
        elif message.role is not Role.TOOL:
            repairs[EMPTY_MESSAGE] += 1
        if message.role is not Role.TOOL:
            continue
        start = max((start for start in starts if start < place), default=place)
        same = [call for call in messages[start].tool_calls if call.id == message.tool_call_id]
        before = sum(
            one.role is Role.TOOL and one.tool_call_id == message.tool_call_id for one in messages[start:place]
        )
        if before < len(same):
            answers[same[before].name] = message
            repairs[MOVED_RESULT] += any(spoken[start + 1 : place])
        else:
            repairs[SECOND_RESULT if same else STRAY_RESULT] += 1
    for message in kept:
        for call in message.tool_calls:
            if call.name not in answers:
                answers[call.name] = None
                repairs[MISSING_RESULT] += 1
    return Expected(kept, answers, +repairs)


def is_empty(message: Message, *, goes_back: bool) -> bool:
    if message.role is not Role.ASSISTANT or message.tool_calls or message.text.strip() or message.refusal:
        return False
    return not (goes_back and (message.blocks or SIGNED in message.reasoning))


def check_repair(messages: list[Message]) -> None:
    """What is changed is counted, what was repaired needs no more, and what was given stays."""
    given = list(messages)
    copies = [message.model_copy(deep=True) for message in messages]
    want = expected(messages, goes_back=False)
    for ids in (PER_TURN, PER_CONVERSATION):
        repairs = Repairs()
        sendable = repair(messages, repairs, ids=ids, is_empty=says_nothing)
        assert Counter(repairs) - Counter({NEW_ID: repairs[NEW_ID]}) == want.repairs
        assert (sendable is messages) == (not repairs)
        assert repair(sendable, Repairs(), ids=ids, is_empty=says_nothing) is sendable
    assert all(one is other for one, other in zip(messages, given, strict=True))
    assert messages == copies


def sent(codec: Codec, messages: list[Message], where: Target) -> Any:
    """The body, or kind and reason of the refusal."""
    try:
        encoded = codec.encode(CompletionRequest(messages=tuple(messages), prompt_caching=False), where, stream=True)
    except ProviderError as error:
        return error.kind, error.reason
    return json.loads(encoded.body)


def check_openai(messages: list[Message], chance: random.Random) -> str:
    where, max_id = chance.choice(((target("openai", "gpt-4o"), 40), (target("vllm"), 128)))
    kept = expected(messages, goes_back=False)
    body = sent(openai_chat, messages, where)
    if not kept.messages:
        assert body == ("bad_request", "no_messages")
        return "openai no_messages"
    accept(body, EXTENSIONS[where.type.name], streamed=True)
    assert read_openai(body, max_id=max_id) == [said for message in kept.messages for said in kept.said(message)]
    return "openai sent"


def check_anthropic(messages: list[Message], chance: random.Random) -> str:
    model = chance.choice(("claude-sonnet-4-5", "claude-sonnet-5", "claude-opus-5"))
    is_ours, prefill, later_system = model == OURS.model, model == "claude-sonnet-4-5", model == "claude-opus-5"
    kept = expected(messages, goes_back=is_ours)
    body = sent(anthropic_messages, messages, a_target(model))
    lead = list(takewhile(lambda message: message.role in (Role.SYSTEM, Role.DEVELOPER), kept.messages))
    turns = [one for one in kept.messages[len(lead) :] if one.role is Role.ASSISTANT or holds_something(one)]
    if not turns:
        assert body == ("bad_request", "no_messages")
        return "anthropic no_messages"
    last = turns[-1]
    if last.role is Role.ASSISTANT and not (prefill or last.tool_calls or (is_ours and last.blocks)):
        assert body == ("unsupported", "prefill")
        return "anthropic prefill"
    ADAPTERS[True].validate_python(body)
    filler = [Said("user", "(continued)")] if turns[0].role is Role.ASSISTANT else []
    assert read_anthropic(body, later_system=later_system, prefill=prefill) == [
        *(said for message in lead for said in kept.said(message)),
        *filler,
        *(said for message in turns for said in kept.said(message)),
    ]
    return "anthropic sent"


def holds_something(message: Message) -> bool:
    """Whether anything of a message of the user or the system is left without blank text."""
    return bool(message.text.strip()) or IMAGE in list(message.content)


@pytest.mark.parametrize("count", [300, pytest.param(100_000, marks=pytest.mark.soak)])
def test_random_histories_are_sent_by_the_rules_of_both_dialects(count: int) -> None:
    endings = Counter[str]()
    for number in range(count):
        chance = random.Random(SEED + number)
        author = Author(chance)
        messages = author.damaged() if number % 2 else author.noise()
        try:
            check_repair(messages)
            endings[check_openai(messages, chance)] += 1
            endings[check_anthropic(messages, chance)] += 1
        except BaseException:
            print(f"seed {SEED + number}")
            for message in messages:
                print(repr(message))
            raise
    print(dict(endings))
    assert set(endings) == {
        "openai sent",
        "openai no_messages",
        "anthropic sent",
        "anthropic no_messages",
        "anthropic prefill",
    }
