"""Small outcome tables that are made up: two topics, three models, one of which is good at each."""

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from agentkit.routers.estimators import Item, OutcomeTable
from agentkit.usage import Price

MODELS = ("algebra", "history", "large")
CHANCES = {"sum": (0.9, 0.2, 0.92), "king": (0.2, 0.9, 0.92)}
PRICES = (1.0, 1.0, 10.0)
WORDS = {"sum": "add multiply number equation root product", "king": "war empire crown battle reign city"}


def two_topics(queries: int = 240, seed: int = 0, *, signal: bool = True) -> OutcomeTable:
    """Each topic has its words and its good cheap model; without `signal` the topic does not matter."""
    draw = np.random.default_rng(seed)
    topics = draw.choice(["sum", "king"], queries)
    texts = [
        " ".join(draw.choice(WORDS[topic].split(), 6)) + f" case {place}?" for place, topic in enumerate(topics)
    ]
    chances = np.array([CHANCES[topic] for topic in topics])
    if not signal:
        chances = np.tile(np.mean(list(CHANCES.values()), axis=0), (queries, 1))
    score = (draw.random((queries, 3)) < chances).astype(float)
    read = np.full((queries, 3), 100.0)
    written = np.round(draw.lognormal(4.5, 0.2, (queries, 3)))
    cost = (read + written) * np.array(PRICES) / 1e6
    return OutcomeTable(
        name="two-topics",
        items=tuple(
            Item(f"q{n}", "made-up", str(topic), text)
            for n, (topic, text) in enumerate(zip(topics, texts, strict=True))
        ),
        models=MODELS,
        score=score,
        cost=cost,
        input_tokens=read,
        output_tokens=written,
        latency=np.full((queries, 3), np.nan),
        prices={m: Price(Decimal(str(p)), Decimal(str(p))) for m, p in zip(MODELS, PRICES, strict=True)},
        digest="made up",
    )


def write(folder: Path, table: OutcomeTable, **changed: Any) -> Path:
    """Write `table` in the format that `read_table` reads; `changed` replaces whole files by rows."""
    queries = [
        {"query_id": item.id, "dataset": item.dataset, "task": item.task, "query": item.text}
        for item in table.items
    ]
    outcomes = [
        {
            "query_id": item.id,
            "model": model,
            "score": table.score[row, column],
            "input_tokens": table.input_tokens[row, column],
            "output_tokens": table.output_tokens[row, column],
            "cost_usd": table.cost[row, column],
        }
        for row, item in enumerate(table.items)
        for column, model in enumerate(table.models)
    ]
    prices = {
        model: {"price_in_per_mtok": float(price.input), "price_out_per_mtok": float(price.output)}
        for model, price in table.prices.items()
    }
    return write_rows(folder, changed.get("queries", queries), changed.get("outcomes", outcomes), prices)


def write_rows(
    folder: Path,
    queries: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Any]],
    prices: Mapping[str, Any] | None = None,
) -> Path:
    """Write the files of a table."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "queries.jsonl.gz", "wt") as file:
        file.writelines(f"{json.dumps(query)}\n" for query in queries)
    with gzip.open(folder / "outcomes.csv.gz", "wt", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in outcomes for name in row)))
        writer.writeheader()
        writer.writerows(outcomes)
    if prices:
        (folder / "models.json").write_text(json.dumps(prices))
    return folder
