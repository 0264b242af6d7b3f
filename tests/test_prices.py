"""The price table is exact, dated and says nothing about models it does not know."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib.resources import files

from agentkit.prices import lookup
from agentkit.usage import Price, Usage


def test_a_known_model_has_its_exact_price() -> None:
    price = lookup("gpt-5-mini")
    assert price == Price(Decimal("0.25"), Decimal(2), cache_read=Decimal("0.025"))
    assert price is not None
    assert price.nano_usd(Usage(1_000_000, output_tokens=1_000_000)) == 2_250_000_000


def test_an_unknown_model_has_no_price_rather_than_a_price_of_nothing() -> None:
    assert lookup("gpt-5-mini-next") is None
    assert lookup("") is None


def test_every_row_is_a_positive_price_and_the_file_says_where_it_is_from() -> None:
    table = json.loads(files("agentkit").joinpath("data/prices.json").read_text("utf-8"))
    assert table["extracted"]
    assert table["source"]
    for model in table["usd_per_million_tokens"]:
        price = lookup(model)
        assert price is not None
        assert 0 < price.input <= price.dearest_input < price.output
