"""The parts of user messages and tool results as content blocks.

Raises ``unsupported`` for what the API has no block for: leaving it out would change what was asked.
"""

from collections.abc import Sequence
from typing import NoReturn

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.anthropic_messages.replay import Block, is_blank
from nexus3.wire.failures import error_of, fail
from nexus3.wire.messages import CacheMark, FilePart, ImagePart, Message, Part, TextPart

_IMAGES = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_PDF = "application/pdf"


def cache_control(mark: CacheMark) -> Block:
    return {"type": "ephemeral"} if mark == "default" else {"type": "ephemeral", "ttl": mark}


def blocks_of(content: str | Sequence[Part], target: Target) -> list[Block]:
    """The content's blocks, with ``cache_control`` where a part is marked. Blank text is left out: the API refuses it.

    Raises:
        ProviderError: ``unsupported`` for a part that this provider has no block for.
    """
    if isinstance(content, str):
        return [] if is_blank(content) else [{"type": "text", "text": content}]
    blocks: list[Block] = []
    for part in content:
        match part:
            case TextPart():
                if is_blank(part.text):
                    continue
                block: Block = {"type": "text", "text": part.text}
            case ImagePart():
                block = {"type": "image", "source": _image_source(part, target)}
            case FilePart():
                block = _file_block(part, target)
        if part.cache is not None:
            block["cache_control"] = cache_control(part.cache)
        blocks.append(block)
    return blocks


def names_files(message: Message) -> bool:
    """Whether the message names files by the provider's ids, which needs a beta header."""
    content = message.content
    return not isinstance(content, str) and any(getattr(part, "file_id", None) is not None for part in content)


def plain(blocks: list[Block]) -> str | list[Block]:
    """The shorter spelling of a content that is one text and nothing else."""
    if len(blocks) == 1 and len(block := blocks[0]) == 2 and block.get("type") == "text":
        text = block.get("text")
        if isinstance(text, str):
            return text
    return blocks


def _image_source(part: ImagePart | FilePart, target: Target) -> Block:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.url is not None:
        if not target.quirks.remote_images:
            _unsupported("remote_image", f"{target.provider} does not fetch images by URL; send the image's bytes.")
        return {"type": "url", "url": part.url}
    media_type = _IMAGES.get(part.media_type or "")
    if media_type is None:
        problem = f"{target.provider} takes images as JPEG, PNG, GIF or WebP, not {part.media_type}; convert the image."
        _unsupported("image_type", problem)
    return {"type": "base64", "media_type": media_type, "data": part.base64}


def _file_block(part: FilePart, target: Target) -> Block:
    media_type = part.media_type or (_PDF if _is_pdf(part) else None)
    if media_type in _IMAGES:
        return {"type": "image", "source": _image_source(part, target)}
    if media_type is not None and media_type.partition("/")[0] in ("audio", "video"):
        problem = f"{target.provider} takes no {media_type}; send a transcript as text, or use a model that hears."
        _unsupported("audio" if media_type.startswith("audio/") else "video", problem)
    if not target.quirks.files:
        _unsupported("file", f"{target.provider} takes no files; send the file's text in the message.")
    title = part.title or part.filename
    return {"type": "document", "source": _file_source(part, media_type, target), **({"title": title} if title else {})}


def _is_pdf(part: FilePart) -> bool:
    return (part.data or b"").startswith(b"%PDF-") or (part.filename or part.url or "").lower().endswith(".pdf")


def _file_source(part: FilePart, media_type: str | None, target: Target) -> Block:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if media_type == _PDF or (part.url is not None and media_type is None):
        if part.url is not None:
            return {"type": "url", "url": part.url}
        return {"type": "base64", "media_type": _PDF, "data": part.base64}
    if media_type is None or not media_type.startswith("text/") or part.data is None:
        what = media_type or "files without a media_type"
        _unsupported("file_type", f"{target.provider} takes PDF and plain text, not {what}; send its content as text.")
    try:
        return {"type": "text", "media_type": "text/plain", "data": part.data.decode()}
    except UnicodeDecodeError:
        _unsupported("file_type", f"The file {part.filename or media_type!r} is not UTF-8 text.")


def _unsupported(reason: str, message: str) -> NoReturn:
    raise error_of(fail("unsupported", reason, message))
