"""A router fitted on what models did before: easy questions go to the cheap one, hard ones to the good one.

The outcomes are made up here; `agentkit eval import` takes public ones. Needs the `routing` extra.
"""

import csv
import gzip
import json
import random
import tempfile
from decimal import Decimal
from pathlib import Path

from agentkit import Agent
from agentkit.backends import ScriptedBackend
from agentkit.routers.fit import fit
from agentkit.types import ModelCard
from agentkit.usage import Price

RIGHT = {"sum": {"cheap": 0.95, "good": 0.97}, "proof": {"cheap": 0.10, "good": 0.90}}
"""How often each model is right, by kind of question."""
USD = {"cheap": 0.0001, "good": 0.0050}
rng = random.Random(0)


def write_outcomes(folder: Path) -> None:
    kinds = [rng.choice(list(RIGHT)) for _ in range(200)]
    with gzip.open(folder / "queries.jsonl.gz", "wt") as file:
        for n, kind in enumerate(kinds):
            text = f"Find the sum of {n} and {2 * n}." if kind == "sum" else f"Give a proof of lemma {n}."
            file.write(json.dumps({"query_id": n, "dataset": "mine", "task": kind, "query": text}) + "\n")
    with gzip.open(folder / "outcomes.csv.gz", "wt") as file:
        rows = csv.writer(file)
        rows.writerow(["query_id", "model", "score", "input_tokens", "output_tokens", "cost_usd"])
        for n, kind in enumerate(kinds):
            for model, chance in RIGHT[kind].items():
                rows.writerow([n, model, int(rng.random() < chance), "", "", USD[model]])


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        write_outcomes(Path(name))
        router = fit(name).router(spend=0.0025)  # dollars a question on average; save() keeps what was fitted
    cards = [ModelCard(name, "scripted", name, Price(Decimal(1), Decimal(1))) for name in USD]
    agent = Agent([ScriptedBackend(f"says {card.name}", card=card) for card in cards], router=router)
    for task in ("Find the sum of 3 and 4.", "Give a proof of lemma 7."):
        print(f"{task} {agent.run_sync(task).text}")


main()
