"""A function as a tool: what the model is told of it, and what reaches it."""

import functools
import importlib.util
import threading
from datetime import date
from enum import Enum
from typing import Annotated, Literal

import pytest
import trio
from pydantic import BaseModel, Field, ValidationError

from nexus3 import CompletionRequest, Message, Role, Tool
from nexus3.tools import ArgumentsInvalid, ToolContext, in_thread


class Place(BaseModel):
    name: str
    country: str = "DE"


class Unit(Enum):
    C = "celsius"
    F = "fahrenheit"


def plain(city: str, days: int = 3) -> None: ...
def annotated(days: Annotated[int, Field(ge=1, le=9, description="How many.")]) -> None: ...
def with_field(days: int = Field(default=3, le=9, description="How many.")) -> None: ...
def literal(unit: Literal["c", "f"]) -> None: ...
def enumerated(unit: Unit) -> None: ...
def optional(city: str | None = None) -> None: ...
def nested(place: Place) -> None: ...
def untyped(anything) -> None: ...  # type: ignore[no-untyped-def] # that is the point
def in_context(city: str, context: ToolContext) -> None: ...
def keyword_only(*, city: str) -> None: ...
def positional_only(city: str, /) -> None: ...
def odd_names(schema: str, _id: int, model_config: bool, json: bool) -> None: ...


UNSET = object()


def not_json(sentinel: object = UNSET) -> None: ...
def nothing() -> None: ...
def as_text(place: "Place") -> None: ...


PLACE = {
    "properties": {"name": {"type": "string"}, "country": {"default": "DE", "type": "string"}},
    "required": ["name"],
    "title": "Place",
    "type": "object",
}
COUNT = {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many."}
TEXT = {"type": "string"}
SCHEMAS: list[tuple[object, dict[str, object], list[str], dict[str, object]]] = [
    (plain, {"city": TEXT, "days": {"type": "integer", "default": 3}}, ["city"], {}),
    (annotated, {"days": COUNT}, ["days"], {}),
    (with_field, {"days": {"type": "integer", "maximum": 9, "description": "How many.", "default": 3}}, [], {}),
    (literal, {"unit": {"type": "string", "enum": ["c", "f"]}}, ["unit"], {}),
    (optional, {"city": {"anyOf": [TEXT, {"type": "null"}], "default": None}}, [], {}),
    (nested, {"place": {"$ref": "#/$defs/Place"}}, ["place"], {"Place": PLACE}),
    (as_text, {"place": {"$ref": "#/$defs/Place"}}, ["place"], {"Place": PLACE}),
    (untyped, {"anything": {}}, ["anything"], {}),
    (in_context, {"city": TEXT}, ["city"], {}),
    (keyword_only, {"city": TEXT}, ["city"], {}),
    (positional_only, {"city": TEXT}, ["city"], {}),
    (
        odd_names,
        {"schema": TEXT, "_id": {"type": "integer"}, "model_config": {"type": "boolean"}, "json": {"type": "boolean"}},
        ["schema", "_id", "model_config", "json"],
        {},
    ),
    (nothing, {}, [], {}),
    (functools.partial(plain, days=1), {"city": TEXT}, ["city"], {}),
    (in_thread(plain), {"city": TEXT, "days": {"type": "integer", "default": 3}}, ["city"], {}),
]


@pytest.mark.parametrize(("fn", "properties", "required", "defs"), SCHEMAS)
def test_a_signature_is_a_schema(fn, properties, required, defs) -> None:  # type: ignore[no-untyped-def] # a table
    expected = {"type": "object", "properties": properties, "additionalProperties": False}
    expected |= ({"required": required} if required else {}) | ({"$defs": defs} if defs else {})
    assert Tool.from_function(fn).parameters == expected


def test_enums_and_defaults_that_json_cannot_say_are_taken_too() -> None:
    found = Tool.from_function(enumerated).parameters["$defs"]
    assert found == {"Unit": {"enum": ["celsius", "fahrenheit"], "title": "Unit", "type": "string"}}
    unset = {"type": "object", "properties": {"sentinel": {}}, "additionalProperties": False}
    assert Tool.from_function(not_json).parameters == unset


def variadic(*cities: str) -> None: ...
def open_ended(**options: str) -> None: ...
def of_no_schema(event: trio.Event) -> None: ...
def of_no_json(fn: functools.partial[int]) -> None: ...


@pytest.mark.parametrize(
    ("fn", "named"),
    [(variadic, "cities"), (open_ended, "options"), (of_no_schema, "event"), (of_no_json, "fn")],
)
def test_what_cannot_be_described_is_refused_by_name(fn, named: str) -> None:  # type: ignore[no-untyped-def] # a table
    with pytest.raises(TypeError, match=f"{fn.__name__}: the parameter {named} cannot be described"):
        Tool.from_function(fn)


def test_an_annotation_that_cannot_be_found_is_refused() -> None:
    def lost(place: "Nowhere") -> None: ...  # type: ignore[name-defined] # noqa: F821 - that is the point

    with pytest.raises(TypeError, match="lost: an annotation cannot be read, for name 'Nowhere'"):
        Tool.from_function(lost)


def test_a_name_that_no_provider_takes_is_refused() -> None:
    with pytest.raises(ValidationError, match="<lambda>"):
        Tool.from_function(lambda: None)
    assert Tool.from_function(lambda: None, name="noop").name == "noop"


async def test_arguments_reach_the_function_as_what_they_are_annotated() -> None:
    async def book(place: Place, day: date, /, tags: tuple[str, ...] = (), *, unit: Unit = Unit.C) -> object:
        await trio.lowlevel.checkpoint()
        return place, day, tags, unit

    tool = Tool.from_function(book)
    found = await tool.call({"place": {"name": "Bonn"}, "day": "2026-01-02", "tags": ["a"], "unit": "fahrenheit"})
    assert found == (Place(name="Bonn"), date(2026, 1, 2), ("a",), Unit.F)
    assert await tool.call({"place": {"name": "Bonn"}, "day": "2026-01-02"}) == (
        Place(name="Bonn"),
        date(2026, 1, 2),
        (),
        Unit.C,
    )


async def test_defaults_and_context_are_filled_in() -> None:
    def where(context: ToolContext, days: int = Field(default=3)) -> object:
        return context.call_id, days

    assert await Tool.from_function(where).call({}, ToolContext(call_id="c1")) == ("c1", 3)
    assert await Tool.from_function(where).call({}) == ("", 3)

    def made(days: list[int] = Field(default_factory=list)) -> list[int]:  # noqa: B008 - pydantic's notation
        return days

    assert await Tool.from_function(made).call({}) == []


async def test_arguments_that_do_not_fit_are_told_by_place_and_without_their_values() -> None:
    with pytest.raises(ArgumentsInvalid) as caught:
        await Tool.from_function(nested).call({"place": {"name": ["secret"]}, "extra": "secret"})
    assert str(caught.value) == "place.name: Input should be a valid string; extra: Extra inputs are not permitted"


async def test_a_validation_error_of_the_function_itself_is_not_one_of_the_arguments() -> None:
    def broken() -> object:
        return Place.model_validate({})

    with pytest.raises(ValidationError):
        await Tool.from_function(broken).call({})


async def test_a_function_that_blocks_runs_in_a_thread_when_asked() -> None:
    def which_thread() -> bool:
        trio.from_thread.check_cancelled()  # only a thread of trio's knows this
        return True

    assert await Tool.from_function(in_thread(which_thread)).call({})


class Shop:
    """A shop."""

    def __init__(self, stock: int) -> None:
        self.stock = stock

    def buy(self, count: int) -> int:
        """Buy some."""
        return self.stock - count

    def __call__(self) -> int:
        return self.stock


async def test_a_thread_that_outlives_its_call_is_abandoned() -> None:
    go_on = threading.Event()
    tool = Tool.from_function(in_thread(go_on.wait), name="wait")
    with trio.move_on_after(0.01) as scope:
        await tool.call({})
    go_on.set()
    assert scope.cancelled_caught


async def test_strict_types_are_strict_about_json_and_not_about_python() -> None:
    def on(day: Annotated[date, Field(strict=True)], count: Annotated[int, Field(strict=True)]) -> object:
        return day, count

    tool = Tool.from_function(on)
    assert await tool.call({"day": "2026-01-02", "count": 3}) == (date(2026, 1, 2), 3)
    with pytest.raises(ArgumentsInvalid, match="count: Input should be a valid integer"):
        await tool.call({"day": "2026-01-02", "count": "3"})


async def test_methods_and_callable_objects_are_functions_too() -> None:
    buy, shop = Tool.from_function(Shop(5).buy), Tool.from_function(Shop(5))
    assert (buy.name, buy.description, await buy.call({"count": 2})) == ("buy", "Buy some.", 3)
    assert (shop.name, shop.description, await shop.call({})) == ("Shop", "A shop.", 5)


def test_a_request_is_dumped_without_the_functions() -> None:
    tool = Tool.from_function(plain)
    request = CompletionRequest(messages=(Message(role=Role.USER, content="hi"),), tools=(tool,))
    assert request.tools == (tool,)
    bare = Tool(name="plain", parameters=tool.parameters)
    assert CompletionRequest.model_validate_json(request.model_dump_json()).tools == (bare,)


def documented(city: str, days: Annotated[int, Field(description="As annotated.")]) -> None:
    """Tell the weather
    of a city.

    For some days.

    Args:
        city: Where,
            in English.
        days: As documented.
    """


def test_without_griffe_the_description_is_the_first_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    tool = Tool.from_function(documented)
    assert tool.description == "Tell the weather of a city."
    assert tool.parameters["properties"] == {
        "city": TEXT,
        "days": {"type": "integer", "description": "As annotated."},
    }
    assert Tool.from_function(documented, name="w", description="Mine.").description == "Mine."
    assert Tool.from_function(plain).description is None


GOOGLE = "Tell it.\n\nAt length.\n\nArgs:\n    city: Where,\n        in English.\n    days: How many.\n"
NUMPY = (
    "Tell it.\n\nAt length.\n\nParameters\n----------\ncity : str\n    Where,\n    in English.\ndays\n    How many.\n"
)
SPHINX = "Tell it.\n\nAt length.\n\n:param city: Where,\n    in English.\n:param int days: How many.\n"


@pytest.mark.skipif(importlib.util.find_spec("griffe") is None, reason="griffe (extra `tools`) is not installed")
@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX])
def test_griffe_reads_parameters_in_every_style(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    def tell(city: str, days: int) -> None: ...

    tell.__doc__ = text
    tool = Tool.from_function(tell)
    assert tool.description == "Tell it.\n\nAt length."
    assert tool.parameters["properties"] == {
        "city": {"type": "string", "description": "Where, in English."},
        "days": {"type": "integer", "description": "How many."},
    }
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(importlib.util.find_spec("griffe") is None, reason="griffe (extra `tools`) is not installed")
def test_an_annotation_s_description_goes_before_the_docstring_s() -> None:
    assert Tool.from_function(documented).parameters["properties"] == {
        "city": {"type": "string", "description": "Where, in English."},
        "days": {"type": "integer", "description": "As annotated."},
    }
