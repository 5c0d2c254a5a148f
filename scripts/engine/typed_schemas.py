"""Thirty-five answers as pydantic models: what callers of ``complete_as`` write.

Each says whether llama.cpp's grammar holds an answer to the whole of its schema. What it does not hold (bounds of
numbers, formats, distinct items, the length of anything that has no limit) a random model will miss, and must then be
told to the caller by type.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Annotated, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel
from typing_extensions import TypedDict

Word = Annotated[str, Field(min_length=1, max_length=8)]
T = TypeVar("T")


class Case(NamedTuple):
    """A schema, by the model that reads its answers."""

    model: type[BaseModel]
    held: bool
    """The engine's grammar lets nothing else through, so the answer must fit."""


class Closed(BaseModel):
    """No key but the declared, no value of another type; infinity, which a long exponent is, stays a number."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")


class Empty(Closed):
    pass


class Flag(Closed):
    is_on: bool


class Real(Closed):
    x: float


class Nothing(Closed):
    nothing: None


class FiveLetters(Closed):
    text: Annotated[str, Field(min_length=5, max_length=5)]


class Suit(StrEnum):
    HEARTS = "hearts"
    SPADES = "spades"


class Level(IntEnum):
    LOW = -1
    HIGH = 10


class PlayingCard(Closed):
    suit: Suit
    level: Level


class Mixed(Closed):
    value: Literal[1, "one", True, None]


class Constant(Closed):
    version: Literal["2026-01"]


class AllOptional(Closed):
    """Nothing is required."""

    a: int | None = None
    b: Word = "b"
    c: bool = True


class Nullable(Closed):
    nickname: Word | None


class Address(Closed):
    street: Word
    number: int


class Person(Closed):
    name: Word
    home: Address
    work: Address | None


class Depth6(Closed):
    class Depth5(Closed):
        class Depth4(Closed):
            class Depth3(Closed):
                class Depth2(Closed):
                    bottom: bool

                two: Depth2

            three: Depth3

        four: Depth4

    five: Depth5


class Shopping(Closed):
    items: Annotated[list[Word], Field(min_length=2, max_length=4)]


class Matrix(Closed):
    rows: Annotated[list[Annotated[list[bool], Field(min_length=2, max_length=2)]], Field(min_length=2, max_length=2)]


class Pair(Closed):
    pair: tuple[Word, bool, Literal["left", "right"]]


class Households(Closed):
    members: Annotated[list[Person], Field(max_length=2)]


class Either(Closed):
    value: int | Word | bool


class Circle(Closed):
    kind: Literal["circle"]
    radius: int


class Square(Closed):
    kind: Literal["square"]
    side: int


class Drawing(Closed):
    shape: Annotated[Circle | Square, Field(discriminator="kind")]


class Stamp(Closed):
    id: UUID
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-[0-9]{3}$")]


class Foreign(Closed):
    """Names and values beyond ASCII; two names that differ in nothing that a grammar's rule may be named by."""

    größe: bool
    名前: Literal["山田", "naïve", "🙂"]
    имя: bool


class Aliased(Closed):
    sender: Word = Field(alias="from")
    first_name: Word = Field(alias="first name")


class Point(TypedDict):
    x: int
    y: int


class Place(Closed):
    at: Point


class Page(Closed, Generic[T]):
    number: int
    items: Annotated[list[T], Field(max_length=2)]


class Open(BaseModel):
    """Other keys are allowed."""

    known: bool


class Many(Closed):
    """Sixteen fields, all alike."""

    __annotations__ = {f"field_{number}": bool for number in range(16)}


class LongEnum(Closed):
    code: Literal[tuple(f"code-{number:03}" for number in range(200))]  # type: ignore[valid-type] # a made list


class Chain(Closed):
    """As long as the model likes: after each link it may stop or go on."""

    is_end: bool
    next: "Chain | None"


class Percentage(Closed):
    value: Annotated[int, Field(ge=0, le=100)]


class Days(Closed):
    """Grammars know the shape of a date, but not how long February is."""

    day: date
    at: datetime


class Price(Closed):
    """A number or text of a pattern that looks ahead, which grammars cannot."""

    amount: Decimal


class Labels(Closed):
    """Keys of any length, and any number of them."""

    labels: dict[str, bool]


class Anything(Closed):
    value: JsonValue


class Distinct(Closed):
    suits: Annotated[set[Suit], Field(min_length=2, max_length=2)]


class Essay(Closed):
    """Text without a limit."""

    text: str


class Numbers(RootModel[Annotated[list[int], Field(min_length=1, max_length=3)]]):
    """An answer that is no object."""


HELD: tuple[type[BaseModel], ...] = (
    Empty, Flag, Real, Nothing, FiveLetters, PlayingCard, Mixed, Constant, AllOptional, Nullable, Person, Depth6,
    Shopping, Matrix, Pair, Households, Either, Drawing, Stamp, Foreign, Aliased, Place, Page[Point], Open, Many,
    LongEnum, Numbers,
)  # fmt: skip
NOT_HELD: tuple[type[BaseModel], ...] = (
    Chain, Percentage, Days, Price, Labels, Anything, Distinct, Essay,
)  # fmt: skip

TYPED = tuple(Case(model, model in HELD) for model in (*HELD, *NOT_HELD))
