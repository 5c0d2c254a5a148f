"""No secret survives in a line: by value in every spelling, by shape, under a telling name, in a traceback."""

import base64
import sys
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.observe.redact import Redactor, printable, redact_secrets, redacting

SECRET = 'kr7/+"q=%plain&odd'
MARK = "[redacted]"


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        quote(SECRET, safe=""),
        SECRET.replace('"', '\\"'),
    ],
)
def test_a_known_secret_goes_in_every_spelling(spelling: str) -> None:
    redacted = Redactor([SECRET])(f"before {spelling} after")
    assert redacted.startswith(f"before {MARK}")
    assert redacted.endswith(" after")
    assert spelling.rstrip("=") not in redacted


def test_of_two_secrets_where_one_begins_the_other_no_tail_stays() -> None:
    assert Redactor(["longsecret", "longsecret-and-tail"])("x longsecret-and-tail y") == f"x {MARK} y"


def test_what_is_learned_later_goes_too() -> None:
    redact = Redactor(["first-one"])
    assert redact("first-one second-one") == f"{MARK} second-one"
    redact.learn(["second-one"])
    assert redact("first-one second-one") == f"{MARK} {MARK}"


def test_a_short_value_is_no_secret() -> None:
    assert Redactor(["a", ""])("a banana") == "a banana"


def test_known_shapes_go_without_being_told() -> None:
    assert Redactor()("key sk-proj-0123456789abcdef, done") == f"key {MARK}, done"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40), st.text(), st.text())
def test_whatever_stands_around_it_a_known_secret_goes(secret: str, before: str, after: str) -> None:
    # Only where the surroundings or the mark do not spell the secret themselves.
    for text in (before, after, MARK):
        if secret in text:
            return
    assert secret not in Redactor([secret])(f"{before} {secret} {after}")


def clean(**line: object) -> structlog.typing.EventDict:
    return redacting(Redactor([SECRET]))(None, "info", dict(line))


def test_a_line_is_cleaned_through_and_through() -> None:
    class Odd:
        def __repr__(self) -> str:
            return f"Odd({SECRET})"

    assert clean(
        event=f"e {SECRET}",
        count=3,
        fine=None,
        nested={"a": [SECRET, {"b": SECRET}], SECRET: 1},
        pair=("X-Api-Key", "short"),
        raw=[(b"authorization", b"whatever")],
        Authorization="short",
        odd=Odd(),
        data=SECRET.encode(),
    ) == {
        "event": f"e {MARK}",
        "count": 3,
        "fine": None,
        "nested": {"a": [MARK, {"b": MARK}], MARK: 1},
        "pair": ["X-Api-Key", MARK],
        "raw": [[b"authorization", MARK]],
        "Authorization": MARK,
        "odd": f"Odd({MARK})",
        "data": f"b'{MARK}'",
    }


def test_what_lies_too_deep_is_cleaned_as_its_repr() -> None:
    deep: object = SECRET
    for _ in range(50):
        deep = [deep]
    assert SECRET not in repr(clean(event="e", deep=deep))


def test_a_line_that_holds_itself_ends() -> None:
    loop: list[object] = [SECRET]
    loop.append(loop)
    assert SECRET not in repr(clean(event="e", loop=loop))


def test_what_the_stdlib_bridge_hands_to_itself_stays() -> None:
    record = object()
    assert clean(event="e", _record=record)["_record"] is record


def test_an_exception_is_written_without_its_locals() -> None:
    def fails() -> None:
        hidden = "local-" + "canary"
        raise ValueError(f"no {SECRET} for {len(hidden)}")

    try:
        fails()
    except ValueError:
        line = clean(event="e", exc_info=sys.exc_info())
    assert set(line) == {"event", "exception"}
    assert f"ValueError: no {MARK} for 12" in line["exception"]
    assert "local-canary" not in line["exception"]


def test_the_ready_made_processor_knows_shapes() -> None:
    assert redact_secrets(None, "info", {"event": "e", "key": "hf_0123456789"}) == {"event": "e", "key": MARK}


def test_printable_escapes_what_steers_terminals_and_keeps_lines() -> None:
    assert printable("a\tb\nc\x1b[31m\u202ed\r") == "a\tb\nc\\x1b[31m\\u202ed\\r"
    assert printable("plain ä") == "plain ä"
