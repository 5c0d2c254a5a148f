"""No secret survives in a line: by value in every spelling, by shape, under a telling name, in a traceback."""

import base64
import re
import sys
from collections.abc import Callable
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.observe.redact import Redactor, printable, redact_secrets, redacting
from nexus3.wire import provider_text

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


SHAPES = [
    pattern
    for name, pattern in vars(provider_text).items()
    if isinstance(pattern, re.Pattern) and name not in ("_TAG", "_UNSHOWABLE")
]
"""All that ``scrub`` looks for: a new shape is here, too."""

PIECES = st.sampled_from(
    [
        *(
            "",
            "e",
            "bearer",
            "basic ",
            "BEARER ",
            "api",
            "_key",
            "\u212aey",
            ":",
            "=",
            " ",
            '"',
            "\n",
            "://",
            "a@b",
            "ß",
        ),
        *("[redacted]", "0123456789", "sk-", "hf_", "AKIA", "eyJ", ".", "-----BEGIN KEY-----", SECRET[:9], SECRET[9:]),
    ]
)
VALUES = st.lists(PIECES, max_size=4).map("".join) | st.integers() | st.none() | st.lists(PIECES, max_size=3)


PREFIXES = ("sk-", "rk-", "pk-", "hf_", "gsk_", "xai-", "ghp_", "github_pat_", "AKIA", "AIza")


@pytest.mark.parametrize(
    "text",
    [
        *(prefix + "0123456789abcdef" for prefix in PREFIXES),
        *("eyJhbGci.abc", "-----BEGIN KEY-----", "http://me:word@host"),
        *("Bearer 0123456789", "BASIC 0123456789", "API key: 0123456789", "apikey=0123456789"),
        "ba\u017fic 0123456789",  # the long s is a case of s, to a pattern that looks for any
    ],
)
def test_each_known_shape_goes_from_a_line(text: str) -> None:
    cleaned = redact_secrets(None, "info", {"event": "e", "text": text, "model": "m"})
    assert cleaned == {"event": "e", "text": provider_text.scrub(text), "model": "m"}
    assert MARK in cleaned["text"]


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.sampled_from(SHAPES).flatmap(lambda shape: st.from_regex(shape, fullmatch=True)))
def test_no_known_shape_is_overlooked_because_a_line_looked_harmless(text: str) -> None:
    if text != provider_text.scrub(text):
        assert redact_secrets(None, "info", {"event": "e", "text": text})["text"] == provider_text.scrub(text)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.lists(VALUES, max_size=6))
def test_values_that_are_looked_through_together_come_out_as_if_each_were_alone(values: list[object]) -> None:
    def alone(value: object, redact: Callable[[str], str]) -> object:
        if isinstance(value, list):
            return [redact(item) for item in value]
        return redact(value) if isinstance(value, str) else value

    for redact in (provider_text.scrub, Redactor([SECRET])):
        cleaned = redacting(redact)(None, "info", {f"value-{at}": value for at, value in enumerate(values)})
        assert list(cleaned.values()) == [alone(value, redact) for value in values]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (["stop"], ["stop"]),
        (["stop", "hf_0123456789"], ["stop", MARK]),
        (["a", "b", "hf_0123456789"], ["a", "b", MARK]),
        (["X-Api-Key", "short"], ["X-Api-Key", MARK]),
        (["cookie", "short"], ["cookie", MARK]),
        ([b"short"], ["b'short'"]),
        (["a", ["X-Api-Key", "short"]], ["a", ["X-Api-Key", MARK]]),
        ([], []),
    ],
)
def test_lists_are_looked_into(value: list[object], shown: list[object]) -> None:
    assert redact_secrets(None, "info", {"event": "e", "value": value}) == {"event": "e", "value": shown}


def test_a_line_is_taken_for_what_it_holds_not_for_what_one_of_its_names_held_before() -> None:
    held: list[object] = [1, "text", "hf_0123456789", ["hf_0123456789"], {"a": "hf_0123456789"}, b"hf_0123456789", None]
    shown = [redact_secrets(None, "info", {"event": "e", "value": value})["value"] for value in held]
    assert shown == [1, "text", MARK, [MARK], {"a": MARK}, f"b'{MARK}'", None]


def test_a_function_of_one_s_own_sees_each_value_alone() -> None:
    line = {"event": "e", "user": "alice", "text": "alice in wonderland"}
    hidden = redacting(lambda text: "somebody" if text == "alice" else text)(None, "info", line)
    assert hidden == {"event": "e", "user": "somebody", "text": "alice in wonderland"}


def test_printable_escapes_what_steers_terminals_and_keeps_lines() -> None:
    assert printable("a\tb\nc\x1b[31m\u202ed\r") == "a\tb\nc\\x1b[31m\\u202ed\\r"
    assert printable("plain ä") == "plain ä"
