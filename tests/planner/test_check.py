"""What a reference stands for has the type that the argument takes."""

from typing import Any

import pytest

from agentkit.errors import PlanError
from agentkit.planner import Ref
from agentkit.planner.check import value_of

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "nullable": {"type": ["string", "null"]},
        "whatever": {"anyOf": [{"type": "integer"}, True]},
        "number": {"type": "number"},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "texts": {"type": "array", "items": {"type": "string"}},
        "any": {},
    },
}
CASES = [
    ("text", (), "1.10", "1.10"),
    ("text", (), "plain", "plain"),
    ("text", (), '{"a": 1}', '{"a": 1}'),
    ("maybe", (), "42", "42"),
    ("nullable", (), "42", "42"),
    ("whatever", (), "42", 42),
    ("number", (), "[" * 100_000, "[" * 100_000),
    ("number", (), "1.5", 1.5),
    ("number", (), "plain", "plain"),
    ("either", (), "7", 7),
    ("any", (), "[1, 2]", [1, 2]),
    ("number", ("items", 1, "price"), '{"items": [0, {"price": 3}]}', 3),
    ("text", ("items", 0), '{"items": [{"a": 1}]}', '{"a": 1}'),
    ("text", ("name",), '{"name": "Ada"}', "Ada"),
    ("unheard_of", (), "1", 1),
]


@pytest.mark.parametrize(("argument", "path", "result", "expected"), CASES)
def test_a_result_is_read_as_the_argument_takes_it(
    argument: str, path: tuple[str | int, ...], result: str, expected: Any
) -> None:
    value = value_of(Ref("a", path), result, SCHEMA, (argument,))
    assert value == expected and type(value) is type(expected)


def test_items_of_a_list_have_a_type_too() -> None:
    assert value_of(Ref("a"), "5", SCHEMA, ("texts", 0)) == "5"


@pytest.mark.parametrize("result", ["plain", '{"items": []}', '{"items": "text"}', "[]", "3"])
def test_a_path_to_nothing_is_an_error(result: str) -> None:
    with pytest.raises(PlanError, match="step 'a' has nothing at items/0"):
        value_of(Ref("a", ("items", 0)), result, SCHEMA, ("text",))
