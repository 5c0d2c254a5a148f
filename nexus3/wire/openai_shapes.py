"""OpenAI's dict shapes for messages, parts, tools and tool choice, read as ours.

Users come with these dicts from everywhere. Each function takes whatever was given and returns it in our shape;
what it does not recognise is returned unchanged, for the model's validation to refuse with a path.
"""

from collections.abc import Mapping

# Asked of every message: dict before the abstract class, which is slow to ask, and no union made anew each time.
_OBJECT = (dict, Mapping)
_LIST = (list, tuple)

_RENAMED = frozenset({"audio", "function_call", "reasoning", "reasoning_content", "reasoning_details"})
_MEDIA_OF_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def message(value: object) -> object:
    """A chat message, as sent or as received: ``null`` is unset, refusals and reasoning go where ours are."""
    if not isinstance(value, _OBJECT):
        return value
    # Dumps of a reply name every field; citations belong to the reply and cannot be sent back.
    ours = {key: item for key, item in value.items() if item is not None and key != "annotations"}
    parts = ours.get("content")
    if isinstance(parts, _LIST):
        refusals = [part["refusal"] for part in parts if _is_refusal(part)]
        if refusals:
            ours["content"] = [part for part in parts if not _is_refusal(part)]
            ours.setdefault("refusal", "".join(refusals))
    if _RENAMED.isdisjoint(ours):
        return ours
    for key in ("audio", "function_call"):
        if key in ours and not ours[key]:
            del ours[key]
    text = ours.pop("reasoning_content", None)
    if isinstance(text, str):
        ours.setdefault("reasoning", text)
    if isinstance(ours.get("reasoning"), str):
        ours["reasoning"] = ({"text": ours["reasoning"]},) if ours["reasoning"] else ()
    details = ours.pop("reasoning_details", None)
    if isinstance(details, list | tuple) and details:
        ours["reasoning"] = tuple(_reasoning_detail(detail) for detail in details)
    return ours


def _is_refusal(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "refusal" and isinstance(part.get("refusal"), str)


def _reasoning_detail(value: object) -> object:
    """OpenRouter's: text or a summary, perhaps with a signature, or encrypted data."""
    if not isinstance(value, Mapping):
        return value
    known = {key: value[key] for key in ("signature", "data") if value.get(key) is not None}
    return {"text": value.get("text") or value.get("summary") or "", **known, "raw": dict(value)}


def content(value: object) -> object:
    """Message content: a list of parts has each part read by :func:`part`."""
    return tuple(part(item) for item in value) if isinstance(value, _LIST) else value


def part(value: object) -> object:
    """``image_url``, ``input_audio``, ``file`` and bare strings; ``cache_control`` on any of them."""
    if isinstance(value, str):
        return {"type": "text", "text": value}
    if not isinstance(value, Mapping):
        return value
    mark, unmarked = _cache_mark(value)
    match unmarked:
        case {"type": "image_url", "image_url": str(url)}:
            return {"type": "image", "url": url, **mark}
        case {"type": "image_url", "image_url": {"url": url, **rest}}:
            return {"type": "image", "url": url, **({"detail": rest["detail"]} if rest.get("detail") else {}), **mark}
        case {"type": "input_audio", "input_audio": {"data": data, "format": str(name)}}:
            return {"type": "file", "data": data, "media_type": _MEDIA_OF_AUDIO.get(name, f"audio/{name}"), **mark}
        case {"type": "file", "file": {"file_data": str(data), **rest}}:
            source = {"url": data} if data.startswith(("data:", "https:", "http:")) else {"data": data}
            return {
                "type": "file",
                **source,
                **({"filename": rest["filename"]} if rest.get("filename") else {}),
                **mark,
            }
        case {"type": "file", "file": {"file_id": file_id}}:
            return {"type": "file", "file_id": file_id, **mark}
        case _:
            return {**unmarked, **mark}


def _cache_mark(value: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """``cache_control`` as our ``cache``, and the rest."""
    rest = {key: item for key, item in value.items() if key != "cache_control"}
    match value.get("cache_control"):
        case {"type": "ephemeral", **options}:
            return {"cache": options.get("ttl") or "default"}, rest
        case None:
            return {}, rest
        case unknown:
            return {"cache": unknown}, rest


def tool_call(value: object) -> object:
    """``{"id", "type": "function", "function": {"name", "arguments"}}``, with what the provider attached to it."""
    match value:
        case {"function": {"name": name, **function}, **rest}:
            arguments = function.get("arguments")
            given = {"raw_arguments": arguments} if isinstance(arguments, str) else {"arguments": arguments}
            attached = {key: rest[key] for key in ("extra_content",) if rest.get(key) is not None}
            return {"id": rest.get("id") or "", "name": name, **given, **({"extra": attached} if attached else {})}
        case _:
            return value


def tool(value: object) -> object:
    """``{"type": "function", "function": {"name", "description", "parameters", "strict"}}``, or flat without it."""
    if not isinstance(value, Mapping) or value.get("type") != "function":
        return value
    function = value.get("function")
    if isinstance(function, Mapping):
        mark, _ = _cache_mark(value)
        ours = dict(function)
    else:
        mark, ours = _cache_mark(value)
        del ours["type"]
    return {key: item for key, item in ours.items() if item is not None} | mark


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
    """``response_format``: ``json_schema``, ``json_object`` and ``text``; a bare JSON schema is taken as the schema."""
    match value:
        case {"type": "json_schema", "json_schema": Mapping() as inner}:
            return {key: item for key, item in inner.items() if item is not None}
        case {"type": "json_object"}:
            return {"schema": None}
        case {"type": "text", **rest} if not rest:
            return None
        case {"schema": _}:
            return value
        case Mapping():
            return {"schema": dict(value)}
        case _:
            return value
