"""The answers that the server sends, as bytes: both dialects as their providers spell them. Pure.

Every text delta has 16 characters of text. A burst varies them, since some clients give up a model that repeats itself;
a paced event carries the time at which it was sent.
"""

from dataclasses import dataclass

_CHAT = (
    b'data: {"id":"chatcmpl-BxQ7vZk3mN8pLr2sTuWyAbCdEfGhI","object":"chat.completion.chunk","created":1751234567,'
    b'"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_62a23a81ef",'
    b'"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]}\n\n'
)
_REPLY = b"Hello! This is a short answer of one sentence, as an unstreamed one would be."

HEADERS = (
    b"Date: Mon, 01 Sep 2025 00:00:00 GMT\r\n"
    b"Connection: keep-alive\r\n"
    b"openai-organization: org-x\r\n"
    b"openai-processing-ms: 312\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-limit-tokens: 2000000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-remaining-tokens: 1999984\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\n"
    b"x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    b"Server: cloudflare\r\n"
    b"CF-RAY: 0123456789abcdef-AMS\r\n"
)
"""What providers send with an answer, in kind and number."""

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    + HEADERS
    + b"\r\n"
)


@dataclass(frozen=True)
class Dialect:
    """The pieces of one dialect's answers, each streamed piece one HTTP chunk."""

    before: bytes
    event: bytes
    """With ``%016d`` for the text."""
    after: bytes
    """To the end of the HTTP body."""
    whole: bytes
    """An unstreamed answer, head and body."""

    def delta(self, number: int) -> bytes:
        """One text delta, a whole HTTP chunk; its text is ``number`` in 16 digits."""
        return self.event % number


def _chunk(data: bytes, *, longer_by: int = 0) -> bytes:
    """``data`` as one HTTP chunk; ``longer_by`` what a placeholder in it will grow by."""
    return b"%x\r\n" % (len(data) + longer_by) + data.replace(b"%", b"%%" if longer_by else b"%") + b"\r\n"


def _delta(event: bytes, marker: bytes) -> bytes:
    return _chunk(event, longer_by=16 - len(marker)).replace(marker, b"%016d")


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return head + HEADERS + b"\r\n" + body


def _named(name: bytes, data: bytes) -> bytes:
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


_END = b"0\r\n\r\n"

OPENAI = Dialect(
    before=_chunk(_CHAT % (b'{"role":"assistant","content":"","refusal":null}', b"null")),
    event=_delta(_CHAT % (b'{"content":"@"}', b"null"), b"@"),
    after=_chunk(_CHAT % (b"{}", b'"stop"')) + _chunk(b"data: [DONE]\n\n") + _END,
    whole=_whole(
        b'{"id":"chatcmpl-BxQ7vZk3mN8pLr2sTuWyAbCdEfGhI","object":"chat.completion","created":1751234567,'
        b'"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"'
        + _REPLY
        + b'","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":19,'
        b'"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default"}'
    ),
)

ANTHROPIC = Dialect(
    before=_chunk(
        _named(
            b"message_start",
            b'{"type":"message_start","message":{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message",'
            b'"role":"assistant","model":"claude-sonnet-4-20250514","content":[],"stop_reason":null,'
            b'"stop_sequence":null,"usage":{"input_tokens":19,"cache_creation_input_tokens":0,'
            b'"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}',
        )
        + _named(
            b"content_block_start",
            b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        )
        + _named(b"ping", b'{"type": "ping"}')
    ),
    event=_delta(
        _named(
            b"content_block_delta",
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"@"}}',
        ),
        b"@",
    ),
    after=_chunk(
        _named(b"content_block_stop", b'{"type":"content_block_stop","index":0}')
        + _named(
            b"message_delta",
            b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
            b'"usage":{"output_tokens":15}}',
        )
        + _named(b"message_stop", b'{"type":"message_stop"}')
    )
    + _END,
    whole=_whole(
        b'{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant",'
        b'"model":"claude-sonnet-4-20250514","content":[{"type":"text","text":"'
        + _REPLY
        + b'"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":19,'
        b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":10,"service_tier":"standard"}}'
    ),
)
