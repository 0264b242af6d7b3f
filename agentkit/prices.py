"""Prices of well-known models, from a small dated table that ships with the package.

The table holds only models that their maker sells at one flat price: a price that depends on the host, the
length of the prompt or the hour would make a bound or a receipt wrong. Definitions may price any model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from agentkit.usage import Price


def lookup(model: str) -> Price | None:
    """Return the list price of `model`, its provider's exact name, or None when the table has none."""
    return table().get(model)


@cache
def table() -> Mapping[str, Price]:
    """Return every price of the table by model."""
    return {model: Price(**row) for model, row in _data()["usd_per_million_tokens"].items()}


def date() -> str:
    """Return the day of the table, as YYYY-MM-DD."""
    return str(_data()["extracted"])


@cache
def _data() -> Mapping[str, Any]:
    text = Path(__file__).with_name("data").joinpath("prices.json").read_text("utf-8")
    data: Mapping[str, Any] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return data
