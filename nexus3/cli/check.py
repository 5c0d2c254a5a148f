"""``nexus3 check``: a configuration read as ``open_supervisor`` reads it, and told in rows."""

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from nexus3.cli.counted import counted
from nexus3.cli.meaning import Meaning, ModelMeaning, ProviderMeaning, meaning_of
from nexus3.config.load import find_config, load_config
from nexus3.observe.redact import printable

_GAP = "  "
_ALIGNED = 3
"""Columns of cells that stand below each other; what follows them is too seldom there, or too long."""
_UNLIMITED = 1 << 16
"""Columns of a pipe: each row is one line, for ``grep`` to find whole."""

Cell = tuple[str, str]
"""Text and its style."""


def check(file: str | None, *, strict: bool, as_json: bool) -> int:
    """Print what a configuration means, on standard output, and return the exit code.

    Raises:
        ConfigError: there is a mistake in it, or there is none.
    """
    path = os.path.expanduser(file) if file is not None else find_config()
    # The word "loopback" is not a path: it goes on as it is, for load_config to say so.
    config = load_config(path)
    found_by = "argument" if file is not None else "NEXUS3_CONFIG" if os.environ.get("NEXUS3_CONFIG") else "user folder"
    meaning = meaning_of(config, str(path), found_by, os.environ)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(meaning)).decode())
    else:
        _tell(meaning, _console())
    return 1 if strict and meaning.missing_keys else 0


def _console() -> Console:
    """Colours on a terminal only, whatever else the environment says; ``NO_COLOR`` is honoured."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(force_terminal=False, width=_UNLIMITED, highlight=False)


def _tell(meaning: Meaning, console: Console) -> None:
    found = {"argument": "", "user folder": " (your configuration folder)"}.get(meaning.found_by, " ($NEXUS3_CONFIG)")
    _print(console, [[("Configuration", "bold"), (f"{printable(meaning.file)}{found}", "")]], indent="")
    _print(console, [[("Default model", "bold"), (meaning.default_model or _NO_DEFAULT, "")]], indent="")
    _print_titled(console, "Providers", [_provider_row(provider) for provider in meaning.providers])
    _print_titled(console, "Models", [_model_row(model) for model in meaning.models])
    console.print()
    if not meaning.providers:
        console.print(Text("No provider is configured.", "yellow"), soft_wrap=True)
    elif meaning.missing_keys:
        told = f"{counted(meaning.missing_keys, 'provider')} cannot be asked: there is no key."
        console.print(Text(told, "bold red"), soft_wrap=True)
    else:
        console.print(Text("All providers can be asked.", "bold green"), soft_wrap=True)


_NO_DEFAULT = "none: each request must name its model"


def _provider_row(provider: ProviderMeaning) -> list[Cell]:
    match provider.base_url_from:
        case "config":
            where = "configured"
        case "default":
            where = "the type's own"
        case variable:
            where = f"from ${variable}"
    row = [(provider.name, "bold"), (provider.type, ""), (f"{provider.base_url} ({where})", "")]
    match provider.key, provider.key_from:
        case "missing", _:
            row.append((provider.problem or "", "red"))
        case "not needed", _:
            row.append(("no key needed", ""))
        case _, "config":
            row.append(("key in the configuration", "green"))
        case _, source:
            row.append((f"key from ${source}", "green"))
    return [*row, *((f"{setting}: {allowed}", "yellow") for setting, allowed in provider.opt_outs.items())]


def _model_row(model: ModelMeaning) -> list[Cell]:
    places = [f"{place.provider}:{place.model_id}" for place in model.targets]
    if len(places) > 1:
        places = [f"{text} (weight {place.weight:g})" for text, place in zip(places, model.targets, strict=True)]
    row = [(model.alias, "bold"), (", ".join(places), "")]
    return [*row, (f"then {', '.join(model.fallbacks)}", "")] if model.fallbacks else row


def _print_titled(console: Console, title: str, rows: Sequence[Sequence[Cell]]) -> None:
    if rows:
        console.print()
        console.print(Text(title, "bold"))
        _print(console, rows, indent=_GAP)


def _print(console: Console, rows: Sequence[Sequence[Cell]], *, indent: str) -> None:
    """Rows in columns. Where one does not fit, the rest of it goes below, a cell a line, broken at words only."""
    widths = {at: max(len(row[at][0]) for row in rows if at < len(row)) for at in range(min(_ALIGNED, len(rows[0])))}
    for row in rows:
        for line in _lines(row, widths, indent, console.width):
            console.print(line, soft_wrap=True)


def _lines(row: Sequence[Cell], widths: Mapping[int, int], indent: str, columns: int) -> list[Text]:
    line = Text(indent)
    lines = [line]
    start = len(indent)
    below = indent + 2 * _GAP
    for at, (text, style) in enumerate(row):
        if at == 0 or start + len(text) <= columns:
            line.append(" " * (start - len(line))).append(text, style)
            start += max(len(text), widths.get(at, 0)) + len(_GAP)
        else:
            wrapped = textwrap.wrap(
                text, columns, initial_indent=below, subsequent_indent=below + _GAP,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
            lines += [Text(part, style) for part in wrapped]
            start = columns  # what follows goes below, too
    return lines
