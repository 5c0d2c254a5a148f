"""Extra fields over a body: deep for objects, whole for the rest, null to take away."""

from copy import deepcopy

import pytest

from nexus3.wire.body import merge_body


@pytest.mark.parametrize(
    ("extras", "merged"),
    [
        ([], {"model": "m", "options": {"a": 1, "b": {"c": 2}}, "stop": ["x"]}),
        ([{"new": True}], {"model": "m", "options": {"a": 1, "b": {"c": 2}}, "stop": ["x"], "new": True}),
        ([{"options": {"b": {"d": 3}}}], {"model": "m", "options": {"a": 1, "b": {"c": 2, "d": 3}}, "stop": ["x"]}),
        ([{"stop": ["y"]}], {"model": "m", "options": {"a": 1, "b": {"c": 2}}, "stop": ["y"]}),
        ([{"options": 7}], {"model": "m", "options": 7, "stop": ["x"]}),
        ([{"model": {"id": "n"}}], {"model": {"id": "n"}, "options": {"a": 1, "b": {"c": 2}}, "stop": ["x"]}),
        ([{"stop": None, "absent": None}], {"model": "m", "options": {"a": 1, "b": {"c": 2}}}),
        ([{"options": {"b": {"c": None}}}], {"model": "m", "options": {"a": 1, "b": {}}, "stop": ["x"]}),
        ([{"new": {"kept": 1, "gone": None}}, {"model": None}, {"model": "last"}], None),
    ],
)
def test_extras_are_laid_over_in_order(extras: list[dict[str, object]], merged: dict[str, object] | None) -> None:
    body = {"model": "m", "options": {"a": 1, "b": {"c": 2}}, "stop": ["x"]}
    given = deepcopy((body, extras))
    if merged is None:
        merged = {"model": "last", "options": {"a": 1, "b": {"c": 2}}, "stop": ["x"], "new": {"kept": 1}}
    assert merge_body(body, *extras) == merged
    assert (body, extras) == given, "what was given is not changed"


def test_falsy_values_replace_and_null_stays_within_lists() -> None:
    assert merge_body({"a": 1, "b": 2}, {"a": 0, "b": "", "c": False, "d": [None]}) == {
        "a": 0,
        "b": "",
        "c": False,
        "d": [None],
    }
