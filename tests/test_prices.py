"""The price table is exact, dated and says nothing about models it does not know."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from agentkit import prices
from agentkit.errors import ConfigError
from agentkit.model_spec import PriceSpec
from agentkit.prices import lookup
from agentkit.usage import Price, Tier, Usage

D = Decimal
OWN = {
    "date": "2027-01-02",
    "source": "somebody",
    "makers": {
        "openai": {
            "hosts": ["api.openai.com"],
            "models": {"gpt-5-mini": {"input": 0.2, "output": 1.6}, "gpt-7": {"input": 9, "output": 90}},
        }
    },
}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The place of the user's own table, in a folder of the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = prices.own_table()
    path.parent.mkdir()
    return path


@pytest.fixture(autouse=True)
def _nobodys_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def test_a_known_model_has_its_exact_price() -> None:
    price = lookup("gpt-5-mini")
    assert price == Price(D("0.25"), D(2), cache_read=D("0.025"))
    assert price is not None
    assert price.nano_usd(Usage(1_000_000, output_tokens=1_000_000)) == 2_250_000_000
    assert (price.date, price.source[:12]) == (prices.date(), "genai-prices")


def test_a_price_by_the_length_of_the_prompt_has_its_tiers() -> None:
    price = lookup("gpt-5.4")
    assert price == Price(
        D("2.5"), D(15), D("0.25"), tiers=(Tier(272_000, Price(D(5), D("22.5"), cache_read=D("0.5"))),)
    )
    assert lookup("gpt-4.1") == Price(D(2), D(8), D("0.5"), multipliers={"batch": D("0.5")})


def test_an_unknown_model_has_no_price_rather_than_a_price_of_nothing() -> None:
    assert lookup("gpt-5-mini-next") is None
    assert lookup("gpt-5-mini-2025") is None
    assert lookup("") is None


def test_a_dated_snapshot_costs_as_its_model_unless_it_is_listed() -> None:
    assert lookup("claude-opus-4-5-20251101") == lookup("claude-opus-4-5") is not None
    assert lookup("gpt-4.1-2025-04-14") == lookup("gpt-4.1") is not None
    listed = lookup("gpt-4o-2024-05-13")
    assert listed is not None and listed.input == 5 != lookup("gpt-4o-2024-08-06").input  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("address", "holds"),
    [
        ("https://api.openai.com/v1", True),
        ("https://API.OPENAI.COM", True),
        ("https://openrouter.ai/api/v1", False),
        ("http://localhost:8000/v1", False),
        ("https://api.openai.com.example/v1", False),
        ("https://api.anthropic.com", False),
    ],
)
def test_a_price_holds_at_its_makers_own_address_only(address: str, holds: bool) -> None:
    assert (lookup("gpt-5", address) is not None) is holds


def test_every_row_is_a_positive_price() -> None:
    assert len(prices.table()) > 60
    for model, price in prices.table().items():
        assert 0 < price.input <= price.dearest(10**6)[0], model
        assert price.output > 0 or "embedding" in model
        for tier in price.tiers:
            assert tier.price.input > price.input and tier.price.output > price.output, model
            assert tier.price.input >= tier.price.rates.cache_read


# ---------------------------------------------------------------- the user's own table
def test_rows_of_the_users_own_table_come_first(own: Path) -> None:
    own.write_text(json.dumps(OWN))
    mini, new, shipped = lookup("gpt-5-mini"), lookup("gpt-7"), lookup("gpt-5")
    assert mini == Price(D("0.2"), D("1.6"))
    assert new is not None and (new.date, new.source) == ("2027-01-02", "somebody")
    assert shipped is not None and shipped.date == prices.date() == "2026-11-20"
    assert set(prices.table()) > {"gpt-7", "gpt-5"}


def test_a_table_that_is_written_anew_is_read_anew(own: Path) -> None:
    own.write_text(json.dumps(OWN))
    assert lookup("gpt-7") is not None
    own.unlink()
    assert lookup("gpt-7") is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"date": "2027-01-02", "source": "x"}',
        json.dumps(OWN).replace('"input": 9', '"input": "9"'),
        json.dumps(OWN).replace('"input": 9', '"input": -9'),
        json.dumps(OWN).replace('"input": 9', '"inputs": 9'),
        json.dumps(OWN).replace('"input": 9', '"input": 9, "colour": 1'),
    ],
)
def test_a_broken_table_is_refused_by_name(own: Path, text: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError, match=r"prices\.json is not a price table .* agentkit models --refresh"):
        lookup("gpt-5")


# ---------------------------------------------------------------- the same shape in definitions
def test_a_definition_says_a_price_as_the_table_does() -> None:
    row = {
        "input": 3,
        "output": 15,
        "cache_read": 0.3,
        "cache_write": 3.75,
        "cache_write_1h": 6,
        "image": 4,
        "tiers": [{"above": 200000, "input": 6, "output": 22.5, "cache_read": 0.6}],
        "multipliers": {"batch": 0.5, "priority": 2},
    }
    exact = json.loads(json.dumps(row), parse_float=Decimal)
    assert PriceSpec.model_validate(exact).to_price() == prices.read_price(exact)
