"""Whatever stands in a file: a configuration, or one line about it."""

import json
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus3.actors.settings import ModelConfig, ProviderConfig
from nexus3.config.load import load_config
from nexus3.config.schema import Config, SupervisorSettings
from nexus3.errors import ConfigError
from nexus3.wire.catalog import CATALOG
from tests.config import samples

# Surrogates included: JSON's escapes can spell them.
words = st.text(st.characters(), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | words
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


def shaped(model: type[ProviderConfig | ModelConfig | SupervisorSettings | Config]) -> st.SearchStrategy[object]:
    """Objects that often have a known key, and sometimes a fitting value."""
    keys = st.sampled_from([*model.model_fields, "verify_ssl", "ssl_ca_cert", "id"]) | words
    values = anything | st.sampled_from(["azure", "ollama", "http://127.0.0.1:1", "https://[", "a", "on", 1, 0.5])
    return st.dictionaries(keys, values, max_size=4)


providers = st.dictionaries(st.sampled_from(["a", "b"]) | words, shaped(ProviderConfig) | anything, max_size=2)
models = st.dictionaries(st.sampled_from(["m", "n"]) | words, shaped(ModelConfig) | anything, max_size=2)
configs = st.fixed_dictionaries(
    {},
    optional={
        "providers": providers | anything,
        "models": models | anything,
        "supervisor": shaped(SupervisorSettings) | anything,
        "default_model": words | anything,
    },
) | st.dictionaries(words, anything, max_size=3)


def load(source: dict[str, object] | Path, environ: dict[str, str] | None = None) -> Config | str:
    try:
        return load_config(source, environ=environ or {})
    except ConfigError as error:
        return str(error)


@settings(max_examples=600, deadline=None, derandomize=True)
@example({"\ud800": 1})
@example({"providers": {"a": {"quirks": {"\ud800": 1}}, "\ud800": {"\ud800": None}}})
@example({"supervisor": {"\ud800": None}, "models": {"\ud800": {"\ud800": None}}})
@given(configs)
def test_any_object_is_a_configuration_or_one_line(data: dict[str, object]) -> None:
    outcome = load(data)
    assert isinstance(outcome, Config) or len(outcome.splitlines()) == 1


urlish = st.lists(
    st.sampled_from(["http", "https", "://", "[", "]", "::1", "127.0.0.1", "h.example", ":", "80", "/", "@", "?", "#"])
    | words,
    max_size=7,
).map("".join)
texts = words | urlish
well_typed = st.fixed_dictionaries(
    {"type": st.sampled_from([*CATALOG])},
    optional={
        "base_url": texts,
        "proxy": texts,
        "api_key": texts,
        "ca_file": texts,
        "deployment": texts,
        "api_version": texts,
        "extra_headers": st.dictionaries(texts, texts, max_size=2),
        "allow_loopback": st.booleans(),
        "allow_private": st.booleans(),
        "allow_insecure_http": st.booleans(),
        "allowed_cidrs": st.lists(texts | st.sampled_from(["10.0.0.0/8", "::1", "127.0.0.0/8"]), max_size=2),
        "allowed_hosts": st.lists(texts | st.sampled_from(["h.example", "127.0.0.1"]), max_size=2),
    },
)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.sampled_from([name for row in CATALOG.values() for name in row.url_env]), texts, well_typed, texts)
def test_any_text_for_an_address_a_key_or_a_header_is_taken_or_refused_in_one_line(
    variable: str, address: str, provider: dict[str, object], key: str
) -> None:
    environ = {variable: address, "OPENAI_API_KEY": key, "AZURE_OPENAI_ENDPOINT": "https://x.example"}
    outcome = load({"providers": {"p": provider}}, environ)
    assert isinstance(outcome, Config) or len(outcome.splitlines()) == 1


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from([".json", ".toml"]), st.binary(max_size=60) | configs.map(lambda data: json.dumps(data).encode())
)
def test_any_file_is_a_configuration_or_one_line(suffix: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"config{suffix}"
        path.write_bytes(data)
        outcome = load(path)
    assert isinstance(outcome, Config) or len(outcome.splitlines()) == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(min_value=0, max_value=len(samples.CONTRACT)))
def test_a_file_cut_anywhere_is_refused_in_one_line(end: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(samples.CONTRACT[:end])
        outcome = load(path)
    whole = not samples.CONTRACT[:end].strip() or samples.CONTRACT[:end].strip() == samples.CONTRACT.strip()
    assert isinstance(outcome, Config) if whole else isinstance(outcome, str) and len(outcome.splitlines()) == 1
