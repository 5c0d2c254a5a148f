"""Token counts and reasoning text, wherever servers put them."""

from nexus3.wire.events import ContentDelta, ReasoningDelta, UsageUpdated
from nexus3.wire.messages import Usage
from tests.wire.openai_chat.build import DONE, chunk, sse
from tests.wire.openai_chat.vectors.vector import HELLO, SAID, START, STOP, Ends, Vector, usage

USAGE: list[Vector] = [
    Vector("27 no usage", sse(*SAID, STOP, DONE), HELLO, Ends("stop", "stop", None)),
    Vector(
        "62 usage so far on every chunk",
        sse(
            chunk({"content": "Hel"}, usage=usage(5, 1)),
            chunk({"content": "lo"}, usage=usage(5, 2)),
            chunk(finish="stop", usage=usage(5, 2)),
            DONE,
        ),
        [
            START,
            ContentDelta("Hel"),
            UsageUpdated(Usage(input_tokens=5, output_tokens=1)),
            ContentDelta("lo"),
            UsageUpdated(Usage(input_tokens=5, output_tokens=2)),
        ],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=2)),
    ),
    Vector(
        "63 DeepSeek: usage with the reason, the cache by its own name",
        sse(*SAID, chunk(finish="stop", usage=usage() | {"prompt_cache_hit_tokens": 3}), DONE),
        [*HELLO, UsageUpdated(Usage(input_tokens=5, output_tokens=7, cache_read_tokens=3))],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=7, cache_read_tokens=3)),
    ),
    Vector(
        "Moonshot: usage inside the choice",
        sse(*SAID, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage()}]}, DONE),
        [*HELLO, UsageUpdated(Usage(input_tokens=5, output_tokens=7))],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=7)),
    ),
    Vector(
        "usage before the content is held back",
        sse(chunk({"role": "assistant"}, usage=usage(5, 1)), *SAID, STOP, DONE),
        [START, UsageUpdated(Usage(input_tokens=5, output_tokens=1)), *HELLO[1:]],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=1)),
    ),
    Vector(
        "zeros before the end are no usage",
        sse(*(one | {"usage": usage(0, 0)} for one in SAID), STOP, DONE),
        HELLO,
        Ends("stop", "stop", None),
    ),
    Vector(
        "xAI: reasoning beside completion_tokens, by the total",
        sse(
            *SAID,
            chunk(
                finish="stop",
                usage={
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                    "total_tokens": 42,
                    "completion_tokens_details": {"reasoning_tokens": 30},
                },
            ),
        ),
        [*HELLO, UsageUpdated(Usage(input_tokens=10, output_tokens=32, reasoning_tokens=30))],
        Ends("stop", "stop", Usage(input_tokens=10, output_tokens=32, reasoning_tokens=30)),
    ),
    Vector(
        "Perplexity: cost as an object",
        sse(*SAID, chunk(finish="stop", usage=usage() | {"cost": {"total_cost": 0.5}})),
        [*HELLO, UsageUpdated(Usage(input_tokens=5, output_tokens=7, cost=0.5))],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=7, cost=0.5)),
    ),
    Vector(
        "counts as text and as floats",
        sse(*SAID, chunk(finish="stop", usage={"prompt_tokens": "5", "completion_tokens": 7.0, "total_tokens": True})),
        [*HELLO, UsageUpdated(Usage(input_tokens=5, output_tokens=7))],
        Ends("stop", "stop", Usage(input_tokens=5, output_tokens=7)),
    ),
]

REASONING: list[Vector] = [
    Vector(
        "21 reasoning_content, then content",
        sse(chunk({"reasoning_content": "Think"}), *SAID, STOP, DONE),
        [START, ReasoningDelta("Think"), *HELLO[1:]],
        Ends("stop", "stop"),
    ),
    Vector(
        "22 the same reasoning in two fields",
        sse(chunk({"reasoning": "Think", "reasoning_content": "Think"}), *SAID, STOP, DONE),
        [START, ReasoningDelta("Think"), *HELLO[1:]],
        Ends("stop", "stop"),
    ),
    Vector(
        "reasoning and content in one chunk",
        sse(chunk({"content": "A", "reasoning": "R"}), STOP, DONE),
        [START, ReasoningDelta("R"), ContentDelta("A")],
        Ends("stop", "stop"),
        "ollama",
    ),
    Vector(
        "Mistral: thinking parts in the content",
        sse(
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
            chunk(
                {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "."}]},
                        {"type": "text", "text": "A"},
                    ]
                }
            ),
            chunk({"content": "B"}, "stop"),
            DONE,
        ),
        [START, ReasoningDelta("Hm"), ReasoningDelta("."), ContentDelta("A"), ContentDelta("B")],
        Ends("stop", "stop"),
    ),
]
