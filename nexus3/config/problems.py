"""A validation error as one line that names the place, and never what was given there: it may be a key."""

from collections.abc import Sequence

from pydantic import ValidationError

from nexus3.wire.nearest import did_you_mean, quoted


def describe(error: ValidationError) -> str:
    """The first problem, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    place, text = list(first["loc"]), first["msg"]
    context = first.get("ctx", {})
    match first["type"]:
        case "unknown_key":
            return _with_place([*place, context["name"]], f"unknown key{context['hint']}", len(problems))
        case "value_error":
            text = str(context["error"])
        case "literal_error":
            expected = str(context["expected"])
            given = first["input"]
            # The hint is one of our own words; the given one is not shown.
            words = expected.replace(" or ", ", ").replace("'", "").split(", ")
            text = f"must be one of {', '.join(words)}"
            text += did_you_mean(given, words) if isinstance(given, str) else ""
        case "missing":
            text = "is required"
        case "dict_type" | "model_type" | "model_attributes_type":
            text = "must be an object"
        case "string_type" | "path_type":
            text = "must be a string"
        case "tuple_type" | "list_type":
            text = "must be a list"
        case "recursion_loop":
            text = "is nested too deeply"
        case _:
            text = text.replace("Input should be", "must be")
    return _with_place(place, text, len(problems))


def _with_place(place: Sequence[str | int], text: str, count: int) -> str:
    more = f" (and {count - 1} more)" if count > 1 else ""
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            shown = step if step.isprintable() and step and len(step) <= 80 else quoted(step)
            path += f".{shown}" if path else shown
    return f"{path}: {text}{more}" if path else f"{text}{more}"
