"""What a caller asks: the completion request and its tools. Validated once, here."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from nexus3.wire import openai_shapes
from nexus3.wire.messages import CacheMark, Frozen, JsonObject, Message, Role

if TYPE_CHECKING:
    from nexus3.wire.function_tool import FunctionTool

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Priority = Literal["interactive", "normal", "batch"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Tool(Frozen):
    """A function that the model may call. ``parameters`` is a JSON schema of type object; empty means no arguments.

    ``strict`` asks the provider to enforce the schema, where it can.
    """

    name: str
    description: str | None = None
    parameters: JsonObject = Field(default_factory=dict)
    strict: bool | None = None
    cache: CacheMark | None = None

    @classmethod
    def from_function(
        cls,
        fn: Callable[..., object],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float | None = None,
    ) -> "FunctionTool":
        """The tool that a function is, by its signature and docstring.

        See :func:`nexus3.wire.function_tool.tool_from_function`.
        """
        from nexus3.wire.function_tool import tool_from_function  # here, for that module is built on this one

        return tool_from_function(fn, name=name, description=description, timeout=timeout)

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, value: object) -> object:
        return openai_shapes.tool(value)

    @field_validator("name")
    @classmethod
    def _portable_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"tool name {name!r}: use 1 to 64 of A-Z a-z 0-9 _ -, which every provider takes")
        return name


class Reasoning(Frozen):
    """How much a model shall think: an effort, or a budget in tokens where the model takes one.

    ``visible`` asks for the text of the reasoning (or to leave it out), where the provider can.
    """

    effort: Effort | None = None
    budget_tokens: int | None = Field(default=None, ge=0)
    visible: bool | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.effort is not None and self.budget_tokens is not None:
            raise ValueError("give effort or budget_tokens, not both")
        return self


def _read_reasoning(value: object) -> object:
    """``True`` is effort high (what the original sent), ``False`` none, a word is an effort."""
    if isinstance(value, bool):
        return {"effort": "high" if value else "none"}
    if isinstance(value, str):
        return {"effort": value}
    return value


ReasoningSetting = Annotated[Reasoning, BeforeValidator(_read_reasoning)]


class OutputSchema(Frozen):
    """The JSON schema that the answer shall satisfy. ``schema`` ``None`` asks for any JSON object."""

    schema_: JsonObject | None = Field(alias="schema")
    name: str = "response"
    description: str | None = None
    strict: bool | None = None


def _read_output_schema(value: object) -> object:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return {"schema": value.model_json_schema(), "name": _NAME_UNSAFE.sub("_", value.__name__)[:64]}
    return openai_shapes.output_schema(value)


_NAME_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def _read_stop(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class CompletionRequest(Frozen):
    """One completion. Unset fields are left to the model's configuration, then to the provider.

    ``messages``, ``tools`` and ``tool_choice`` also take the OpenAI dict shapes. Raises pydantic's ``ValidationError``
    (a ``ValueError``) that names the place.
    """

    model: str | None = None
    """An alias, ``provider:model`` or ``provider/model``; ``None`` is the configured ``default_model``."""
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: Annotated[str | None, BeforeValidator(openai_shapes.tool_choice)] = None
    """``auto``, ``none``, ``required``, or the name of one of ``tools``."""
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Annotated[tuple[str, ...], BeforeValidator(_read_stop)] = ()
    seed: int | None = None
    output_schema: Annotated[OutputSchema | None, BeforeValidator(_read_output_schema)] = None
    """A JSON schema, a pydantic model class, an :class:`OutputSchema`, or OpenAI's ``response_format``."""
    reasoning: ReasoningSetting | None = None
    prompt_caching: bool | None = None
    """Whether marks are set on the system prompt and the penultimate user turn, where the provider takes marks."""
    user: str | None = None
    """An opaque id of the end user, for the provider's abuse detection."""
    metadata: dict[str, str] = Field(default_factory=dict)
    extra_body: JsonObject = Field(default_factory=dict)
    """Merged into the body last: objects deeply, lists replaced; ``null`` deletes a key we would send."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds from acceptance to the terminal event, waiting and retries included; ``None`` is the provider's."""
    fallbacks: tuple[str, ...] | None = None
    """Models to go on with when this one fails before any content; ``None`` is the configured list."""
    priority: Priority = "normal"
    caller: str | None = None
    """Who asks: the key of fairness and caps."""

    @model_validator(mode="before")
    @classmethod
    def _none_is_unset(cls, value: object) -> object:
        """``tools=None`` and ``stop=None`` mean what leaving them out means."""
        if not isinstance(value, (dict, Mapping)):
            return value
        # Here, not in a validator of the field: that would cost every request a tenth of its own.
        if isinstance(value.get("messages"), (str, dict)):
            problem = "messages: give a list, such as [Message(role=Role.USER, content=...)]"
            raise ValueError(problem)  # noqa: TRY004 - pydantic makes a ValidationError of it, not of a TypeError
        return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}

    @field_validator("messages")
    @classmethod
    def _something_to_answer(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        # Not min_length: beside one bad message, that would also claim that there are none.
        if not messages:
            raise ValueError("give at least one message")
        return messages

    @model_validator(mode="after")
    def _choice_names_a_tool(self) -> Self:
        names, choice = [tool.name for tool in self.tools], self.tool_choice
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"tools: the name {twice!r} is given twice")
        if choice == "required" and not names:
            raise ValueError("tool_choice: required, but there are no tools")
        if choice not in (None, "auto", "none", "required", *names):
            raise ValueError(
                f"tool_choice: {choice!r} is none of auto, none, required or the tools "
                f"({', '.join(names) or 'there are none'})"
            )
        for place, message in enumerate(self.messages):
            if message.role is Role.TOOL and not message.tool_call_id:
                raise ValueError(f"messages[{place}]: a tool result needs tool_call_id")
        return self
