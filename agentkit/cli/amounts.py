"""Amounts of resources, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from agentkit.costs import NANO, RESOURCES


def dollars(nano_usd: int) -> str:
    """Return nano-dollars as dollars, such as `$0.05` or `$0.000012`: every digit that counts, two at least."""
    whole, _, fraction = f"{Decimal(nano_usd) / NANO:,.9f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def shown(resource: str, amount: int) -> str:
    """Return an amount with its unit, such as `$0.05`, `1,200 tokens` or `0.25 GPU seconds`."""
    if resource == "usd":
        return dollars(amount)
    if resource == "gpu_us":
        return f"{amount / 1_000_000:g} GPU seconds"
    kind, _, tool = resource.removesuffix("]").partition("[")
    noun = kind.replace("_", " ").removesuffix("s" if amount == 1 else "")
    return f"{amount:,} {noun}" + (f" of {tool}" if tool else "")


def listed(amounts: Mapping[str, int], seconds: float | None = None) -> str:
    """Return amounts as one phrase, dollars first; `seconds` of wall time come last."""
    parts = [shown(resource, amounts[resource]) for resource in sorted(amounts, key=_rank)]
    parts += [f"{seconds:.3g} seconds"] if seconds is not None else []
    return " · ".join(parts) or "nothing"


def brief(cost: Mapping[str, int]) -> str:
    """Return a cost as a phrase of dollars, tokens and GPU time."""
    return listed({name: cost[name] for name in ("usd", "tokens", "gpu_us") if cost.get(name)})


def plain(amounts: Mapping[str, int]) -> dict[str, str | int]:
    """Return amounts for JSON: dollars as a decimal string, the other resources as integers."""
    return {
        name: f"{Decimal(amounts[name]) / NANO:f}" if name == "usd" else amounts[name]
        for name in sorted(amounts, key=_rank)
    }


def _rank(resource: str) -> tuple[int, str]:
    return RESOURCES.index(resource.partition("[")[0]), resource
