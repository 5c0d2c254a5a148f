"""What of an exchange is stored in a cassette, and what never: pure.

Headers are stored by an allow-list, so that no header anybody invents can carry a key into the file. In paths, in the
headers that are stored and in bodies, whatever ``redact`` finds is replaced. In a request's body that goes by name as
well: a field called ``authorization`` or ``api_key`` holds a key, whatever it looks like.

Taking something out leaves the JSON around it whole, and bodies without secrets as they were, to the byte. What a model
spells out over several events of a stream, no search in the text can find.
"""

from collections.abc import Callable, Mapping

import msgspec

from nexus3.loopback.recordings import Piece, Recording
from nexus3.wire.provider_text import REDACTED, is_secret_name

REQUEST_HEADERS = frozenset({"accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta"})

RESPONSE_HEADERS = frozenset(
    {
        "apim-request-id", "cf-ray", "content-encoding", "content-type", "date", "openai-processing-ms",
        "openai-version", "request-id", "retry-after", "retry-after-ms", "x-generation-id", "x-ms-request-id",
        "x-request-id", "x-should-retry",
    }
)  # fmt: skip
"""And those that begin with one of :data:`RATE_LIMIT_HEADERS`."""

RATE_LIMIT_HEADERS = ("anthropic-ratelimit-", "x-ratelimit-")

Redact = Callable[[str], str]


def cleaned(recording: Recording, redact: Redact) -> Recording:
    """The exchange as it may be stored."""
    request, answer = recording.request, recording.answer
    return Recording(
        number=recording.number,
        request=msgspec.structs.replace(
            request,
            path=redact(request.path.partition("?")[0]),
            headers=_headers(request.headers, redact, lambda name: name in REQUEST_HEADERS),
            body=_value(request.body, redact, by_name=True),
        ),
        answer=msgspec.structs.replace(
            answer,
            headers=_headers(
                answer.headers,
                redact,
                lambda name: name in RESPONSE_HEADERS or name.startswith(RATE_LIMIT_HEADERS),
            ),
            pieces=_pieces(answer.pieces, redact),
        ),
    )


def _headers(headers: Mapping[str, str], redact: Redact, is_kept: Callable[[str], bool]) -> dict[str, str]:
    return {name.lower(): redact(value) for name, value in headers.items() if is_kept(name.lower())}


def _value(value: object, redact: Redact, *, by_name: bool) -> object:
    """A JSON value with each of its texts redacted, names included."""
    match value:
        case str():
            return redact(value)
        case list():
            return [_value(item, redact, by_name=by_name) for item in value]
        case dict():
            return {
                redact(name): REDACTED
                if by_name and isinstance(item, str) and is_secret_name(name)
                else _value(item, redact, by_name=by_name)
                for name, item in value.items()
            }
        case _:
            return value


def _pieces(pieces: tuple[Piece, ...], redact: Redact) -> tuple[Piece, ...]:
    """Searched as a whole, for a secret may lie across pieces; then those from the first change to the last are one."""
    body = b"".join(piece.content for piece in pieces)
    text = body.decode("utf-8", "surrogateescape")
    clean = _text(text, redact).encode("utf-8", "surrogateescape")
    if clean == body:
        return pieces
    head = _common(body, clean)
    tail = _common(body[head:][::-1], clean[head:][::-1])
    before: list[Piece] = []
    after: list[Piece] = []
    changed_at = 0.0
    end = 0
    for piece in pieces:
        begin, end = end, end + len(piece.content)
        if end <= head:
            before.append(piece)
        elif begin >= len(body) - tail:
            after.append(piece)
        else:
            changed_at = piece.at  # of the last of them: before it came, the whole was not there
    kept = sum(len(piece.content) for piece in before), sum(len(piece.content) for piece in after)
    return (*before, Piece.of(changed_at, clean[kept[0] : len(clean) - kept[1]]), *after)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes they have in common at their beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _text(text: str, redact: Redact) -> str:
    """A body: one JSON document, or lines, some of which are JSON behind the ``data:`` of an event."""
    if redact(text) == text:
        return text
    whole = _document(text, redact)
    if whole is None:
        whole = "\n".join(_line(line, redact) for line in text.split("\n"))
    return redact(whole)  # what lay across lines, or across names and values


def _line(line: str, redact: Redact) -> str:
    if redact(line) == line:
        return line
    field, colon, value = line.partition(":")
    document = _document(value, redact) if colon and field == "data" else None
    return redact(line) if document is None else f"{field}: {document}{value[len(value.rstrip()) :]}"


def _document(text: str, redact: Redact) -> str | None:
    try:
        value = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return msgspec.json.encode(_value(value, redact, by_name=False)).decode()
