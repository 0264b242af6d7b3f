"""Quality for time: utility routing at every price of a second, on the latencies that LLMDrift recorded.

The replay is that for money with seconds in its place: 5 folds, estimators of quality and latency fitted on the
others, one call a query, and the area below the upper hull of quality over seconds between the fastest model and
the slowest. It is compared with the hull of the single models (`zero`), paired by query.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from agentkit.evals.baselines.heads import OneCall
from agentkit.evals.benches.base import Options
from agentkit.evals.benches.rules_latency import Parts
from agentkit.evals.public_data import required_folder
from agentkit.evals.replay.folds import Fold, folds
from agentkit.routers import UtilityRouter
from agentkit.routers.estimators import Frontier, Trail, fit_estimator, read_table
from agentkit.routers.estimators.hull import PENALTIES
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.table import Floats
from agentkit.routers.preferences import Preferences

_QUICK = 100
_HEADS = ("linear", "clusters")


def quality_for_seconds(options: Options) -> Parts:
    """Return hull areas over seconds, and the difference."""
    table = read_table(required_folder("routing_llmdrift"))
    table = table.rows(np.flatnonzero(np.isfinite(table.latency).all(axis=1)))
    if options.quick:
        table = table.rows(range(_QUICK))
    parts = list(folds(table, count=2 if options.quick else 5))
    options.progress(f"rules: {len(table.items)} queries with latencies, {len(PENALTIES)} prices of a second")
    seconds, scores = (np.concatenate(found, axis=1) for found in zip(*map(_played, parts), strict=True))
    rows = np.concatenate([part.rows for part in parts])
    frontier = Frontier.of(table.score[rows], table.latency[rows])
    ours, zero = Trail(seconds, scores), Trail(frontier.cost.T, frontier.score.T)
    areas = {"utility": frontier.area(ours), "zero": frontier.area(zero)}
    metrics = {f"seconds_{name}_hull": area for name, area in areas.items()}
    metrics["seconds_utility_over_zero"] = areas["utility"] - areas["zero"]
    return metrics, {"seconds_utility_over_zero": frontier.gain(ours, zero, resamples=1_000)}


def _played(part: Fold) -> tuple[Floats, Floats]:
    """Return seconds and scores by price of a second and test query."""
    estimator = fit_estimator(part.train, heads=_HEADS).estimator
    estimator.remembered = len(part.test.items)
    unit = Frontier.of(part.train.score, part.train.latency).unit
    stage, make = Stage.of(part.test), partial(UtilityRouter, estimator)
    played = [play(OneCall(make(preferences=Preferences(float(penalty) / unit))), stage) for penalty in PENALTIES]
    seconds = np.stack([(one.called * part.test.latency).sum(axis=1) for one in played])
    return seconds, np.stack([one.score for one in played])
