"""What strangers write is made fit for terminals and logs: one line, no markup, no controls, no secrets."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus3.wire.provider_text import is_secret_name, readable, scrub

PROPERTY = settings(max_examples=300, derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("  \n ", ""),
        ("plain words", "plain words"),
        ("two\nlines\tand   spaces\r\n", "two lines and spaces"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x07\x00\x9b31m", "\\x07\\x00\\x9b31m"),
        ("abc\u202eevil\u2066x", "abc\\u202eevil\\u2066x"),
        ("\ufeffa\u200bb", "\\ufeffa\\u200bb"),
        ("lone \ud83d surrogate", "lone \\ud83d surrogate"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("é 漢 😀 👩\u200d💻", "é 漢 😀 👩\u200d💻"),
        (
            "<html><head><title>502 Bad Gateway</title></head>\n<body><h1>Sorry</h1></body></html>",
            "502 Bad Gateway Sorry",
        ),
        ("<!DOCTYPE html><style>a{color:red}</style><p>A &amp; B</p><script>alert('x')</script>", "A & B"),
        ("<p>cut <script>never closed", "cut"),
        ("use <your-key> &amp; go, if a < b > c", "use <your-key> &amp; go, if a < b > c"),
        ("Unexpected token < in JSON", "Unexpected token < in JSON"),
    ],
)
def test_readable(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_what_is_too_long_says_so() -> None:
    assert readable("a" * 2000) == "a" * 2000
    assert readable("a" * 2001) == "a" * 1999 + "…"
    assert readable("abcdef", max_chars=4) == "abc…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk-abcdefghijklmnop1234 is bad", "key [redacted] is bad"),
        ("sk-proj-Abc_def-0123456789xyz", "[redacted]"),
        ("sk-ant-api03-0123456789abcdef.", "[redacted]."),
        ('"sk-or-v1-0123456789abcdef"', '"[redacted]"'),
        ("hf_abcdefghijkl gsk_abcdefghijkl", "[redacted] [redacted]"),
        ("AIzaSyA0123456789", "[redacted]"),
        ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
        ("eyJhbGciOi.eyJzdWIiOiIx.SflKxw", "[redacted]"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted]"),
        ('{"x-api-key": "0123456789"}', '{"x-api-key": "[redacted]"}'),
        ("api_key=0123456789&x=1", "api_key=[redacted]"),
        ("Incorrect API key provided: abcd****wxyz.", "Incorrect API key provided: [redacted]"),
        ("https://user:pa55word@host/x", "https://[redacted]@host/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- ok", "[redacted] ok"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut", "[redacted]"),
        # What only looks a little like one.
        ("task-abcdefghijklmnop1234", "task-abcdefghijklmnop1234"),
        ("invalid x-api-key", "invalid x-api-key"),
        ("You must provide an API key.", "You must provide an API key."),
        ("sk-short", "sk-short"),
        ("see https://example.com/a@b", "see https://example.com/a@b"),
    ],
)
def test_secrets_of_known_shapes_are_replaced(text: str, shown: str) -> None:
    assert scrub(text) == shown


@PROPERTY
@given(text=st.text(alphabet=st.characters() | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=60))
def test_nothing_that_moves_a_cursor_or_turns_a_line_is_left(text: str) -> None:
    line = readable(text)
    assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [char for char in line if unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI")]
    line.encode()


@PROPERTY
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *("sk-", "pk-", "hf_", "gsk_", "xai-", "github_pat_", "AKIA", "AIza", "eyJ", "-----BEGIN", "req_"),
                *("0123456789abcdef", "a", "4", ".", "-", "_", "/"),
            ]
        ),
        max_size=6,
    )
)
def test_an_id_is_shown_as_it_is_but_for_its_secrets(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert readable(text) == scrub(text)


@pytest.mark.parametrize(
    "unit",
    [
        *("<", "<p", "<script>", "</", "<!--", "<p>&", "&amp;", "://", " ", "\x00", "\ud800"),
        *("eyJ", "-eyJ", "sk-", "sk-a ", "-----BEGIN ", "-----BEGIN A-----", "bearer ", "api_key="),
        *("a", "a.", "a/eyJabcd", "._"),
    ],
)
def test_hostile_text_costs_no_more_than_honest_text(unit: str) -> None:
    begin = time.process_time()
    readable(unit * (1_000_000 // len(unit)))
    assert time.process_time() - begin < 0.25


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Proxy_Authorization", "authorization_token", "cookie", "Set-Cookie", "password"),
        *("apikey", "API-Key", "x-api-key", "x_goog_api_key", b"X-Api-Key"),
        *("client_secret", "access_token", "refresh-token"),
    ],
)
def test_a_name_tells_a_secret_in_any_case_with_hyphens_or_underscores(name: str | bytes) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["", "token", "max_tokens", "api", "key", "secretary", "cookies"])
def test_other_names_tell_none(name: str) -> None:
    assert not is_secret_name(name)
