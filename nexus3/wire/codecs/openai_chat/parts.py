"""Spells the parts of a message: text, images, sounds, documents."""

from collections.abc import Sequence

from nexus3.wire.catalog import Target
from nexus3.wire.codecs.openai_chat.notes import dropped
from nexus3.wire.events import Notice
from nexus3.wire.failures import ProviderError, error_of, fail
from nexus3.wire.messages import CacheMark, FilePart, ImagePart, Message, Part, TextPart

WireObject = dict[str, object]

_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


def unsupported(reason: str, message: str) -> ProviderError:
    """What this provider type cannot do, where leaving it out would change the meaning. ``message`` says the remedy."""
    return error_of(fail("unsupported", reason, message))


def cache_control(mark: CacheMark) -> WireObject:
    """The mark in Anthropic's form, which OpenRouter passes on."""
    return {"type": "ephemeral"} if mark == "default" else {"type": "ephemeral", "ttl": mark}


def takes_cache_marks(target: Target) -> bool:
    """Whether the server and the model know ``cache_control``."""
    match target.quirks.cache_marks:
        case "none":
            return False
        case "all":
            return True
        case "anthropic_models":
            model = target.model.lower().lstrip("~")
            return model.startswith("anthropic/") or "claude" in model


class Speller:
    """Spells content for one target. Cache marks that cannot be sent are left out with one notice."""

    def __init__(self, target: Target, notices: list[Notice]) -> None:
        self.takes_marks = takes_cache_marks(target)
        self._target = target
        self._notices = notices
        self._marks_dropped = False

    def drop_mark(self) -> None:
        """A cache mark cannot be sent."""
        if not self._marks_dropped:
            self._marks_dropped = True
            why = f"{self._target.type.name} takes none there for {self._target.model}"
            self._notices.append(dropped("a cache mark", why))

    def content(self, parts: str | Sequence[Part]) -> str | list[WireObject]:
        """Text where it is nothing but text, since every server and template takes that; else a list of parts."""
        if isinstance(parts, str):
            return parts
        wire = [self._part(part) for part in parts]
        if all(part.keys() == {"type", "text"} for part in wire):
            return "".join(str(part["text"]) for part in wire)
        return wire

    def text_content(self, message: Message) -> str | list[WireObject]:
        """Content for a role that may only have text."""
        content = message.content
        if not isinstance(content, str) and not all(isinstance(part, TextPart) for part in content):
            raise unsupported(
                f"{message.role}_media",
                f"the chat API takes only text in a message of role {message.role}: put images and files in a user's",
            )
        return self.content(content)

    def _part(self, part: Part) -> WireObject:
        match part:
            case TextPart():
                wire: WireObject = {"type": "text", "text": part.text}
                if part.cache is not None and self.takes_marks:
                    return wire | {"cache_control": cache_control(part.cache)}
            case ImagePart():
                wire = _image(part, self._target)
            case FilePart():
                wire = _file(part, self._target)
        if part.cache is not None:
            self.drop_mark()
        return wire


def parts_of(message: Message) -> tuple[Part, ...]:
    """The content as parts; none where it is empty."""
    if isinstance(message.content, str):
        return (TextPart(text=message.content),) if message.content else ()
    return message.content


def _image(part: ImagePart, target: Target) -> WireObject:
    name = target.type.name
    if part.file_id is not None:
        raise unsupported("image_file_id", "the chat API takes no file id for an image: give its bytes or a URL")
    if part.url is None:
        url = f"data:{part.media_type};base64,{part.base64}"
    elif target.quirks.remote_images:
        url = part.url
    else:
        raise unsupported("remote_images", f"{name} does not fetch images: give the bytes instead of a URL")
    return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}


def _file(part: FilePart, target: Target) -> WireObject:
    return _audio(part, target) if (part.media_type or "").startswith("audio/") else _document(part, target)


def _audio(part: FilePart, target: Target) -> WireObject:
    name = target.type.name
    media_type = part.media_type or ""
    if not target.quirks.audio:
        raise unsupported("audio", f"{name} takes no sound: send a transcript")
    if part.data is None:
        raise unsupported("audio_source", "the chat API takes sound only as bytes")
    form = _AUDIO_FORMATS.get(media_type)
    if form is None and target.type.name == "openrouter":  # it knows more of them, by the same short names
        form = media_type.removeprefix("audio/")
    if form is None:
        raise unsupported("audio_format", f"{name} takes sound as audio/wav or audio/mpeg, not {media_type}")
    return {"type": "input_audio", "input_audio": {"data": part.base64, "format": form}}


def _document(part: FilePart, target: Target) -> WireObject:
    name = target.type.name
    if not target.quirks.files:
        raise unsupported("files", f"{name} takes no files: send their text, or pages as images")
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id}}
    filename = part.filename or part.title or "document.pdf"
    if part.data is not None:
        # The API knows documents as PDF; whoever means another type says so.
        data = f"data:{part.media_type or 'application/pdf'};base64,{part.base64}"
    elif part.url is not None and target.type.name == "openrouter":
        data = part.url
    else:
        raise unsupported("file_url", f"{name} does not fetch files: give the bytes instead of a URL")
    return {"type": "file", "file": {"filename": filename, "file_data": data}}
