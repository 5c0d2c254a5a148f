"""Which requests are the recorded one, and how a difference is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.loopback.matching import differences, distance
from tests.loopback.raw import chat_body, received
from tests.loopback.tapes import recording


def told(recorded: object, given: dict[str, object], path: str = "/v1/chat/completions") -> list[str]:
    return list(differences(recording(recorded).request, received(given, path)))


def test_order_of_names_and_what_says_who_asks_do_not_matter() -> None:
    recorded = {"a": 1, "b": [{"x": None, "y": 2.0}], "user": "u1", "metadata": {"day": 1}}
    assert told(recorded, {"b": [{"y": 2, "x": None}], "a": 1, "metadata": None, "prompt_cache_key": "k"}) == []
    assert told({"b": {"user": "u1"}}, {"b": {"user": "u2"}}) == ["body.b.user: recorded 'u1', got 'u2'"]


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions?api-version=1", "/api/v1/chat/completions", "/vllm/v1/chat/completions"]
)
def test_what_stands_before_the_version_and_the_query_do_not_matter(path: str) -> None:
    assert told({}, {}, path) == []


def test_another_deployment_another_endpoint_or_another_method_is_another_request() -> None:
    azure = recording({}, path="/openai/deployments/a/chat/completions").request
    assert list(differences(azure, received({}, "/proxy/openai/deployments/a/chat/completions"))) == []
    assert len(list(differences(azure, received({}, "/openai/deployments/b/chat/completions")))) == 1
    assert told({}, {}, "/v1/messages") == ["path: recorded /v1/chat/completions, got /v1/messages"]
    assert list(differences(recording({}).request, received({}, method="GET"))) == ["method: recorded POST, got GET"]


def test_each_difference_is_told_with_its_place() -> None:
    recorded = {"messages": [{"role": "user", "content": "Well?"}], "n": 1, "stream": True}
    given = {"messages": [{"role": "user", "content": "Well!"}, {"role": "tool"}], "n": True, "seed": 3}
    assert told(recorded, given) == [
        "body.messages[0].content: recorded 'Well?', got 'Well!'",
        """body.messages[1]: recorded nothing, got '{"role":"tool"}'""",
        "body.n: recorded '1', got 'true'",
        "body.stream: recorded 'true', got nothing",
        "body.seed: recorded nothing, got '3'",
    ]


def test_of_long_texts_the_place_where_they_part_is_shown() -> None:
    (difference,) = told({"text": "x" * 500 + "recorded" + "y" * 500}, {"text": "x" * 500 + "given" + "y" * 500})
    assert difference.startswith("body.text: recorded ...'xxxxxxxxxxxxrecordedyyy")
    assert "got ...'xxxxxxxxxxxxgivenyyy" in difference
    assert len(difference) < 250


@pytest.mark.parametrize(
    ("recorded", "given", "fits"),
    [
        ("[redacted]", "sk-anything", True),
        ("a [redacted] b", "a key b", True),
        ("a [redacted] b [redacted]", "a 1 b 2", True),
        ("a [redacted] b", "a key c", False),
        ("a [redacted] b", "x key b", False),
        ("ab[redacted]bc", "abc", False),
        ("[redacted]m[redacted]", "no such", False),
        ("[redacted]", {"type": "string"}, True),
        ("plain", {"type": "string"}, False),
    ],
)
def test_where_something_was_redacted_anything_fits(recorded: str, given: object, fits: bool) -> None:
    assert (told({"text": recorded}, {"text": given}) == []) is fits


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "ab"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(one=JSON, other=JSON)
def test_a_request_matches_exactly_those_that_are_equal_as_json(one: object, other: object) -> None:
    def spelled(value: object) -> str:
        return repr(sorted(value.items())) if isinstance(value, dict) else repr(value)

    def canonical(value: object) -> object:
        if isinstance(value, dict):
            return {name: canonical(value[name]) for name in sorted(value)}
        return [canonical(item) for item in value] if isinstance(value, list) else value

    is_equal = spelled(canonical({"v": one})) == spelled(canonical({"v": other}))
    assert (distance(recording({"v": one}).request, received({"v": other})) == 0) is is_equal


def test_the_distance_is_bounded() -> None:
    far: dict[str, object] = {"v": list(range(5000))}
    assert distance(recording({"v": []}).request, received(far)) == 1000
    assert distance(recording(chat_body()).request, received(chat_body())) == 0
