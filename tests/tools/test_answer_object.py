"""What is no plain object goes into one, and the schema of the object says of the answer what the answer's own said."""

import importlib
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, ValidationError

from nexus3.tools.answer_object import in_object, is_plain_object, partial_in_object, read_in_object
from nexus3.wire.messages import JsonObject
from nexus3.wire.schema_folding import FOLDED


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Circle(Closed):
    kind: Literal["circle"]
    radius: int


class Square(Closed):
    kind: Literal["square"]
    side: Circle | None


class Tree(Closed):
    branches: "list[Tree]"


Shape = Annotated[Circle | Square, Field(discriminator="kind")]
CIRCLE: JsonValue = {"kind": "circle", "radius": 1}
VALUES: tuple[JsonValue, ...] = (
    None, True, 3, "x", [], [3], [CIRCLE, CIRCLE], CIRCLE, {"kind": "square", "side": CIRCLE}, {"kind": "square"},
    {"branches": []}, {"branches": [{"branches": []}]}, {"branches": [{}]}, {"answer": 3},
)  # fmt: skip
MODELS: tuple[type[BaseModel], ...] = (
    RootModel[int], RootModel[None], RootModel[Literal["x", 3]], RootModel[list[int]], RootModel[list[Shape]],
    RootModel[Shape], RootModel[Circle | Square | int], RootModel[dict[str, int]], Tree, Circle, Square,
)  # fmt: skip


def judge(schema: JsonObject) -> Any:
    pytest.importorskip("jsonschema", reason="jsonschema, which judges what is sent, is not installed")
    judges: Any = importlib.import_module("jsonschema").Draft202012Validator
    judges.check_schema(schema)
    return judges(schema)


@pytest.mark.parametrize("model", MODELS)
def test_the_answer_fits_where_it_fitted_alone(model: type[BaseModel]) -> None:
    alone: JsonObject = model.model_json_schema()
    wrapped = in_object(alone)
    assert is_plain_object(wrapped)
    fitting = [value for value in VALUES if judge(alone).is_valid(value)]
    assert fitting, "else this says nothing"
    assert fitting == [value for value in VALUES if judge(wrapped).is_valid({"answer": value})]
    assert not [value for value in VALUES if judge(wrapped).is_valid(value) and value != {"answer": 3}]


def test_what_every_provider_takes_at_the_top_is_left_alone() -> None:
    asked = {model.__name__: is_plain_object(model.model_json_schema()) for model in (Circle, Square, Tree)}
    assert asked == {"Circle": True, "Square": True, "Tree": False}, "a model that holds itself is a reference"
    assert not is_plain_object({})
    for key in FOLDED:
        assert not is_plain_object({"type": "object", key: []})


def test_the_answer_is_taken_out_and_held_to_its_model() -> None:
    tree = Tree(branches=[Tree(branches=[])])
    assert read_in_object(f'{{"answer": {tree.model_dump_json()}}}', Tree) == tree
    for text in (tree.model_dump_json(), '{"answer": {}}', '{"answer": {"branches": []}, "more": 1}', "[]", "{"):
        with pytest.raises(ValidationError):
            read_in_object(text, Tree)


@pytest.mark.parametrize(("found", "answer"), [({}, None), ({"answer": [1]}, [1]), ([1], None), (None, None)])
def test_what_has_arrived_is_that_of_the_answer(found: JsonValue, answer: JsonValue) -> None:
    assert partial_in_object(found) == answer
