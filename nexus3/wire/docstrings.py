"""What a function's docstring tells a model: what the function does, and what its parameters mean.

Google's, NumPy's and Sphinx's styles are read by griffe, where it is installed (the extra ``tools``). Without it the
description is the first paragraph, and parameters are described by their annotations alone.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

# griffe warns about parameters without annotations, on a logger that prints where nobody configured logging.
_STYLES = {style: {"warnings": False} for style in ("google", "numpy", "sphinx")}


class Described(NamedTuple):
    """A docstring, read."""

    description: str | None
    parameters: dict[str, str]
    """What is said of each parameter, on one line; those of which nothing is said are missing."""


def described(fn: Callable[..., object]) -> Described:
    """The docstring of ``fn``; of what it wraps where it is a ``partial``, of its class where it is an object."""
    while isinstance(fn, partial):
        fn = fn.func
    own = None if inspect.isroutine(fn) else type(fn).__call__.__doc__
    text = inspect.cleandoc(own) if own else inspect.getdoc(fn)
    if not text:
        return Described(None, {})
    if importlib.util.find_spec("griffe") is None:
        return Described(" ".join(text.split("\n\n", 1)[0].split()), {})
    return _by_griffe(text)


def _by_griffe(text: str) -> Described:
    griffe = importlib.import_module("griffe")  # not by `import`: type checkers must not need it
    prose: list[str] = []
    parameters: dict[str, str] = {}
    for section in griffe.parse_auto(griffe.Docstring(text), per_style_options=_STYLES):
        match section.kind.value:
            case "text" if not parameters:
                prose.append(section.value)
            case "parameters":
                parameters |= {found.name.lstrip("*"): " ".join(found.description.split()) for found in section.value}
            case _:
                pass
    return Described("\n\n".join(prose) or None, parameters)
