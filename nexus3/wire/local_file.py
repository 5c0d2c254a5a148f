"""Files of this machine as parts of a message: their bytes, within a limit, and their media type by suffix.

Only code names a path. A ``path`` among the keys of a part would let a message from elsewhere (a history that a user
sent as JSON) read this machine's files and send them to a provider.
"""

from pathlib import Path

MAX_FILE_BYTES = 20 << 20
"""Base64 makes 27 MiB of it, which leaves room for a conversation within a request's default limit of 32 MiB."""

# A table of our own, since the standard library's differs by machine: it reads the system's lists.
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".md": "text/markdown",
    ".mp3": "audio/mpeg",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webp": "image/webp",
}
"""What the codecs have a block for, by suffix."""


def read_local_file(path: str | Path, media_type: str | None) -> tuple[bytes, str]:
    """The file's bytes and media type. Blocks while it reads, and never reads more than the limit.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger than :data:`MAX_FILE_BYTES`, or its suffix says nothing and no ``media_type`` is given.
    """
    path = Path(path)
    media_type = media_type or MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise ValueError(f"{path.name!r}: the suffix {path.suffix!r} says nothing of what it is; give media_type")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{path.name!r} is larger than {MAX_FILE_BYTES >> 20} MiB; give a URL or a provider's file id")
    return data, media_type
