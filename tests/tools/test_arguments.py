"""Arguments as models write them: what is accepted, and the line that says what is wrong."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field

from agentkit.errors import ToolArgumentError
from agentkit.messages import ToolCall
from agentkit.tools import Context, Tool, parse_arguments, tool
from agentkit.types import ToolSpec


class Line(BaseModel):
    sku: str
    count: int = 1


@dataclass
class Box:
    width: int = 1


def _even(value: int) -> int:
    if value == 13:
        raise RuntimeError("unlucky")
    if value % 2:
        raise ValueError("must be even")
    return value


@tool
def order(
    customer: str,
    lines: list[Line],
    express: bool = False,
    day: date | None = None,
    rating: Annotated[int, Field(ge=1, le=5)] = 3,
    unit: Literal["kg", "lb"] = "kg",
    note: str | Line = "",
    pairs: Annotated[int, AfterValidator(_even)] = 0,
    discount: float = 0.0,
    size: tuple[int, int] = (1, 1),
    box: Box | None = None,
) -> None: ...


@tool
def ping(context: Context[None]) -> None: ...


async def _echo(arguments: Any, context: Any) -> object:
    return arguments


RAW = Tool(ToolSpec("raw", "", {"type": "object"}), _echo)


def problems(made: Tool, arguments: str) -> tuple[str, ...]:
    with pytest.raises(ToolArgumentError) as caught:
        parse_arguments(made, ToolCall("1", made.name, arguments))
    return caught.value.problems


def ordered(rest: str = "") -> str:
    return '{"customer": "Ada", "lines": [{"sku": "A1"}]' + (f", {rest}" if rest else "") + "}"


def test_defaults_are_filled_in() -> None:
    parsed = parse_arguments(order, ToolCall("1", "order", ordered('"day": "2026-02-03", "discount": 1')))
    assert parsed == {
        "customer": "Ada", "lines": [Line(sku="A1")], "express": False, "day": date(2026, 2, 3), "rating": 3,
        "unit": "kg", "note": "", "pairs": 0, "discount": 1.0, "size": (1, 1), "box": None,
    }  # fmt: skip


@pytest.mark.parametrize("nothing", ["", "  \n", "{}"])
def test_no_text_means_no_arguments(nothing: str) -> None:
    assert parse_arguments(ping, ToolCall("1", "ping", nothing)) == {}
    assert parse_arguments(RAW, ToolCall("1", "raw", nothing)) == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ["'customer' is missing", "'lines' is missing"]),
        ('{"customer": "Ada"', ["they are not valid JSON: EOF while parsing an object at line 1 column 18"]),
        ("[" * 300, ["they are not valid JSON: recursion limit exceeded at line 1 column 202"]),
        ("[1]", ["they should be an object, not [1]"]),
        ('"{}"', ['they should be an object, not "{}"']),
        (ordered('"expres": true'), ["'expres' is unknown; did you mean 'express'?"]),
        (ordered('"rating": "5"'), ["'rating': should be a valid integer, not \"5\"; write it without quotes"]),
        (ordered('"rating": 5.0'), ["'rating': should be a valid integer, not 5.0"]),
        (ordered('"rating": true'), ["'rating': should be a valid integer, not true"]),
        (ordered('"rating": 9'), ["'rating': should be less than or equal to 5, not 9"]),
        (
            ordered('"express": "true"'),
            ["'express': should be a valid boolean, not \"true\"; write it without quotes"],
        ),
        (ordered('"discount": NaN'), ["'discount': should be a finite number, not NaN"]),
        (ordered('"unit": "g"'), ["'unit': should be 'kg' or 'lb', not \"g\""]),
        (ordered('"pairs": 3'), ["'pairs': must be even, not 3"]),
        (ordered('"pairs": 13'), ["they cannot be checked: RuntimeError: unlucky"]),
        (ordered('"box": {"wide": 1}'), ["'box.wide' is unknown; leave it out"]),
        (ordered('"size": [1]'), ["'size[1]' is missing"]),
        (
            ordered('"size": [1, "x"]'),
            ["'size[1]': should be a valid integer, not \"x\""],
        ),
        ('{"customer": null, "lines": []}', ["'customer': should be a valid string, not null"]),
        (
            '{"customer": "Ada", "lines": [{"sku": "A1"}, {"sku": 7, "count": "2"}, {}]}',
            [
                "'lines[1].sku': should be a valid string, not 7",
                "'lines[1].count': should be a valid integer, not \"2\"; write it without quotes",
                "'lines[2].sku' is missing",
            ],
        ),
        (
            ordered('"note": {"count": 1}'),
            ["'note': should be a valid string, not {\"count\":1}", "'note.sku' is missing"],
        ),
    ],
)
def test_every_problem_is_one_line_a_model_can_act_on(arguments: str, expected: list[str]) -> None:
    assert list(problems(order, arguments)) == expected


def test_unknown_arguments_without_a_close_name_list_what_there_is() -> None:
    [line] = problems(order, ordered('"zzz": 1'))
    assert line.startswith("'zzz' is unknown; the arguments are 'customer', 'lines', 'express'")
    assert problems(ping, '{"context": 1}') == ("'context' is unknown; it takes no arguments",)


def test_long_values_are_cut() -> None:
    [line] = problems(order, ordered(f'"rating": "{"x" * 5_000}"'))
    assert "xxx…" in line and len(line) < 200


@pytest.mark.parametrize("arguments", ["[1]", "7", "null", "{"])
def test_a_tool_without_a_parser_takes_only_objects(arguments: str) -> None:
    assert problems(RAW, arguments)
    assert parse_arguments(RAW, ToolCall("1", "raw", '{"any": [1]}')) == {"any": [1]}


@given(st.text() | st.dictionaries(st.sampled_from(["customer", "lines", "x"]), st.text()).map(json.dumps))
def test_any_text_parses_or_gives_problems(text: str) -> None:
    try:
        parse_arguments(order, ToolCall("1", "order", text))
    except ToolArgumentError as error:
        assert error.problems and all("\n" not in problem for problem in error.problems)
