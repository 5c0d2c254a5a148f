"""Keys are taken out of what people wrote; what people wrote stays."""

import base64

import pytest

from nexus3.cli.body_secrets import BodySecrets
from tests.secrets.canary import GATEWAY_TOKEN, KEYS, hits

PROSE = [
    "A basic understanding of bearer certificates is what we need.",
    "Basic mathematics, bearer-authentication and api_key = settings.openai_api_key_name",
    'client = OpenAI(api_key=os.environ["OPENAI_API_KEY"], base_url="https://api.example.com/v1/2024-10-21/chat")',
    "Write to me@example.com, or see https://example.com/a/b?c=d and skim sk-learn; pk-4 is a model.",
    '{"authorization": "Bearer TOKEN", "token": "Hello"}',
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_and_code_stay_as_they_are(text: str) -> None:
    assert BodySecrets(["configured-key-1"])(text) == text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (f"my key {KEYS['openai']}.", "my key [redacted]."),
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [redacted]"),
        ('api_key="abcdef0123456789"', 'api_key="[redacted]"'),
        (r'{"text": "api_key=\"0123456789abcdef\""}', r'{"text": "api_key=\"[redacted]\""}'),
        ("postgres://user:pass@host/db", "postgres://[redacted]@host/db"),
        ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
    ],
)
def test_shapes_of_keys_are_known(text: str, stored: str) -> None:
    assert BodySecrets()(text) == stored


def test_secrets_that_are_known_are_found_in_every_spelling() -> None:
    secrets = (*KEYS.values(), GATEWAY_TOKEN)
    redact = BodySecrets(secrets)
    for secret in secrets:
        for shown in (
            secret,
            f"basic {secret}",
            f"https://host/{secret}/x",
            base64.b64encode(f":{secret}".encode()).decode(),
        ):
            assert hits([redact(f'say "{shown}" again')], (secret,)) == []


def test_what_is_behind_a_label_is_known_as_well() -> None:
    redact = BodySecrets()
    redact.learn(["Bearer wordsalone", "https://tenant.example/opaque"])
    assert redact("wordsalone and Bearer wordsalone") == "[redacted] and Bearer [redacted]"
    assert redact("https://tenant.example/opaque") == "https://[redacted]"
