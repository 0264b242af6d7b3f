"""Public price lists read into our table: pydantic/genai-prices, and LiteLLM's map of model prices.

Only what a bound can say is taken: models sold by their makers, priced by tokens and by the length of the prompt.
Prices by the hour, fees for each call, and models that hear, speak or draw are left out, and so are rows of
resellers. A service tier is taken when it is cheaper than the list; a dearer one would raise every bound, so those
who use one write it into their definition.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentkit.errors import ConfigError

Row = dict[str, Any]
"""A price as a definition writes it, without those parts that the source does not know."""

HOSTS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("api.anthropic.com",),
    "deepseek": ("api.deepseek.com",),
    "google": ("generativelanguage.googleapis.com",),
    "minimax": ("api.minimax.io",),
    "mistral": ("api.mistral.ai",),
    "moonshotai": ("api.moonshot.ai",),
    "openai": ("api.openai.com",),
    "x-ai": ("api.x.ai",),
}
"""The makers' own addresses, where their list prices hold."""

_OTHER_NAMES = {"gemini": "google", "moonshot": "moonshotai", "xai": "x-ai"}  # LiteLLM's
_NOT_BY_TOKENS = re.compile(r"audio|image|live|realtime|research|search|transcribe|tts|veo|voxtral|whisper")
_GENAI_RATES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
}
_UNSENT = {"input_audio_mtok", "cache_audio_read_mtok"}  # we send no sound
_LITELLM_RATES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
_LITELLM_TIER = re.compile(r"_above_(\d+)k_tokens$")
_SIDES = "input", "output"
_WRONG_SHAPE = ValueError, TypeError, AttributeError, KeyError, ArithmeticError
_WANTED = "take data.json of genai-prices, or model_prices_and_context_window.json of LiteLLM"
_HOUR_WRITE = Decimal(2)
"""Anthropic's price of a write that is kept for an hour, by its input price."""


def read_prices(path: Path, date: str) -> Mapping[str, Mapping[str, Row]]:
    """Return the rows of a price list by maker and model, as they hold on `date` (YYYY-MM-DD).

    Takes genai-prices' JSON (or one provider a line) and LiteLLM's map, compressed by gzip or not; raises
    ConfigError for anything else.
    """
    try:
        data = _load(path)
        found = _from_litellm(data) if isinstance(data, dict) else _from_genai(data, date)
        tables: dict[str, dict[str, Row]] = {}
        for maker, model, row in found:
            tables.setdefault(maker, {})[model] = row
    except (OSError, EOFError, zlib.error, *_WRONG_SHAPE) as error:
        raise ConfigError(f"{path} cannot be read as a price list: {error}; {_WANTED}") from error
    if not tables:
        raise ConfigError(f"{path} has no price that is known here; {_WANTED}")
    return {maker: dict(sorted(models.items())) for maker, models in sorted(tables.items())}


def write_table(path: Path, makers: Mapping[str, Mapping[str, Row]], *, date: str, source: str) -> None:
    """Write rows by maker and model as a price table, one model a line; the file is replaced whole or not."""
    blocks = []
    for maker, models in makers.items():
        rows = ",\n".join(
            f"        {json.dumps(model)}: {json.dumps(row, default=_number)}" for model, row in models.items()
        )
        hosts = json.dumps(HOSTS[maker])
        blocks.append(
            f'    {json.dumps(maker)}: {{\n      "hosts": {hosts},\n      "models": {{\n{rows}\n      }}\n    }}'
        )
    head = f'{{\n  "date": {json.dumps(date)},\n  "source": {json.dumps(source)},\n  "makers": {{\n'
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(head + ",\n".join(blocks) + "\n  }\n}\n", "utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"the price table cannot be written to {path}: {error.strerror}") from error


def _number(amount: Decimal) -> int | float:
    """A number that JSON writes as the decimal it is; a float's shortest form is exact for so few digits."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _load(path: Path) -> Any:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    try:
        data = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError:
        return [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line]
    return [data] if isinstance(data, dict) and "models" in data else data


# ---------------------------------------------------------------- genai-prices
def _from_genai(providers: Iterable[Mapping[str, Any]], date: str) -> Iterator[tuple[str, str, Row]]:
    for provider in providers:
        maker = provider["id"]
        if maker not in HOSTS:
            continue
        for model in provider["models"]:
            name, prices = model["id"], _genai_prices(model["prices"], date)
            if prices is None or model.get("deprecated") or not _is_taken(maker, name):
                continue
            if row := _genai_row(prices, maker, name):
                yield maker, name, row


def _genai_prices(prices: Any, date: str) -> Mapping[str, Any] | None:
    """The prices of `date`, None when they depend on the hour."""
    if isinstance(prices, dict):
        return prices
    current: Mapping[str, Any] | None = None
    for entry in prices:
        constraint = entry.get("constraint") or {}
        if set(constraint) - {"start_date"}:
            return None
        if constraint.get("start_date", "") <= date:
            current = entry["prices"]
    return current


def _genai_row(prices: Mapping[str, Any], maker: str, model: str) -> Row | None:
    if set(prices) - _GENAI_RATES.keys() - _UNSENT:
        return None  # a fee for each call, or sound
    given = {name: prices[key] for key, name in _GENAI_RATES.items() if key in prices}
    starts = sorted({tier["start"] for rate in given.values() if isinstance(rate, dict) for tier in rate["tiers"]})
    at = {start: {name: _rate(rate, start) for name, rate in given.items()} for start in (0, *starts)}
    return _row(at, {}, maker, model)


def _rate(rate: Any, start: int) -> Decimal:
    """The rate of prompts longer than `start`."""
    if not isinstance(rate, dict):
        return Decimal(rate)
    reached = [tier["price"] for tier in rate["tiers"] if tier["start"] <= start]
    return Decimal(reached[-1] if reached else rate["base"])


# ---------------------------------------------------------------- LiteLLM
def _from_litellm(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Row]]:
    for name, entry in entries.items():
        provider = str(entry.get("litellm_provider"))
        maker, model = _OTHER_NAMES.get(provider, provider), name.removeprefix(f"{provider}/")
        if "/" in model or not _is_taken(maker, model):
            continue
        at: dict[int, dict[str, Decimal]] = {0: {}}
        for key, amount in entry.items():
            plain, start = _LITELLM_TIER.sub("", key), _LITELLM_TIER.search(key)
            if plain in _LITELLM_RATES and amount is not None:
                above = int(start[1]) * 1_000 if start else 0
                at.setdefault(above, {})[_LITELLM_RATES[plain]] = _per_million(amount)
        at = {start: {**at[0], **rates} for start, rates in sorted(at.items())}
        if row := _row(at, _litellm_multipliers(entry), maker, model):
            yield maker, model, row


def _litellm_multipliers(entry: Mapping[str, Any]) -> dict[str, Decimal]:
    """What cheaper service tiers multiply the list price with: the least discount of input and output."""
    factors: dict[str, Decimal] = {}
    for tier, ending in (("batch", "_batches"), ("flex", "_flex")):
        rates = [
            (entry.get(f"{side}_cost_per_token{ending}"), entry.get(f"{side}_cost_per_token")) for side in _SIDES
        ]
        ratios = [_per_million(cheap) / _per_million(full) for cheap, full in rates if cheap and full]
        if len(ratios) == len(_SIDES) and max(ratios) < 1:
            factors[tier] = max(ratios)
    return factors


def _per_million(per_token: Any) -> Decimal:
    return (Decimal(per_token) * 1_000_000).normalize()


# ---------------------------------------------------------------- rows
def _is_taken(maker: str, model: str) -> bool:
    """Whether the maker sells the model itself, by tokens."""
    own = maker != "google" or model.startswith("gemini")
    return maker in HOSTS and own and not _NOT_BY_TOKENS.search(model)


def _row(
    at: Mapping[int, Mapping[str, Decimal]], multipliers: Mapping[str, Decimal], maker: str, model: str
) -> Row | None:
    """Write the rates by length of the prompt as a row; None when they do not price a model.

    Embedding models have no output. An hour's write is not in every source, so Anthropic's rule is applied.
    """
    rows: list[Row] = []
    for start, rates in at.items():
        row: Row = {"above": start, **rates}
        if "embed" in model:
            row.setdefault("output", Decimal(0))
        if maker == "anthropic" and "cache_write" in row:
            row.setdefault("cache_write_1h", row["input"] * _HOUR_WRITE)
        if not {"input", "output"} <= row.keys():
            return None
        rows.append(row)
    base, *tiers = rows
    del base["above"]
    return {
        **base,
        **({"tiers": tiers} if tiers else {}),
        **({"multipliers": dict(multipliers)} if multipliers else {}),
    }
