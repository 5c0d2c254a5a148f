"""What each dialect demands of a conversation, written from the servers' rules and their 400s, not from our codecs.

Each checker reads a body as it goes out, fails where a server would refuse it, and returns what the body says in terms
that both dialects share, so that one can ask whether anything was lost or moved.
"""

import json
import re
from typing import Any, NamedTuple

ATTACHMENTS = "Attachments of the tool results above:"


class Said(NamedTuple):
    """One thing said. ``what`` is a text, or the name of a called tool, whose answer is the rest."""

    who: str
    what: str
    answer: str = ""
    is_error: bool = False


def read_openai(body: Any, *, max_id: int) -> list[Said]:
    """Every result answers a call of the assistant turn before it; every call is answered before anyone else speaks;
    ids are unique in their turn, short and plain; an assistant says something; arguments are text of a JSON object.
    """
    messages = body["messages"]
    assert messages
    said: list[Said] = []
    waiting: dict[str, int] = {}  # id -> where its call stands in ``said``
    for message in messages:
        role, content = message["role"], message.get("content")
        if role == "tool":
            assert isinstance(content, str)
            place = waiting.pop(message["tool_call_id"])
            is_error = content.startswith("Error: ")
            said[place] = said[place]._replace(answer=content.removeprefix("Error: ").strip(), is_error=is_error)
            continue
        assert not waiting, "a call was not answered before the next turn"
        text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())
        if role == "assistant":
            text = text if text.strip() else message.get("refusal") or ""
            calls = message.get("tool_calls")
            assert calls is None or calls, "an empty list of calls"
            assert text.strip() or calls, "an assistant turn without content"
        else:
            assert role in ("user", "system", "developer")
            assert content is not None
            calls = None
        if text.strip() and not text.startswith(ATTACHMENTS):
            said.append(Said("system" if role == "developer" else role, text.strip()))
        for call in calls or ():
            assert re.fullmatch(r"[A-Za-z0-9_.:-]+", call["id"])
            assert len(call["id"]) <= max_id
            assert call["id"] not in waiting, "an id twice in one turn"
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            waiting[call["id"]] = len(said)
            said.append(Said("call", call["function"]["name"]))
    assert not waiting, "a call was never answered"
    return said


def read_anthropic(body: Any, *, later_system: bool, prefill: bool) -> list[Said]:
    """User and assistant speak in turn, the user first, and last where the model does not continue a text. The turn
    behind one with calls begins with their results, and results stand nowhere else. Ids are plain, and unique in the
    conversation. No text is blank, no content empty; each called tool is declared.
    """
    turns = body["messages"]
    said = [Said("system", text.strip()) for text in _texts(body.get("system", []))]
    declared = {tool["name"] for tool in body.get("tools", ())}
    ids: set[str] = set()
    waiting: dict[str, int] = {}
    before = None
    for turn in turns:
        role = turn["role"]
        assert role != before, "two turns of one speaker"
        assert before is not None or role == "user", "the first turn is not the user's"
        if role == "system":
            assert later_system
            assert not waiting
        blocks = turn["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        assert blocks
        if waiting:
            front, blocks = blocks[: len(waiting)], blocks[len(waiting) :]
            for block in front:
                place = waiting.pop(block["tool_use_id"])
                answer = "".join(_texts(block["content"])).strip()
                said[place] = said[place]._replace(answer=answer, is_error=block.get("is_error", False))
            assert not waiting, "a call was not answered in the next turn"
        for block in blocks:
            match block["type"]:
                case "text":
                    assert block["text"].strip(), "blank text"
                    tagged = re.fullmatch(r"<system>(.*?)\s*</system>", block["text"])
                    said.append(Said("system", tagged[1]) if tagged else Said(role, block["text"].strip()))
                case "tool_use":
                    assert role == "assistant"
                    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", block["id"])
                    assert block["id"] not in ids, "an id twice in one conversation"
                    assert block["name"] in declared
                    assert isinstance(block["input"], dict)
                    ids.add(block["id"])
                    waiting[block["id"]] = len(said)
                    said.append(Said("call", block["name"]))
                case "image":
                    assert role == "user"
                case kind:
                    assert role == "assistant"
                    assert kind in ("thinking", "redacted_thinking", "server_tool_use")
                    assert kind != "thinking" or block["signature"]
        before = role
    assert not waiting, "a call was never answered"
    assert before is not None
    if before == "assistant":
        last = turns[-1]["content"]
        last_block = {"type": "text", "text": last} if isinstance(last, str) else last[-1]
        assert prefill or last_block["type"] == "server_tool_use", "the model does not continue a text"
        assert last_block.get("text", "") == last_block.get("text", "").rstrip(), "it ends in white space"
    return said


def _texts(content: str | list[Any]) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    return [block["text"] for block in content if block["type"] == "text"]
