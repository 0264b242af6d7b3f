"""Public price lists become rows of our table; what a bound cannot say is left out."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentkit import prices
from agentkit.errors import ConfigError
from agentkit.evals.public_data import data_folder
from agentkit.price_sources import read_prices, write_table
from agentkit.usage import Price, Tier

D = Decimal
LIST = (data_folder("prices") or Path("absent")) / "genai_prices_data_slim.jsonl.gz"


def tiered(base: float, above: float) -> dict[str, Any]:
    return {"base": base, "tiers": [{"start": 200_000, "price": above}]}


GENAI: list[dict[str, Any]] = [
    {
        "id": "anthropic",
        "models": [
            {"id": "flat", "prices": {"input_mtok": 1, "cache_write_mtok": 1.25, "output_mtok": 5}},
            {
                "id": "changed",
                "prices": [
                    {"prices": {"input_mtok": tiered(5, 10), "output_mtok": tiered(25, 37.5)}},
                    {"constraint": {"start_date": "2026-03-13"}, "prices": {"input_mtok": 5, "output_mtok": 25}},
                ],
            },
            {
                "id": "by-the-hour",
                "prices": [
                    {"prices": {"input_mtok": 1, "output_mtok": 2}},
                    {
                        "constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"},
                        "prices": {"input_mtok": 2, "output_mtok": 4},
                    },
                ],
            },
            {"id": "with-a-fee", "prices": {"input_mtok": 1, "output_mtok": 2, "requests_kcount": 12}},
            {"id": "old", "deprecated": True, "prices": {"input_mtok": 1, "output_mtok": 2}},
            {"id": "without-output", "prices": {"input_mtok": 1}},
        ],
    },
    {
        "id": "google",
        "models": [
            {
                "id": "gemini-pro",
                "prices": {
                    "input_mtok": tiered(1.25, 2.5),
                    "output_mtok": tiered(10, 15),
                    "cache_read_mtok": 0.125,
                    "input_audio_mtok": 3,
                },
            },
            {"id": "claude-resold", "prices": {"input_mtok": 1, "output_mtok": 2}},
            {"id": "gemini-embedding", "prices": {"input_mtok": 0.15}},
            {"id": "gemini-image", "prices": {"input_mtok": 1, "output_mtok": 30}},
        ],
    },
    {"id": "openrouter", "models": [{"id": "gpt-5", "prices": {"input_mtok": 1, "output_mtok": 2}}]},
]
LITELLM: dict[str, dict[str, Any]] = {
    "sample_spec": {"litellm_provider": "one of …", "input_cost_per_token": 0},
    "gpt-5.4": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "input_cost_per_token_above_272k_tokens": 5e-06,
        "input_cost_per_token_batches": 1.25e-06,
        "input_cost_per_token_flex": 1.25e-06,
        "input_cost_per_token_priority": 5e-06,
        "output_cost_per_token": 1.5e-05,
        "output_cost_per_token_above_272k_tokens": 2.25e-05,
        "output_cost_per_token_batches": 7.5e-06,
        "cache_read_input_token_cost": 2.5e-07,
    },
    "claude-x": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
    },
    "gemini/gemini-3-pro": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 1.2e-05,
    },
    "xai/grok-9": {"litellm_provider": "xai", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    "azure/gpt-5": {"litellm_provider": "azure", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    "gpt-4o-audio-preview": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
    },
    "dall-e": {"litellm_provider": "openai", "input_cost_per_image": 0.01},
}


def read(tmp_path: Path, data: object, date: str = "2026-11-20") -> dict[str, Price]:
    """The prices of `data` after the whole way: read, written as a table, read back."""
    path, table = tmp_path / "list.json", tmp_path / "agentkit" / "prices.json"
    path.write_text(json.dumps(data))
    write_table(table, read_prices(path, date), date=date, source="a test")
    return {
        model: prices.read_price(row)
        for maker in json.loads(table.read_text(), parse_float=Decimal)["makers"].values()
        for model, row in maker["models"].items()
    }


def test_genai_prices(tmp_path: Path) -> None:
    assert read(tmp_path, GENAI) == {
        "flat": Price(D(1), D(5), cache_write=D("1.25"), cache_write_1h=D(2)),
        "changed": Price(D(5), D(25)),
        "gemini-pro": Price(
            D("1.25"), D(10), D("0.125"), tiers=(Tier(200_000, Price(D("2.5"), D(15), D("0.125"))),)
        ),
        "gemini-embedding": Price(D("0.15"), D(0)),
    }


def test_the_price_of_the_day_is_taken(tmp_path: Path) -> None:
    before = read(tmp_path, GENAI, "2026-03-12")["changed"]
    assert before == Price(D(5), D(25), tiers=(Tier(200_000, Price(D(10), D("37.5"))),))


def test_litellm(tmp_path: Path) -> None:
    assert read(tmp_path, LITELLM) == {
        "gpt-5.4": Price(
            D("2.5"),
            D(15),
            D("0.25"),
            tiers=(Tier(272_000, Price(D(5), D("22.5"), D("0.25"))),),
            multipliers={"batch": D("0.5")},  # flex has no price of output, priority would raise every bound
        ),
        "claude-x": Price(D(3), D(15), cache_write=D("3.75"), cache_write_1h=D(6)),
        "gemini-3-pro": Price(D(2), D(12)),
        "grok-9": Price(D(1), D(2)),
    }


def test_one_provider_a_line_and_compressed(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, GENAI)).encode()))
    assert set(read_prices(path, "2026-11-20")) == {"anthropic", "google"}
    path.write_bytes(gzip.compress(json.dumps(GENAI[0]).encode()))
    assert set(read_prices(path, "2026-11-20")) == {"anthropic"}


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"{}", b"7", b'"x"', b'[{"id": "openai"}]', b'{"a": 1}', b"\x1f\x8bno", b"\xff"]
)
def test_what_is_no_price_list_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="take data.json of genai-prices, or model_prices_and_context"):
        read_prices(path, "2026-11-20")


def test_a_table_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_table(tmp_path / "file" / "prices.json", {}, date="", source="")


@pytest.mark.skipif(not LIST.exists(), reason="the public price list is not on this machine")
def test_the_shipped_table_is_what_the_public_list_says() -> None:
    public = {
        model: prices.read_price(row)
        for models in read_prices(LIST, prices.date()).values()
        for model, row in models.items()
    }
    shipped = json.loads(
        Path(prices.__file__).with_name("data").joinpath("prices.json").read_text(), parse_float=Decimal
    )
    for maker in shipped["makers"].values():
        for model, row in maker["models"].items():
            if model != "gpt-4o-2024-05-13":  # the list has it at the price of later snapshots
                flat = {key: row[key] for key in row if key != "multipliers"}
                assert prices.read_price(flat) == public[model], model
