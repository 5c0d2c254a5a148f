"""Where a configuration comes from, and the shapes it may have."""

import json
import shutil
from pathlib import Path

import certifi
import pytest

from nexus3.config.load import load_config, user_folder
from nexus3.config.schema import Config, ModelConfig, ProviderConfig, SupervisorSettings
from nexus3.errors import ConfigError
from nexus3.wire.requests import Reasoning
from tests.config import samples

NOTHING: dict[str, str] = {}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_seeds_sample_is_read_as_written(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "config.json", samples.SEED), environ=NOTHING) == Config(
        providers={"openrouter": ProviderConfig(type="openrouter"), "anthropic": ProviderConfig(type="anthropic")},
        models={"claude-sonnet": ModelConfig(provider="anthropic", model_id="claude-sonnet-4-20250514")},
    )


def test_the_sample_with_everything_is_read_as_written() -> None:
    assert load_config(json.loads(samples.CONTRACT), environ=NOTHING) == Config(
        default_model="claude-sonnet",
        providers={
            "anthropic": ProviderConfig(type="anthropic"),
            "local": ProviderConfig(type="vllm", base_url="http://127.0.0.1:8000/v1", max_connections=64),
            "az": ProviderConfig(
                type="azure", base_url="https://x.openai.azure.com", deployment="gpt", api_version="2024-10-21"
            ),
        },
        models={
            "claude-sonnet": ModelConfig(
                provider="anthropic", model_id="claude-sonnet-4-20250514", fallbacks=("fast",)
            ),
            "fast": ModelConfig(provider="local", model_id="llama"),
        },
        supervisor=SupervisorSettings(max_restarts=5, restart_window=30.0, on_exhausted="park"),
    )


def test_toml_says_the_same_as_json(tmp_path: Path) -> None:
    from_toml = load_config(write(tmp_path, "config.toml", samples.CONTRACT_AS_TOML), environ=NOTHING)
    assert from_toml == load_config(write(tmp_path, "config.json", samples.CONTRACT), environ=NOTHING)


def test_models_nested_in_their_provider_become_aliases() -> None:
    config = load_config(json.loads(samples.NESTED), environ=NOTHING)
    assert config.models == {
        "haiku": ModelConfig(
            provider="openrouter",
            model_id="anthropic/claude-haiku-4.5",
            context_window=200_000,
            guidance="Quick answers",
        ),
        "smart": ModelConfig(
            provider="openrouter", model_id="x-ai/grok-4", context_window=131_072, reasoning=Reasoning(effort="high")
        ),
        "llama": ModelConfig(provider="mine", model_id="llama3.2:3b"),
    }
    assert config.models["haiku"].context_window == 200_000
    assert all(provider.models == {} for provider in config.providers.values())
    assert Config.model_validate(config.model_dump()) == config


@pytest.mark.parametrize("text", ["", "  \n", "\ufeff", '\ufeff{"providers": {}}'])
def test_an_empty_file_and_a_byte_order_mark_are_fine(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path, "config.json", text), environ=NOTHING) == Config()


def test_a_config_is_checked_and_returned_as_it_is() -> None:
    config = Config(providers={"mine": ProviderConfig(type="ollama")})
    assert load_config(config, environ=NOTHING) is config
    with pytest.raises(ConfigError, match=r"^providers\.az\.base_url: "):
        load_config(Config(providers={"az": ProviderConfig(type="azure")}), environ=NOTHING)


def test_without_a_source_the_environment_names_the_file_before_the_users_folder(tmp_path: Path) -> None:
    named = write(tmp_path, "named.json", '{"providers": {"named": {"type": "ollama"}}}')
    write(tmp_path, "xdg/nexus3/config.toml", '[providers.from_xdg]\ntype = "ollama"')
    write(tmp_path, "home/.config/nexus3/config.json", '{"providers": {"from_home": {"type": "ollama"}}}')
    environ = {
        "NEXUS3_CONFIG": str(named),
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "HOME": str(tmp_path / "home"),
        "APPDATA": str(tmp_path / "xdg"),
    }
    found: list[str] = []
    for variable in ("NEXUS3_CONFIG", "XDG_CONFIG_HOME"):
        found += load_config(environ=environ).providers
        del environ[variable]
    assert found == ["named", "from_xdg"]


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {"HOME": "/home/u"}, Path("/home/u/.config/nexus3")),
        ("linux", {"HOME": "/home/u", "XDG_CONFIG_HOME": "/x"}, Path("/x/nexus3")),
        ("linux", {"HOME": "/home/u", "XDG_CONFIG_HOME": "relative"}, Path("/home/u/.config/nexus3")),
        ("linux", {}, None),
        ("darwin", {"HOME": "/Users/u"}, Path("/Users/u/Library/Application Support/nexus3")),
        ("win32", {"APPDATA": "/roaming", "HOME": "/home/u"}, Path("/roaming/nexus3")),
        ("win32", {}, None),
    ],
)
def test_the_users_folder_is_where_the_platform_has_it(
    platform: str, environ: dict[str, str], folder: Path | None
) -> None:
    assert user_folder(environ, platform) == folder


def test_a_file_of_the_working_directory_is_not_read_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nexus3.json", "nexus3.toml", "config.json", ".nexus3/config.json"):
        write(tmp_path, name, samples.SEED)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(environ={"HOME": str(tmp_path / "nobody")})
    first, *example = str(caught.value).split("\n")
    assert first.startswith("there is no configuration: name a file in NEXUS3_CONFIG, or write ")
    assert len(example) == 3
    assert load_config(json.loads("".join(example)), environ=NOTHING).default_model == "claude"


def test_a_relative_ca_file_is_found_beside_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    path = write(tmp_path, "config.json", '{"providers": {"a": {"ca_file": "gone.pem"}}}')
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ=NOTHING)
    missing = tmp_path / "gone.pem"
    assert str(caught.value) == f"{path}: providers.a.ca_file: {missing} cannot be read: No such file or directory"
    shutil.copy(certifi.where(), missing)
    assert load_config(path, environ=NOTHING).providers["a"].ca_file == missing


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("c.json", b"{'a'}", "not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        ("c.json", b'{\n"a": 1,\n}', "not JSON: Expecting property name enclosed in double quotes (line 3, column 1)"),
        ("c.json", b"[]", "must be a JSON object"),
        ("c.json", b'"sk-secret"', "must be a JSON object"),
        ("c.json", b'{"models": {}, "models": {}}', "not JSON: the key 'models' is given twice in one object"),
        ("c.json", b'{"a": NaN}', "not JSON: NaN is not a JSON number"),
        ("c.json", b'{"a":' * 100_000, "not usable: nested too deeply"),
        ("c.json", b'{"\xff": 1}', "not UTF-8 text (byte 2)"),
        ("c.toml", b"a = ", "not TOML: Invalid value (at end of document)"),
        ("c.toml", b"a = 1\n[b\n", "not TOML: Expected ']' at the end of a table declaration (at line 2, column 3)"),
        ("c.toml", b"a = " + b"[" * 100_000, "not usable: nested too deeply"),
        ("c.toml", b"a = " + b"9" * 5_000, "not TOML: a number has too many digits"),
        ("c.yaml", b"a: 1", "a configuration file ends in .json or .toml"),
    ],
)
def test_an_unreadable_file_is_one_line_that_says_where(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ=NOTHING)
    assert str(caught.value) == f"{path}: {problem}"


def test_a_slip_in_the_word_for_the_bundled_provider_is_seen() -> None:
    for source, hint in {"loopbak": "; did you mean 'loopback'?", "production": "", "loopback.yaml": ""}.items():
        with pytest.raises(ConfigError) as caught:
            load_config(source, environ=NOTHING)
        assert str(caught.value) == f"{source}: a configuration file ends in .json or .toml{hint}"


@pytest.mark.parametrize("source", ["/nowhere/config.json", "/tmp", "bad\0.json", "\n.json", "", "loopback"])
def test_a_path_that_cannot_be_read_is_a_config_error(source: str) -> None:
    with pytest.raises(ConfigError):
        load_config(source, environ=NOTHING)
    with pytest.raises(ConfigError):
        load_config(environ={"NEXUS3_CONFIG": source})
