"""No credential reaches a hook, wherever a body, a URL or a provider repeats it."""

import base64
import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest

from nexus3 import ProviderError, open_supervisor
from nexus3.loopback import Answer, open_loopback
from nexus3.observe.redact import Redactor
from nexus3.rawlog.payload import shown_body, shown_url
from nexus3.rawlog.redaction import Redaction
from tests.rawlog.heard import KEY, Heard, ask, listened
from tests.secrets.canary import GATEWAY_TOKEN, KEYS, hits

PLAIN = "plainkeywithoutshape"
"""No pattern finds it: only its exact value does."""


def spelled(key: str) -> list[str]:
    return [key, base64.b64encode(key.encode()).decode(), quote(key, safe=""), f"Bearer {key}", f"x{key}x"]


@pytest.mark.parametrize("key", [KEY, PLAIN, *KEYS.values()])
@pytest.mark.parametrize("stream", ["auto", "never"])
async def test_canaries_in_requests_answers_and_errors(key: str, stream: str) -> None:
    heard = Heard()
    echoed = " ".join(spelled(key))
    script = [Answer(status=500, headers={"retry-after-ms": "1"}, error=echoed), Answer([echoed, "!"])]
    headers = {"X-Gateway-Token": GATEWAY_TOKEN}
    async with listened(heard, script, stream=stream, api_key=key, extra_headers=headers) as (sup, server):
        await sup.complete(ask(f"my keys are {echoed} and {GATEWAY_TOKEN}", metadata={key: key}))
    assert hits([repr(server.exchanges[0].headers)], (key,)), "what is looked for was sent"
    assert len(heard.of("request")) == 2
    assert "my keys are" in heard.of("request")[0]["messages"][0]["content"]
    # The server's answers are cut into words by the script: a key is whole in one of them.
    assert hits([repr(heard.calls)], (key, GATEWAY_TOKEN)) == []


async def test_a_fetched_key_is_known_by_the_header_that_it_is_sent_in() -> None:
    async def fetch() -> tuple[str, None]:
        return PLAIN, None

    heard = Heard()
    async with listened(heard, [Answer(f"you sent {PLAIN}")], api_key=fetch) as (sup, _):
        await sup.complete(ask(f"my key is {PLAIN}"))
    assert heard.shape == "request chunk complete"
    assert PLAIN not in repr(heard.calls)


async def test_another_provider_s_key_in_a_prompt() -> None:
    heard = Heard()
    async with open_loopback() as server:
        config: dict[str, Any] = dict(server.config)
        config["providers"] = {name: dict(settings) for name, settings in config["providers"].items()}
        config["providers"]["anthropic"]["api_key"] = PLAIN
        async with open_supervisor(config, raw_log=heard) as sup:
            await sup.complete(ask(f"is {PLAIN} right?"))
    assert heard.of("request")[0]["messages"][0]["content"] == "is [redacted] right?"


async def test_a_key_in_an_error_that_is_cut_off() -> None:
    heard = Heard()
    script = [Answer(status=400, body=b"x" * 70_000 + PLAIN.encode(), headers={"content-type": "text/plain"})]
    async with listened(heard, script, api_key=PLAIN, max_error_body_bytes=70_015) as (sup, _):
        with suppress(ProviderError):
            await sup.complete(ask())
    (body,) = heard.of("response")
    assert PLAIN[:12] not in body["error"]


def test_a_url_is_shown_without_query_and_userinfo() -> None:
    redact = Redaction(Redactor([PLAIN]))
    url = f"https://u:{PLAIN}@host:8443/v1/{PLAIN}?key={PLAIN}#x"
    assert shown_url(url, redact) == "https://host:8443/v1/[redacted]"


def test_a_key_that_json_spells_in_another_way() -> None:
    redact = Redaction(Redactor([PLAIN]))
    hidden = "".join(f"\\u{ord(char):04x}" for char in PLAIN)
    assert shown_body(f'{{"{hidden}": ["{hidden}"]}}'.encode(), redact, is_cut=False) == {"[redacted]": ["[redacted]"]}
    assert shown_body(f'{{"a": ["{hidden}", "b'.encode(), redact, is_cut=True) == {
        "a": ["[redacted]", "b"],
        "_truncated": True,
    }


def test_a_secret_s_name_hides_a_text_and_not_a_schema() -> None:
    body = {"password": "hunter2", "properties": {"password": {"type": "string"}}, "api_key": 3}
    shown = shown_body(json.dumps(body).encode(), Redaction(), is_cut=False)
    assert shown == {**body, "password": "[redacted]"}


def test_what_is_no_object_is_shown_as_text() -> None:
    redact = Redaction(Redactor([PLAIN]))
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    assert shown_body(f'["{PLAIN}"]'.encode(), redact, is_cut=False) == {"_text": '["[redacted]"]'}
    assert shown_body(b"\xff{", redact, is_cut=False, text_key="error") == {"error": "\ufffd{"}
    assert shown_body(deep, redact, is_cut=False) == {"_text": deep.decode()}
    assert shown_body(b"", redact, is_cut=True) == {"_text": "", "_truncated": True}


def test_long_texts_are_searched_to_their_end() -> None:
    redact = Redaction(Redactor([PLAIN]))
    for line in ("word " * 100 + "\n", "no end of line "):
        text = line * (200_000 // len(line))
        assert redact(f"{text}{PLAIN} {text}\n{PLAIN}") == f"{text}[redacted] {text}\n[redacted]"
    pem = "-----BEGIN RSA KEY-----\n" + "AAAA\n" * 500 + "-----END RSA KEY-----"
    assert "AAAA" not in redact("x" * 32_700 + "\n" + pem)


def test_a_redaction_forgets_what_was_not_used_for_long() -> None:
    redact = Redaction()
    keys = [f"{PLAIN}{number:03}" for number in range(70)]
    shown = []
    for key in keys:
        redact.learn([keys[1], key])
        shown.append(redact(key))
    assert set(shown) == {"[redacted]"}
    assert redact(keys[1]) == "[redacted]"
    assert redact(keys[0]) == "[redacted]", "the others begin alike"
    other = "anotherkeywithoutshape"
    redact = Redaction()
    redact.learn([other])
    for key in keys:
        redact.learn([key])
    assert redact(other) == other
