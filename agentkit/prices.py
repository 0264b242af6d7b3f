"""Prices of well-known models: a small dated table that ships with the package, and a newer one of the user's.

The shipped table holds models as their makers sell them at their own address, where bounds can say the price:
flat, or by the length of the prompt. What has a price by the hour or a fee for each call is left out. Rows of the
user's own table, which `agentkit models --refresh` writes, come first; definitions may price any model.

    {"date": "2026-11-20", "source": …, "makers": {MAKER: {"hosts": ["api.openai.com"], "models": {NAME: PRICE}}}}

with PRICE as in a definition: dollars per million tokens, exact decimals.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from agentkit.errors import ConfigError
from agentkit.usage import Price, Tier

_SHIPPED = Path(__file__).with_name("data") / "prices.json"
_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")
_RATES = "input", "output", "cache_read", "cache_write", "cache_write_1h", "image"


class Listed(NamedTuple):
    """A price of the table and the hosts where it holds: the maker's own."""

    price: Price
    hosts: frozenset[str]


def lookup(model: str, base_url: str | None = None) -> Price | None:
    """Return the list price of `model`, its maker's exact name, or None when the table has none.

    A dated snapshot (`-20251101`, `-2025-08-07`) costs as its model unless it has a row of its own. With
    `base_url` the price holds only at the maker's own address: other hosts sell the same model at other prices.
    """
    listed = _listed()
    row = listed.get(model) or listed.get(_SNAPSHOT.sub("", model))
    if row is None or (base_url is not None and urlsplit(base_url).hostname not in row.hosts):
        return None
    return row.price


def table() -> Mapping[str, Price]:
    """Return every price by model."""
    return {model: row.price for model, row in _listed().items()}


def date() -> str:
    """Return the day of the shipped table, as YYYY-MM-DD."""
    return next(iter(_read(_SHIPPED, _SHIPPED.stat().st_mtime_ns).values())).price.date


def own_table() -> Path:
    """Return where the user's own table lies, whether it exists or not."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))
    return folder / "agentkit" / "prices.json"


def read_price(row: Mapping[str, Any], *, date: str = "", source: str = "") -> Price:
    """Return the price of a row of a table; raises ValueError, KeyError or TypeError where it is none."""
    rates = {name: _decimal(row[name]) for name in _RATES if name in row}
    tiers = tuple(
        Tier(int(tier["above"]), read_price({name: tier[name] for name in tier if name != "above"}))
        for tier in row.get("tiers", ())
    )
    multipliers = {name: _decimal(factor) for name, factor in row.get("multipliers", {}).items()}
    if unknown := set(row) - {*_RATES, "tiers", "multipliers"}:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    return Price(**rates, tiers=tiers, multipliers=multipliers, date=date, source=source)


def _decimal(amount: object) -> Decimal:
    """Read a number as it is written: JSON's decimals are never floats here."""
    if not isinstance(amount, int | Decimal) or isinstance(amount, bool):
        raise TypeError(f"{amount!r} is not a number")
    return Decimal(amount)


def _listed() -> Mapping[str, Listed]:
    """Every row by model; the files are read again when they change."""
    shipped = _read(_SHIPPED, _SHIPPED.stat().st_mtime_ns)
    try:
        changed = own_table().stat().st_mtime_ns
    except OSError:
        return shipped
    return _merged(own_table(), changed)


@lru_cache(maxsize=4)
def _merged(own: Path, changed: int) -> Mapping[str, Listed]:
    return {**_read(_SHIPPED, _SHIPPED.stat().st_mtime_ns), **_read(own, changed)}


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Mapping[str, Listed]:
    try:
        data: Mapping[str, Any] = json.loads(path.read_text("utf-8"), parse_float=Decimal)
        day, source = str(data["date"]), str(data["source"])
        return {
            model: Listed(read_price(row, date=day, source=source), frozenset(maker["hosts"]))
            for maker in data["makers"].values()
            for model, row in maker["models"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is not a price table ({error}); write it anew with agentkit models --refresh, or delete it"
        ) from error
