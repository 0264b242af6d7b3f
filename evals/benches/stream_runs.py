"""The replays of `agentkit bench stream-budget`: a fold is fitted once, then streamed by every rule and order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from agentkit.evals.baselines.streams import one_call
from agentkit.evals.replay.folds import Fold
from agentkit.evals.replay.knapsack import offline
from agentkit.evals.replay.runs import ORDERS, Best, Limit, order, predictions
from agentkit.routers import Outcome, Query, Router
from agentkit.routers.estimators.forecast import Forecast
from agentkit.routers.estimators.recorded import Stage, play
from agentkit.routers.estimators.table import Floats
from agentkit.routers.fit import fit

Key = tuple[float, str, str]
"""Share of the extra cost, rule, and order."""


class Streams:
    """What came of a table's streams, by fold: scores by query, shares used, and queries without an answer."""

    def __init__(self, seeds: int) -> None:
        self.seeds, self.violations, self.streams = seeds, 0, 0
        self.scores: dict[Key, list[Floats]] = defaultdict(list)
        self.used: dict[Key, list[float]] = defaultdict(list)
        self.unanswered: dict[Key, list[float]] = defaultdict(list)

    def play(self, fold: Fold, queries: int, shares: Sequence[float]) -> None:
        """Fit on `fold`, one of `queries` queries in all, and replay it at every share."""
        artefact, stage, best = fit(fold.train), Stage.of(fold.test), Best.of(fold, queries)
        count = len(stage.queries)
        quality, cost = predictions(artefact.estimator, stage)
        decided_by = artefact.cascade.estimator.base if artefact.cascade else artefact.estimator
        same = predictions(decided_by, stage)  # type: ignore[arg-type]  # as it was fitted
        exact = replace(stage, queries=tuple(map(_held_exactly, stage.queries, stage.outcomes)))
        told = replace(artefact, forecast=Forecast(np.where(fold.test.known, quality, np.nan), cost))
        rules: dict[str, Callable[[], Router]] = {
            "known": partial(artefact.stream, count),
            "unknown": artefact.stream,
            "greedy": partial(one_call, artefact, count, greedy=True),
            "told": partial(told.stream, count),
            "exact": partial(artefact.stream, count),
        }
        for share in shares:
            budget = best.budget(Limit(f"{share:.0%}", share=share))
            self.scores[share, "knapsack", ""].append(offline(*same, fold.test, budget))
            for rule, make in rules.items():
                for name in ORDERS if rule not in ("told", "exact") else ("shuffled",):
                    self._orders((share, rule, name), make, exact if rule == "exact" else stage, budget)

    def _orders(self, key: Key, make: Callable[[], Router], stage: Stage, budget: float) -> None:
        """Replay one rule in one order, or in `seeds` shuffles, a new router each time."""
        played = [
            play(make(), stage, order=order(key[2], len(stage.queries), seed=seed), budget=budget)
            for seed in range(self.seeds if key[2] == "shuffled" else 1)
        ]
        self.streams += len(played)
        self.violations += sum(bool(one.cost.sum() > budget * (1 + 1e-12)) for one in played)
        self.scores[key].append(np.mean([one.score for one in played], axis=0))
        self.used[key].append(float(np.mean([one.cost.sum() / budget for one in played])))
        self.unanswered[key].append(float(np.mean([(~one.called.any(axis=1)).sum() for one in played])))


def _held_exactly(query: Query, outcomes: Mapping[str, Outcome]) -> Query:
    return replace(query, bounds={model: outcome.cost for model, outcome in outcomes.items()})
