"""Text, and the framing around it."""

from nexus3.wire.events import INFERRED_FINISH, UNKNOWN_CONTENT, ContentDelta, Notice, ResponseStarted, UsageUpdated
from nexus3.wire.messages import Usage
from tests.wire.openai_chat.build import DONE, chunk, sse
from tests.wire.openai_chat.vectors.vector import HELLO, SAID, START, STOP, Ends, Fails, Vector, usage

TEXT: list[Vector] = [
    Vector(
        "1 plain text with usage",
        sse(*SAID, STOP, {"id": "c1", "model": "m1", "choices": [], "usage": usage()}, DONE),
        [*HELLO, UsageUpdated(Usage(input_tokens=5, output_tokens=7))],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=7)),
    ),
    Vector(
        "7 comments before the data",
        b": OPENROUTER PROCESSING\n\n" * 20 + sse(*SAID, STOP, DONE),
        HELLO,
        Ends("stop", "stop"),
        "openrouter",
    ),
    Vector(
        "14 a clean end without a marker",
        sse(*SAID),
        HELLO,
        Fails("protocol", "stream_truncated", True),
    ),
    Vector("14 a clean end before any content", sse(SAID[0]), [], Fails("protocol", "stream_truncated", True)),
    Vector(
        "15 no reason but an end marker",
        sse(*SAID, DONE),
        [*HELLO, Notice(INFERRED_FINISH, "the provider ended its answer without a reason: taken as stop")],
        Ends("stop", None),
        "ollama",
    ),
    Vector(
        "16 Azure's prologue without id and model",
        sse({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, *SAID, STOP, DONE),
        HELLO,
        Ends("stop", "stop"),
        "azure",
    ),
    Vector("17 length", sse(*SAID, chunk(finish="length"), DONE), HELLO, Ends("length", "length")),
    Vector("no end marker behind the reason", sse(*SAID, STOP), HELLO, Ends("stop", "stop")),
    Vector(
        "length with nothing said: all went into reasoning",
        sse(SAID[0], chunk(finish="length"), DONE),
        [START],
        Ends("length", "length"),
    ),
    Vector("37 CRLF", sse(*SAID, STOP, DONE).replace(b"\n", b"\r\n"), HELLO, Ends("stop", "stop")),
    Vector("37 bare CR", sse(*SAID, STOP, DONE).replace(b"\n", b"\r"), HELLO, Ends("stop", "stop")),
    Vector("38 a byte order mark", b"\xef\xbb\xbf" + sse(*SAID, STOP, DONE), HELLO, Ends("stop", "stop")),
    Vector(
        "39 no blank behind the colon",
        sse(*SAID, STOP, DONE).replace(b"data: ", b"data:"),
        HELLO,
        Ends("stop", "stop"),
    ),
    Vector(
        "39 data over two lines",
        sse(*SAID, STOP, DONE).replace(b', "model"', b',\ndata:  "model"'),
        HELLO,
        Ends("stop", "stop"),
    ),
    Vector(
        "40 characters that end a line elsewhere, and an emoji",
        'data: {"choices": [{"delta": {"content": "a\u2028b\u0085😀"}, "finish_reason": "stop"}]}\n\n'.encode(),
        [ResponseStarted(None, None, "req-1"), ContentDelta("a\u2028b\u0085😀")],
        Ends("stop", "stop"),
    ),
    Vector(
        "half an emoji, and bytes that are no UTF-8",
        b'data: {"choices": [{"delta": {"content": "a\\ud83d"}}]}\n\n'
        b'data: {"choices": [{"delta": {"content": "b\xff"}, "finish_reason": "stop"}]}\n\n',
        [ResponseStarted(None, None, "req-1"), ContentDelta("a\ufffd"), ContentDelta("b\ufffd")],
        Ends("stop", "stop"),
    ),
    Vector(
        "64 choices null in the middle",
        sse(*SAID[:2], {"id": "c1", "choices": None}, SAID[2], STOP, DONE),
        HELLO,
        Ends("stop", "stop"),
    ),
    Vector(
        "64 choices null and nothing else",
        sse({"id": "c1", "choices": None}, DONE),
        [],
        Fails("protocol", "empty_response", True),
    ),
    Vector("nothing at all", b"", [], Fails("protocol", "empty_response", True)),
    Vector("nothing but comments", b": ping\n\n: ping\n\n", [], Fails("protocol", "empty_response", True)),
    Vector("nothing but the end marker", sse(DONE), [], Fails("protocol", "empty_response", True)),
    Vector(
        "76 a second choice",
        sse(
            *SAID[:2],
            {"choices": [{"index": 1, "delta": {"content": "No"}, "finish_reason": "stop"}]},
            SAID[2],
            STOP,
            DONE,
        ),
        HELLO,
        Ends("stop", "stop"),
    ),
    Vector(
        "the one choice has an odd index",
        sse(*SAID, STOP, DONE).replace(b'"index": 0', b'"index": 3'),
        HELLO,
        Ends("stop", "stop"),
    ),
    Vector(
        "every piece is numbered as another choice",
        sse(
            {"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]},
            {"choices": [{"index": 1, "delta": {"content": "lo"}, "finish_reason": "stop"}]},
            DONE,
        ),
        [ResponseStarted(None, None, "req-1"), ContentDelta("Hel")],
        Fails("protocol", "choice_index", False),
    ),
    Vector(
        "message instead of delta",
        sse({"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}),
        [ResponseStarted(None, None, "req-1"), ContentDelta("Hi")],
        Ends("stop", "stop"),
    ),
    Vector(
        "Perplexity: all so far as message, beside the delta",
        sse(
            {"choices": [{"delta": {"content": "Hel"}, "message": {"content": "Hel"}}]},
            {"choices": [{"delta": {"content": "lo"}, "message": {"content": "Hello"}, "finish_reason": "stop"}]},
        ),
        [ResponseStarted(None, None, "req-1"), *HELLO[1:]],
        Ends("stop", "stop"),
    ),
    Vector(
        "an unknown reason",
        sse(*SAID, chunk(finish="vibes"), DONE),
        HELLO,
        Ends("unknown", "vibes"),
    ),
    Vector(
        "reasons in other words",
        sse(*SAID, chunk(finish="MODEL_LENGTH"), DONE),
        HELLO,
        Ends("length", "MODEL_LENGTH"),
    ),
    Vector(
        "z.ai's context overflow",
        sse(*SAID, chunk(finish="model_context_window_exceeded"), DONE),
        HELLO,
        Ends("context_window", "model_context_window_exceeded"),
    ),
    Vector(
        "46 refusal",
        sse(
            chunk({"role": "assistant", "content": None, "refusal": ""}),
            chunk({"refusal": "I can"}),
            chunk({"refusal": "not."}),
            STOP,
            DONE,
        ),
        [START, ContentDelta("I can", refusal=True), ContentDelta("not.", refusal=True)],
        Ends("refusal", "stop"),
        "openai",
    ),
    Vector(
        "a refusal that was filtered",
        sse(chunk({"refusal": "I can"}), chunk(finish="content_filter"), DONE),
        [START, ContentDelta("I can", refusal=True)],
        Ends("content_filter", "content_filter"),
        "azure",
    ),
    Vector(
        "content as a list of parts",
        sse(chunk({"content": [{"type": "text", "text": "Hel"}, "lo"]}), STOP, DONE),
        [START, ContentDelta("Hello")],
        Ends("stop", "stop"),
    ),
    Vector(
        "a part of a type unknown here",
        sse(
            chunk({"content": [{"type": "text", "text": "See"}, {"type": "reference", "reference_ids": [1]}]}),
            STOP,
            DONE,
        ),
        [
            START,
            ContentDelta("See"),
            Notice(UNKNOWN_CONTENT, "images or other parts arrived: kept raw in the message's blocks"),
        ],
        Ends("stop", "stop"),
    ),
]
