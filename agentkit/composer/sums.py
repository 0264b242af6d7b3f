"""What components cost together, and how amounts are said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from agentkit.catalog import Component
from agentkit.costs import NANO, Cost

UNPRICED = "its price is unknown and dollars are limited"


def usable(components: Sequence[Component], limited: tuple[str, ...]) -> Sequence[Component]:
    """Leave out what has no known price where dollars are limited, unless no model has one."""
    if "usd" not in limited or not any(c.kind == "model" and c.priced for c in components):
        return components
    return [component for component in components if component.priced]


def total(components: Iterable[Component]) -> Cost:
    """Return the sum of their costs."""
    costs = [component.cost for component in components]
    return Cost({name: sum(cost[name] for cost in costs) for name in set().union(*costs)})


def amount_text(name: str, amount: int) -> str:
    """Return an amount of one resource, dollars exactly."""
    return f"${Decimal(amount) / NANO:f}" if name == "usd" else f"{amount} {name}"


def money(cost: Cost) -> str:
    """Return the dollars and the tokens of `cost`."""
    return f"{amount_text('usd', cost['usd'])} and {cost['tokens']} tokens"
