"""A tool with a function behind it: the function's signature becomes the schema, and validates the arguments.

Pure but for what the function itself does. Read the schema once, at import; each call validates against the very model
that the schema was made of, so that what the model was told and what is accepted cannot differ.
"""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema

from nexus3.errors import NexusError
from nexus3.wire.docstrings import described
from nexus3.wire.messages import JsonObject, Message
from nexus3.wire.requests import Tool


class ToolContext(msgspec.Struct, frozen=True):
    """What a tool may know of the call. A parameter annotated with this class gets it; the model never sees it."""

    call_id: str = ""
    round: int = 0
    """Which request of the loop asked for the call, counting from 1; 0 outside a loop."""
    messages: tuple[Message, ...] = ()
    """The conversation before the turn that asks for the call."""


Handler = Callable[[JsonObject, ToolContext], Awaitable[object]]
"""Does what a tool does, with arguments as the model gave them.

Raises ``ArgumentsInvalid`` for arguments that it does not take; anything else means that the tool failed.
"""


class ToolError(NexusError):
    """A tool did not do what was asked, and says so to the model: the text of this exception is what the model reads.

    Raise it in a tool. Of any other exception the model is told the type alone, for messages of exceptions hold paths,
    addresses and keys.
    """


class ArgumentsInvalid(NexusError, ValueError):  # noqa: N818 - it states what is wrong
    """The arguments of a call do not fit the tool. The text says where and why, and quotes no value."""


class FunctionTool(Tool):
    """A tool that can be run. To a provider it is a :class:`Tool` like any other; dumps leave the function out.

    Made by ``Tool.from_function``, or from a schema of any origin and a handler.
    """

    handler: Handler = Field(exclude=True, repr=False)
    timeout: float | None = Field(default=None, gt=0, exclude=True)
    """Seconds that one call may take in a loop; ``None`` leaves it to the loop."""

    async def call(self, arguments: JsonObject, context: ToolContext | None = None) -> object:
        """Validate ``arguments`` and run the function; returns what it returns.

        Raises:
            ArgumentsInvalid: the arguments do not fit.
            Exception: whatever the function raises.
        """
        return await self.handler(arguments, context or ToolContext())


def tool_from_function(
    fn: Callable[..., object], *, name: str | None = None, description: str | None = None, timeout: float | None = None
) -> FunctionTool:
    """A tool of ``fn``, an async function or a plain one (which runs on trio's own thread: wrap one that blocks in
    :func:`nexus3.tools.in_thread`).

    Every parameter becomes a property of the schema, by its annotation (``Annotated`` with ``Field``, ``Literal``,
    models: whatever pydantic takes), required where it has no default. The model sees neither parameters of type
    :class:`ToolContext`, which the loop fills in, nor those that a ``functools.partial`` has filled. Name and
    description are the function's own unless given; parameters are described by ``Field(description=...)``, else by
    the docstring.

    Raises:
        TypeError: a parameter cannot be described to a model; the message names it.
        pydantic.ValidationError: the name is none that every provider takes.
    """
    own_name = name or _name_of(fn)
    parameters = _parameters_of(fn, own_name)
    words = described(fn)
    model = _model_of(own_name, parameters)
    return FunctionTool(
        name=own_name,
        description=description or words.description,
        parameters=_schema_of(model, words.parameters),
        handler=partial(_run, fn, model, parameters),
        timeout=timeout,
    )


MOST_PROBLEMS = 20
"""Told of one answer: a long list of wrong items has the same problem in each, as a rule."""


def problems_of(error: ValidationError) -> str:
    """Where and why, for a model to read: the first so many, and how many more. Values are left out."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, item['loc'])) or 'the whole'}: {item['msg']}" for item in found[:MOST_PROBLEMS]]
    more = len(found) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)


def _name_of(fn: Callable[..., object]) -> str:
    while isinstance(fn, partial):
        fn = fn.func
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def _parameters_of(fn: Callable[..., object], name: str) -> list[inspect.Parameter]:
    """Those that are the model's or the context's to fill."""
    try:
        # Strings as annotations are looked up where the function was defined, wrapped or not.
        signature = inspect.signature(fn, eval_str=True)
    except NameError as error:
        problem = f"{name}: an annotation cannot be read, for {error}; define what it names in a module"
        raise TypeError(problem) from None
    filled = fn.keywords if isinstance(fn, partial) else {}
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name not in filled]
    for parameter in parameters:
        if not _is_context(parameter) and (why := _indescribable(parameter)):
            raise TypeError(f"{name}: the parameter {parameter.name} cannot be described to a model: {why}")
    return parameters


def _indescribable(parameter: inspect.Parameter) -> str | None:
    """Why no schema can say what may be given; ``None`` where one can."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return f"it is {parameter}, any number of them; give each a name"
    try:
        TypeAdapter(_type_of(parameter)).json_schema(schema_generator=_ToolSchema)  # type: ignore[arg-type] # any type
    except (PydanticUserError, NameError) as error:
        return str(error).split("\n", 1)[0]
    return None


def _is_context(parameter: inspect.Parameter) -> bool:
    return parameter.annotation is ToolContext


def _type_of(parameter: inspect.Parameter) -> object:
    return object if parameter.annotation is parameter.empty else parameter.annotation


def _model_of(name: str, parameters: list[inspect.Parameter]) -> type[BaseModel]:
    # Fields are numbered and go by their alias, since pydantic keeps names such as `schema` and `_id` for itself. A
    # default that is a `Field(...)` means what it does in a model.
    fields = {
        f"at_{place}": (
            Annotated[_type_of(parameter), Field(alias=parameter.name)],
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for place, parameter in enumerate(parameters)
        if not _is_context(parameter)
    }
    # Strict about names: an argument that nothing reads is a mistake that the model can mend.
    model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload] # built at run time
    return model


class _ToolSchema(GenerateJsonSchema):
    """Without titles that only repeat the name, and silent about defaults that JSON cannot say."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as the class above has it

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def _schema_of(model: type[BaseModel], words: dict[str, str]) -> JsonObject:
    schema: JsonObject = model.model_json_schema(schema_generator=_ToolSchema)
    schema.pop("title", None)
    properties = schema.setdefault("properties", {})
    if isinstance(properties, dict):
        for parameter, text in words.items():
            spelled = properties.get(parameter)
            if isinstance(spelled, dict) and text:
                spelled.setdefault("description", text)
    return schema


async def _run(
    fn: Callable[..., object],
    model: type[BaseModel],
    parameters: list[inspect.Parameter],
    arguments: JsonObject,
    context: ToolContext,
) -> object:
    """A :data:`Handler`, once the first three are filled in."""
    try:
        # As JSON, which is what they came as: a list may be a tuple there, a string a date, under strict types too.
        values = model.model_validate_json(msgspec.json.encode(arguments))
    except ValidationError as error:
        raise ArgumentsInvalid(problems_of(error)) from None
    positional: list[object] = []
    named: dict[str, object] = {}
    for place, parameter in enumerate(parameters):
        value = context if _is_context(parameter) else getattr(values, f"at_{place}")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            named[parameter.name] = value
    result = fn(*positional, **named)
    return await result if inspect.isawaitable(result) else result
