"""How many tokens a request will take, before it is sent."""

import pytest

from nexus3.actors.gates.estimate import BINARY_CHARACTERS, Estimate, Estimator, characters
from nexus3.wire.messages import ImagePart, Message, ReasoningBlock, Role, TextPart, ToolCall, Usage
from nexus3.wire.requests import CompletionRequest, Tool


def test_the_first_guess_is_four_characters_a_token_and_max_tokens() -> None:
    assert Estimator().estimate(400, 1_000) == Estimate(
        input_tokens=100, uncached_tokens=100, output_tokens=1_000, most_output_tokens=1_000
    )
    assert Estimator().estimate(400, None).output_tokens == 512
    assert Estimator().estimate(0, 1).tokens == 2


def test_answers_teach_both_and_max_tokens_stays_the_most() -> None:
    estimator = Estimator()
    for output in (100, 300):
        estimator.learn(400, Usage(input_tokens=200, output_tokens=output))
    assert estimator.estimate(800, 1_000) == Estimate(
        input_tokens=400, uncached_tokens=400, output_tokens=203, most_output_tokens=1_000
    )
    assert estimator.estimate(800, 50).output_tokens == 50
    assert estimator.estimate(800, None).most_output_tokens == 203


def test_what_comes_from_the_cache_is_known_apart() -> None:
    estimator = Estimator()
    estimator.learn(4_000, Usage(input_tokens=1_000, output_tokens=1, cache_read_tokens=900))
    assert estimator.estimate(8_000, 1) == Estimate(
        input_tokens=2_000, uncached_tokens=200, output_tokens=1, most_output_tokens=1
    )


def test_what_a_provider_does_not_say_teaches_nothing() -> None:
    estimator = Estimator()
    estimator.learn(400, Usage())
    estimator.learn(0, Usage(input_tokens=7))
    assert estimator.estimate(400, 10) == Estimator().estimate(400, 10)


def test_the_latest_answers_count_most() -> None:
    estimator = Estimator()
    for _ in range(100):
        estimator.learn(400, Usage(input_tokens=100, output_tokens=1_000))
    for _ in range(100):
        estimator.learn(400, Usage(input_tokens=100, output_tokens=10))
    assert estimator.estimate(400, None).output_tokens == pytest.approx(16, abs=1)


def test_everything_that_is_sent_has_a_size() -> None:
    request = CompletionRequest(
        messages=(
            Message(role=Role.SYSTEM, content="12345"),
            Message(
                role=Role.USER,
                content=(TextPart(text="123"), ImagePart(data=b"png", media_type="image/png")),
            ),
            Message(
                role=Role.ASSISTANT,
                tool_calls=(ToolCall(id="1", name="find", raw_arguments='{"a":1}'),),
                reasoning=(ReasoningBlock(text="hm"),),
            ),
        ),
        tools=(Tool(name="find", description="finds", parameters={"type": "object"}),),
    )
    assert characters(request) == 5 + (3 + BINARY_CHARACTERS) + (4 + 7) + 2 + (4 + 5 + 17)
