"""Complexity tiers on EllieSQL's own labels: which of three pipelines is the cheapest that answers a question.

The labels say who solved a question first, from cheap to dear, so a dearer pipeline is taken to solve what a
cheaper one does, and nobody what was not solved. Prices are not recorded and stand in as 1, 2 and 4. The replay is
that of the tables: 5 folds, hull area of solved questions over spend, from the cheapest pipeline to the dearest.
"""

from __future__ import annotations

import json

import numpy as np

from agentkit.evals.benches.base import Options
from agentkit.evals.benches.rules_latency import Parts
from agentkit.evals.public_data import required_folder, rows
from agentkit.evals.replay.contenders import contenders
from agentkit.evals.replay.folds import folds
from agentkit.evals.replay.report import report
from agentkit.evals.replay.runs import replay
from agentkit.routers.estimators import Item, OutcomeTable

PIPELINES = {"BASIC": 1.0, "INTERMEDIATE": 2.0, "ADVANCED": 4.0}
"""What a question costs by pipeline, in any unit."""
_QUICK = 150


def tiers_on_labels(options: Options) -> Parts:
    """Return hull areas of the tiers, the default and the pipelines alone, and their differences."""
    table = labelled()
    if options.quick:
        table = table.rows(range(_QUICK))
    options.progress(f"rules: {len(table.items)} labelled questions of EllieSQL")
    names = ["tiers", "default", "constant"]
    arena, runs = replay(list(folds(table, count=2 if options.quick else 5)), contenders(names))
    found = report(arena, runs)["routers"]
    metrics = {f"elliesql_{name}_hull": found[name]["hull"] for name in (*names, "zero")}
    intervals = {}
    for other in ("default", "constant", "zero"):
        key = f"hull_over_{other}"
        metrics[f"elliesql_tiers_{key}"] = found["tiers"][key]
        intervals[f"elliesql_tiers_{key}"] = found["tiers"][f"{key}_low"], found["tiers"][f"{key}_high"]
    return metrics, intervals


def labelled() -> OutcomeTable:
    """Return the labels as a table of outcomes; a query is the question and the schema that is linked to it."""
    read = list(rows(required_folder("labels_elliesql") / "bird_dev_pipeline_label.jsonl.gz"))
    place = {name: number for number, name in enumerate(PIPELINES)}
    first = np.array([place.get(row["pipeline_type"], len(place)) for row in read])
    shape = len(read), len(place)
    unknown = np.full(shape, np.nan)
    return OutcomeTable(
        name="elliesql",
        items=tuple(Item(str(n), "bird", row["db_id"], _text(row)) for n, row in enumerate(read)),
        models=tuple(PIPELINES),
        score=(first[:, None] <= np.arange(len(place))).astype(np.float64),
        cost=np.broadcast_to(np.array(list(PIPELINES.values())) / 1_000, shape).copy(),
        input_tokens=unknown,
        output_tokens=unknown,
        latency=unknown,
    )


def _text(row: dict[str, object]) -> str:
    return f"{row['question']}\n{json.dumps(row['enhanced_linked_schema_wo_info'])}"
