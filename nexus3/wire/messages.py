"""Messages, their parts, tool calls and usage: the nouns that requests and events share.

All are frozen. ``None`` always means "not known" or "not said", never zero.
"""

import base64
import binascii
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    field_validator,
    model_validator,
)

from nexus3.wire import openai_shapes
from nexus3.wire.local_file import read_local_file

JsonObject = dict[str, JsonValue]
"""A JSON object as plain Python data."""


class Frozen(BaseModel):
    """What all our pydantic models share: immutable, unknown keys refused, bytes as base64 in JSON."""

    # The schema is built at the first use of a model: building all of them is a third of what the import would cost.
    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", defer_build=True
    )


class Role(StrEnum):
    """Who speaks. ``developer`` is what newer OpenAI models call ``system``; the codecs translate."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


CacheMark = Literal["default", "5m", "1h"]
"""How long a provider shall keep the prompt up to and including a marked part; ``default`` is the provider's own."""


class TextPart(Frozen):
    """Text. ``cache`` marks the end of a prefix worth caching, where the provider takes such marks."""

    type: Literal["text"] = "text"
    text: str
    cache: CacheMark | None = None


class _Binary(Frozen):
    """Bytes, a URL, or the id of a file the provider already has: exactly one of them."""

    data: bytes | None = None
    url: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    cache: CacheMark | None = None

    @model_validator(mode="before")
    @classmethod
    def _unpack_data_url(cls, value: object) -> object:
        """``data:image/png;base64,...`` becomes bytes and a media type, so that every codec sees one form."""
        if not isinstance(value, dict):
            return value
        url = value.get("url")
        if not (isinstance(url, str) and url[:5].lower() == "data:"):
            return value
        head, _, payload = url[5:].partition(",")
        media_type, *flags = head.split(";")
        if "base64" not in flags:
            raise ValueError("a data: URL must be base64")
        try:
            data = base64.b64decode(payload, validate=True)
        except binascii.Error:
            raise ValueError("a data: URL holds broken base64") from None
        rest = {key: item for key, item in value.items() if key != "url"}
        return {"media_type": media_type or None, **rest, "data": data}

    @field_validator("data", mode="before")
    @classmethod
    def _decode_text(cls, value: object) -> object:
        """Text given for bytes is base64, as every provider spells it."""
        if isinstance(value, str):
            try:
                return base64.b64decode(value, validate=True)
            except binascii.Error:
                raise ValueError("data given as text must be base64") from None
        return value

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        given = [name for name in ("data", "url", "file_id") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of data, url, file_id; got {', '.join(given) or 'none'}")
        return self

    @property
    def base64(self) -> str:
        """The bytes as base64 text without a ``data:`` prefix; empty where this part has no bytes."""
        return base64.b64encode(self.data or b"").decode("ascii")


class ImagePart(_Binary):
    """An image by bytes (with ``media_type``), by URL (``https:`` or ``data:``), or by a provider's file id."""

    type: Literal["image"] = "image"
    detail: Literal["auto", "low", "high"] | None = None

    @classmethod
    def from_path(cls, path: str | Path, *, media_type: str | None = None, cache: CacheMark | None = None) -> Self:
        """The image in a file, read now; see :func:`nexus3.wire.local_file.read_local_file` for what is raised."""
        data, media_type = read_local_file(path, media_type)
        return cls(data=data, media_type=media_type, cache=cache)

    @model_validator(mode="after")
    def _bytes_need_a_type(self) -> Self:
        if self.data is not None and self.media_type is None:
            raise ValueError("an image given as bytes needs media_type, for example image/png")
        return self


class FilePart(_Binary):
    """A document or a sound (``media_type`` audio/wav, audio/mpeg) by bytes, URL or a provider's file id."""

    type: Literal["file"] = "file"
    filename: str | None = None
    title: str | None = None

    @classmethod
    def from_path(cls, path: str | Path, *, media_type: str | None = None, cache: CacheMark | None = None) -> Self:
        """The file under its own name, read now; see :func:`nexus3.wire.local_file.read_local_file`."""
        data, media_type = read_local_file(path, media_type)
        return cls(data=data, media_type=media_type, filename=Path(path).name, cache=cache)


Part = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]


class Origin(Frozen):
    """Where reasoning or raw blocks came from: they are replayed to the same dialect and model family only."""

    dialect: str
    provider: str
    """The provider type, e.g. ``openrouter``; not a configured name."""
    model: str
    field: str | None = None
    """The wire field it arrived in (``reasoning``, ``reasoning_content``, ...): it goes back in the same one."""


class ReasoningBlock(Frozen):
    """One block of a model's reasoning, as it must be sent back.

    ``signature`` proves the text to the provider that wrote it; ``data`` is a redacted block, opaque by design.
    A foreign signature is never sent: codecs drop blocks whose ``origin`` is not theirs.
    """

    text: str = ""
    signature: str | None = None
    data: str | None = None
    origin: Origin | None = None
    raw: JsonObject | None = None
    """The provider's own object, replayed unmodified where it wants that (OpenRouter's ``reasoning_details``)."""


class ToolCall(Frozen):
    """A tool call of the model.

    ``arguments`` is the parsed object; ``{}`` for blank text; ``None`` where the text is not a JSON object (cut off,
    or not JSON): then ``raw_arguments`` has what arrived. Give either; the other one follows.
    """

    id: str
    name: str
    arguments: JsonObject | None = None
    raw_arguments: str = ""
    extra: JsonObject = Field(default_factory=dict)
    """What the provider attached to the call and wants back (Google's thought signatures)."""

    @model_validator(mode="before")
    @classmethod
    def _complete_the_pair(cls, value: object) -> object:
        value = openai_shapes.tool_call(value)
        if not isinstance(value, Mapping):
            return value
        given = dict(value)
        arguments, raw = given.get("arguments"), given.get("raw_arguments")
        if raw is None and isinstance(arguments, str):
            arguments, raw = None, arguments
            given |= {"arguments": None, "raw_arguments": raw}
        if raw is None and isinstance(arguments, Mapping):
            try:
                given["raw_arguments"] = msgspec.json.encode(arguments).decode()
            except TypeError:
                return given  # not JSON: the field's own type refuses it, and names the place
        elif arguments is None and (raw is None or isinstance(raw, str)):
            given["arguments"] = parse_arguments(raw or "")
        return given


def parse_arguments(text: str) -> JsonObject | None:
    """The JSON object in ``text``; ``{}`` for blank text; ``None`` for anything else."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None


def _form_of_content(value: object) -> str:
    return "parts" if isinstance(value, (tuple, list)) else "text"


# Told apart by hand, so that a bad part is one complaint that names its place, not also "should be a string".
Content = Annotated[
    Annotated[str, Tag("text")] | Annotated[tuple[Part, ...], Tag("parts")],
    Discriminator(_form_of_content),
    BeforeValidator(openai_shapes.content),
]


class Message(Frozen):
    """One turn. Give ``content`` as text or as parts; a reply's content is always text.

    ``tool_call_id`` (and ``is_error``) belong to role ``tool``; ``tool_calls`` and ``reasoning`` to ``assistant``.
    """

    role: Role
    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False
    reasoning: tuple[ReasoningBlock, ...] = ()
    refusal: str | None = None
    """What a model said instead of answering, where the provider keeps it apart from the content."""
    blocks: tuple[JsonObject, ...] = ()
    """The provider's content blocks verbatim and in order, kept only where the fields above cannot rebuild them
    (citations, server tools, unknown types, interleaved reasoning). Replayed to ``origin`` only."""
    origin: Origin | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, value: object) -> object:
        return value if isinstance(value, cls) else openai_shapes.message(value)

    @property
    def text(self) -> str:
        """The text of the content, parts joined without separator."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request. Every field is ``None`` where the provider said nothing."""

    input_tokens: int | None = None
    """All input, cache reads and writes included."""
    output_tokens: int | None = None
    """All output, reasoning included."""
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    """In US dollars: as the provider states it; else, on the terminal event, where prices are configured or capped."""
