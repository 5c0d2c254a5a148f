"""The page of all settings, ``docs/settings.md``, written from their models::

python -m nexus3.config.document > docs/settings.md
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import cast, get_args

from pydantic import BaseModel

from nexus3.actors.limits import Limits
from nexus3.config.resolve import resolve
from nexus3.config.schema import (
    Config,
    ModelConfig,
    ModelTarget,
    NestedModel,
    Prices,
    ProviderConfig,
    SpendCap,
    SupervisorSettings,
)
from nexus3.wire.catalog import CATALOG, ProviderTypeName, Quirks
from nexus3.wire.requests import Reasoning

_HEAD = """\
# Settings

Written by `python -m nexus3.config.document` from the models that define the settings; edit those.

The same in a dict, in JSON and in TOML. Times are seconds, and names say other units (`_bytes`, `_per_minute`). None of
the limits can be switched off. `nexus3 check` says what a configuration means, and where it is wrong.
"""

_SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The whole", Config, ""),
    ("A provider", ProviderConfig, "Under `providers.NAME`."),
    ("A model", ModelConfig, "Under `models.ALIAS`."),
    ("A model within its provider", NestedModel, "Under `providers.NAME.models.ALIAS`."),
    ("A target", ModelTarget, "In `models.ALIAS.targets`."),
    ("Reasoning", Reasoning, "`reasoning` of a model; also `true`, `false`, or the effort alone."),
    ("Prices", Prices, "`prices` of a model."),
    ("A cap on spending", SpendCap, "`spend_cap`, and the values of `caller_spend_caps`."),
    ("The supervisor", SupervisorSettings, "Under `supervisor`."),
)
_TITLES = {model.__name__: title for title, model, _ in _SECTIONS}

Schema = Mapping[str, object]
"""Of one field, as pydantic writes it in JSON Schema."""


def markdown() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections(), *_by_type(), "", *_quirks()]) + "\n"


def _sections() -> Iterator[str]:
    for title, model, where in _SECTIONS:
        yield f"## {title}"
        yield ""
        yield " ".join([where, _purpose(model)]).strip()
        yield ""
        yield "| setting | type | default | meaning |"
        yield "|---|---|---|---|"
        schema = model.model_json_schema()
        fields = cast("Mapping[str, Schema]", schema["properties"])
        required = cast("list[str]", schema.get("required", []))
        means = meanings(model)
        # A setting that a provider leaves to its type has its words where the resolved one is defined.
        means = {**meanings(Limits), **means} if model is ProviderConfig else means
        for name in sorted(fields):
            default = "required" if name in required else _default(name, fields[name])
            yield f"| `{name}` | {in_words(fields[name])} | {default} | {means.get(name, '')} |"
        yield ""


def in_words(schema: Schema) -> str:
    """A type as a person would say it: ``number above 0``, ``one of `on`, `off` ``."""
    match schema:
        case {"anyOf": list(ways)}:
            return " or ".join(in_words(way) for way in ways if way != {"type": "null"})
        case {"$ref": str(reference)}:
            title = _TITLES.get(reference.rpartition("/")[2])
            return f"[{title[0].lower()}{title[1:]}](#{title.lower().replace(' ', '-')})" if title else "any JSON"
        case {"enum": list(words)}:
            return "one of " + ", ".join(f"`{word}`" for word in words)
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"object; each value: {in_words(values)}"
        case {"type": "array", "items": dict(items)}:
            return f"list; each: {in_words(items)}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "number" | "integer" as kind}:
            return ("whole number" if kind == "integer" else "number") + _bounds(schema)
        case {"format": "path"}:
            return "path of a file"
        case _:
            return "text"


def _bounds(schema: Schema) -> str:
    match schema:
        case {"minimum": low, "maximum": high}:
            return f" from {low} to {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            return f" above {low}, at most {high}"
        case {"minimum": low}:
            return f" from {low}"
        case {"exclusiveMinimum": low}:
            return f" above {low}"
        case _:
            return ""


def _default(name: str, schema: Schema) -> str:
    match schema.get("default", {}):
        case None:
            return "none"
        case [] | dict():
            return "empty"
        case str(word):
            return f"`{word}`"
        case int(number) if name.endswith("_bytes"):
            return f"`{number}` ({number >> 20} MiB)" if number >= 1 << 20 else f"`{number}` ({number >> 10} KiB)"
        case float(number):
            return f"`{number:g}`"
        case value:
            return f"`{json.dumps(value)}`"


def _by_type() -> Iterator[str]:
    """What the types have where a provider says nothing."""
    names = [name for name in Limits.model_fields if name in ProviderConfig.model_fields]
    differs = [name for name in names if ProviderConfig.model_fields[name].default is None]
    yield "## Defaults that depend on the type"
    yield ""
    yield "What holds for a provider of each type where none is given."
    yield ""
    yield f"| setting | {' | '.join(f'`{name}`' for name in CATALOG)} |"
    yield f"|---|{'---|' * len(CATALOG)}"
    for name in differs:
        limits = [getattr(_limits_of(kind), name) for kind in get_args(ProviderTypeName)]
        yield f"| `{name}` | {' | '.join(f'{value:g}' for value in limits)} |"
    for title, variables in {
        "`api_key`, from the environment": [row.key_env for row in CATALOG.values()],
        "`base_url`, from the environment": [row.url_env for row in CATALOG.values()],
    }.items():
        yield f"| {title} | {' | '.join(', '.join(f'`{name}`' for name in names) for names in variables)} |"
    yield f"| `base_url`, else | {' | '.join(_or_none(row.base_url) for row in CATALOG.values())} |"
    yield f"| `auth_method` | {' | '.join(_or_none(row.auth) for row in CATALOG.values())} |"


def _or_none(text: str | None) -> str:
    return "yours" if text is None else f"`{text}`"


@cache
def _limits_of(kind: ProviderTypeName) -> Limits:
    return resolve(kind, ProviderConfig(type=kind, base_url="https://example.com", deployment="any"), {}).limits


def _quirks() -> Iterator[str]:
    yield "## Quirks"
    yield ""
    yield f"Under `providers.NAME.quirks`; what is not given is as the type has it. {_purpose(Quirks)}"
    yield ""
    yield f"| setting | {' | '.join(f'`{name}`' for name in CATALOG)} | meaning |"
    yield f"|---|{'---|' * len(CATALOG)}---|"
    means = meanings(Quirks)
    for name in sorted(Quirks.__struct_fields__):
        values = [json.dumps(getattr(row.quirks, name)).strip('"').replace("null", "none") for row in CATALOG.values()]
        yield f"| `{name}` | {' | '.join(f'`{value}`' for value in values)} | {means.get(name, '')} |"


def _purpose(model: type) -> str:
    """What a class is for, and where to read on."""
    parts = _parts(model)
    told = [_plain(part.__doc__ or "") for part in parts]
    files = dict.fromkeys(f"`{part.__module__.replace('.', '/')}.py`" for part in parts if _defines(part))
    return f"{' '.join(told)} Defined in {' and '.join(files)}."


def meanings(model: type) -> dict[str, str]:
    """The docstrings of a class's fields, those of the classes it is made of included, by the field's name."""
    return {name: text for part in reversed(_parts(model)) for name, text in _docstrings(part).items()}


def _parts(model: type) -> list[type]:
    """The class, and those of ours that it has settings from."""
    return [part for part in model.__mro__ if part is model or _defines(part)]


def _defines(part: type) -> bool:
    return part.__module__.startswith("nexus3.") and "__annotations__" in vars(part)


def _docstrings(part: type) -> dict[str, str]:
    """Of the fields that this class adds. Read from the source: at run time nobody keeps them."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
    found = {}
    for field, after in pairwise(cast("ast.ClassDef", definition).body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = _plain(text)
            case _:
                pass
    return found


def _plain(text: str) -> str:
    """A docstring as one line of a table in Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")
    text = text.replace("`None`", "`none`")  # as the column of defaults says it
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(markdown())
