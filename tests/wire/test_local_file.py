"""Images and files of this machine, as parts that both dialects spell."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from nexus3.wire import local_file
from nexus3.wire.catalog import ProviderTypeName
from nexus3.wire.codecs import anthropic_messages, openai_chat
from nexus3.wire.messages import FilePart, ImagePart, Message, Role, TextPart
from nexus3.wire.requests import CompletionRequest
from tests.wire.anthropic_messages.helpers import a_target
from tests.wire.openai_chat.build import target

PNG = b"\x89PNG\r\n\x1a\n"


def write(folder: Path, name: str, data: bytes = PNG) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_an_image_is_what_its_suffix_says(tmp_path: Path) -> None:
    assert ImagePart.from_path(write(tmp_path, "a.PNG")) == ImagePart(data=PNG, media_type="image/png")
    assert ImagePart.from_path(str(write(tmp_path, "a.jpeg"))).media_type == "image/jpeg"
    assert ImagePart.from_path(write(tmp_path, "a"), media_type="image/webp", cache="5m") == ImagePart(
        data=PNG, media_type="image/webp", cache="5m"
    )


def test_a_file_keeps_its_name_and_not_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "report.pdf", b"%PDF-1.7")
    assert FilePart.from_path(path) == FilePart(data=b"%PDF-1.7", media_type="application/pdf", filename="report.pdf")


def test_what_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        ImagePart.from_path(tmp_path / "missing.png")
    with pytest.raises(ValueError, match=r"'a\.xyz': the suffix '\.xyz' says nothing of what it is; give media_type"):
        FilePart.from_path(write(tmp_path, "a.xyz"))
    monkeypatch.setattr(local_file, "MAX_FILE_BYTES", 1 << 20)
    assert ImagePart.from_path(write(tmp_path, "most.png", b"x" * (1 << 20))).data == b"x" * (1 << 20)
    with pytest.raises(ValueError, match=r"'more\.png' is larger than 1 MiB; give a URL or a provider's file id"):
        ImagePart.from_path(write(tmp_path, "more.png", b"x" * ((1 << 20) + 1)))


def test_a_message_that_came_as_data_names_no_file_of_this_machine(tmp_path: Path) -> None:
    part = {"type": "image", "path": str(write(tmp_path, "a.png"))}
    with pytest.raises(ValidationError, match="path"):
        Message.model_validate({"role": "user", "content": [part]})


def spelled(name: ProviderTypeName, message: Message) -> object:
    """The content as it goes over the wire."""
    codec, where = (anthropic_messages, a_target()) if name == "anthropic" else (openai_chat, target(name))
    request = CompletionRequest(messages=(message,), prompt_caching=False)
    return json.loads(codec.encode(request, where, stream=True).body)["messages"][0]["content"]


def test_both_dialects_take_a_file_by_path_by_bytes_and_by_url(tmp_path: Path) -> None:
    image = write(tmp_path, "a.png")
    message = Message(
        role=Role.USER,
        content=(
            TextPart(text="Which one?"),
            ImagePart.from_path(image),
            ImagePart(data=PNG, media_type="image/png"),
            ImagePart(url="https://example.test/a.png"),
            FilePart.from_path(write(tmp_path, "b.pdf", b"%PDF-1.7")),
        ),
    )
    encoded = "iVBORw0KGgo="
    assert spelled("openai", message) == [
        {"type": "text", "text": "Which one?"},
        *[{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}] * 2,
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjc="}},
    ]
    assert spelled("anthropic", message) == [
        {"type": "text", "text": "Which one?"},
        *[{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded}}] * 2,
        {"type": "image", "source": {"type": "url", "url": "https://example.test/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjc="},
            "title": "b.pdf",
        },
    ]
