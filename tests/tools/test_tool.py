"""Tools: the decorator, what a call holds, and definitions that are refused."""

from decimal import Decimal
from typing import Any

import pytest

from agentkit.costs import Cost
from agentkit.errors import ConfigError
from agentkit.tools import Context, Tool, tool
from agentkit.types import ToolSpec


def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    More for people than for models.

    Args:
        city: Where.
    """
    return f"{city}: rain for {days} days"


async def ignore(arguments: Any, context: Context[Any]) -> None:
    return None


def raw(name: str = "raw", **fields: Any) -> Tool:
    return Tool(ToolSpec(name, "", {"type": "object"}), ignore, **fields)


def test_a_plain_function_becomes_a_tool() -> None:
    made = tool(weather)
    assert (made.name, made.spec.description) == ("weather", "Tell the weather.")
    assert made.spec.parameters["properties"]["city"] == {"type": "string", "description": "Where."}
    assert made.timeout == 60
    assert made.cost == Cost()


def test_options_replace_what_the_function_says() -> None:
    made = tool(name="forecast", description="Ask the sky.", cost={"usd": "0.001"}, timeout=None)(weather)
    assert (made.name, made.spec.description, made.timeout) == ("forecast", "Ask the sky.", None)
    assert made.hold == Cost({"usd": 1_000_000, "tool_calls": 1, "tool_calls[forecast]": 1})


@pytest.mark.parametrize(
    ("hint", "cost"),
    [
        ({}, Cost()),
        ({"usd": "0.001"}, Cost(usd=1_000_000)),
        ({"usd": 0.001}, Cost(usd=1_000_000)),
        ({"usd": Decimal("1e-10")}, Cost(usd=1)),  # rounded up: never held below what is spent
        ({"tokens": 500, "gpu_us": 3}, Cost(tokens=500, gpu_us=3)),
        (Cost(usd=5), Cost(usd=5)),
    ],
)
def test_cost_hints(hint: dict[str, Any], cost: Cost) -> None:
    made = tool(cost=hint)(weather)
    assert made.cost == cost
    assert made.hold == cost + {"tool_calls": 1, "tool_calls[weather]": 1}


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        ({"usd": "-1"}, "tool 'weather': cost .*negative"),
        ({"usd": "cheap"}, "tool 'weather': cost .*'cheap'"),
        ({"dollars": 1}, "tool 'weather': cost .*'dollars' is not a resource"),
        ({"tokens": 1.5}, "tool 'weather': cost .*tokens must be an integer"),
        ({"tool_calls": 1}, "tool 'weather': .*leave tool_calls out"),
        ({"tool_calls[weather]": 1}, "tool 'weather': .*leave tool_calls out"),
        (0.001, "tool 'weather': a cost is amounts such as .*, not 0.001"),
    ],
)
def test_cost_hints_that_cannot_be_read(hint: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tool(cost=hint)(weather)


@pytest.mark.parametrize("name", ["", "two words", "a.b", "x[1]", "é", "n" * 65, "<lambda>"])
def test_names_that_providers_refuse(name: str) -> None:
    with pytest.raises(ConfigError, match="is refused by model providers"):
        raw(name)
    assert raw("n" * 64).name == "n" * 64


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_timeouts_are_above_zero(timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout must be above 0"):
        raw(timeout=timeout)


def test_what_is_not_a_function_is_refused() -> None:
    class Bot:
        def __call__(self, text: str) -> str:
            return text

    with pytest.raises(ConfigError, match="is not a function"):
        tool(Bot())


def test_a_bound_method_is_a_tool() -> None:
    class Shop:
        def price(self, item: str) -> str:
            return item

    assert list(tool(Shop().price).spec.parameters["properties"]) == ["item"]
