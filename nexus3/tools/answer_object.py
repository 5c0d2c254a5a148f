"""Answers that are no object, asked for as one: ``{"answer": ...}``. Pure.

Arguments of a tool are an object, and providers that hold answers to a schema want one too, without a reference or a
combination at its top (OpenAI answers 400 to either). So lists, scalars, unions and models that hold themselves go
into an object with one key, by every way alike, and are taken out again here.
"""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, create_model

from nexus3.wire.messages import JsonObject
from nexus3.wire.schema_folding import FOLDED

T = TypeVar("T", bound=BaseModel)

KEY = "answer"

_OF_THE_DOCUMENT = ("$schema", "$defs", "definitions")
"""What stays at the top. References to definitions are paths from there, so they stay true."""


def is_plain_object(schema: JsonObject) -> bool:
    """The schema says at its top that the answer is an object, and says so without a reference or a combination."""
    return schema.get("type") == "object" and not any(key in schema for key in FOLDED)


def in_object(schema: JsonObject) -> JsonObject:
    """The schema of ``{"answer": ...}`` around what fits ``schema``.

    References other than to definitions, which pydantic never writes, would lead astray.
    """
    shared = {key: schema[key] for key in _OF_THE_DOCUMENT if key in schema}
    inner = {key: value for key, value in schema.items() if key not in shared}
    return {
        **shared,
        "type": "object",
        "properties": {KEY: inner},
        "required": [KEY],
        "additionalProperties": False,
    }


def read_in_object(text: str, model: type[T]) -> T:
    """The answer within the object that ``text`` is.

    Raises:
        pydantic.ValidationError: ``text`` does not fit; places begin with ``answer``.
    """
    holder = create_model("AnswerObject", __config__=ConfigDict(extra="forbid"), answer=(model, ...))
    found = getattr(holder.model_validate_json(text), KEY)
    assert isinstance(found, model), "the field is of that type"
    return found


def partial_in_object(found: JsonValue) -> JsonValue:
    """What has arrived of the answer, by what has arrived of the object; ``None`` before it began."""
    return found.get(KEY) if isinstance(found, dict) else None
