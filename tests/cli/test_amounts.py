"""Amounts in words and in JSON."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.cli.amounts import brief, dollars, listed, plain, shown
from agentkit.costs import MAX_AMOUNT, NANO, Cost


@given(st.integers(0, MAX_AMOUNT))
def test_dollars_lose_nothing(nano_usd: int) -> None:
    text = dollars(nano_usd)
    assert Decimal(text.lstrip("$").replace(",", "")) * NANO == nano_usd
    assert len(text.partition(".")[2]) >= 2
    assert Decimal(str(plain(Cost(usd=nano_usd)).get("usd", 0))) * NANO == nano_usd


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("usd", 1_234_500_000_000, "$1,234.50"),
        ("usd", 12_000, "$0.000012"),
        ("tokens", 1_200, "1,200 tokens"),
        ("input_tokens", 1, "1 input token"),
        ("tool_calls[get_order]", 2, "2 tool calls of get_order"),
        ("gpu_us", 250_000, "0.25 GPU seconds"),
    ],
)
def test_amounts_have_their_unit(resource: str, amount: int, text: str) -> None:
    assert shown(resource, amount) == text


def test_dollars_come_first_and_seconds_last() -> None:
    cost = Cost({"tool_calls": 1, "tokens": 10, "usd": NANO})
    assert listed(cost, 2.5) == "$1.00 · 10 tokens · 1 tool call · 2.5 seconds"
    assert brief(cost) == "$1.00 · 10 tokens"
    assert listed({}) == "nothing"
    assert list(plain(cost)) == ["usd", "tokens", "tool_calls"]
