"""``nexus3 check`` as a user runs it: what it prints, its exit codes, and what it never prints."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.processes import run, run_python

KEY = "sk-check-0123456789abcdef"
HERE = {
    "default_model": "sonnet",
    "providers": {
        "anthropic": {"type": "anthropic"},
        "local": {"type": "vllm"},
        "gateway": {
            "type": "openai",
            "base_url": f"https://10.1.2.3/{KEY}/v1?key={KEY}",
            "api_key": KEY,
            "allow_private": True,
        },
    },
    "models": {
        "sonnet": {"provider": "anthropic", "model_id": "claude-1", "fallbacks": ["fast"]},
        "fast": {
            "targets": [
                {"provider": "local", "model_id": "llama"},
                {"provider": "gateway", "model_id": "gpt", "weight": 2},
            ]
        },
    },
}
TOLD = """\
Configuration  {file}
Default model  sonnet

Providers
  anthropic  anthropic  https://api.anthropic.com (the type's own)    {key}
  local      vllm       http://127.0.0.1:9/v1 (from $VLLM_BASE_URL)   no key needed
  gateway    openai     https://10.1.2.3/[redacted]?... (configured)  key in the configuration  {opt_out}

Models
  sonnet  anthropic:claude-1                              then fast
  fast    local:llama (weight 1), gateway:gpt (weight 2)

"""
MISSING = "there is no API key; set the environment variable ANTHROPIC_API_KEY, or api_key"
OPT_OUT = "allow_private: all private networks"
ENVIRONMENT = {"VLLM_BASE_URL": "http://127.0.0.1:9/v1", "ANTHROPIC_API_KEY": "", "XDG_CONFIG_HOME": ""}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nexus3.json"
    path.write_text(json.dumps(HERE))
    return path


def test_it_says_what_each_part_means(file: Path) -> None:
    done = run("check", str(file), **ENVIRONMENT)
    told = TOLD.format(file=file, key=MISSING, opt_out=OPT_OUT) + "1 provider cannot be asked: there is no key.\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


def test_with_strict_a_missing_key_is_a_mistake(file: Path) -> None:
    assert run("check", str(file), "--strict", **ENVIRONMENT).returncode == 1
    done = run("check", str(file), "--strict", **ENVIRONMENT | {"ANTHROPIC_API_KEY": KEY})
    told = TOLD.format(file=file, key="key from $ANTHROPIC_API_KEY", opt_out=OPT_OUT) + "All providers can be asked.\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


def test_json_says_the_same_and_no_key(file: Path) -> None:
    done = run("check", "--json", **ENVIRONMENT | {"ANTHROPIC_API_KEY": KEY, "NEXUS3_CONFIG": str(file)})
    assert (done.returncode, done.stderr) == (0, "")
    assert KEY not in done.stdout
    told = json.loads(done.stdout)
    assert (told["file"], told["found_by"], told["default_model"]) == (str(file), "NEXUS3_CONFIG", "sonnet")
    assert told["providers"][0] == {
        "name": "anthropic",
        "type": "anthropic",
        "base_url": "https://api.anthropic.com",
        "base_url_from": "default",
        "key": "found",
        "key_from": "ANTHROPIC_API_KEY",
        "problem": None,
        "opt_outs": {},
    }
    assert told["providers"][2]["opt_outs"] == {"allow_private": "all private networks"}
    assert told["models"][1] == {
        "alias": "fast",
        "targets": [
            {"provider": "local", "model_id": "llama", "weight": 1.0},
            {"provider": "gateway", "model_id": "gpt", "weight": 2.0},
        ],
        "fallbacks": [],
    }


def test_it_is_found_where_open_supervisor_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "nexus3"
    folder.mkdir()
    (folder / "config.toml").write_text("")
    done = run("check", **ENVIRONMENT | {"XDG_CONFIG_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"Configuration  {folder / 'config.toml'} (your configuration folder)\n"
        "Default model  none: each request must name its model\n\n"
        "No provider is configured.\n",
        "",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '{"providers": {"p": {"base_ur": "x"}}}',
            "{file}: providers.p.base_ur: unknown key; did you mean 'base_url'?",
        ),
        ('{"providers": {"p": {"type": "azure"}}}', "{file}: providers.p.base_url: azure has no common address; "),
        (None, "{file}: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_told_in_its_own_words(tmp_path: Path, content: str | None, problem: str) -> None:
    file = tmp_path / "nexus3.json"
    if content is not None:
        file.write_text(content)
    done = run("check", str(file), "--json", **ENVIRONMENT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {problem.format(file=file)}")
    assert done.stderr.count("\n") == 1


def test_the_word_for_the_bundled_provider_is_no_file() -> None:
    done = run("check", "loopback")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the bundled provider has no settings to load; pass the word to open_supervisor\n"


NARROW = """
import sys
from rich.console import Console
from nexus3.cli import check
check._console = lambda: Console(width=56, color_system=None, highlight=False)
check.check(sys.argv[1], strict=False, as_json=False)
"""


def test_where_a_row_is_too_wide_the_rest_of_it_goes_below(file: Path) -> None:
    done = run_python("-c", NARROW, str(file), **ENVIRONMENT)
    assert done.stderr == ""
    lines = done.stdout.partition("Providers\n")[2].partition("\n\n")[0].splitlines()
    assert lines == [
        "  anthropic  anthropic",
        "      https://api.anthropic.com (the type's own)",
        "      there is no API key; set the environment variable",
        "        ANTHROPIC_API_KEY, or api_key",
        "  local      vllm",
        "      http://127.0.0.1:9/v1 (from $VLLM_BASE_URL)",
        "      no key needed",
        "  gateway    openai",
        "      https://10.1.2.3/[redacted]?... (configured)",
        "      key in the configuration",
        "      allow_private: all private networks",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals there")
@pytest.mark.parametrize(("environment", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_terminals(file: Path, environment: dict[str, str], has_colours: bool) -> None:
    program = "import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'nexus3', 'check', sys.argv[1]]))"
    done = run_python("-c", program, str(file), **ENVIRONMENT, TERM="xterm-256color", **environment)
    assert "Providers" in done.stdout
    assert ("\x1b[3" in done.stdout) == has_colours
