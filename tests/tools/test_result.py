"""What tools return, as the text a model reads."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentkit.tools.result import result_text, truncated


class Size(enum.Enum):
    BIG = "big"


class Item(BaseModel):
    name: str
    price: Decimal


@dataclass
class Basket:
    items: list[Item]
    by_size: dict[Size, int] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain, not quoted", "plain, not quoted"),
        ("", ""),
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (0.1, "0.1"),
        (Decimal("12.50"), "12.50"),
        ("é", "é"),
        (["é", 1, None], '["é",1,null]'),
        ({"a": Decimal("0.10"), 1: (2, 3)}, '{"a":0.10,"1":[2,3]}'),
        ({date(2026, 1, 2): Size.BIG}, '{"2026-01-02":"big"}'),
        ({'"quoted"': 'a"b'}, '{"\\"quoted\\"":"a\\"b"}'),
        (
            Basket([Item(name="pen", price=Decimal("1.20"))], {Size.BIG: 1}),
            '{"items":[{"name":"pen","price":1.20}],"by_size":{"big":1}}',
        ),
        ({Decimal("1.50")}, "[1.50]"),
        (frozenset({3}), "[3]"),
        (b"abc", '"abc"'),
    ],
)
def test_values(value: object, text: str) -> None:
    assert result_text(value) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(JSON) | st.dictionaries(st.text(), JSON))
def test_containers_are_json(value: Any) -> None:
    assert json.loads(result_text(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_keep_every_digit(value: Decimal) -> None:
    [read] = json.loads(result_text([value]), parse_float=Decimal, parse_int=Decimal)
    assert read.as_tuple() == value.as_tuple()


@pytest.mark.parametrize("value", [object(), {"a": object()}, [ValueError]])
def test_values_without_a_json_form(value: object) -> None:
    with pytest.raises(ValueError, match="serialize"):
        result_text(value)


@given(st.text(), st.integers(0, 20))
def test_long_text_is_cut_and_says_so(text: str, limit: int) -> None:
    cut = truncated(text, limit)
    if len(text) <= limit:
        assert cut == text
    else:
        assert cut == f"{text[:limit]}\n[truncated: {limit} of {len(text)} characters shown]"


def test_a_lone_surrogate_is_replaced() -> None:
    assert truncated("a\ud800b", 10).encode() == b"a?b"


def test_mappings_of_any_kind() -> None:
    class Frozen(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            return 1

        def __iter__(self) -> Any:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    assert result_text(Frozen()) == '{"a":1}'
