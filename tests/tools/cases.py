"""Functions of every kind a tool may be made of, one line each; add a case and every property covers it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # pydantic refuses typing.TypedDict before Python 3.12


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.0


class Item(BaseModel):
    title: str
    price: Decimal = Decimal("1.50")
    parts: "list[Item]" = []


class Row(TypedDict):
    key: str
    default: bool


def scalars(text: str, count: int, ratio: float, flag: bool) -> None: ...
def defaults(text: str = "a", count: int | None = None, names: list[str] = ["x"]) -> None: ...  # noqa: B006
def bounded(count: Annotated[int, Field(ge=1, le=9)], ratio: float = Field(0.5, gt=0, lt=1)) -> None: ...
def choices(colour: Colour, unit: Literal["kg", "lb"] = "kg", level: Literal[1, 2] = 1) -> None: ...
def containers(rows: list[list[int]], by_name: dict[str, float], pair: tuple[int, str]) -> None: ...
def unions(either: int | list[str], maybe: Point | str | None = None) -> None: ...
def nested(point: Point, item: Item, row: Row) -> None: ...
def formats(day: date, amount: Decimal) -> None: ...
def reserved(schema: int, json: int, model_config: int, title: int, properties: int, _hidden: int = 0) -> None: ...
def nothing() -> None: ...


FUNCTIONS: list[Callable[..., Any]] = [
    scalars, defaults, bounded, choices, containers, unions, nested, formats, reserved, nothing
]  # fmt: skip
