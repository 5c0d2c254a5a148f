"""What counts as arguments under the lenient reading, and what never does."""

import json
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.tools import Arguments, Unresolved, read_arguments

ACCEPTED = [
    (None, "empty", {}),
    ("", "empty", {}),
    (" \n\t", "empty", {}),
    ("{}", "json_object", {}),
    (
        '{"city": "Berlin", "days": [1, 2.5, null, true]}',
        "json_object",
        {"city": "Berlin", "days": [1, 2.5, None, True]},
    ),
    ('```json\n{"city": "Berlin"}\n```', "json_object", {"city": "Berlin"}),
    ('```\n{"city": "Berlin"}```', "json_object", {"city": "Berlin"}),
    ("{'city': 'Berlin', 'ok': True, 'more': None}", "python_dict", {"city": "Berlin", "ok": True, "more": None}),
    ("{'range': (1, -2)}", "python_dict", {"range": [1, -2]}),
    (r"{'pattern': '\d+'}", "python_dict", {"pattern": r"\d+"}),
    ("city='Berlin', days=3", "python_kwargs", {"city": "Berlin", "days": 3}),
    ('city="a, b=2"', "python_kwargs", {"city": "a, b=2"}),
    ("city='Berlin'  # the capital", "python_kwargs", {"city": "Berlin"}),
    ("get-weather(city='Berlin')", "python_call", {"city": "Berlin"}),
    ("get-weather()", "python_call", {}),
    ("```python\nget-weather(city='Berlin')\n```", "python_call", {"city": "Berlin"}),
]


@pytest.mark.parametrize(("text", "form", "value"), ACCEPTED)
def test_text_with_one_meaning_is_read(text: str | None, form: str, value: object) -> None:
    assert read_arguments(text, "get-weather") == Arguments(value, form)  # type: ignore[arg-type] # a table of literals


REFUSED = [
    ("[1, 2]", "json_non_object"),
    ('"Berlin"', "json_non_object"),
    ("null", "json_non_object"),
    ("42", "json_non_object"),
    ('{"city": "Ber', "json_malformed"),
    ('{"city": "Berlin",}x', "json_malformed"),
    ('{"days": NaN}', "json_malformed"),
    ('{"days": true, \'city\': "Berlin"}', "json_malformed"),
    ("days=1e999", "not_literal"),
    ("days=(1, {2})", "not_literal"),
    ("{'days': 1e999}", "json_malformed"),
    ("[" * 5000, "json_malformed"),
    ('{"a":' * 5000, "json_malformed"),
    ("Berlin", "raw_text"),
    ("the weather in Berlin, please", "raw_text"),
    ("city == 'Berlin'", "raw_text"),
    ("a=1), other(b=2", "raw_text"),
    ("a=1)(b=2", "raw_text"),
    ("{'a': '" + "x" * 200_000 + "'}", "json_malformed"),
    ("-" * 100_000 + "1", "raw_text"),
    ("city=" * 300_000, "raw_text"),
    ("get_time(city='Berlin')", "wrong_callee"),
    ("get-weather('Berlin')", "not_literal"),
    ("get-weather(**{'city': 'Berlin'})", "not_literal"),
    ("get-weather(city=open('/etc/passwd'))", "not_literal"),
    ("city=__import__('os').getcwd()", "not_literal"),
    ("city=Berlin", "not_literal"),
    ("{'city': b'Berlin'}", "json_malformed"),
    ("{'city': {1, 2}}", "json_malformed"),
    ("{1: 'Berlin'}", "json_malformed"),
    ("{**{'city': 'Berlin'}}", "json_malformed"),
    ("{'city': f'{1}'}", "json_malformed"),
    ("{'days': 1+2j}", "json_malformed"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=[text[:30] for text, _ in REFUSED])
def test_text_without_a_certain_meaning_is_not(text: str, reason: str) -> None:
    found = read_arguments(text, "get-weather")
    assert isinstance(found, Unresolved)
    assert found.reason == reason
    assert "Berlin" not in found.detail, "values are not repeated"


def test_broken_json_is_told_with_its_place() -> None:
    found = read_arguments('{"city":\n  "Berlin" "days": 3}', "get-weather")
    expected = "they are broken JSON (at line 2, column 12: Expecting ',' delimiter)"
    assert found == Unresolved("json_malformed", expected)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.from_regex(r"[a-z][a-z_]{0,8}_", fullmatch=True)


@given(st.dictionaries(NAMES, JSON, max_size=4))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_whatever_is_written_down_is_read_back(value: dict[str, object]) -> None:
    keywords = ", ".join(f"{name}={item!r}" for name, item in value.items())
    for text in (json.dumps(value), repr(value), keywords, f"tool({keywords})"):
        found = read_arguments(text, "tool")
        assert isinstance(found, Arguments), (text, found)
        assert found.value == value


@given(st.text() | st.text(alphabet="{}[]()='\",:ab1*.\\\n# `"))
@settings(derandomize=True, deadline=None, max_examples=1000)
def test_any_text_at_all_is_answered_without_a_warning(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(read_arguments(text, "a"), Arguments | Unresolved)
