"""OpenAI's dict shapes for messages, parts, tools and tool choice, read as ours.

Users come with these dicts from everywhere. Each function takes whatever was given and returns it in our shape;
what it does not recognise is returned unchanged, for the model's validation to refuse with a path.
"""

from collections.abc import Mapping

_MEDIA_OF_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def message(value: object) -> object:
    """A chat message: ``tool_calls`` are read by :func:`tool_call`, ``content: null`` as empty text."""
    if not isinstance(value, Mapping):
        return value
    ours = dict(value)
    if ours.get("content", "") is None:
        ours["content"] = ""
    if ours.get("tool_calls", ()) is None:
        ours["tool_calls"] = ()
    # What a reply of the chat API carries beside the turn itself; none of it can be sent back.
    for key in ("annotations", "audio", "function_call"):
        if key in ours and not ours[key]:
            del ours[key]
    reasoning = ours.pop("reasoning_content", None)
    if isinstance(reasoning, str) and "reasoning" not in ours:
        ours["reasoning"] = reasoning
    if isinstance(ours.get("reasoning"), str):
        ours["reasoning"] = ({"text": ours["reasoning"]},) if ours["reasoning"] else ()
    return ours


def content(value: object) -> object:
    """Message content: a list of parts has each part read by :func:`part`."""
    if isinstance(value, list | tuple):
        return tuple(part(item) for item in value)
    return value


def part(value: object) -> object:
    """``image_url``, ``input_audio``, ``file`` and bare strings."""
    if isinstance(value, str):
        return {"type": "text", "text": value}
    if not isinstance(value, Mapping):
        return value
    match value:
        case {"type": "image_url", "image_url": str(url)}:
            return {"type": "image", "url": url}
        case {"type": "image_url", "image_url": {"url": url, **rest}}:
            return {"type": "image", "url": url, **({"detail": rest["detail"]} if rest.get("detail") else {})}
        case {"type": "input_audio", "input_audio": {"data": data, "format": str(name)}}:
            return {"type": "file", "data": data, "media_type": _MEDIA_OF_AUDIO.get(name, f"audio/{name}")}
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            source = {"url": data} if data.startswith(("data:", "https:", "http:")) else {"data": data}
            return {"type": "file", **source, **({"filename": rest["filename"]} if rest.get("filename") else {})}
        case {"type": "file", "file": {"file_id": file_id}}:
            return {"type": "file", "file_id": file_id}
        case {"type": "text", "cache_control": {"type": "ephemeral", **rest}, **others}:
            return {"type": "text", **others, "cache": rest.get("ttl") or "default"}
        case _:
            return value


def tool_call(value: object) -> object:
    """``{"id", "type": "function", "function": {"name", "arguments"}}``."""
    match value:
        case {"function": {"name": name, **function}, **rest}:
            arguments = function.get("arguments")
            given = {"raw_arguments": arguments} if isinstance(arguments, str) else {"arguments": arguments}
            return {"id": rest.get("id") or "", "name": name, **given}
        case _:
            return value


def tool(value: object) -> object:
    """``{"type": "function", "function": {"name", "description", "parameters", "strict"}}``."""
    match value:
        case {"type": "function", "function": Mapping() as function}:
            return {key: item for key, item in function.items() if item is not None}
        case _:
            return value


def tool_choice(value: object) -> object:
    """``{"type": "function", "function": {"name"}}`` is the tool's name."""
    match value:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case {"type": "function", "name": str(name)}:
            return name
        case _:
            return value


def output_schema(value: object) -> object:
    """``response_format``: ``json_schema`` and ``json_object``; a bare JSON schema is taken as the schema."""
    match value:
        case {"type": "json_schema", "json_schema": Mapping() as inner}:
            return {key: item for key, item in inner.items() if item is not None}
        case {"type": "json_object"}:
            return {"schema": None}
        case {"schema": _}:
            return value
        case Mapping():
            return {"schema": dict(value)}
        case _:
            return value
